"""Scenes of any size on disk, written with the memory of one block.

One simulated block is repeated, mirrored so that there is no seam between neighbours, each time with another gain. The
maps of such a scene have no meaning, but time and memory are those of a real scene of this size.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin

FULL_SCENE = (16_676, 26_144)  # rows and columns of an IW ground-range product in high resolution
USUAL_SCENE = (5_120, 5_120)
SceneForm = Literal["db", "dn"]

_BLOCK = 1024
_SEED = 11
_SPACING = 10.0
_BORDER = 40  # columns without data on the left
_ORIGIN = (500_000.0, 5_000_000.0)
_HEADING = np.radians(12.0)
_POINTS = (10, 21)  # control points down and along, as real products have them
_DN_DB = 50.0  # DN of 1 in dB, nominal


def _blocks(shape: tuple[int, int], seed: int) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Yield the first row and column of every block, and its (2, h, w) float32 dB, NaN at the scene's left border."""
    from drshym_pipeline.datasets.simulator.scene import simulate_scene

    side = min(_BLOCK, max(shape))
    block = simulate_scene(seed, side, side, nodata_border=False).db
    for i, row in enumerate(range(0, shape[0], side)):
        for j, col in enumerate(range(0, shape[1], side)):
            pixels = block[:, :: -1 if i % 2 else 1, :: -1 if j % 2 else 1]
            pixels = pixels[:, : shape[0] - row, : shape[1] - col] + np.float32(0.1 * ((7 * i + 3 * j) % 5 - 2))
            if col == 0:
                pixels[:, :, :_BORDER] = np.nan
            yield row, col, pixels


def _whole_rows(shape: tuple[int, int], seed: int) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Yield the same in bands of whole rows, for a file that is stored row by row."""
    band: list[NDArray[np.float32]] = []
    for row, col, pixels in _blocks(shape, seed):
        band.append(pixels)
        if col + pixels.shape[2] == shape[1]:
            yield row, 0, np.concatenate(band, axis=2)
            band.clear()


def _ground_control(shape: tuple[int, int]) -> list[GroundControlPoint]:
    from pyproj import Transformer

    to_degrees = Transformer.from_crs("EPSG:32631", "EPSG:4326", always_xy=True)
    points = []
    for row in np.linspace(0, shape[0], _POINTS[0]):
        for col in np.linspace(0, shape[1], _POINTS[1]):
            x = _ORIGIN[0] + _SPACING * (col * np.cos(_HEADING) - row * np.sin(_HEADING))
            y = _ORIGIN[1] - _SPACING * (col * np.sin(_HEADING) + row * np.cos(_HEADING))
            points.append(GroundControlPoint(row, col, *to_degrees.transform(x, y), 0.0))
    return points


def write_big_scene(
    path: Path, shape: tuple[int, int], form: SceneForm = "db", seed: int = _SEED, *, tiled: bool = True
) -> Path:
    """Write a scene with VV and VH.

    Args:
        path: Path of the GeoTIFF, which is deflated.
        shape: Rows and columns.
        form: `db` is float32 in UTM, NaN where not observed; `dn` is uint16 with control points and no transform, 0
            where not observed.
        seed: Seed of the block.
        tiled: Whether the file has blocks of 512 x 512, as products have. Otherwise it has strips of one row, GDAL's
            default layout, in which reading one tile takes longest.
    """
    profile: dict[str, Any] = {
        "driver": "GTiff", "count": 2, "height": shape[0], "width": shape[1], "compress": "deflate", "zlevel": 1,
        "BIGTIFF": "IF_SAFER", "NUM_THREADS": "ALL_CPUS",
    }  # fmt: skip
    if tiled:
        profile |= {"tiled": True, "blockxsize": 512, "blockysize": 512}
    if form == "db":
        profile |= {"dtype": "float32", "predictor": 3, "nodata": float("nan"), "crs": "EPSG:32631"}
        profile["transform"] = from_origin(*_ORIGIN, _SPACING, _SPACING)
    else:
        profile |= {"dtype": "uint16", "predictor": 2, "crs": "EPSG:4326", "gcps": _ground_control(shape)}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as target:
        for row, col, db in _blocks(shape, seed) if tiled else _whole_rows(shape, seed):
            pixels = db
            if form == "dn":
                pixels = np.nan_to_num(np.power(np.float32(10), (db + np.float32(_DN_DB)) / 20), nan=0.0)
                pixels = np.clip(np.rint(pixels), 0, 65_535).astype(np.uint16)
            target.write(pixels, window=((row, row + db.shape[1]), (col, col + db.shape[2])))
        target.descriptions = ("VV", "VH")
    return path
