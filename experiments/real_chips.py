"""Draw every real dB chip beside its truth and its map: `python -m experiments real-chips`.

The picture is for visual checks, not for tuning. These chips are for reporting only, so every picture adds a line to
the log of evaluations. The map of a chip is the one that `evaluate` scores (`evaluation.mapper`), with the model's own
threshold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.metrics import ConfusionCounts, bootstrap_mean, confusion
from drshym_pipeline.datasets.chips import ChipRef, read_chip
from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER, event_of
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.evaluation_log import append_log, check_log, evaluation_row
from drshym_pipeline.evaluation.gallery import difference_codes, truth_codes
from drshym_pipeline.evaluation.mapper import ChipMapper, usable_logits
from drshym_pipeline.evaluation.smoothing import observed_everywhere
from drshym_pipeline.probabilities import probability
from drshym_pipeline.storage import write_bytes
from experiments.card import LOG
from experiments.paths import ROOT
from experiments.pictures import png_of_few_colors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from drshym_pipeline.model.bundle import ModelBundle

IMAGE = ROOT / "docs" / "images" / "real_chips.png"
LAND_IMAGE = ROOT / "docs" / "images" / "real_land.png"
LAND_FOLDER = "real_db"
LABEL_NOT_KNOWN = "truth not known"
WATER_NOT_JUDGED = "water, truth not known"
# Blue, orange, purple and sky blue of the Okabe-Ito palette on light and middle grey: colour-blind readers can
# distinguish them.
HIT, FALSE, MISSED = (0, 114, 178), (230, 159, 0), (204, 61, 140)
DRY, IGNORED, NOT_OBSERVED = (245, 245, 245), (190, 190, 190), (110, 110, 110)
UNJUDGED = (86, 180, 233)
_COLORS = np.array((HIT, FALSE, MISSED, DRY, IGNORED, NOT_OBSERVED), np.uint8)  # in the order of the gallery's codes
_SCALES = ((-25.0, 0.0), (-32.0, -5.0))  # dB, VV and VH
_COLUMNS = ("VV, -25 to 0 dB", "VH, -32 to -5 dB", "truth", "probability and mask", "difference")
_EARLIER = "earlier model"
_DPI = 90
_PALETTE_COLORS = 128


@dataclass(frozen=True)
class MappedChip:
    """One row of the picture; all arrays are (h, w).

    Args:
        name: Name of the chip.
        db: (2, h, w) float32 dB, NaN where not observed.
        label: int8, 1 water, 0 dry, -1 not known.
        water_probability: float32 in [0, 1], NaN where not observed.
        water: bool, the mask.
    """

    name: str
    db: NDArray[np.float32]
    label: NDArray[np.int8]
    water_probability: NDArray[np.float32]
    water: NDArray[np.bool_]

    @property
    def counts(self) -> ConfusionCounts:
        """The counts of the observed pixels with a known label."""
        return confusion(self.water, self.label, observed_everywhere(self.db))

    def caption(self) -> str:
        """Return the chip's score, or the reason why it has no score."""
        counts = self.counts
        if not observed_everywhere(self.db).any():
            return "not observed"
        if not counts.pixels:
            return LABEL_NOT_KNOWN
        if counts.tp + counts.fn == 0:
            return f"dry, {counts.fp / counts.pixels:.2%} mapped as water"
        return f"IoU {counts.iou:.2f}, {(counts.tp + counts.fn) / counts.pixels:.1%} water"


