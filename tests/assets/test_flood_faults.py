"""The check of a map derives the mask again from all files of a map with a pre-event scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from assets.scene_faults import map_faults
from drshym_pipeline import stages
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.prediction import plan_prediction
from drshym_pipeline.probabilities import NOT_OBSERVED, open_probabilities
from drshym_pipeline.products.draw import draw_map
from drshym_pipeline.references.pre_event import map_pre_event
from drshym_pipeline.sar.codes import BACKSCATTER_FILE
from drshym_pipeline.sar.ingest import describe_scene
from drshym_pipeline.sar.scene import open_backscatter
from drshym_pipeline.scene_folder import REFERENCE_KINDS, MapFolder, ProductKind
from drshym_pipeline.storage import write_text
from drshym_pipeline.tiling import TileGrid
from tests.products.safe_product import write_image
from tests.units import from_db

TILE, OVERLAP = 96, 24


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return shipped_bundle()


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> tuple[Path, Path]:
    """A simulated scene and the same place before its flood."""
    folder = tmp_path_factory.mktemp("pair")
    now = write_scene(folder, "S1_small", simulate_scene(11, 160, 140, flood_share=0.2))
    return now, folder / "S1_small_pre_event.tif"


@pytest.fixture(scope="module")
def raw_pair(tmp_path_factory, pair) -> tuple[Path, Path]:
    """The same two scenes as images with control points and no transform."""
    folder = tmp_path_factory.mktemp("raw")
    paths = []
    for source, name in zip(pair, ("S1_raw_VV.tif", "S1_raw_before_VV.tif"), strict=True):
        with rasterio.open(source) as scene:
            vv = scene.read(1, out_dtype="float32")
        dn = np.nan_to_num(from_db(vv[np.newaxis], "dn")[0], nan=0.0).round().astype(np.uint16)
        write_image(folder / name, dn)
        paths.append(folder / name)
    return paths[0], paths[1]


def drawn_map(folder: Path, now: Path, before: Path, bundle: ModelBundle, min_area_ha: float = 0.0) -> MapFolder:
    """Draw a map with a pre-event scene in a scene's folder."""
    model = bundle.reference("checkpoint")
    scene = stages.stage([now], folder / "store")
    predicted = stages.predict(stages.write_tiles(scene, tile=TILE, overlap=OVERLAP), bundle, model)
    work = folder / "before"
    work.mkdir()
    meta = describe_scene([before], backscatter=work / BACKSCATTER_FILE)
    plan = plan_prediction(meta, TileGrid(meta.height, meta.width, TILE, OVERLAP), bundle, model)
    with open_backscatter(scene.meta(), scene.directory) as reader:
        reference = map_pre_event(reader, meta, plan, work, raster=folder / "reference.tif")
    drawn = scene.drawing("0123456789ab-work")
    drawn.directory.mkdir(parents=True)
    with open_backscatter(scene.meta(), scene.directory) as reader:
        tiles = open_probabilities(predicted.path, predicted.tiles.grid())
        summary = draw_map(
            reader, tiles, predicted.read(), drawn.directory, min_area_ha=min_area_ha, reference=reference
        )
    write_text(drawn.stitched_path, summary.model_dump_json())
    return drawn


def changed(drawn: MapFolder, kind: ProductKind, change: Callable[[np.ndarray], None], **profile: Any) -> None:
    path = drawn.product(kind)
    with rasterio.open(path) as source:
        values, kept = source.read(1), {**source.profile, **profile}
    change(values)
    kept = {key: kept[key] for key in ("dtype", "nodata", "count", "height", "width", "crs", "transform")}
    with rasterio.open(path, "w", driver="GTiff", **kept) as target:
        target.write(values, 1)


def as_water_before(mask: np.ndarray) -> None:
    row, col = np.argwhere(mask == 1)[0]
    mask[row, col] = 2


def as_flood(mask: np.ndarray) -> None:
    row, col = np.argwhere(mask == 2)[0]
    mask[row, col] = 1


def one_step_more(values: np.ndarray) -> None:
    row, col = np.argwhere(values < 9_000)[0]
    values[row, col] += 1


def unknown(values: np.ndarray) -> None:
    row, col = np.argwhere(values != NOT_OBSERVED)[0]
    values[row, col] = NOT_OBSERVED


def unchanged(values: np.ndarray) -> None:
    del values


@pytest.fixture(scope="module")
def whole(tmp_path_factory, pair, bundle) -> MapFolder:
    return drawn_map(tmp_path_factory.mktemp("whole"), *pair, bundle)


def test_a_map_with_all_states_passes(whole):
    with rasterio.open(whole.product("mask")) as mask:
        assert set(np.unique(mask.read(1))) >= {0, 1, 2}
    assert map_faults(whole) == []


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("mask", as_water_before, "the mask differs in 1 pixel from the probability"),
        ("mask", as_flood, "with flood from a probability of 0."),
        ("flood_proba", one_step_more, "the probability of flood differs in 1 pixel from p(water now)"),
        ("flood_proba", unknown, "the probability of flood differs in 1 pixel"),
        ("reference", unknown, "the probability of flood differs in 1 pixel"),
    ],
)
def test_a_changed_pixel_of_any_file_is_found(whole, kind, change, words):
    path = whole.product(kind)
    kept = path.read_bytes()
    try:
        changed(whole, kind, change)
        (fault,) = map_faults(whole)
        assert words in fault
    finally:
        path.write_bytes(kept)


@pytest.mark.parametrize("kind", REFERENCE_KINDS)
def test_a_file_that_is_missing_or_on_another_grid_is_found(whole, kind):
    path = whole.product(kind)
    kept = path.read_bytes()
    try:
        changed(whole, kind, unchanged, transform=rasterio.Affine(10, 0, 0, 0, -10, 0))
        (fault,) = map_faults(whole)
        assert "is not on the scene's grid" in fault
        path.unlink()
        (fault,) = map_faults(whole)
        assert path.name in fault
    finally:
        path.write_bytes(kept)


def test_small_areas_are_removed_before_flood_is_separated(tmp_path, pair, bundle):
    drawn = drawn_map(tmp_path, *pair, bundle, min_area_ha=1.0)
    assert drawn.stitched().minimum_area.removed > 0, "the scene should have small areas"
    assert map_faults(drawn) == []
    changed(drawn, "mask", as_water_before)
    (fault,) = map_faults(drawn)
    assert "without areas below 1 ha, with flood from" in fault


def test_images_with_control_points_are_both_moved_to_the_map_and_the_mask_follows_from_the_files(
    tmp_path, raw_pair, bundle
):
    drawn = drawn_map(tmp_path, *raw_pair, bundle)
    assert drawn.scene.meta().georeference == "gcps"
    with rasterio.open(drawn.product("mask")) as mask:
        states = mask.read(1)
    assert set(np.unique(states)) == {0, 1, 2, 255}
    with rasterio.open(drawn.product("reference")) as reference:
        compared = (states != 255) & (reference.read(1) != NOT_OBSERVED)
    separation = drawn.stitched().separation
    assert separation.water_unseparated < 100
    assert separation.pre_event.known_pixels == int(compared.sum()) > 1000
    assert map_faults(drawn) == []
    changed(drawn, "mask", as_flood)
    (fault,) = map_faults(drawn)
    assert "the mask differs in 1 pixel" in fault
