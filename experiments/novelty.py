"""Measure which inputs are found to be unlike the training chips: `python -m experiments novelty --data FOLDER`.

The folder has simulated chips in the layout of Sen1Floods11. Their test chips are inputs of the usual kind; changed
test chips, 8-bit pictures and elevations are not. With `--real` the real chips are judged too: most of them should not
be unusual. Two scores are compared: the distance of the measures that maps use (`assessment.novelty`), and the mean
size of the logits (W. Liu et al., Energy-based Out-of-distribution Detection, 2020, for two classes), which is small
where the network is unsure. Both limits are the same conformal quantile of the validation chips.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.novelty import FALSE_ALARM, fit_novelty
from drshym_pipeline.assessment.tile_measures import tile_measures
from drshym_pipeline.datasets.chips import ChipRef, LabelledChip, read_chip
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.mapper import ChipMapper, usable_logits
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.records import BandMode
from drshym_pipeline.sar.codes import encode_db
from drshym_pipeline.settings import SEED
from drshym_pipeline.training.familiar_chips import chip_measures
from experiments.real_chips import real_chips

Change = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]
USUAL = "simulated, test"
_PICTURES = 20
_SNOW = ("ben_135334", "ben_100380")


def _banded(db: NDArray[np.float32], _: np.random.Generator) -> NDArray[np.float32]:
    return db + (3 * np.sin(np.arange(db.shape[1]) / 5)).astype(np.float32)[:, np.newaxis]


def _constant(db: NDArray[np.float32], _: np.random.Generator) -> NDArray[np.float32]:
    return np.where(np.isfinite(db), np.nanmedian(db, axis=(1, 2), keepdims=True), np.float32(np.nan))


def _smooth(db: NDArray[np.float32], _: np.random.Generator) -> NDArray[np.float32]:
    from scipy import ndimage

    blurred = ndimage.gaussian_filter(np.nan_to_num(db, nan=-15.0), (0, 2, 2))
    return np.where(np.isfinite(db), blurred, np.float32(np.nan))


CHANGES: Mapping[str, Change] = {
    "a constant": _constant,
    "VV and VH exchanged": lambda db, _: db[::-1].copy(),
    "power read as dB": lambda db, _: np.power(np.float32(10), db / 10),
    "8 dB brighter": lambda db, _: db + np.float32(8),
    "4 dB brighter": lambda db, _: db + np.float32(4),
    "bands of 3 dB": _banded,
    "white noise, -30 to 0 dB": lambda db, random: random.uniform(-30, 0, db.shape).astype(np.float32),
    "bright and dark exchanged": lambda db, _: -db - np.float32(25),
    "no grain (smoothed)": _smooth,
}


def changed_chips(chips: Sequence[LabelledChip]) -> Iterator[tuple[str, LabelledChip]]:
    """Yield every chip in every changed form, with the name of the change."""
    for name, change in CHANGES.items():
        random = np.random.default_rng(SEED)
        for chip in chips:
            yield name, replace(chip, db=change(chip.db, random))


def _as_db(values: NDArray[np.float32], like: LabelledChip) -> LabelledChip:
    """Return (h, w) values of any kind as if they were dB: stretched to -25 to 0 in VV, 7 dB less in VH."""
    low, high = float(values.min()), float(values.max())
    vv = (values - low) / max(high - low, 1e-6) * 25 - 25
    return replace(like, db=np.stack([vv, vv - 7]).astype(np.float32), label=np.zeros(values.shape, np.int8))


def real_inputs(root: Path, like: LabelledChip) -> Iterator[tuple[str, LabelledChip]]:
    """Yield the real chips by kind.

    Args:
        root: The folder of the real data.
        like: Any chip, whose grid is used for pictures without one.
    """
    for ref in real_chips(root):
        yield "Sen1Floods11 and STAC-Overflow", read_chip(ref)
    for image in sorted((root / "real_db").glob("*.tif")):
        if not image.stem.endswith("_label"):
            kind = "real, snow or ice" if image.stem in _SNOW else "real, ordinary (real_db)"
            yield kind, read_chip(ChipRef(image.stem, image.stem, "novelty", image))
    for image in sorted((root / "terramind" / "S1RTC").glob("*.tif")):
        yield "real, TerraMind sites", read_chip(ChipRef(image.stem, image.stem, "novelty", image))
    import rasterio
    from PIL import Image

    for image in sorted((root / "terramind" / "DEM").glob("*.tif")):
        with rasterio.open(image) as elevation:
            yield "elevation as dB", _as_db(elevation.read(1).astype(np.float32), like)
    for image in sorted((root / "ombria").rglob("*.png"))[:_PICTURES]:
        yield "8-bit picture as dB (OMBRIA)", _as_db(np.asarray(Image.open(image).convert("L"), np.float32), like)


class Scores:
    """The two scores of a chip in one band mode; larger means more unlike the training chips."""

    def __init__(self, mapper: ChipMapper, mode: BandMode, data: Sen1Floods11) -> None:
        self._mapper, self._mode, self._bands = mapper, mode, 1 if mode == "vv" else 2
        valid = data.chips("valid")
        training, validation = (chip_measures(refs, [mode])[mode] for refs in (data.chips("train"), valid))
        fitted = fit_novelty(mode, training, validation)
        if fitted is None:
            raise InputError(data.root, "has too few chips", "Simulate at least 20 of train and valid")
        self.model = fitted
        unsure = np.sort([self.unsure(read_chip(ref)) for ref in valid])
        rank = min(math.ceil((len(unsure) + 1) * (1 - FALSE_ALARM)), len(unsure))
        self.unsure_limit = float(unsure[rank - 1])

    def distance(self, chip: LabelledChip) -> float | None:
        """Return the score that maps use; the limit is 1."""
        both = np.where(np.isfinite(chip.db).all(axis=0), chip.db, np.float32(np.nan))
        measures = tile_measures(encode_db(both[: self._bands]))
        return None if measures is None else self.model.score(measures)

    def unsure(self, chip: LabelledChip) -> float:
        """Return the negative mean size of the logits."""
        logits = usable_logits(chip, self._mapper.logits([chip], self._mode)[0])
        return -float(np.nanmean(np.abs(logits)))


def area_under_curve(usual: Sequence[float], others: Sequence[float]) -> float:
    """Return the probability that one of `others` has a higher score than one of `usual`."""
    from sklearn.metrics import roc_auc_score

    truth = [0] * len(usual) + [1] * len(others)
    return float(roc_auc_score(truth, [*usual, *others]))


def table(scores: Scores, inputs: Iterable[tuple[str, LabelledChip]]) -> list[str]:
    """Return one row per kind of input; the first kind is the usual one."""
    found: dict[str, list[tuple[float, float]]] = {}
    for kind, chip in inputs:
        if np.isfinite(chip.db).all(axis=0).any() and (distance := scores.distance(chip)) is not None:
            found.setdefault(kind, []).append((distance, scores.unsure(chip)))
    usual = np.array(found[USUAL])
    rows = []
    for kind, pairs in found.items():
        values = np.array(pairs)
        cells = [
            f"{area_under_curve(usual[:, column].tolist(), values[:, column].tolist()):.3f} / "
            f"{(values[:, column] > limit).mean():.2f}"
            for column, limit in ((0, 1.0), (1, scores.unsure_limit))
        ]
        rows.append(f"| {kind} | {len(values)} | " + " | ".join(cells) + " |")
    return rows


def main(arguments: list[str]) -> None:
    """Print one table per band mode."""
    parser = argparse.ArgumentParser(prog="python -m experiments novelty", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="simulated chips in the layout of Sen1Floods11")
    parser.add_argument("--real", type=Path, default=None, help="folder of the real data")
    parser.add_argument("--changed", type=int, default=20, help="test chips that are changed in every way")
    parser.add_argument("--modes", nargs="+", choices=("vv_vh", "vv"), default=["vv_vh", "vv"], help="band modes")
    parser.add_argument("--checkpoint", type=Path, default=None, help="a bundle; the shipped one when not given")
    given = parser.parse_args(arguments)
    try:
        bundle = shipped_bundle() if given.checkpoint is None else ModelBundle.load(given.checkpoint)
        data = Sen1Floods11(given.data)
        test = [read_chip(ref) for ref in data.chips("test")]
        step = max(1, len(test) // given.changed)
        for mode in given.modes:
            scores = Scores(ChipMapper(bundle, mode), mode, data)
            inputs = [(USUAL, chip) for chip in test]
            inputs += [("simulated, hard", read_chip(ref)) for ref in data.chips("hard")]
            inputs += list(changed_chips(test[::step][: given.changed]))
            inputs += [] if given.real is None else list(real_inputs(given.real, test[0]))
            alarm, chips = scores.model.false_alarm, scores.model.chips
            print(f"\n{mode}: limit with {100 * alarm:.1f} % false alarms, from {chips} validation chips\n")
            print(
                "| input | chips | distance: AUC / above the limit | unsure: AUC / above the limit |\n|---|---|---|---|"
            )
            print("\n".join(table(scores, inputs)), flush=True)
    except InputError as error:
        parser.error(str(error))
