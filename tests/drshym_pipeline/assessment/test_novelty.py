"""The score that says how unlike the training chips a tile is."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from drshym_pipeline.assessment.novelty import (
    MINIMUM_CHIPS,
    NoveltyModel,
    TileScores,
    fit_novelty,
    scene_novelty,
)
from drshym_pipeline.assessment.tile_measures import measure_names, tile_measures
from drshym_pipeline.sar.codes import encode_db


def ground(seed: int, *, side: int = 96, bands: int = 2, level: float = 0.0) -> np.ndarray:
    """Return land with a lake and speckle in dB, a little different for every seed."""
    rng = np.random.default_rng(seed)
    rows, cols = np.mgrid[:side, :side]
    lake = (rows - rng.uniform(0, side)) ** 2 + (cols - rng.uniform(0, side)) ** 2 < (side * rng.uniform(0.1, 0.4)) ** 2
    base = rng.normal(0, 1)
    levels = ((-9.0, -20.0), (-16.0, -26.0))[:bands]
    db = [np.where(lake, water, land) + base + level + rng.normal(0, 1.2, lake.shape) for land, water in levels]
    return np.stack(db).astype(np.float32)


def measures(db: np.ndarray) -> np.ndarray:
    found = tile_measures(encode_db(db))
    assert found is not None
    return found


def fitted(bands: int = 2, **options) -> NoveltyModel:
    mode = "vv" if bands == 1 else "vv_vh"
    training, validation = (
        np.stack([measures(ground(seed, bands=bands)) for seed in seeds]) for seeds in (range(150), range(200, 320))
    )
    model = fit_novelty(mode, training, validation, **options)
    assert model is not None
    return model


@pytest.fixture(scope="module")
def model() -> NoveltyModel:
    return fitted()


def test_every_measure_has_a_name_and_no_measure_depends_on_the_order_of_equal_halves():
    for bands, mode in ((1, "vv"), (2, "vv_vh")):
        assert len(measures(ground(1, bands=bands))) == len(measure_names(mode)) == len(set(measure_names(mode)))
    db = ground(1)
    np.testing.assert_allclose(measures(db)[:8], measures(db[:1])[:8])


def test_pixels_that_were_not_observed_do_not_count():
    db = ground(1, side=128)
    whole = measures(db)
    db[:, :, :40] = np.nan
    partly = measures(db)
    np.testing.assert_allclose(partly[4:6], whole[4:6], atol=0.15)
    few = np.full_like(db, np.nan)
    few[:, :20, :20] = -12.0
    assert tile_measures(encode_db(few)) is None
    assert tile_measures(encode_db(db[:, :4])) is None


def test_the_limit_has_the_stated_share_of_false_alarms(model):
    assert (model.chips, model.training_chips) == (120, 150)
    assert model.false_alarm <= 0.02
    validation = [model.score(measures(ground(seed))) for seed in range(200, 320)]
    assert sum(score > 1.0 for score in validation) == round(model.false_alarm * 121) - 1
    fresh = [model.score(measures(ground(seed))) for seed in range(1000, 1200)]
    assert np.mean(np.array(fresh) > 1.0) < 0.06


def test_too_few_chips_give_a_larger_rate_or_no_model():
    rows = np.stack([measures(ground(seed)) for seed in range(60)])
    few = fit_novelty("vv_vh", rows[:40], rows[40:])
    assert few is not None
    assert few.false_alarm == pytest.approx(1 / 21)
    assert fit_novelty("vv_vh", rows[:40], rows[40:][: MINIMUM_CHIPS - 1]) is None
    assert fit_novelty("vv_vh", rows[: MINIMUM_CHIPS - 1], rows[40:]) is None


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize("kind", ["constant", "power", "noise", "exchanged", "smooth", "bands"])
def test_inputs_of_another_kind_are_above_the_limit(kind, bands):
    db = ground(7, bands=bands)
    changed = {
        "constant": np.full_like(db, -12.0),
        "power": 10 ** (db / 10),
        "noise": np.random.default_rng(1).uniform(-30, 0, db.shape),
        "exchanged": db[::-1] if bands == 2 else db - 20,
        "smooth": db.mean(axis=(1, 2), keepdims=True) + np.zeros_like(db) + np.linspace(0, 1, db.shape[2]),
        "bands": db + 4 * np.sin(np.arange(db.shape[1]) / 3)[:, np.newaxis],
    }[kind]
    assert fitted(bands).score(measures(changed.astype(np.float32))) > 1.0


def test_scores_do_not_depend_on_the_order_of_the_tiles(model):
    tiles = [encode_db(ground(seed, level=10.0 * (seed % 3 == 0))) for seed in range(9)]
    tiles[4] = np.zeros_like(tiles[4])
    forward, backward = TileScores(model, 9), TileScores(model, 9)
    for index in range(9):
        forward.add(index, tiles[index])
        backward.add(8 - index, tiles[8 - index])
    assert forward.scores == backward.scores
    assert forward.scores[4] is None
    found = forward.summary()
    assert found == backward.summary()
    assert (found.tiles, found.unlike) == (8, sum((score or 0) > 1 for score in forward.scores))


@pytest.mark.parametrize(("above", "unusual"), [(0, False), (1, False), (2, True), (10, True)])
def test_a_scene_is_unusual_when_more_than_a_tenth_of_its_tiles_is(model, above, unusual):
    found = scene_novelty(model, [2.0] * above + [0.5] * (10 - above) + [None])
    assert (found.tiles, found.unlike, found.is_unusual) == (10, above, unusual)
    assert found.text() == (
        f"{above or 'none'} of 10 tiles {'are' if above > 1 else 'is'} unlike the training chips "
        f"({100 * model.false_alarm:.2g} % of validation chips are unlike)"
    )
    assert found.warning().startswith("This scene is unlike the chips that the model was trained on ")


def test_a_scene_without_a_score_says_why_and_is_not_unusual(model):
    found = scene_novelty(model, [None, None])
    assert (found.score, found.share, found.is_unusual) == (None, None, False)
    assert found.text() == "not known: no tile has enough observed pixels"


def test_the_model_survives_json_and_refuses_another_size(model):
    again = NoveltyModel.model_validate_json(model.model_dump_json())
    assert again == model
    assert again.is_for("vv_vh")
    assert not again.is_for("vv")
    assert again.score(measures(ground(3))) == model.score(measures(ground(3)))
    with pytest.raises(ValidationError, match="one value per measure"):
        NoveltyModel.model_validate({**model.model_dump(), "center": model.center[1:]})


def test_chips_that_do_not_differ_give_no_model():
    same = np.tile(np.arange(len(measure_names("vv")), dtype=np.float64), (40, 1))
    assert fit_novelty("vv", same, same) is None