def real_chips(root: Path) -> list[ChipRef]:
    """List all real dB chips with VV and VH in the folder of the real data, with and without a label.

    Raises:
        InputError: The folder has no such chips.
    """
    images = sorted((root / "sen1floods11" / "v1.1" / HAND_FOLDER / "S1Hand").glob("*_S1Hand.tif"))
    refs = []
    for image in images:
        chip = image.name.removesuffix("_S1Hand.tif")
        label = image.parent.parent / "LabelHand" / f"{chip}_LabelHand.tif"
        refs.append(ChipRef(chip, event_of(chip), "reporting", image, label if label.is_file() else None))
    for image in sorted((root / "stac_overflow").glob("*_vv.tif")):
        chip = image.name.removesuffix("_vv.tif")
        label, vh = image.with_name(f"{chip}.tif"), image.with_name(f"{chip}_vh.tif")
        refs.append(ChipRef(chip, chip[:3], "reporting", image, label if label.is_file() else None, vh=vh))
    if not refs:
        raise InputError(root, "holds no real chips", "Give the folder that has sen1floods11 and stac_overflow")
    return refs


def land_patches(root: Path) -> list[ChipRef]:
    """List the small dB scenes of `real_db` in the folder of the real data, with and without a label.

    Raises:
        InputError: The folder has no such scenes.
    """
    refs = []
    for image in sorted((root / LAND_FOLDER).glob("*.tif")):
        if image.stem.endswith("_label"):
            continue
        label = image.with_name(f"{image.stem}_label.tif")
        refs.append(ChipRef(image.stem, image.stem, "reporting", image, label if label.is_file() else None))
    if not refs:
        raise InputError(root / LAND_FOLDER, "holds no scenes", "Give the folder that has real_db")
    return refs


def map_chip(mapper: ChipMapper, ref: ChipRef) -> MappedChip:
    """Read a chip and map it with the bands that it has."""
    chip = read_chip(ref)
    mode = mapper.mode_of(chip)
    usable = usable_logits(chip, mapper.logits([chip], mode)[0])
    shown = probability(usable, mapper.bundle.calibration[mode])
    return MappedChip(ref.chip_id, chip.db, chip.label, shown, mapper.water(usable, mode))


def truth_colors(chip: MappedChip) -> NDArray[np.uint8]:
    """Return the colours of the truth, (h, w, 3): water, dry, not known, not observed."""
    return _COLORS[truth_codes(chip.label, observed_everywhere(chip.db))]


def difference_colors(chip: MappedChip) -> NDArray[np.uint8]:
    """Return the colours of the difference, (h, w, 3): hit, false, missed, dry in both, not known, not observed.

    Mapped water whose truth is not known has a colour of its own, so that the map of a chip without a label is seen.
    """
    observed = observed_everywhere(chip.db)
    colors: NDArray[np.uint8] = _COLORS[difference_codes(chip.water, chip.label, observed)]
    colors[chip.water & (chip.label < 0) & observed] = UNJUDGED
    return colors


