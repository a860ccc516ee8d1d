"""Flood polygons as GeoJSON.

RFC 7946 wants WGS84 longitudes and latitudes and polygons that do not cross the antimeridian; GDAL's driver does both.
Outlines follow the pixel edges of the mask: smoothing would claim a precision that the map does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyogrio.raw
import rasterio
import rasterio.features
import shapely

from drshym_pipeline.products.names import FLOODED
from drshym_pipeline.storage import atomic_path


def write_flood_polygons(mask: Path, crs: str, out: Path, provenance: Mapping[str, str | float]) -> int:
    """Write the flooded areas of a mask as polygons, each with its number of pixels.

    A polygon has no area in km2: an area needs an interval, and errors are known for whole maps only.

    Args:
        mask: The mask raster (values of `names.MASK_LEGEND`).
        crs: Its coordinate reference system.
        out: The GeoJSON file; an empty collection when nothing is flooded.
        provenance: What every polygon says about where it comes from, by property.

    Returns:
        Number of polygons.
    """
    with rasterio.open(mask) as source:
        band = rasterio.band(source, 1)
        # The band as its own mask leaves out the dry pixels, whose outlines would dwarf the flood's.
        outlines = [
            shapely.geometry.shape(geometry)
            for geometry, value in rasterio.features.shapes(band, mask=band, connectivity=4, transform=source.transform)
            if value == FLOODED
        ]
        pixel_area = abs(source.transform.determinant)
    polygons = np.array(outlines, dtype=object)
    pixels = np.rint(shapely.area(polygons) / pixel_area).astype(np.int64)
    columns = {
        "pixels": pixels,
        **{
            name: np.full(len(polygons), value, dtype=object if isinstance(value, str) else None)
            for name, value in provenance.items()
        },
    }
    with atomic_path(out) as temporary:
        pyogrio.raw.write(
            temporary,
            geometry=shapely.to_wkb(polygons) if len(polygons) else polygons,
            field_data=list(columns.values()),
            fields=np.array(list(columns)),
            layer=out.stem,
            geometry_type="Polygon",
            crs=crs,
            driver="GeoJSON",
            RFC7946="YES",
        )
    return len(polygons)
