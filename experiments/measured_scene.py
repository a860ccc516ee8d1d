"""The measurements of one scene, real or simulated, for the comparison and its plot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.scene_measures import measure_scene
from experiments.unlabelled_scenes import Scene

BIN = 0.5  # dB
# First edges of the histograms of VV, VH and VV-VH, dB; all have the same number of bins.
_FIRST_EDGES = (-40.0, -46.0, -10.0)
_BINS = 90
JOINT_EDGES = (np.arange(-32.0, 4.01, 0.5), np.arange(-42.0, -1.99, 0.5))
_LEAST_PIXELS = 200  # least number of pixels of a land cover class in a chip


def edges(index: int) -> NDArray[np.float64]:
    """Return the edges of the bins of the histogram of VV (0), VH (1) or VV-VH (2), in dB."""
    return np.asarray(_FIRST_EDGES[index] + BIN * np.arange(_BINS + 1), np.float64)


@dataclass(frozen=True)
class Measured:
    """The measurements of a scene.

    Args:
        name: Name of the scene.
        measures: Measures by name, see `scene_measures.measure`.
        histograms: (3, bins) shares of the observed pixels of VV, VH and VV-VH over their `edges`.
        joint: (VV bins, VH bins) counts of pixels.
        cover: Median VV and VH in dB by land cover.
        water_share: Share of water in the observed pixels, NaN where unknown.
    """

    name: str
    measures: dict[str, float]
    histograms: NDArray[np.float64]
    joint: NDArray[np.float64]
    cover: dict[str, tuple[float, float]]
    water_share: float


def _measured(scene: Scene) -> Measured | None:
    measures = measure_scene(scene.db)
    if measures is None:
        return None
    seen = np.isfinite(scene.db).all(axis=0)
    vv, vh = (band[seen].astype(np.float64) for band in scene.db)
    histograms = np.array(
        [np.histogram(v, edges(index))[0] / v.size for index, v in enumerate((vv, vh, vv - vh))], np.float64
    )
    joint = np.histogram2d(vv, vh, bins=JOINT_EDGES)[0]
    cover: dict[str, tuple[float, float]] = {}
    for name in np.unique(scene.cover):
        here = seen & (scene.cover == name)
        if name and here.sum() >= _LEAST_PIXELS:
            vv_median, vh_median = (float(np.median(band[here])) for band in scene.db)
            cover[str(name)] = (vv_median, vh_median)
    return Measured(scene.name, measures, histograms, joint, cover, scene.water_share)


def measure_all(scenes: Iterable[Scene]) -> list[Measured]:
    """Measure scenes; scenes with hardly any observed pixel are left out."""
    return [found for scene in scenes if (found := _measured(scene)) is not None]
