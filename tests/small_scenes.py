"""Small scenes for tests that map them."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_lake_scene(
    path: Path,
    *,
    shape: tuple[int, int] = (200, 300),
    bands: tuple[str, ...] = ("VV", "VH"),
    crs: str | None = "EPSG:32644",
    observed: bool = True,
    linear: bool = False,
    seed: int = 42,
    origin: tuple[float, float] = (500_000.0, 2_000_000.0),
    spacing: float = 10.0,
    lake: float = 0.25,
    **tags: str,
) -> Path:
    """Write a small GeoTIFF: land with a lake, speckle, and a border that was not observed.

    Args:
        path: The file.
        shape: (height, width) in pixels.
        bands: The polarisations.
        crs: The CRS; None for a file without one.
        observed: Whether any pixel is observed.
        linear: Whether the values are power instead of dB.
        seed: Seed of the speckle.
        origin: Upper left corner (x, y).
        spacing: Pixel side.
        lake: Radius of the lake, as a share of the shorter side.
        tags: Tags of the file.
    """
    import rasterio
    from rasterio.transform import from_origin

    rng = np.random.default_rng(seed)
    height, width = shape
    rows, cols = np.mgrid[:height, :width]
    water = (rows - height / 2) ** 2 + (cols - width / 2) ** 2 < (min(shape) * lake) ** 2
    levels = {"VV": (-9.0, -21.0), "VH": (-15.0, -27.0)}
    layers = []
    if bands == ("VH",):
        rng.normal(0, 1.2, shape)  # the speckle of VV, so that this file has another one
    for band in bands:
        land, open_water = levels[band]
        values = np.where(water, open_water, land) + rng.normal(0, 1.2, shape)
        values[:, : width // 20] = np.nan
        if not observed:
            values[:] = np.nan
        layers.append(10 ** (values / 10) if linear else values)
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(bands),
        "height": height,
        "width": width,
        "nodata": float("nan"),
        "transform": from_origin(*origin, spacing, spacing) if crs else None,
        "crs": crs,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.Env(GDAL_PAM_ENABLED=False), rasterio.open(path, "w", **profile) as target:
        target.write(np.stack(layers).astype(np.float32))
        target.descriptions = bands
        target.update_tags(**tags)
    return path
