"""The intervals of the flooded area in a sealed bundle: fitted on pairs, or added later without another change."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import rasterio

from drshym_pipeline.assessment.flood_interval import FloodErrors
from drshym_pipeline.datasets.chips import read_chip
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.mapper import ChipMapper
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.settings import SimulatedData, TrainConfig
from drshym_pipeline.training.flood_errors import fit_flood_areas, with_flood_errors
from drshym_pipeline.training.flood_pairs import count_pairs, has_pair
from drshym_pipeline.training.mode_calibration import read_calibration
from drshym_pipeline.training.sealing import seal
from drshym_pipeline.training.train import train
from tests.flood_errors import with_flood


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Sen1Floods11:
    root = tmp_path_factory.mktemp("pairs") / "set"
    return Sen1Floods11(write_dataset(root, SimulatedData(train=4, valid=21, test=2, hard=0, size=64)))


@pytest.fixture(scope="module")
def sealed(recipe: TrainConfig, pairs: Sen1Floods11, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    seal(recipe, pairs, train(recipe, pairs, folder / "checkpoint"), folder / "bundle")
    return folder / "bundle"


def test_sealing_fits_both_band_modes_on_all_validation_pairs(sealed, pairs):
    bundle, calibration = ModelBundle.load(sealed), read_calibration(sealed)
    for mode in ("vv", "vv_vh"):
        errors = bundle.area_errors[mode].flood
        assert isinstance(errors, FloodErrors)
        assert errors == calibration[mode].area_errors.flood
        assert (errors.flooded.chips, errors.other_water.chips) == (21, 21)
        assert errors.flooded.events == 7
    assert bundle.area_errors["vv"].flood != bundle.area_errors["vv_vh"].flood
    assert not any("flooded area" in limit for limit in bundle.card.limits)


def test_adding_the_intervals_later_gives_the_same_bundle(sealed, pairs):
    bundle = ModelBundle.load(sealed)
    without = with_flood(bundle, None)
    seen: list[tuple[int, int]] = []
    again = with_flood_errors(without, pairs.chips("valid"), lambda _, done, total: seen.append((done, total)))
    assert again.document == bundle.document
    assert again.sha256 == bundle.sha256
    assert again.weights == bundle.weights
    assert seen == [(done, 21) for done in range(1, 22)] * 2


def test_an_earlier_bundle_without_the_field_gets_only_that_field(sealed, pairs):
    bundle = ModelBundle.load(sealed)
    document = copy.deepcopy(dict(bundle.document))
    for errors in document["area_errors"].values():
        del errors["flood"]
    earlier = ModelBundle(type(bundle.record).model_validate(document), document, bundle.weights)
    assert earlier.area_errors["vv"].flood is None
    assert with_flood_errors(earlier, pairs.chips("valid")).document == bundle.document


def test_chips_that_the_bundle_was_not_calibrated_on_are_refused(sealed, pairs):
    with pytest.raises(InputError, match=r"is not a chip that .* was calibrated on"):
        with_flood_errors(ModelBundle.load(sealed), pairs.chips("test"))


def test_chips_without_a_scene_from_before_are_refused_or_left_out(sealed, pairs):
    bundle = ModelBundle.load(sealed)
    refs = [
        replace(ref, ancillary={"permanent_water": ref.ancillary["permanent_water"]}) for ref in pairs.chips("valid")
    ]
    assert not any(map(has_pair, refs))
    with pytest.raises(InputError, match="has no scene from before the flood"):
        with_flood_errors(bundle, refs)
    found = fit_flood_areas(bundle.build(), bundle.network.bands, refs, bundle.calibration, level=0.9, device="cpu")
    assert found == {"vv_vh": None, "vv": None}


def test_too_few_chips_are_refused(sealed, pairs):
    with pytest.raises(InputError, match="6 are too few"):
        with_flood_errors(ModelBundle.load(sealed), pairs.chips("valid")[:6])


@pytest.mark.parametrize("mode", ["vv", "vv_vh"])
def test_all_labelled_pixels_are_counted_with_the_truth_of_the_files(random_bundle, pairs, mode):
    refs = pairs.chips("test")
    mapper, first = ChipMapper(random_bundle, mode), read_chip(refs[0])
    found = count_pairs(
        refs, mode, random_bundle.calibration[mode], lambda db: mapper.logits([replace(first, db=db)], mode)[0]
    )
    for ref, pair in zip(refs, found, strict=True):
        label = read_chip(ref).label
        with rasterio.open(ref.ancillary["permanent_water"]) as source:
            permanent = source.read(1) == 1
        assert pair.event == ref.event
        assert sum(part.pixels for part in pair.quarters) == (label >= 0).sum()
        assert sum(part.flooded for part in pair.quarters) == ((label == 1) & ~permanent).sum()
        assert sum(part.other_water for part in pair.quarters) == ((label == 1) & permanent).sum()


def test_a_scene_from_before_of_another_shape_is_refused(random_bundle, pairs, tmp_path):
    ref = pairs.chips("test")[0]
    small = tmp_path / "small.tif"
    with rasterio.open(ref.ancillary["pre_event"]) as source:
        profile = {**source.profile, "height": 32}
        with rasterio.open(small, "w", **profile) as target:
            target.write(source.read()[:, :32])
    changed = replace(ref, ancillary={**ref.ancillary, "pre_event": small})
    with pytest.raises(InputError, match="has another shape than the chip"):
        count_pairs([changed], "vv", random_bundle.calibration["vv"], lambda db: db[0])
