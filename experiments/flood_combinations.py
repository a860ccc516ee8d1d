"""Compare ways to separate flood from other water: `python -m experiments flood-combinations --ombria FOLDER`.

The product p(now) x (1 - p(before)) of `change` is compared with logistic regressions on both probabilities, and on the
drop in backscatter too. Weights and thresholds are fitted on other events than those that are scored: on half of the
simulated pairs for the other half, and on all other events of OMBRIA. EMSR763 is only reported, with everything fitted
on simulated pairs and OMBRIA, beside the thresholds in dB that are best on EMSR763 itself. As in a map, only water can
be flood.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.assessment.metrics import bootstrap_score
from drshym_pipeline.change import flood_probability
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.model_card import score_text
from drshym_pipeline.probabilities import PROBABILITY_STEPS, encode
from experiments.flood_evidence import Evidence, PairMapper
from experiments.flood_pairs import FloodPair, emsr763_pairs, ombria_pairs, simulated_pairs

_PER_PAIR = 500  # pixels of a pair that a regression is fitted on
_PLATEAU = 0.995  # of the best F1: the threshold is the middle of the range that is at least as good
_FIXED = (0.05, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)
_DB_EDGES = np.concatenate([[-100.0], np.arange(-30.0, 0.5, 0.5), [100.0]])

Score = Callable[[Evidence], NDArray[np.uint16]]
"""From the evidence to the stored probability of flood of each pixel."""


def _product(found: Evidence) -> NDArray[np.uint16]:
    return flood_probability(found.now, found.before)


def _all_water(found: Evidence) -> NDArray[np.uint16]:
    return np.full(len(found.now), PROBABILITY_STEPS, np.uint16)


def _not_before(found: Evidence) -> NDArray[np.uint16]:
    return np.where(found.water_before, 0, PROBABILITY_STEPS).astype(np.uint16)


def _features(found: Evidence, bands: int) -> NDArray[np.float32]:
    """Return (pixels, 2 + bands): logits of both probabilities and the drops."""
    steps = np.clip(np.stack([found.now, found.before]), 1, PROBABILITY_STEPS - 1).astype(np.float32)
    share = steps / np.float32(PROBABILITY_STEPS)
    drops = found.drop[:bands].astype(np.float32)
    return np.concatenate([np.log(share / (1 - share)), drops]).T


def _regression(fitted: Sequence[Evidence], bands: int) -> tuple[Score, str]:
    """Fit a logistic regression; return its score and its weights as text."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(42)
    rows, truth = [], []
    for found in fitted:
        chosen = rng.choice(len(found.now), min(_PER_PAIR, len(found.now)), replace=False)
        rows.append(_features(found, bands)[chosen])
        truth.append(found.flood[chosen])
    model: Any = LogisticRegression(max_iter=1000).fit(np.concatenate(rows), np.concatenate(truth))
    weights, bias = model.coef_[0].astype(np.float32), np.float32(model.intercept_[0])

    def score(found: Evidence) -> NDArray[np.uint16]:
        logits = _features(found, bands) @ weights + bias
        return encode(1.0 / (1.0 + np.exp(-logits)))

    return score, ", ".join(f"{value:.2f}" for value in [*weights, bias])


def _histogram(found: Evidence, score: Score) -> NDArray[np.int64]:
    """Return (2, steps): pixels that are not flood and flood, by probability; 0 where the map has no water."""
    steps = np.where(found.water, score(found), 0).astype(np.int64)
    return np.stack([np.bincount(steps[found.flood == wet], minlength=PROBABILITY_STEPS + 1) for wet in (False, True)])


def _confusion(histogram: NDArray[np.int64], steps: int) -> tuple[int, int, int, int]:
    """Return tp, fp, fn, tn at a threshold in steps."""
    (fp, tp), (tn, fn) = histogram[:, steps:].sum(axis=1), histogram[:, :steps].sum(axis=1)
    return int(tp), int(fp), int(fn), int(tn)


