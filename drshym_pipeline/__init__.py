"""Flood maps from Sentinel-1 SAR: the science of DrShym Climate.

This package reads scenes, trains and calibrates networks, maps scenes and writes the products. It uses neither Dagster
nor MLflow: the lineage graph in the checkout's `assets/` calls it, and so does the `drshym` command. Heavy libraries
(torch, rasterio) are imported by the modules that need them, never by this one. `docs/architecture.md` describes all
modules.

Other programs start here: `from drshym_pipeline import load_model, map_scene, segment`.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from drshym_pipeline.version import __version__

if TYPE_CHECKING:
    from drshym_pipeline.api import load_model, map_scene, segment

__all__ = ["__version__", "load_model", "map_scene", "segment"]

# By default GDAL keeps decoded blocks in up to a twentieth of the machine's memory, over a gigabyte on a large machine.
# It reads this limit once, before its first read. 64 MB is enough here, because rasters are read block after block.
os.environ.setdefault("GDAL_CACHEMAX", "64")  # megabytes


def __getattr__(name: str) -> Any:
    """Return a function of `drshym_pipeline.api`; the module is imported when one of them is first used."""
    if name in ("load_model", "map_scene", "segment"):
        return getattr(import_module("drshym_pipeline.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the names above and all names of the module."""
    return sorted({*globals(), *__all__})
