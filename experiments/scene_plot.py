"""The pictures of the comparison of simulated chips with real scenes.

Drawing only; the figures are computed in `scene_statistics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.storage import write_bytes
from experiments.measured_scene import BIN, JOINT_EDGES, Measured, edges
from experiments.pictures import png_of_few_colors
from experiments.scene_measures import LAGS, WAVELENGTHS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from experiments.unlabelled_scenes import Scene

# Okabe-Ito palette and black: colour-blind readers can distinguish the eight lines. They also have different dashes.
_COLORS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
_DASHES = ("-", "--", "-.", ":", "-", "--", "-.", ":")
_BAND = "#BBBBBB"
_SCALE = {"VV": (-25.0, 0.0), "VH": (-32.0, -5.0)}
_EXAMPLES = 8
_EXAMPLE_SIDE = 224
_PLACES = (
    "VV 5 %",
    "VV 50 %",
    "VV 95 %",
    "VH 5 %",
    "VH 50 %",
    "VH 95 %",
    "VV-VH 5 %",
    "VV-VH 50 %",
    "VV-VH 95 %",
    "VV 5 x 5 deviation 10 %",
    "VV 5 x 5 deviation 50 %",
    "VV 5 x 5 deviation 90 %",
    "VH 5 x 5 deviation 50 %",
    "VV power at 4-2 px",
    "VH power at 4-2 px",
    "VV deviation of 16 px means",
    "VV deviation of 64 px means",
    "VV step over 4 px 99 %",
    "VV bright points, per mille",
    "VH dark points, per mille",
    "VV with VH, correlation of the residual",
    "VH share below -25 dB",
)


def _style(index: int) -> dict[str, Any]:
    return {"color": _COLORS[index % 8], "linestyle": _DASHES[index % 8], "linewidth": 1.3}


def _curves(axes: Axes, x: NDArray[Any], simulated: NDArray[Any], real: list[tuple[str, NDArray[Any]]]) -> None:
    """Draw the chips as a band (5 to 95 %) with its median, and the real scenes as lines."""
    low, middle, high = np.nanpercentile(simulated, (5, 50, 95), axis=0)
    axes.fill_between(x, low, high, color=_BAND, alpha=0.6, linewidth=0, label="simulated chips, 5-95 %")
    axes.plot(x, middle, color="#555555", linewidth=2.2, alpha=0.8, label="simulated, median")
    for index, (name, values) in enumerate(real):
        axes.plot(x, values, label=name, **_style(index))
    axes.grid(alpha=0.25)


def _named(scenes: Sequence[Measured], names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[scene.measures[name] for name in names] for scene in scenes])


def _by_names(axes: Axes, x: NDArray[Any], names: Sequence[str], real: list[Measured], chips: list[Measured]) -> None:
    values = _named(real, names)
    _curves(axes, x, _named(chips, names), [(scene.name, values[index]) for index, scene in enumerate(real)])


def _joint(axes: Axes, real: list[Measured], chips: list[Measured]) -> None:
    vv, vh = ((edges[:-1] + edges[1:]) / 2 for edges in JOINT_EDGES)
    pooled = np.sum([chip.joint / chip.joint.sum() for chip in chips], axis=0)
    axes.contourf(
        vv, vh, pooled.T, levels=_mass_levels(pooled, (0.99, 0.9, 0.5)), cmap="Greys", alpha=0.75, extend="max"
    )
    for index, scene in enumerate(real):
        counts = _smooth(scene.joint)
        axes.contour(vv, vh, counts.T, levels=_mass_levels(counts, (0.5,)), colors=_COLORS[index % 8], linewidths=1.3)
    axes.set(xlabel="VV, dB", ylabel="VH, dB", xlim=(-30, 0), ylim=(-38, -6))
    axes.set_title("Joint: chips 50, 90, 99 % (grey), scenes 50 %", fontsize=10)
    axes.grid(alpha=0.25)


def _smooth(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy import ndimage

    return np.asarray(ndimage.gaussian_filter(counts, 1.0), np.float64)


def _mass_levels(density: NDArray[np.float64], shares: Sequence[float]) -> list[float]:
    """Return the densities above which the given shares of the pixels are, ascending for descending shares."""
    ordered = np.sort(density.ravel())[::-1]
    mass = np.cumsum(ordered) / ordered.sum()
    return [float(ordered[min(int(np.searchsorted(mass, share)), ordered.size - 1)]) for share in shares]


def _places(axes: Axes, real: list[Measured], result: dict[str, Any]) -> None:
    """Draw each real value on the scale of the chips: 0 at their 5 %, 1 at their 95 %."""
    axes.axvspan(0, 1, color=_BAND, alpha=0.6, linewidth=0)
    for row, name in enumerate(_PLACES):
        of = result["measures"][name]["simulated"]
        if of is None:
            continue
        width = max(of["95 %"] - of["5 %"], 1e-6)
        axes.plot((of["50 %"] - of["5 %"]) / width, row, "|", color="#555555", markersize=11, markeredgewidth=2.2)
        for index, scene in enumerate(real):
            position = np.clip((scene.measures[name] - of["5 %"]) / width, -1.0, 2.0)
            axes.plot(position, row, "o", color=_COLORS[index % 8], markersize=4.5, alpha=0.9)
    axes.set_yticks(range(len(_PLACES)), _PLACES, fontsize=8)
    axes.invert_yaxis()
    axes.set_xticks([-1, 0, 1, 2], ["one width below", "5 %", "95 %", "one width above"], fontsize=8)
    axes.set_xlim(-1.1, 2.1)
    axes.set_title("Position of each real scene in the simulated spread", fontsize=10)
    axes.grid(alpha=0.25, axis="x")


def draw(path: Path, real: list[Measured], chips: list[Measured], result: dict[str, Any]) -> None:
    """Write the picture of the curves.

    Args:
        path: Path of the PNG.
        real: The real scenes.
        chips: The simulated chips.
        result: Result of `scene_statistics.compare`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 16.5), layout="constrained")
    # The figure has two subfigures, so that the long names in the lower one do not make the upper one narrower.
    upper, lower = np.asarray(figure.subfigures(2, 1, height_ratios=[3, 1.6]), object)
    grid = upper.add_gridspec(3, 3)
    chip_histograms = np.array([chip.histograms for chip in chips]) / BIN
    for column, (title, limits) in enumerate((("VV", (-32, 2)), ("VH", (-42, -4)), ("VV-VH", (-4, 22)))):
        axes = upper.add_subplot(grid[0, column])
        lines = [(scene.name, scene.histograms[column] / BIN) for scene in real]
        _curves(axes, edges(column)[:-1] + BIN / 2, chip_histograms[:, column], lines)
        axes.set(xlim=limits, ylim=(0, 0.22), xlabel=f"{title}, dB", ylabel="share per dB")
        axes.set_title(f"Histogram of {title}", fontsize=10)
    for column, along in enumerate(("rows", "columns")):
        axes = upper.add_subplot(grid[1, column])
        names = [f"VV residual correlation along {along}, lag {lag}" for lag in LAGS]
        _by_names(axes, np.array(LAGS), names, real, chips)
        axes.set(xlabel="lag, pixels", ylabel="correlation")
        axes.set_title(f"VV less its 9 x 9 mean, correlation along {along}", fontsize=10)
    _joint(upper.add_subplot(grid[1, 2]), real, chips)
    middles = np.sqrt(np.array(WAVELENGTHS[:-1]) * np.array(WAVELENGTHS[1:]))
    for column, band in enumerate(("VV", "VH")):
        axes = upper.add_subplot(grid[2, column])
        names = [f"{band} power at {a}-{b} px" for a, b in pairwise(WAVELENGTHS)]
        _by_names(axes, middles, names, real, chips)
        axes.set_xscale("log", base=2)
        axes.invert_xaxis()
        axes.set(xlabel="wavelength, pixels", ylabel="dB of dB squared")
        axes.set_title(f"Power spectrum of {band}", fontsize=10)
    axes = upper.add_subplot(grid[2, 2])
    quantiles = (10, 25, 50, 75, 90)
    _by_names(axes, np.array(quantiles), [f"VV 5 x 5 deviation {q} %" for q in quantiles], real, chips)
    axes.set(xlabel="quantile, %", ylabel="dB")
    axes.set_title("VV, deviation in 5 x 5 windows", fontsize=10)
    _places(lower.subplots(), real, result)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=9)
    version = result.get("simulator")
    figure.suptitle(
        f"{result['chips']} simulated chips (simulator {version}) and {len(real)} real scenes without flood label: "
        f"{result['share_inside']:.0%} of the real values within the simulated 5-95 %",
        fontsize=11,
    )
    write_bytes(path, png_of_few_colors(figure, 80, 256))


