"""Small files under the official names of ancillary tiles, with coarser pixels than the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

from drshym_pipeline.ancillary.layers import Cell, Layer

# Given the longitudes and latitudes of pixels, returns their values.
Values = Callable[[np.ndarray, np.ndarray], np.ndarray]


def write_tile(
    folder: Path,
    layer: Layer,
    cell: Cell,
    values: Values,
    *,
    pixels: int = 1200,
    dtype: str = "uint8",
    nodata: float | None = None,
    crs: str | None = "EPSG:4326",
    shift: float = 0.0,
    flat: bool = True,
) -> Path:
    """Write a tile whose values depend on the place; `shift` moves it from its square, in degrees."""
    step = layer.side / pixels
    along = (np.arange(pixels) + 0.5) * step
    longitudes, latitudes = np.meshgrid(cell.west + along, cell.south + layer.side - along)
    place = layer.place(cell)
    path = folder / (place.name if flat else place)
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", dtype=dtype, count=1, height=pixels, width=pixels, crs=crs, nodata=nodata,
        transform=Affine(step, 0.0, cell.west + shift, 0.0, -step, cell.south + layer.side), tiled=True,
        blockxsize=256, blockysize=256, compress="deflate",
    ) as target:  # fmt: skip
        target.write(values(longitudes, latitudes).astype(dtype), 1)
    return path


def everywhere(value: float) -> Values:
    """Return the same value for all pixels."""
    return lambda longitudes, latitudes: np.full(longitudes.shape, value)
