"""Where a water map is wrong: scores by land cover, slope and backscatter.

A slicing gives every pixel of a chip one class. Counts are kept per class and chip, so memory grows only with chips and
classes. If a chip lacks the raster that a slicing needs, all its pixels count as `unknown` in this slicing; the other
slicings are not affected. Plots are in `plots`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drshym_pipeline.assessment.metrics import METRICS, ChipScores, ConfusionCounts, bootstrap_score
from drshym_pipeline.datasets.chips import LabelledChip
from drshym_pipeline.errors import InputError

LAND_COVER, SLOPE, INTENSITY = "land cover", "slope", "VV backscatter"
SLICINGS = (LAND_COVER, SLOPE, INTENSITY)
UNKNOWN = "unknown"

# ESA WorldCover 2021 v200, product user manual, table 3.
WORLDCOVER_NAMES: dict[int, str] = {
    10: "tree cover",
    20: "shrubland",
    30: "grassland",
    40: "cropland",
    50: "built-up",
    60: "bare or sparse vegetation",
    70: "snow and ice",
    80: "permanent water bodies",
    90: "herbaceous wetland",
    95: "mangroves",
    100: "moss and lichen",
}
SLOPE_EDGES_DEGREES = (2.0, 5.0, 10.0, 20.0)
VV_EDGES_DB = (-22.0, -18.0, -14.0, -10.0, -6.0)

_METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True)
class Slicing:
    """The class of every pixel of a chip.

    Args:
        names: The classes in the order in which they are shown; the last is `unknown`.
        codes: (h, w) int64, index into `names`.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]


def class_names(edges: tuple[float, ...], unit: str) -> tuple[str, ...]:
    """Return class names such as `< 2 degrees`, `2 to 5 degrees`, `>= 20 degrees`, and `unknown` as the last."""
    inner = [f"{low:g} to {high:g} {unit}" for low, high in pairwise(edges)]
    return (f"< {edges[0]:g} {unit}", *inner, f">= {edges[-1]:g} {unit}", UNKNOWN)


def by_edges(values: NDArray[np.floating[Any]], edges: tuple[float, ...], unit: str) -> Slicing:
    """Return the classes of a continuous field; a value on an edge belongs to the class above, NaN to `unknown`."""
    codes = np.digitize(values, edges).astype(np.int64)
    return Slicing(class_names(edges, unit), np.where(np.isfinite(values), codes, len(edges) + 1))


def by_land_cover(classes: NDArray[Any] | None, shape: tuple[int, int]) -> Slicing:
    """Return the WorldCover classes; other codes, and all pixels without a raster, are `unknown`."""
    names = (*WORLDCOVER_NAMES.values(), UNKNOWN)
    codes = np.full(shape, len(WORLDCOVER_NAMES), dtype=np.int64)
    if classes is not None:
        for index, code in enumerate(WORLDCOVER_NAMES):
            codes[classes == code] = index
    return Slicing(names, codes)


def pixel_size_metres(crs: str, transform: Any, height: int) -> tuple[float, float]:
    """Return the (x, y) sides of a pixel in metres; for a grid in degrees, those at the middle row of the chip.

    Args:
        crs: Coordinate reference system as text for pyproj; an empty text means a grid in metres.
        transform: The chip's affine transform.
        height: Number of rows of the chip.
    """
    from pyproj import CRS

    x, y = float(np.hypot(transform.a, transform.d)), float(np.hypot(transform.b, transform.e))
    if not crs:
        return x, y
    system = CRS.from_user_input(crs)
    if not system.is_geographic:
        factor = system.axis_info[0].unit_conversion_factor
        return x * factor, y * factor
    latitude = np.deg2rad(transform.f + transform.e * height / 2)
    return x * _METRES_PER_DEGREE * float(np.cos(latitude)), y * _METRES_PER_DEGREE


def slope_degrees(dem: NDArray[np.floating[Any]], size: tuple[float, float]) -> NDArray[np.float64]:
    """Compute the steepest slope of a DEM by central differences.

    Args:
        dem: (h, w) metres, NaN where unknown.
        size: (x, y) sides of a pixel in metres.

    Returns:
        (h, w) float64 degrees in [0, 90), NaN where the DEM or a neighbour is NaN. An axis of one pixel has no slope.
    """
    heights = np.asarray(dem, dtype=np.float64)
    down = np.gradient(heights, size[1], axis=0) if heights.shape[0] > 1 else heights * 0.0
    across = np.gradient(heights, size[0], axis=1) if heights.shape[1] > 1 else heights * 0.0
    degrees: NDArray[np.float64] = np.rad2deg(np.arctan(np.hypot(down, across)))
    # Central differences do not use the pixel itself, so its NaN must be set here.
    degrees[np.isnan(heights)] = np.nan
    return degrees