def draw_examples(path: Path, real: list[Scene], simulated: list[Scene]) -> None:
    """Write a picture of real scenes and simulated chips, pixel for pixel on the same dB scales.

    Args:
        path: Path of the PNG.
        real: The real scenes.
        simulated: Simulated chips; some of them are chosen evenly.
    """
    from matplotlib.figure import Figure

    chosen = simulated[:: max(1, len(simulated) // _EXAMPLES)][:_EXAMPLES]
    figure = Figure(figsize=(16, 9.2), layout="constrained")
    panels = figure.subplots(4, _EXAMPLES)
    for row, (kind, scenes, band) in enumerate(
        (kind, scenes, band) for kind, scenes in (("real", real), ("simulated", chosen)) for band in (0, 1)
    ):
        low, high = list(_SCALE.values())[band]
        for column in range(_EXAMPLES):
            axes = panels[row][column]
            axes.axis("off")
            if column >= len(scenes):
                continue
            scene = scenes[column]
            cut = scene.db[band, :_EXAMPLE_SIDE, :_EXAMPLE_SIDE]
            axes.imshow(cut, vmin=low, vmax=high, cmap="gray", interpolation="nearest")
            axes.set_title(f"{kind} {scene.name}, {list(_SCALE)[band]}", fontsize=8)
    write_bytes(path, png_of_few_colors(figure, 80, 32))
