"""How much water a limit of the slope would exclude: `python -m experiments terrain-exclusion --stac-overflow FOLDER`.

On simulated scenes the label says what is water, on the chip `ayt12` the JRC map of water. Elevations are first moved
to a grid of 1/3600 degree, as those of the tiles, and slopes are computed there and moved back, as in a map.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import Resampling, calculate_default_transform, reproject

from drshym_pipeline.ancillary.slope import slope_degrees
from drshym_pipeline.ancillary.tile_files import TileWindow
from drshym_pipeline.datasets.simulator.scene import simulate_scene

LIMITS: Final = (5.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0)
_PIXEL: Final = 1 / 3600  # degrees, as in the tiles of the elevation model
_DEGREES: Final = "EPSG:4326"
_NAMES: Final = ("water", "flood", "dry land")


def slope_of(heights: NDArray[np.float32], crs: Any, transform: Affine) -> NDArray[np.float32]:
    """Return the slope in degrees on the grid of the heights, as a map would have it.

    Args:
        heights: (h, w) metres, NaN where not known.
        crs: The CRS of the grid.
        transform: Affine transform from (column, row) to (x, y).
    """
    height, width = heights.shape
    corners = rasterio.transform.array_bounds(height, width, transform)
    there, columns, rows = calculate_default_transform(crs, _DEGREES, width, height, *corners, resolution=_PIXEL)
    tile, back = np.full((rows, columns), np.nan, np.float32), np.full(heights.shape, np.nan, np.float32)
    moved = {"src_crs": crs, "src_transform": transform, "dst_crs": _DEGREES, "dst_transform": there}
    reproject(heights, tile, **moved, src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.average)
    slope = slope_degrees(TileWindow(tile, there, (slice(0, rows), slice(0, columns))))
    moved = {"src_crs": _DEGREES, "src_transform": there, "dst_crs": crs, "dst_transform": transform}
    reproject(slope, back, **moved, src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.bilinear)
    return back


def counts(slope: NDArray[np.float32], *chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return (kinds, 1 + limits): the pixels of each kind, and those of them that each limit excludes."""
    rows = [[kind.sum(), *((kind & (slope >= limit)).sum() for limit in LIMITS)] for kind in chosen]
    return np.array(rows, np.int64)


def simulated_counts(scenes: int, size: int, seed: int) -> NDArray[np.int64]:
    """Return the counts of simulated scenes together: all water, flood, dry land."""
    total = np.zeros((len(_NAMES), 1 + len(LIMITS)), np.int64)
    for number in range(seed, seed + scenes):
        scene = simulate_scene(number, size, size)
        slope = slope_of(scene.dem, scene.crs, scene.transform)
        water, dry = scene.label == 1, scene.label == 0
        total += counts(slope, water, water & scene.flood, dry)
    return total


def chip_counts(folder: Path) -> NDArray[np.int64]:
    """Return the counts of the chip `ayt12`: water that JRC saw, water that it saw in a month of the year, dry land."""
    with rasterio.open(folder / "ayt12_nasadem.tif") as source:
        heights = source.read(1).astype(np.float32)
        heights[heights == source.nodata] = np.nan
        slope = slope_of(heights, source.crs, source.transform)
    ever, months = (rasterio.open(folder / f"ayt12_jrc_{name}.tif").read(1) for name in ("extent", "seasonality"))
    return counts(slope, ever > 0, months > 0, ever == 0)


def table(found: NDArray[np.int64], names: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a table: the share of each kind that a limit excludes."""
    yield "| ground | pixels | " + " | ".join(f"from {limit:g}°" for limit in LIMITS) + " |"
    yield "|---|---|" + "---|" * len(LIMITS)
    for name, (pixels, *gone) in zip(names, found.tolist(), strict=True):
        shares = " | ".join(f"{100 * count / max(pixels, 1):.2f} %" for count in gone)
        yield f"| {name} | {pixels:,} | {shares} |"


def main(arguments: list[str]) -> None:
    """Print the shares.

    Args:
        arguments: Arguments of the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m experiments terrain-exclusion", description=__doc__)
    parser.add_argument("--scenes", type=int, default=120)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=7000)
    parser.add_argument("--stac-overflow", type=Path)
    options = parser.parse_args(arguments)
    print(*table(simulated_counts(options.scenes, options.size, options.seed), _NAMES), sep="\n")
    if options.stac_overflow is not None:
        names = ("ayt12, JRC extent", "ayt12, JRC seasonality above 0", "ayt12, other ground")
        print(*table(chip_counts(options.stac_overflow), names), sep="\n")
