"""The check of a map derives the mask again from the file of exclusion too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio

from assets.scene_faults import map_faults
from drshym_pipeline import stages
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.probabilities import open_probabilities
from drshym_pipeline.products.draw import draw_map
from drshym_pipeline.records import (
    LayerTile,
    MapGrid,
    ReferenceLayer,
    ReferenceSources,
    TerrainLayer,
    TerrainLimits,
)
from drshym_pipeline.references.exclusion import TerrainExclusion
from drshym_pipeline.references.reference import ReferenceWater, new_reference_raster
from drshym_pipeline.sar.scene import open_backscatter
from drshym_pipeline.scene_folder import MapFolder, ProductKind
from drshym_pipeline.storage import write_text
from tests.products.safe_product import write_image
from tests.units import from_db

TILE, OVERLAP = 96, 24


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return shipped_bundle()


@pytest.fixture(scope="module")
def scene(tmp_path_factory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene"), "S1_small", simulate_scene(11, 160, 140, flood_share=0.2))


@pytest.fixture(scope="module")
def raw(tmp_path_factory, scene) -> Path:
    """The same scene as an image with control points and no transform."""
    with rasterio.open(scene) as source:
        vv = source.read(1, out_dtype="float32")
    dn = np.nan_to_num(from_db(vv[np.newaxis], "dn")[0], nan=0.0).round().astype(np.uint16)
    path = tmp_path_factory.mktemp("raw") / "S1_raw_VV.tif"
    write_image(path, dn)
    return path


def terrain(folder: Path, grid: MapGrid) -> TerrainExclusion:
    """A third of the ground is excluded for different reasons, in patches, and some is not known."""
    rows, cols = np.indices(grid.shape)
    values = np.select([(rows // 17 + cols // 13) % 3 == 0, cols > grid.width - 9], [1 + (cols % 15), 255], 0)
    path = folder / "terrain.tif"
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint8", count=1, nodata=255, height=grid.height, width=grid.width,
        crs=grid.crs, transform=grid.affine,
    ) as target:  # fmt: skip
        target.write(values.astype(np.uint8), 1)
    layer = TerrainLayer(name="elevation", title="an elevation model", tiles=())
    return TerrainExclusion(path, TerrainLimits(), (layer,), {"rule": 1})


def reference(folder: Path, grid: MapGrid) -> ReferenceWater:
    values = np.where(np.indices(grid.shape)[1] < grid.width // 2, 9_000, 0).astype(np.uint16)
    with new_reference_raster(folder / "before.tif", grid) as target:
        target.write(values, 1)
    tile = LayerTile(uri="file:///x.tif", sha256="0" * 64)
    layer = ReferenceLayer(name="worldcover", title="a layer", tiles=(tile,), known_pixels=values.size)
    return ReferenceWater(folder / "before.tif", ReferenceSources(layers=(layer,)), {"layers": {}})


def drawn_map(folder: Path, source: Path, bundle: ModelBundle, *, with_reference: bool, ha: float = 0.0) -> MapFolder:
    staged = stages.stage([source], folder / "store")
    tiles = stages.write_tiles(staged, tile=TILE, overlap=OVERLAP)
    predicted = stages.predict(tiles, bundle, bundle.reference("checkpoint"))
    grid = staged.meta().map_grid
    drawn = staged.drawing("0123456789ab-work")
    drawn.directory.mkdir(parents=True)
    with open_backscatter(staged.meta(), staged.directory) as reader:
        summary = draw_map(
            reader,
            open_probabilities(predicted.path, tiles.grid()),
            predicted.read(),
            drawn.directory,
            min_area_ha=ha,
            reference=reference(folder, grid) if with_reference else None,
            exclusion=terrain(folder, grid),
        )
    write_text(drawn.stitched_path, summary.model_dump_json())
    return drawn


def changed(drawn: MapFolder, kind: ProductKind, change: Callable[[np.ndarray], None]) -> None:
    path = drawn.product(kind)
    with rasterio.open(path) as source:
        values, profile = source.read(1), source.profile
    change(values)
    kept = {key: profile[key] for key in ("dtype", "nodata", "count", "height", "width", "crs", "transform")}
    with rasterio.open(path, "w", driver="GTiff", **kept) as target:
        target.write(values, 1)


def as_dry(mask: np.ndarray) -> None:
    row, col = np.argwhere(mask == 250)[0]
    mask[row, col] = 0


def excluded(values: np.ndarray) -> None:
    row, col = np.argwhere(values == 0)[values.size // 3]
    values[row, col] = 4


@pytest.mark.parametrize("with_reference", [False, True])
@pytest.mark.parametrize("ha", [0.0, 1.0])
def test_a_map_with_exclusion_passes_and_a_changed_pixel_is_found(tmp_path, scene, bundle, with_reference, ha):
    drawn = drawn_map(tmp_path, scene, bundle, with_reference=with_reference, ha=ha)
    summary = drawn.stitched()
    with rasterio.open(drawn.product("mask")) as source:
        mask = source.read(1)
    assert summary.exclusion.pixels == summary.pixels["excluded"] == int((mask == 250).sum()) > 1000
    assert sum(summary.exclusion.reasons.values()) > summary.exclusion.pixels, "some pixels have several reasons"
    assert map_faults(drawn) == []
    kept = drawn.product("mask").read_bytes()
    changed(drawn, "mask", as_dry)
    (fault,) = map_faults(drawn)
    assert "the mask differs in 1 pixel" in fault and "with the ground that the terrain excludes" in fault
    drawn.product("mask").write_bytes(kept)
    changed(drawn, "exclusion", excluded)
    (fault,) = map_faults(drawn)
    assert "the mask differs in 1 pixel" in fault


@pytest.mark.parametrize("with_reference", [False, True])
@pytest.mark.parametrize("ha", [0.0, 0.5])
def test_an_image_with_control_points_has_its_exclusion_on_the_map(tmp_path, raw, bundle, with_reference, ha):
    drawn = drawn_map(tmp_path, raw, bundle, with_reference=with_reference, ha=ha)
    assert drawn.scene.meta().georeference == "gcps"
    assert drawn.stitched().exclusion.pixels > 1000
    assert any("counted in the whole image" in warning for warning in drawn.stitched().warnings)
    assert map_faults(drawn) == []
    changed(drawn, "mask", as_dry)
    (fault,) = map_faults(drawn)
    assert "the mask differs in 1 pixel" in fault


def test_a_missing_file_of_exclusion_is_found(tmp_path, scene, bundle):
    drawn = drawn_map(tmp_path, scene, bundle, with_reference=False)
    drawn.product("exclusion").unlink()
    (fault,) = map_faults(drawn)
    assert "_exclusion.tif" in fault


def test_areas_and_intervals_are_those_of_the_other_ground(tmp_path, scene, bundle):
    """A scene without the excluded ground has about the same area, and its interval covers the same ground."""
    (tmp_path / "a").mkdir()
    drawn = drawn_map(tmp_path / "a", scene, bundle, with_reference=False).stitched()
    with rasterio.open(scene) as source:
        values, profile = source.read(), source.profile
    grid = MapGrid(crs="EPSG:32644", transform=tuple(profile["transform"])[:6], height=160, width=140)
    with rasterio.open(terrain(tmp_path, grid).raster) as source:
        gone = source.read(1)
    values[:, (gone > 0) & (gone < 255)] = np.nan
    other = tmp_path / "b" / "S1_small.tif"
    other.parent.mkdir()
    with rasterio.open(other, "w", **profile) as target:
        target.write(values)
    # The network sees other neighbours there, so the areas are only about the same.
    alone = drawn_map(tmp_path / "b", other, bundle, with_reference=False).stitched()
    assert drawn.observed_km2 - drawn.exclusion.km2 == pytest.approx(alone.observed_km2)
    assert drawn.flooded.high_km2 <= alone.observed_km2
    assert drawn.flooded.km2 == pytest.approx(alone.flooded.km2, rel=0.5)