def read_ancillary(path: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Read the first band of a raster on the chip's grid, float64 with NaN where it is nodata.

    Raises:
        InputError: The file cannot be read, or has another shape than the chip.
    """
    from drshym_pipeline.sar.safe_open import open_raster

    with open_raster(path) as dataset:
        if (dataset.height, dataset.width) != shape:
            raise InputError(
                path,
                f"has {dataset.height} x {dataset.width} pixels, its chip {shape[0]} x {shape[1]}",
                "Warp it to the grid of the chip",
            )
        values = dataset.read(1).astype(np.float64)
        if dataset.nodata is not None:
            values[values == dataset.nodata] = np.nan
    result: NDArray[np.float64] = values
    return result


def slice_chip(chip: LabelledChip) -> dict[str, Slicing]:
    """Return all slicings of a chip; without the raster of a slicing every pixel is `unknown` in it.

    Raises:
        InputError: An ancillary raster cannot be read or has another shape than the chip.
    """
    shape = chip.label.shape[0], chip.label.shape[1]
    rasters: Mapping[str, Path] = chip.ref.ancillary
    cover = read_ancillary(rasters["landcover"], shape) if "landcover" in rasters else None
    if "dem" in rasters:
        size = pixel_size_metres(chip.crs, chip.transform, shape[0])
        slope = slope_degrees(read_ancillary(rasters["dem"], shape), size)
    else:
        slope = np.full(shape, np.nan)
    return {
        LAND_COVER: by_land_cover(cover, shape),
        SLOPE: by_edges(slope, SLOPE_EDGES_DEGREES, "degrees"),
        INTENSITY: by_edges(chip.db[0], VV_EDGES_DB, "dB"),
    }


def confusion_by_class(
    prediction: NDArray[np.bool_], label: NDArray[np.int8], observed: NDArray[np.bool_], slicing: Slicing
) -> dict[str, ConfusionCounts]:
    """Count the scored pixels of each class that has scored pixels; arrays are (h, w) as in `metrics.confusion`."""
    scored = observed & (label >= 0)
    # Outcomes in the order tp, fp, fn, tn.
    outcome = 2 * (~prediction[scored]).astype(np.int64) + (label[scored] == 0)
    counts = np.bincount(slicing.codes[scored] * 4 + outcome, minlength=4 * len(slicing.names)).reshape(-1, 4)
    return {
        name: ConfusionCounts(*(int(n) for n in row))
        for name, row in zip(slicing.names, counts, strict=True)
        if row.any()
    }


class SliceScores:
    """Counts by slicing and class, added one chip at a time."""

    def __init__(self) -> None:
        self._scores: dict[tuple[str, str], ChipScores] = {}
        self._order: dict[str, tuple[str, ...]] = {}

    def add(
        self,
        chip: LabelledChip,
        slicings: Mapping[str, Slicing],
        prediction: NDArray[np.bool_],
        observed: NDArray[np.bool_],
    ) -> None:
        """Count one chip in every slicing."""
        for title, slicing in slicings.items():
            self._order.setdefault(title, slicing.names)
            for name, counts in confusion_by_class(prediction, chip.label, observed, slicing).items():
                scores = self._scores.setdefault((title, name), ChipScores())
                scores.add(chip.ref.chip_id, chip.ref.event, counts)

    def table(self, *, resamples: int = 1000, level: float = 0.9) -> pd.DataFrame:
        """Return one row per class that has pixels.

        Returns:
            Columns `slicing`, `slice`, `chips`, `pixels`, `water` (labelled water pixels), and for every figure of
            `metrics.METRICS` its value, `<figure>_low` and `<figure>_high` (Float64, NA where not defined; intervals
            over events and their chips). A figure in which only one chip or one event counts has no interval.
        """
        rows: list[dict[str, Any]] = []
        for title, names in self._order.items():
            for name in names:
                if (title, name) not in self._scores:
                    continue
                scores = self._scores[title, name]
                pooled = scores.pooled()
                row: dict[str, Any] = {
                    "slicing": title,
                    "slice": name,
                    "chips": len(scores),
                    "pixels": pooled.pixels,
                    "water": pooled.tp + pooled.fn,
                }
                for metric in METRICS:
                    score = bootstrap_score(scores.array(), metric, scores.events(), resamples=resamples, level=level)
                    row |= {metric: score.value, f"{metric}_low": score.low, f"{metric}_high": score.high}
                rows.append(row)
        figures = [f"{metric}{end}" for metric in METRICS for end in ("", "_low", "_high")]
        frame = pd.DataFrame(rows, columns=["slicing", "slice", "chips", "pixels", "water", *figures])
        return frame.astype(dict.fromkeys(figures, "Float64"))
