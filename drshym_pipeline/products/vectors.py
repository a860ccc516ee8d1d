"""Flood polygons as GeoJSON.

RFC 7946 wants WGS84 longitudes and latitudes and polygons that do not cross the antimeridian; GDAL's driver does both.
Outlines follow the pixel edges of the mask: smoothing would claim a precision that the map does not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from pyproj import Geod, Transformer

from drshym_pipeline.products.names import FLOODED
from drshym_pipeline.storage import atomic_path


def geodesic_areas_km2(polygons: NDArray[Any], crs: str) -> NDArray[np.float64]:
    """Areas on the WGS84 ellipsoid.

    Args:
        polygons: (n,) shapely polygons in `crs`, x before y.
        crs: Their coordinate reference system.

    Returns:
        (n,) km2.
    """
    to_wgs84 = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    x, y = to_wgs84.transform(*shapely.get_coordinates(polygons).T)
    moved = shapely.set_coordinates(polygons.copy(), np.column_stack([x, y]))
    # The ellipsoid's areas are signed by ring direction: holes subtract only when they turn the other way.
    moved = shapely.orient_polygons(moved)
    geod = Geod(ellps="WGS84")
    return np.array([abs(geod.geometry_area_perimeter(polygon)[0]) / 1e6 for polygon in moved], np.float64)


def write_flood_polygons(mask: Path, crs: str, out: Path) -> int:
    """Write the flooded areas of a mask as polygons with their area in km2.

    Args:
        mask: The mask raster (values of `names.MASK_LEGEND`).
        crs: Its coordinate reference system.
        out: The GeoJSON file; an empty collection when nothing is flooded.

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
    polygons = np.array(outlines, dtype=object)
    areas = geodesic_areas_km2(polygons, crs) if len(polygons) else np.zeros(0)
    with atomic_path(out) as temporary:
        pyogrio.raw.write(
            temporary,
            geometry=shapely.to_wkb(polygons) if len(polygons) else polygons,
            field_data=[areas],
            fields=np.array(["area_km2"]),
            layer=out.stem,
            geometry_type="Polygon",
            crs=crs,
            driver="GeoJSON",
            RFC7946="YES",
        )
    return len(polygons)