def _best_threshold(histograms: Sequence[NDArray[np.int64]]) -> int:
    """Return the threshold in steps with the best F1 pooled over pixels, in the middle of its plateau."""
    total = np.sum(histograms, axis=0)
    above = total[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]
    f1 = 2 * above[1] / np.maximum(above[0] + above[1] + total[1].sum(), 1)
    good = np.flatnonzero(f1 >= _PLATEAU * f1.max())
    return int((good[0] + good[-1]) // 2) + 1


@dataclass(frozen=True)
class Fold:
    """Pairs that are scored, and the others that weights and threshold are fitted on."""

    fitted: Sequence[Evidence]
    scored: Sequence[Evidence]


def folds_by_event(pairs: Sequence[Evidence], fewest: int = 3) -> list[Fold]:
    """Return one fold for each event, or two halves when there are many events."""
    events = sorted({found.event for found in pairs})
    groups = [events[::2], events[1::2]] if len(events) > 2 * fewest else [[event] for event in events]
    return [
        Fold([found for found in pairs if found.event not in group], [found for found in pairs if found.event in group])
        for group in groups
    ]


def compare(folds: Iterable[Fold]) -> list[str]:
    """Return one row of a table for each way: its scores, its thresholds, its weights."""
    folds = list(folds)
    bands = len(folds[0].scored[0].drop)
    ways: dict[str, Callable[[Sequence[Evidence]], tuple[Score, str]]] = {
        "all water": lambda _: (_all_water, ""),
        "water that is no water before": lambda _: (_not_before, ""),
        **{f"product, threshold {share:g}": lambda _: (_product, "") for share in _FIXED},
        "product": lambda _: (_product, ""),
        "logistic, both probabilities": lambda fitted: _regression(fitted, 0),
        **{
            f"logistic, and the drop in {name}": partial(_regression, bands=number)
            for number, name in ((1, "VV"), (2, "VV and VH"))
            if number <= bands
        },
    }
    fixed = {f"product, threshold {share:g}": share for share in _FIXED}
    fixed |= {"all water": _FIXED[0], "water that is no water before": _FIXED[0]}
    counts: dict[str, list[tuple[int, int, int, int]]] = {name: [] for name in ways}
    notes: dict[str, list[str]] = {name: [] for name in ways}
    events: list[str] = []
    for fold in folds:
        events += [found.event for found in fold.scored]
        for name, fit in ways.items():
            score, weights = fit(fold.fitted)
            if name in fixed:
                steps = round(fixed[name] * PROBABILITY_STEPS)
            else:
                steps = _best_threshold([_histogram(found, score) for found in fold.fitted])
            counts[name] += [_confusion(_histogram(found, score), steps) for found in fold.scored]
            notes[name].append(f"{steps / PROBABILITY_STEPS:.2f}{f' ({weights})' if weights else ''}")
    rows = []
    for name, table in counts.items():
        found = np.array(table, np.int64)
        rows.append(_row(name, found, events, "; ".join(notes[name])))
    return rows


def _row(name: str, counts: NDArray[np.int64], events: Sequence[str], note: str) -> str:
    scores = [bootstrap_score(counts, metric, events) for metric in ("f1", "iou", "precision", "recall")]
    return f"| {name} | " + " | ".join(map(score_text, scores)) + f" | {note} |"


def best_thresholds_in_db(pairs: Sequence[Evidence]) -> str:
    """Return the row of `VV now below a, and VV before above b` with the a and b that are best on these pairs."""
    lows, counted = -_DB_EDGES[::-1], []
    for found in pairs:
        now, before = found.db.astype(np.float32)
        table = [
            np.histogram2d(now[found.flood == wet], -before[found.flood == wet], [_DB_EDGES, lows])[0]
            for wet in (False, True)
        ]
        # The number of pixels below each edge now, and above each edge before.
        counted.append(np.array(table).cumsum(axis=1).cumsum(axis=2))
    total = np.sum(counted, axis=0)
    wet = float(sum(found.flood.sum() for found in pairs))
    f1 = 2 * total[1] / np.maximum(total.sum(axis=0) + wet, 1)
    row, col = (int(place) for place in np.unravel_index(np.argmax(f1), f1.shape))
    counts = []
    for found, below in zip(pairs, counted, strict=True):
        fp, tp = (int(value) for value in below[:, row, col])
        fn = int(found.flood.sum()) - tp
        counts.append((tp, fp, fn, len(found.flood) - tp - fp - fn))
    note = f"now below {_DB_EDGES[row + 1]:g} dB, before above {-lows[col + 1]:g} dB"
    return _row("thresholds in dB, best here", np.array(counts, np.int64), [found.event for found in pairs], note)


def main(arguments: list[str]) -> None:
    """Print one table per set of pairs."""
    parser = argparse.ArgumentParser(prog="python -m experiments flood-combinations", description=__doc__)
    parser.add_argument("--ombria", type=Path, required=True, help="the folder of OMBRIA")
    parser.add_argument("--emsr763", type=Path, default=None, help="the folder of EMSR763, which is only reported")
    parser.add_argument("--pairs", type=int, default=120, help="number of simulated pairs")
    parser.add_argument("--size", type=int, default=256, help="their side in pixels")
    parser.add_argument("--seed", type=int, default=700_000, help="seed of the first simulated pair")
    given = parser.parse_args(arguments)
    mapper = PairMapper()
    try:
        simulated = [mapper.evidence(pair) for pair in simulated_pairs(given.pairs, given.size, given.seed)]
        _print("simulated pairs", compare(folds_by_event(simulated)))
        alone = [mapper.evidence(_vv(pair)) for pair in simulated_pairs(given.pairs, given.size, given.seed)]
        _print("simulated pairs, VV alone", compare(folds_by_event(alone)))
        real = [mapper.evidence(pair) for pair in ombria_pairs(given.ombria)]
        _print("OMBRIA", compare(folds_by_event(real)))
        if given.emsr763 is not None:
            reported = [mapper.evidence(pair) for pair in emsr763_pairs(given.emsr763)]
            fold = Fold([*alone, *real], reported)
            _print("EMSR763", [*compare([fold]), best_thresholds_in_db(reported)])
    except InputError as error:
        parser.error(str(error))


def _vv(pair: FloodPair) -> FloodPair:
    return replace(pair, now=pair.now[:1], before=pair.before[:1])


def _print(title: str, rows: Sequence[str]) -> None:
    print(f"\n{title}\n\n| way | F1 | IoU | precision | recall | threshold (weights) |\n|---|---|---|---|---|---|")
    print("\n".join(rows), flush=True)
