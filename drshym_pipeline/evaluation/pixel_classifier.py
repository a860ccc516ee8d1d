"""A logistic regression on up to six features of a pixel, as a baseline without a network.

Like the network it is fitted on the training chips of a recipe, and its threshold on the validation chips of the
recipe, so that methods are compared and not data. Its coefficients are a few numbers in a JSON file of the package.
`drshym baseline` fits them again; only this needs scikit-learn. The masks are scored in `evaluate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.threshold import best_threshold
from drshym_pipeline.datasets.chips import ChipRef, LabelledChip, read_chip
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.smoothing import local_mean, local_spread, smooth_bands
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, Record, describe_validation
from drshym_pipeline.settings import SEED
from drshym_pipeline.storage import read_json, write_json

SHIPPED_FILE = Path(__file__).resolve().parent / "data" / "pixel_classifier.json"
PIXELS_PER_CHIP = 400
MODES: tuple[BandMode, ...] = ("vv", "vv_vh")
# The difference is smoothed by a mean, because the difference of the medians would be a sum of two other features.
_FEATURES: dict[BandMode, tuple[str, ...]] = {
    "vv": ("vv", "vv_median", "vv_spread"),
    "vv_vh": ("vv", "vh", "vv_median", "vh_median", "vv_minus_vh_mean", "vv_spread"),
}


class PixelModel(Record):
    """One logistic regression: probability of water = 1 / (1 + exp(-(intercept + weights . features))).

    Args:
        weights: Weights by feature, in logits per dB.
        intercept: Intercept of the regression, in logits.
        threshold: Smallest probability that is mapped as water; it gives the best F1 on the validation chips.
    """

    weights: dict[str, float]
    intercept: float
    threshold: float = Field(gt=0.0, lt=1.0)

    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Compute the logits (...) of features (features, ...) in the order of `weights`; NaN stays NaN."""
        weights = np.array(list(self.weights.values()))
        return np.tensordot(weights, features, axes=1) + self.intercept

    def mask(self, features: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Compute the mask, True for water; it is never True where a feature is NaN."""
        cut = float(np.log(self.threshold / (1.0 - self.threshold)))
        water: NDArray[np.bool_] = self.logits(features) >= cut
        return water


class PixelClassifier(Record):
    """The classifiers with and without VH, and their training data.

    Args:
        models: The classifiers by band mode.
        training_data: Name of the recipe.
        training_sha256: Hash of the labelled chips.
        chips: Number of training chips with a labelled pixel.
        pixels: Number of sampled training pixels.
    """

    models: dict[BandMode, PixelModel]
    training_data: str
    training_sha256: str
    chips: int
    pixels: int

    def masks(self, db: NDArray[np.float32], smooth: NDArray[np.float32]) -> dict[BandMode, NDArray[np.bool_]]:
        """Compute the (h, w) bool masks of all modes that are possible with the bands; arguments as in `features`."""
        modes = MODES if len(db) > 1 else MODES[:1]
        return {mode: self.models[mode].mask(features(db, smooth, mode)) for mode in modes}


def features(db: NDArray[np.float32], smooth: NDArray[np.float32], mode: BandMode) -> NDArray[np.float64]:
    """Compute the features of every pixel.

    Args:
        db: (bands, h, w) dB, VV first; NaN where not observed.
        smooth: The same after the median, NaN in every band where one was not observed.
        mode: Band mode; `vv` has three features, `vv_vh` six.

    Returns:
        (features, h, w) float64 in dB, NaN where a band was not observed.
    """
    known = np.isfinite(smooth[0])
    bands = np.where(known, db, np.float32(np.nan))
    layers: dict[str, NDArray[np.float64]] = {
        "vv": bands[0].astype(np.float64),
        "vv_median": smooth[0].astype(np.float64),
        "vv_spread": local_spread(bands[0]),
    }
    if mode == "vv_vh":
        layers |= {
            "vh": bands[1].astype(np.float64),
            "vh_median": smooth[1].astype(np.float64),
            "vv_minus_vh_mean": local_mean(bands[0] - bands[1]),
        }
    return np.stack([layers[name] for name in _FEATURES[mode]])


def fit(
    train: Sequence[ChipRef],
    valid: Sequence[ChipRef],
    *,
    name: str,
    sha256: str,
    seed: int = SEED,
    progress: Progress = silent,
) -> PixelClassifier:
    """Fit both classifiers.

    Args:
        train: Chips with VV and VH; up to 400 labelled pixels of each chip are drawn.
        valid: Chips on which the thresholds are chosen.
        name: Name of the data, for the record.
        sha256: Hash of the data, for the record.
        seed: Seed of the random draw.
        progress: Called after every chip.

    Raises:
        InputError: A chip is unreadable or has no VH, or the drawn pixels have no water or no dry land.
    """
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    drawn: dict[BandMode, list[NDArray[np.float64]]] = {mode: [] for mode in MODES}
    labels: list[NDArray[np.int8]] = []
    done, total = 0, len(train) + len(valid)
    for chip in map(read_chip, train):
        places = np.flatnonzero(chip.label >= 0)
        chosen = rng.choice(places, size=min(PIXELS_PER_CHIP, len(places)), replace=False)
        for mode, layers in _all_features(chip).items():
            drawn[mode].append(layers.reshape(len(layers), -1)[:, chosen])
        labels.append(chip.label.ravel()[chosen])
        progress("baseline", done := done + 1, total)
    truth = np.concatenate(labels) if labels else np.zeros(0, np.int8)
    if len(np.unique(truth)) < 2:
        raise InputError(name, "its training chips have no water or no dry land", "Fit on chips that have both")
    fitted: dict[BandMode, PixelModel] = {}
    for mode in MODES:
        values = np.concatenate(drawn[mode], axis=1)
        middle, scale = values.mean(axis=1), np.maximum(values.std(axis=1), 1e-9)
        regression = LogisticRegression(max_iter=1000).fit(((values - middle[:, None]) / scale[:, None]).T, truth)
        # The weights are stored per dB, so that the file can be used without the scaling of the fit.
        weights = regression.coef_[0] / scale
        fitted[mode] = PixelModel(
            weights=dict(zip(_FEATURES[mode], weights.tolist(), strict=True)),
            intercept=float(regression.intercept_[0] - weights @ middle),
            threshold=0.5,
        )
    histograms = {mode: LogitHistogram() for mode in MODES}
    for chip in map(read_chip, valid):
        for mode, layers in _all_features(chip).items():
            histograms[mode].add(fitted[mode].logits(layers), chip.label)
        progress("baseline", done := done + 1, total)
    models = {
        mode: model.model_copy(update={"threshold": best_threshold(histograms[mode], 1.0)[0]})
        for mode, model in fitted.items()
    }
    counted = sum(len(part) > 0 for part in labels)
    return PixelClassifier(models=models, training_data=name, training_sha256=sha256, chips=counted, pixels=len(truth))


def save(classifier: PixelClassifier, path: Path) -> None:
    """Write a classifier atomically."""
    write_json(path, classifier.model_dump(mode="json"))


def load(path: Path) -> PixelClassifier:
    """Read a classifier.

    Raises:
        InputError: The file is missing or has other content.
    """
    try:
        return PixelClassifier.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(path, describe_validation(error), "Fit it again with `drshym baseline`") from error


@cache
def shipped_classifier() -> PixelClassifier:
    """Return the classifier that comes with the package."""
    return load(SHIPPED_FILE)


def _all_features(chip: LabelledChip) -> dict[BandMode, NDArray[np.float64]]:
    if len(chip.db) < 2:
        raise InputError(chip.ref.image, "has no VH band", "Fit the pixel classifier on chips of VV and VH")
    smooth = smooth_bands(chip.db)
    return {mode: features(chip.db, smooth, mode) for mode in MODES}
