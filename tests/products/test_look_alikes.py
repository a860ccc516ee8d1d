"""Folders like those of the producers: one right map per scene, by the command and by the sensor's plan."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import rasterio

from drshym_pipeline.cli import main
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.records import MapRecord
from drshym_pipeline.sar.scene import describe_scene
from drshym_pipeline.sar.scene_files import list_scenes
from drshym_pipeline.sar.sidecar import is_sidecar
from drshym_pipeline.states import FLOODED, PERMANENT
from sensors.plan import PARTNER_TICKS, plan_tick
from tests.lineage import Lineage
from tests.products.look_alikes import PRODUCERS, Expected


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, random_bundle) -> Path:
    return Path(random_bundle.save(tmp_path_factory.mktemp("model") / "bundle"))


@pytest.fixture(params=list(PRODUCERS))
def product(request, tmp_path) -> tuple[Path, list[Expected]]:
    """A folder of one producer, and the scenes in it."""
    root = tmp_path / "in" / request.param
    return root, PRODUCERS[request.param](root)


def clean_mask(scene: Expected, root: Path, folder: Path, bundle: ModelBundle) -> np.ndarray:
    """Return the mask of a file in float dB with the pixels of a scene."""
    bands = []
    places = scene.files * 2 if len(scene.files) < len(scene.bands) else scene.files
    for file, number in zip(places, scene.bands, strict=False):
        with rasterio.open(root / file) as dataset:
            values, nodata, profile = dataset.read(number).astype(np.float64), dataset.nodata, dataset.profile
        missing = (values == 0) | (values == nodata) | ~np.isfinite(values)
        if scene.units == "power":
            values = 10.0 * np.log10(np.where(missing, 1.0, values))
        bands.append(np.where(missing, np.nan, values))
    path = folder / f"S1_clean_{scene.name}.tif"
    path.parent.mkdir(parents=True)
    grid = {key: profile[key] for key in ("crs", "transform", "height", "width")}
    with rasterio.open(path, "w", driver="GTiff", dtype="float32", count=len(bands), nodata=np.nan, **grid) as dataset:
        dataset.write(np.stack(bands).astype(np.float32))
        dataset.descriptions = ("VV", "VH")[: len(bands)]
    record = map_scene([path], folder / "map", bundle, bundle.reference("checkpoint"), units="db", tile=64, overlap=8)
    return read_mask(folder / "map" / record.files["mask"])


def read_mask(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read(1))


def rasters(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*.tif*")}


def test_predict_folder_maps_each_scene_once_and_names_the_side_rasters(
    capfd, tmp_path, product, checkpoint, random_bundle
):
    root, expected = product
    command = ["predict-folder", "--in", root, "--out", tmp_path / "out", "--ckpt", checkpoint, "--tile", 64]
    assert main([*map(str, command), "--overlap", "8", "--json"]) == 0
    printed = capfd.readouterr()
    mapped = json.loads(printed.out)["maps"]
    maps = [MapRecord.model_validate(scene["record"]) for scene in mapped]
    assert sorted(record.scene_id for record in maps) == sorted(scene.name for scene in expected)
    for record in maps:
        scene = next(scene for scene in expected if scene.name == record.scene_id)
        assert [Path(uri).name for uri in map(str, record.source_uris)] == [
            Path((root / file).as_uri()).name for file in scene.files
        ]
        assert record.modality == ("sentinel1_sar_vv_vh" if len(scene.bands) == 2 else "sentinel1_sar_vv")
        folder = Path(next(found["folder"] for found in mapped if found["record"]["scene_id"] == scene.name))
        mask = read_mask(folder / record.files["mask"])
        right = clean_mask(scene, root, tmp_path / "clean" / scene.name, random_bundle)
        assert {0, 1} <= set(right[right != 255])
        assert (mask == right).mean() >= 0.98
    beside = rasters(root) - {file for scene in expected for file in scene.files}
    lines = [line for line in printed.err.splitlines() if line.startswith("not mapped, side rasters")]
    assert len(lines) == bool(beside)
    assert all(file in lines[0] for file in beside)


@pytest.mark.system
def test_the_watched_folder_maps_each_scene_once_and_right(tmp_path, product, random_bundle):
    root, expected = product
    lineage = Lineage(tmp_path / "home", {"tile": 64, "overlap": 8})
    lineage.serve(random_bundle)
    shutil.copytree(root, lineage.inbox / root.name)
    results = lineage.map_all(ticks=PARTNER_TICKS + 2)
    assert [partition for partition, result in results.items() if not result.success] == []
    folders = [lineage.store.scenes.current(partition) for partition in results]
    sources = {
        tuple(unquote(uri.rpartition(f"/{root.name}/")[2]) for uri in folder.scene.meta().source_uris): folder
        for folder in folders
    }
    assert sorted(sources) == sorted(scene.files for scene in expected)
    for scene in expected:
        mask = read_mask(sources[scene.files].product("mask"))
        right = clean_mask(scene, root, tmp_path / "clean" / scene.name, random_bundle)
        # Another scene of the same place may say which water was there before.
        assert (np.where(mask == PERMANENT, FLOODED, mask) == right).mean() >= 0.98


def test_the_plan_of_the_sensor_requests_each_scene_once_and_lists_the_side_rasters(product):
    root, expected = product
    listing = list_scenes(root)
    requests, plan = [], plan_tick(listing, {}, 100)
    for _ in range(PARTNER_TICKS + 1):
        plan = plan_tick(listing, plan.seen, 100)
        requests.extend(plan.requests)
    assert sorted(request.files for request in requests) == sorted(scene.files for scene in expected)
    assert len({request.partition for request in requests}) == len(requests)
    beside = {file.key for file in listing if not is_sidecar(file.key)} - {
        key for request in requests for key in request.files
    }
    assert {companion.key for companion in plan.companions} == beside
    assert all(companion.scene is not None for companion in plan.companions)


def test_each_scene_is_read_from_its_bands_with_its_units(product):
    root, expected = product
    for scene in expected:
        meta = describe_scene([root / file for file in scene.files])
        assert meta.scene_id == scene.name
        assert tuple(band.band for band in meta.bands) == scene.bands
        assert [Path(band.path).name for band in meta.bands] == [
            Path(file).name for file in (scene.files * 2 if len(scene.files) < len(scene.bands) else scene.files)
        ]
        assert meta.units == scene.units
