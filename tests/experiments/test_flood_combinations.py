"""Ways to separate flood from other water: what the pairs hold, what the evidence is, and what the table counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drshym_pipeline.probabilities import PROBABILITY_STEPS
from experiments.__main__ import main
from experiments.flood_combinations import best_thresholds_in_db, compare, folds_by_event
from experiments.flood_evidence import Evidence, PairMapper, normalised_drop
from experiments.flood_pairs import emsr763_pairs, ombria_pairs, simulated_pairs


def evidence(event: str, flood: np.ndarray, reference: np.ndarray, drop: np.ndarray | None = None) -> Evidence:
    """Return pixels that are all water now, with a probability of water before in [0, 1]."""
    count = len(flood)
    now = np.full(count, PROBABILITY_STEPS, np.uint16)
    before = np.rint(reference * PROBABILITY_STEPS).astype(np.uint16)
    drops = np.zeros((1, count), np.float16) if drop is None else drop[np.newaxis].astype(np.float16)
    db = np.stack([np.full(count, -20.0), np.where(flood, -9.0, -19.0)]).astype(np.float16)
    return Evidence(event, now, before, drops, db, np.ones(count, bool), reference >= 0.5, flood)


def rows(table: list[str]) -> dict[str, float]:
    """Return F1 by the name of the way."""
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table]
    return {name: float(f1.split()[0]) for name, f1, *_ in cells}


def test_a_reference_that_says_everything_gives_perfect_scores():
    rng = np.random.default_rng(42)
    pairs = []
    for event in "abcdefgh":
        flood = rng.random(2000) < 0.3
        reference = np.where(flood, rng.uniform(0.0, 0.45, 2000), rng.uniform(0.65, 1.0, 2000))
        pairs.append(evidence(event, flood, reference))
    found = rows(compare(folds_by_event(pairs)))
    assert found["all water"] == pytest.approx(2 * 0.3 / 1.3, abs=0.02)
    assert found["water that is no water before"] == 1.0
    assert found["product"] == 1.0
    assert found["product, threshold 0.4"] == 1.0
    assert found["product, threshold 0.05"] < 0.6
    assert found["logistic, both probabilities"] > 0.99


def test_a_regression_uses_the_drop_where_the_reference_says_nothing():
    rng = np.random.default_rng(42)
    pairs = []
    for event in "abcdefgh":
        flood = rng.random(2000) < 0.4
        drop = np.where(flood, 6.0, 0.0) + rng.normal(0, 1, 2000)
        pairs.append(evidence(event, flood, np.full(2000, 0.5), drop))
    found = rows(compare(folds_by_event(pairs)))
    assert found["logistic, and the drop in VV"] > 0.98
    assert found["logistic, both probabilities"] < 0.7


def test_no_event_is_both_fitted_on_and_scored():
    flood = np.array([True, False])
    for events in ("abc", "abcdefgh"):
        pairs = [evidence(event, flood, np.array([0.0, 1.0])) for event in events for _ in range(2)]
        folds = folds_by_event(pairs)
        assert sorted(found.event for fold in folds for found in fold.scored) == sorted(2 * events)
        for fold in folds:
            assert not {found.event for found in fold.fitted} & {found.event for found in fold.scored}


def test_the_best_thresholds_in_db_are_found():
    rng = np.random.default_rng(42)
    flood = rng.random(4000) < 0.5
    found = evidence("a", flood, np.zeros(4000))
    row = best_thresholds_in_db([found])
    assert rows([row])["thresholds in dB, best here"] == 1.0
    assert "before above -" in row


def test_the_drop_is_measured_against_what_unchanged_land_does():
    rng = np.random.default_rng(42)
    before = rng.normal(-9.0, 1.0, (80, 80)).astype(np.float32)
    now = before - 3.0 + rng.normal(0.0, 1.0, (80, 80)).astype(np.float32)  # everything is 3 dB darker
    now[20:40, 20:40] -= 10.0
    now[:, 70:] = np.nan
    land = np.ones((80, 80), bool)
    land[15:45, 15:45] = False
    drop = normalised_drop(now, before, land)
    assert abs(np.median(drop[50:, :68])) < 0.2
    assert drop[25:35, 25:35].min() > 10.0
    assert (drop[:, 70:] == 0.0).all()
    assert (normalised_drop(now, before, np.zeros_like(land)) == 0.0).all()


def test_simulated_pairs_are_the_same_every_time_and_their_permanent_water_is_no_flood():
    (one,), (again,) = simulated_pairs(1, 96, 3), simulated_pairs(1, 96, 3)
    np.testing.assert_array_equal(one.now, again.now)
    np.testing.assert_array_equal(one.flood, again.flood)
    assert one.now.shape == one.before.shape == (2, 96, 96)
    found = PairMapper().evidence(one)
    assert len(found.now) == int(one.scored.sum())
    assert found.drop.shape == (2, len(found.now))


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values.astype(np.uint8)).save(path)


def test_the_tiles_of_emsr763_get_their_common_stretch_and_no_value_outside(tmp_path):
    rng = np.random.default_rng(42)
    values = rng.integers(1, 255, (4, 60, 60))
    values[:, :, 30:] = 0
    folders = ("POST_S1/VV_post", "PRE_S1/VV_pre", "POST_S1/VH_post", "PRE_S1/VH_pre")
    for folder, band in zip(folders, values, strict=True):
        picture(tmp_path / folder / "a.png", band)
    label = np.zeros((60, 60))
    label[5:9, 5:9] = 255
    picture(tmp_path / "Labels" / "a.png", label)
    (pair,) = emsr763_pairs(tmp_path)
    assert pair.now.shape == (1, 60, 60)
    np.testing.assert_allclose(pair.now[0, :, :29], -22 + values[0, :, :29] * 24 / 255, atol=1e-4)
    np.testing.assert_allclose(pair.before[0, :, :29], -22 + values[1, :, :29] * 24 / 255, atol=1e-4)
    assert np.isnan(pair.now[0, :, 31:]).all()
    assert not pair.scored[:, 31:].any()
    assert int(pair.flood.sum()) == 16


def test_the_tiles_of_ombria_have_the_picture_before_of_the_same_number(tmp_path):
    rng = np.random.default_rng(42)
    folder = tmp_path / "2021" / "FRANCE" / "Sentinel1"
    dark = np.zeros((64, 64), bool)
    dark[:, :20] = True
    for kind, name, water in (("AFTER", "imafter", dark), ("BEFORE", "imbefore", np.zeros_like(dark))):
        picture(
            folder / kind / f"{name}_7.png", np.clip(np.where(water, 60, 180) + rng.normal(0, 12, dark.shape), 1, 254)
        )
    picture(folder / "MASK" / "gt_7.png", np.where(dark, 255, 0))
    (pair,) = ombria_pairs(tmp_path)
    assert pair.event == "france"
    np.testing.assert_array_equal(pair.flood, dark)
    assert pair.now[0][dark].mean() < pair.before[0][dark].mean() - 5


def test_a_folder_without_pairs_is_one_line(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["flood-combinations", "--ombria", str(tmp_path), "--pairs", "2", "--size", "64"])
    assert "does not have the layout of OMBRIA" in capsys.readouterr().err
