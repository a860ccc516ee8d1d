"""Chips of a scene are GeoTIFFs with the same corners as in their records."""

import json
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from drshym_pipeline.products.chips import write_chips


def test_the_corner_of_a_chip_is_the_corner_in_its_record_on_a_turned_grid(tmp_path: Path) -> None:
    db = np.random.default_rng(3).normal(-9, 1, (130, 150)).astype(np.float32)
    transform = Affine.translation(500_003.3, 4_983_001.7) @ Affine.rotation(12) @ Affine.scale(10.1, -9.9)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 130, "width": 150, "crs": "EPSG:32631"}
    with rasterio.open(tmp_path / "turned.tif", "w", **profile, transform=transform) as target:
        target.write(db, 1)
        target.descriptions = ("VV",)
    assert write_chips([tmp_path / "turned.tif"], tmp_path / "chips", tile=64, overlap=8).grid.count == 9
    for path in sorted((tmp_path / "chips").glob("*.tif")):
        bounds = json.loads(path.with_suffix(".json").read_text("utf-8"))["bounds"]
        with rasterio.open(path) as chip:
            left, bottom, right, top = bounds
            corners = [chip.transform @ (col, row) for col in (0, chip.width) for row in (0, chip.height)]
            np.testing.assert_allclose([min(x for x, _ in corners), max(x for x, _ in corners)], [left, right])
            # One corner of the window is the origin of the chip: exactly, to the last digit.
            assert chip.transform.c in bounds or chip.transform.f in bounds
            np.testing.assert_allclose([min(y for _, y in corners), max(y for _, y in corners)], [bottom, top])
