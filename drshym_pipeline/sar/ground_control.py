"""Images with control points and no transform: the map grid of their products.

A raw ground-range product is a picture in radar geometry and does not have north at the top. It is mapped as it is;
only the products are moved to a map grid. Between control points the thin-plate spline is used, because it goes through
every point. On a real Sentinel-1 product (210 points), each point in turn was left out and predicted from the others:
the error is 35 m rms with the spline and 451 m with GDAL's default, a polynomial (a test on real data computes both).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.control import GroundControlPoint
from rasterio.transform import GCPTransformer

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import ControlPoint, MapGrid
from drshym_pipeline.sar.georeference import NO_GEOREFERENCE, Grid, projected

_USUAL_SPACING = 10.0  # metres, of ground-range products in high resolution
_NEARLY = 0.2
_STEPS_PER_SIDE = 65
_MOST_GROWTH = 4  # times the pixels of the image: a turned frame has at most twice as many


def gdal_points(points: Sequence[ControlPoint], crs: str) -> list[GroundControlPoint]:
    """Return control points for rasterio, in a CRS in metres, because degrees jump at the antimeridian."""
    places, positions = projected(points, crs)
    return [
        GroundControlPoint(*place, *position, 0.0)
        for place, position in zip(places.tolist(), positions.tolist(), strict=True)
    ]


def product_spacing(grid: Grid) -> float:
    """Return the side of the products' pixels in metres: 10 if the image's own is near 10, else the image's own."""
    own = math.sqrt(abs(grid.transform.determinant))
    return _USUAL_SPACING if abs(own / _USUAL_SPACING - 1.0) <= _NEARLY else float(f"{own:.3g}")


def product_grid(grid: Grid, path: Path) -> MapGrid:
    """Return a north-up grid in the scene's UTM zone around the whole image.

    The corner of the grid is at whole multiples of the spacing.

    Args:
        grid: The grid of the image, with its control points.
        path: The file to name in an error.

    Raises:
        InputError: The control points give no finite positions, or an area that is far too large.
    """
    along = np.linspace(0.0, 1.0, _STEPS_PER_SIDE)
    rows = np.concatenate([along * 0, along, along * 0 + 1, along]) * grid.height
    cols = np.concatenate([along, along * 0 + 1, along, along * 0]) * grid.width
    with GCPTransformer(gdal_points(grid.points, grid.crs), tps=True) as transformer:
        xs, ys = transformer.xy(rows, cols, offset="ul")
    spacing = product_spacing(grid)
    if not np.isfinite([xs, ys]).all():
        raise InputError(path, "its ground control points do not make a map", NO_GEOREFERENCE)
    left, right = math.floor(min(xs) / spacing), math.ceil(max(xs) / spacing)
    bottom, top = math.floor(min(ys) / spacing), math.ceil(max(ys) / spacing)
    height, width = top - bottom, right - left
    if height * width > _MOST_GROWTH * max(grid.height * grid.width, 4096):
        raise InputError(path, "its ground control points stretch it over far too large an area", NO_GEOREFERENCE)
    return MapGrid(
        crs=grid.crs,
        transform=(spacing, 0.0, left * spacing, 0.0, -spacing, top * spacing),
        height=height,
        width=width,
    )
