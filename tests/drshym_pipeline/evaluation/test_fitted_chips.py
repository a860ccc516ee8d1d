"""A model says on how many of the evaluated chips it was fitted, and its bundle keeps which chips these are."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from drshym_pipeline.datasets.prepare import prepare
from drshym_pipeline.datasets.real_land import RealLand
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.sources import short_digest
from drshym_pipeline.evaluation.card import markdown
from drshym_pipeline.evaluation.evaluate import evaluate
from drshym_pipeline.evaluation.fitted_chips import is_note_on_fitted, note_on_fitted
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.bundle_record import BundleRecord, FittedChips
from drshym_pipeline.settings import DataConfig, SimulatedData, TrainConfig
from drshym_pipeline.training.fitted_chips import fitted_chips


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Sen1Floods11:
    sizes = SimulatedData(train=2, valid=1, test=1, hard=0, size=64)
    return prepare(DataConfig(simulated=sizes), tmp_path_factory.mktemp("set"))


def with_fitted(bundle: ModelBundle, known: FittedChips | None) -> ModelBundle:
    record = bundle.record.model_copy(update={"fitted_chips": known})
    return ModelBundle(record, record.model_dump(mode="json"), bundle.weights)


def test_an_evaluation_says_how_many_chips_the_model_was_fitted_on(random_bundle, chips, tmp_path: Path) -> None:
    trained, valid, test = (chips.chips(split) for split in ("train", "valid", "test"))
    # A copy under another name is the same chip.
    copy = tmp_path / "copy.tif"
    shutil.copyfile(trained[0].image, copy)
    refs = [replace(trained[0], image=copy), *trained[1:], *valid, *test]
    known = FittedChips(training=tuple(map(short_digest, trained)), calibration=tuple(map(short_digest, valid)))
    found = evaluate(with_fitted(random_bundle, known), refs, classical=False)
    line = (
        "The checkpoint was trained on 2 and calibrated on 1 of the 4 evaluated chips, so these figures do not say how "
        "well it works elsewhere."
    )
    assert found.notes[0] == line
    assert f"- {line}\n" in markdown(found)
    assert line in json.loads(json.dumps(found.to_dict()["notes"]))


def test_nothing_is_said_about_other_chips_or_by_bundles_of_earlier_releases(chips) -> None:
    (train, _), test = chips.chips("train"), chips.chips("test")
    known = FittedChips(training=(short_digest(train),), calibration=())
    assert note_on_fitted(known, test) is None
    assert note_on_fitted(None, [train]) is None
    assert is_note_on_fitted(note_on_fitted(known, [train]))
    assert not is_note_on_fitted("The checkpoint was sealed without figures of its training chips.")
    both = FittedChips(training=known.training, calibration=known.training)
    assert note_on_fitted(both, [train, *test]).startswith("The checkpoint was trained on 1 of the 2 evaluated chips,")
    only = FittedChips(training=(), calibration=known.training)
    assert note_on_fitted(only, [train]).startswith("The checkpoint was calibrated on 1 of the 1 evaluated chips,")


def test_a_record_without_the_chips_can_be_read(random_bundle) -> None:
    values = random_bundle.record.model_dump(mode="json")
    del values["fitted_chips"]
    assert BundleRecord.model_validate(values).fitted_chips is None


def test_the_chips_of_all_sets_and_of_the_start_are_kept(random_bundle, chips, tmp_path: Path) -> None:
    start = with_fitted(random_bundle, FittedChips(training=("0" * 16,), calibration=("1" * 16,))).save(tmp_path / "b")
    first, second, *_ = RealLand().events()
    data = {
        "sources": [{"kind": "real_land", "events": [first], "weight": 0.2}],
        "calibration": [{"kind": "real_land", "events": [second], "weight": 0.2}],
    }
    recipe = TrainConfig.model_validate({"data": data, "network": {"start": str(start)}})
    found = fitted_chips(recipe, chips)
    land = RealLand()
    expected = {*map(short_digest, (*chips.chips("train"), *land.chips(first))), "0" * 16}
    assert set(found.training) == expected
    assert set(found.calibration) == set(map(short_digest, (*chips.chips("valid"), *land.chips(second))))
    shutil.rmtree(start)
    assert set(fitted_chips(recipe, chips).training) == expected - {"0" * 16}, "a finished run can still be sealed"
