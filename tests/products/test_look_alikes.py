"""Folders like those of the producers: one right map per scene, by the command and by the sensor's plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from drshym_pipeline.cli import main
from drshym_pipeline.records import MapRecord
from drshym_pipeline.sar.scene import describe_scene
from drshym_pipeline.sar.scene_files import list_scenes
from drshym_pipeline.sar.sidecar import is_sidecar
from sensors.plan import PARTNER_TICKS, plan_tick
from tests.products.look_alikes import PRODUCERS, Expected


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, random_bundle) -> Path:
    return Path(random_bundle.save(tmp_path_factory.mktemp("model") / "bundle"))


@pytest.fixture(params=list(PRODUCERS))
def product(request, tmp_path) -> tuple[Path, list[Expected]]:
    """A folder of one producer, and the scenes in it."""
    root = tmp_path / "in" / request.param
    return root, PRODUCERS[request.param](root)


def rasters(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*.tif*")}


def test_predict_folder_maps_each_scene_once_and_names_the_side_rasters(capfd, tmp_path, product, checkpoint):
    root, expected = product
    command = ["predict-folder", "--in", root, "--out", tmp_path / "out", "--ckpt", checkpoint, "--tile", 64]
    assert main([*map(str, command), "--overlap", "8", "--json"]) == 0
    printed = capfd.readouterr()
    maps = [MapRecord.model_validate(scene["record"]) for scene in json.loads(printed.out)["maps"]]
    assert sorted(record.scene_id for record in maps) == sorted(scene.name for scene in expected)
    for record in maps:
        scene = next(scene for scene in expected if scene.name == record.scene_id)
        assert [Path(uri).name for uri in map(str, record.source_uris)] == [
            Path((root / file).as_uri()).name for file in scene.files
        ]
        assert record.modality == ("sentinel1_sar_vv_vh" if len(scene.bands) == 2 else "sentinel1_sar_vv")
    beside = rasters(root) - {file for scene in expected for file in scene.files}
    lines = [line for line in printed.err.splitlines() if line.startswith("not mapped, side rasters")]
    assert len(lines) == bool(beside)
    assert all(file in lines[0] for file in beside)


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
