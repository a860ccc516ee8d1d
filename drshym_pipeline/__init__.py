"""Flood maps from Sentinel-1 SAR: the science of DrShym Climate.

This package reads scenes, trains and calibrates networks, maps scenes and writes the products. It knows neither
Dagster nor MLflow: the lineage graph in the checkout's `assets/` calls it, as does the `drshym` command. Heavy
libraries (torch, rasterio) are imported by the modules that need them, never by this one. `docs/architecture.md` has
the whole plan.
"""

import os
from importlib.metadata import PackageNotFoundError, version

# GDAL keeps decoded blocks in up to a twentieth of the machine's memory, over a gigabyte on a large one, and asks for
# the limit once, when it first reads. Every raster here is read in the order of its blocks, for which this is plenty.
os.environ.setdefault("GDAL_CACHEMAX", "64")  # megabytes

try:
    __version__ = version("drshym-pipeline")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0.0.0+source"
