from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

from drshym_pipeline.datasets.chips import read_chip
from drshym_pipeline.datasets.prepare import prepare
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.pixel_classifier import (
    MODES,
    SHIPPED_FILE,
    PixelClassifier,
    features,
    fit,
    load,
    save,
    shipped_classifier,
)
from drshym_pipeline.evaluation.smoothing import smooth_bands
from drshym_pipeline.settings import DataConfig, SimulatedData


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Sen1Floods11:
    sizes = SimulatedData(train=6, valid=3, test=1, hard=0, size=64)
    return prepare(DataConfig(simulated=sizes), tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def fitted(data) -> PixelClassifier:
    return fit(data.chips("train"), data.chips("valid"), name="tiny", sha256=data.sha256())


def test_the_fit_agrees_with_a_fit_of_all_pixels_without_scaling(data, fitted) -> None:
    """The reference is scikit-learn on all pixels in dB, without drawing pixels and without scaling the features."""
    rows, labels = [], []
    for chip in map(read_chip, data.chips("train")):
        known = chip.label >= 0
        rows.append(features(chip.db, smooth_bands(chip.db), "vv_vh")[:, known].T)
        labels.append(chip.label[known])
    judge = LogisticRegression(max_iter=5000).fit(np.concatenate(rows), np.concatenate(labels))
    ours = fitted.models["vv_vh"].logits(np.concatenate(rows).T)
    theirs = judge.decision_function(np.concatenate(rows))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97
    assert ((ours > 0) == (theirs > 0)).mean() > 0.93


def test_the_threshold_has_the_best_f1_on_the_validation_pixels(data, fitted) -> None:
    logits, labels = [], []
    for chip in map(read_chip, data.chips("valid")):
        known = chip.label >= 0
        logits.append(fitted.models["vv"].logits(features(chip.db, smooth_bands(chip.db), "vv"))[known])
        labels.append(chip.label[known])
    p, y = 1 / (1 + np.exp(-np.concatenate(logits))), np.concatenate(labels)
    best = max(f1_score(y, p >= cut) for cut in np.linspace(0.02, 0.98, 97))
    assert f1_score(y, p >= fitted.models["vv"].threshold) >= best - 0.005


def test_nothing_is_water_where_a_band_was_not_observed_and_vh_is_not_needed(data, fitted) -> None:
    chip = read_chip(data.chips("test")[0])
    db = chip.db.copy()
    db[1, :20] = np.nan
    masks = fitted.masks(db, smooth_bands(db))
    assert tuple(masks) == MODES
    assert not any(mask[:20].any() for mask in masks.values())
    assert tuple(fitted.masks(chip.db[:1], smooth_bands(chip.db[:1]))) == ("vv",)


def test_a_saved_classifier_is_loaded_unchanged(fitted, tmp_path) -> None:
    save(fitted, tmp_path / "classifier.json")
    assert load(tmp_path / "classifier.json") == fitted


def test_the_shipped_classifier_has_both_modes_and_separates_calm_water_from_land() -> None:
    shipped = shipped_classifier()
    assert set(shipped.models) == set(MODES)
    assert shipped.chips > 0
    assert Path(SHIPPED_FILE).stat().st_size < 5_000
    calm = np.stack([np.full((9, 9), -21.0), np.full((9, 9), -28.0)]).astype(np.float32)
    land = np.stack([np.full((9, 9), -9.0), np.full((9, 9), -15.0)]).astype(np.float32)
    assert all(mask.all() for mask in shipped.masks(calm, calm).values())
    assert not any(mask.any() for mask in shipped.masks(land, land).values())


def test_a_fit_on_chips_without_water_is_refused(data) -> None:
    dry = [ref for ref in data.chips("train") if not (read_chip(ref).label == 1).any()]
    with pytest.raises(InputError, match="no water or no dry land"):
        fit(dry, [], name="dry chips", sha256="0" * 64)


def test_a_damaged_file_is_named(tmp_path) -> None:
    path = tmp_path / "classifier.json"
    path.write_text('{"models": {}}')
    with pytest.raises(InputError, match=r"classifier\.json.*drshym baseline"):
        load(path)
