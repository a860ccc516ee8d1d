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

UTM = {"crs": "EPSG:32630", "transform": from_origin(500_000.0, 4_500_000.0, 10.0, 10.0)}


def backscatter(height: int = 96, width: int = 80, seed: int = 42) -> NDArray[np.float32]:
    """Return VV and VH in dB, (2, height, width): land with speckle and a dark lake in the middle."""
    rng = np.random.default_rng(seed)
    lake = np.hypot(*np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]) < 0.5
    vv = np.where(lake, -20.0, -10.0) + rng.normal(0.0, 2.0, (height, width))
    vh = vv - 7.0 + rng.normal(0.0, 1.0, (height, width))
    return np.stack([vv, vh]).astype(np.float32)


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
    """Return a small scene in dB, (2, 96, 80)."""
    return backscatter()
