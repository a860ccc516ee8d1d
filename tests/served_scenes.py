"""Finished maps with given values, for the tests of the service's tiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine

from drshym_pipeline.products.rasters import copy_cog, raster_profile
from drshym_pipeline.records import Calibration, MapGrid, MapRecord
from drshym_pipeline.scene_folder import ProductKind, product_name
from tests.map_samples import REFERENCE

NODATA = {"uint8": 255, "uint16": 65_535, "int16": -32_768}


@dataclass(frozen=True)
class MapOnDisk:
    """A map in a folder, as the service serves it."""

    id: str
    folder: Path
    record: MapRecord
    stored: Path | None = None

    def file(self, kind: ProductKind) -> Path | None:
        name = self.record.files.get(kind)
        return None if name is None else self.folder / name

    @property
    def backscatter(self) -> Path | None:
        return self.stored or self.file("backscatter")

    @property
    def backscatter_before(self) -> Path | None:
        return self.file("backscatter_before")


def write_map(folder: Path, crs: str, transform: Affine, layers: dict[ProductKind, np.ndarray], **changes) -> MapOnDisk:
    """Write rasters as COGs, (height, width) or (bands, height, width), and return the map of them."""
    import rasterio

    folder.mkdir(parents=True, exist_ok=True)
    height, width = next(iter(layers.values())).shape[-2:]
    grid = MapGrid(crs=crs, transform=tuple(transform)[:6], height=height, width=width)
    files = {}
    for kind, values in layers.items():
        bands = values.reshape(-1, height, width)
        files[kind] = product_name("S1_x", kind)
        profile = raster_profile(grid, bands.dtype.name, NODATA[bands.dtype.name]) | {"count": len(bands)}
        scratch = folder / "scratch.tif"
        with rasterio.open(scratch, "w", **profile) as target:
            target.write(bands)
        smooth = bands.dtype.name != "uint8"
        copy_cog(scratch, folder / files[kind], resampling="AVERAGE" if smooth else "NEAREST", predictor="NO")
        scratch.unlink()
    values = {
        "scene_id": "S1_x",
        "scene_version": "v1",
        "source_uris": ("file:///data/S1_x.tif",),
        "source_sha256": "b" * 64,
        "crs": crs,
        "transform": grid.transform,
        "shape": grid.shape,
        "modality": "sentinel1_sar_vv_vh",
        "acquired_at": None,
        "model": REFERENCE,
        "calibration": Calibration(T=1.2, threshold=0.45),
        "tile": 512,
        "overlap": 64,
        "precision": "fp32",
        "flooded": None,
        "observed_km2": 1.0,
        "observed_fraction": 1.0,
        "pixels": {},
        "water_separated": False,
        "caption": "",
        "files": files,
        "processing": (),
        "warnings": (),
        "software": {},
        "seconds": {},
    }
    return MapOnDisk("S1_x", folder, MapRecord(**{**values, **changes}))
