"""A raster of probabilities on the grid of a map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling

from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import MapGrid
from drshym_pipeline.references.event_scene import values_on, whole_offset
from drshym_pipeline.references.reference import new_reference_raster
from drshym_pipeline.reprojection import moved

GRID = MapGrid(crs="EPSG:32633", transform=(10.0, 0.0, 5e5, 0.0, -10.0, 5e6), height=40, width=60)


def shifted(rows: float, cols: float, **changes: object) -> MapGrid:
    place = (10.0, 0.0, 5e5 + 10.0 * cols, 0.0, -10.0, 5e6 - 10.0 * rows)
    return GRID.model_copy(update={"transform": place, **changes})


@pytest.fixture(scope="module")
def raster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("raster") / "proba.tif"
    values = np.random.default_rng(42).integers(0, 10_001, GRID.shape).astype(np.uint16)
    values[10:14, 20:30] = NOT_OBSERVED
    with new_reference_raster(path, GRID) as target:
        target.write(values, 1)
    return path


@pytest.mark.parametrize(
    "grid",
    [shifted(0, 0), shifted(5, 7), shifted(-8, 12, height=20, width=90), shifted(30, 50), shifted(100, 0)],
    ids=["same", "inside", "beyond an edge", "a corner", "apart"],
)
def test_pixels_of_the_same_grid_are_copied_and_are_those_that_are_interpolated(raster, grid):
    with rasterio.open(raster) as source:
        assert whole_offset(source, grid) is not None
        for rows in (range(grid.height), range(3, 9)):
            copied = values_on(source, grid)(rows)
            np.testing.assert_array_equal(copied, moved(source, grid, rows, Resampling.bilinear)[0])


@pytest.mark.parametrize(
    "grid",
    [
        shifted(0.5, 0),
        shifted(0, 0.01),
        shifted(0, 0, crs="EPSG:32634"),
        GRID.model_copy(update={"transform": (20.0, 0.0, 5e5, 0.0, -20.0, 5e6)}),
        GRID.model_copy(update={"transform": (10.001, 0.0, 5e5, 0.0, -10.0, 5e6)}),
        GRID.model_copy(update={"transform": (10.0, 0.01, 5e5, 0.0, -10.0, 5e6)}),
    ],
    ids=["half a pixel", "a hundredth", "another zone", "larger pixels", "a little larger", "turned"],
)
def test_pixels_of_another_grid_are_interpolated(raster, grid):
    with rasterio.open(raster) as source:
        assert whole_offset(source, grid) is None
        rows = range(grid.height)
        np.testing.assert_array_equal(values_on(source, grid)(rows), moved(source, grid, rows, Resampling.bilinear)[0])