def draw(chips: Sequence[MappedChip], title: str, earlier: Sequence[MappedChip] = ()) -> bytes:
    """Draw the picture with one row per chip, as a PNG with few colours.

    Args:
        chips: The chips.
        title: Line above the picture.
        earlier: The same chips mapped by an earlier model; its differences are one more column.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = [*_COLUMNS, *([_EARLIER] if earlier else [])]
    figure = Figure(figsize=(1.92 * len(columns), 1.95 * len(chips) + 0.9), layout="constrained")
    panels = figure.subplots(len(chips), len(columns), squeeze=False)
    grey = colormaps["gray"].with_extremes(bad=_fractions(NOT_OBSERVED))
    blues = colormaps["Blues"].with_extremes(bad=_fractions(NOT_OBSERVED))
    for row, chip in zip(panels, chips, strict=True):
        for axes, band, (low, high) in zip(row[:2], chip.db, _SCALES, strict=True):
            axes.imshow(band, vmin=low, vmax=high, cmap=grey, interpolation="nearest")
        row[2].imshow(truth_colors(chip), interpolation="nearest")
        row[3].imshow(chip.water_probability, vmin=0, vmax=1, cmap=blues, interpolation="nearest")
        _outline(row[3], chip.water)
        row[4].imshow(difference_colors(chip), interpolation="nearest")
        row[0].set_ylabel(chip.name, fontsize=8)
        row[4].set_xlabel(chip.caption(), fontsize=8)
        for axes in row:
            axes.set_xticks([])
            axes.set_yticks([])
    for row, before in zip(panels[:, len(_COLUMNS) :], earlier, strict=bool(earlier)):
        row[0].imshow(difference_colors(before), interpolation="nearest")
        row[0].set_xlabel(before.caption(), fontsize=8)
    for axes, name in zip(panels[0], columns, strict=True):
        axes.set_title(name, fontsize=9)
    meanings = {
        "water found": HIT,
        "false water": FALSE,
        "missed water": MISSED,
        "dry": DRY,
        LABEL_NOT_KNOWN: IGNORED,
        WATER_NOT_JUDGED: UNJUDGED,
        "not observed": NOT_OBSERVED,
    }
    patches = [
        Patch(facecolor=_fractions(color), edgecolor="black", linewidth=0.4, label=name)
        for name, color in meanings.items()
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=8)
    figure.suptitle(title, fontsize=10)
    return png_of_few_colors(figure, _DPI, _PALETTE_COLORS)


def _fractions(color: tuple[int, int, int]) -> tuple[float, float, float]:
    red, green, blue = color
    return red / 255, green / 255, blue / 255


def _outline(axes: Axes, water: NDArray[np.bool_]) -> None:
    if water.any() and not water.all():
        axes.contour(water, levels=[0.5], colors="#D55E00", linewidths=0.5)


def log_row(bundle: ModelBundle, chips: Sequence[MappedChip]) -> dict[str, str]:
    """Return the line of the log for a picture: scores of its labelled chips, at the model's own threshold."""
    counts = [chip.counts for chip in chips if chip.counts.pixels]
    pooled = sum(counts, ConfusionCounts())
    wet = bootstrap_mean(np.array([item.as_tuple() for item in counts], np.int64), "iou", ["any"] * len(counts))
    return evaluation_row(
        {"name": bundle.name, "version": bundle.version, "sha256": bundle.sha256},
        data="Sen1Floods11 and STAC-Overflow",
        split="picture",
        bands=bundle.serving_mode("vv_vh"),
        chips=len(counts),
        figures=(pooled.iou, wet.value, None, pooled.false_water),
    )


def main(arguments: list[str]) -> None:
    """Map all chips, write the picture, add to the log, and print one line per chip."""
    parser = argparse.ArgumentParser(prog="python -m experiments real-chips", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the real data")
    parser.add_argument("--checkpoint", type=Path, default=None, help="a bundle; the shipped one when not given")
    parser.add_argument("--earlier", type=Path, default=None, help="a bundle whose maps are drawn beside the others")
    parser.add_argument("--land", action="store_true", help="draw the scenes of real_db; they are not logged")
    parser.add_argument("--out", type=Path, default=None, help="the picture")
    parser.add_argument("--log", type=Path, default=LOG, help="log of evaluations on real chips")
    given = parser.parse_args(arguments)
    from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle

    try:
        check_log(given.log)
        refs = land_patches(given.data) if given.land else real_chips(given.data)
        bundle = shipped_bundle() if given.checkpoint is None else ModelBundle.load(given.checkpoint)
        chips = _map_chips(bundle, refs)
        earlier = [] if given.earlier is None else _map_chips(ModelBundle.load(given.earlier), refs)
    except InputError as error:
        parser.error(str(error))
    if not given.land:
        append_log(given.log, [log_row(bundle, chips)])
    kind = "small real scenes" if given.land else "available real dB chips"
    picture = draw(chips, f"All {kind}, mapped by {bundle.name} {bundle.version}", earlier)
    write_bytes(given.out or (LAND_IMAGE if given.land else IMAGE), picture)
    for chip in chips:
        print(f"{chip.name}: {chip.caption()}")


def _map_chips(bundle: ModelBundle, refs: Sequence[ChipRef]) -> list[MappedChip]:
    mapper = ChipMapper(bundle)
    return [map_chip(mapper, ref) for ref in refs]
