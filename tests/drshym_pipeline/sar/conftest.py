"""Small rasters like those of Sentinel-1, with a fixed seed, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from tests.look_alikes import backscatter_db

UTM = {"crs": "EPSG:32630", "transform": from_origin(500_000.0, 4_500_000.0, 10.0, 10.0)}


WriteTiff = Callable[..., Path]


@pytest.fixture
def write_tiff(tmp_path: Path) -> WriteTiff:
    """Return a function that writes (bands, h, w) or (h, w) as a GeoTIFF; keywords are passed to rasterio."""

    def write(
        values: NDArray[Any], name: str = "scene.tif", descriptions: tuple[str, ...] = (), **options: Any
    ) -> Path:
        values = values[np.newaxis] if values.ndim == 2 else values
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {**UTM, **options}
        count, height, width = values.shape
        with rasterio.open(
            path, "w", driver="GTiff", count=count, height=height, width=width, dtype=values.dtype, **profile
        ) as dataset:
            dataset.write(values)
            for band, description in enumerate(descriptions, 1):
                dataset.set_band_description(band, description)
        return path

    return write


@pytest.fixture
def scene_db() -> NDArray[np.float32]:
    """Return a small scene in dB, (2, 96, 80): land with speckle and a dark lake in the middle."""
    return backscatter_db(96, 80).astype(np.float32)
