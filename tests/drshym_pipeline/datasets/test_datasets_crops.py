"""Training crops depend on (seed, index) alone, show water as often as configured, and keep labels on their pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from drshym_pipeline.datasets.augmentation import dihedral, drop_vh, jitter_db, mix
from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.crops import ChipStore, TrainingCrops, WholeChips
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import TrainingConfig

STILL = TrainingConfig(crop=32, jitter_gain_db=0.0, jitter_band_db=0.0, jitter_noise_db=0.0, drop_vh=0.0)


def make_chip(folder: Path, name: str, db: np.ndarray, label: np.ndarray) -> ChipRef:
    files = []
    for kind, pixels in (("S1Hand", db.astype(np.float32)), ("LabelHand", label[None].astype(np.int16))):
        files.append(folder / f"{name}_{kind}.tif")
        with rasterio.open(
            files[-1],
            "w",
            driver="GTiff",
            dtype=pixels.dtype,
            count=pixels.shape[0],
            height=pixels.shape[1],
            width=pixels.shape[2],
            crs="EPSG:32644",
            transform=Affine(10.0, 0.0, 0.0, 0.0, -10.0, 0.0),
        ) as dataset:
            dataset.write(pixels)
    return ChipRef(name, "Made", "train", files[0], files[1])


def scene(vv_water: float = -20.0) -> tuple[np.ndarray, np.ndarray]:
    """Return backscatter and label of a chip of 64 x 64 pixels with a pond of 40 pixels in a corner."""
    label = np.zeros((64, 64), np.int8)
    label[4:9, 50:58] = 1
    db = np.stack([np.where(label == 1, vv_water, -10.0), np.where(label == 1, -26.0, -17.0)])
    return db, label


def as_input(db: np.ndarray) -> np.ndarray:
    """Return two channels for any number of bands; the second is 0 where there is no VH."""
    filled = np.nan_to_num(db, nan=0.0).astype(np.float32)
    return filled if len(filled) == 2 else np.concatenate([filled, np.zeros_like(filled)])


@pytest.fixture
def store(tmp_path) -> ChipStore:
    wet, pond = scene()
    dry = np.stack([np.full((64, 64), -9.0), np.full((64, 64), -16.0)])
    return ChipStore([make_chip(tmp_path, "Made_1", wet, pond), make_chip(tmp_path, "Made_2", dry, np.zeros((64, 64)))])


def crops(store: ChipStore, config: TrainingConfig = STILL, seed: int = 42) -> TrainingCrops:
    return TrainingCrops(store, config, as_input, seed=seed, length=60)


def test_a_crop_depends_on_seed_and_index_alone(store):
    config = TrainingConfig(crop=32)
    first, again, other = crops(store, config), crops(store, config), crops(store, config, seed=43)
    order = [5, 0, 5, 17]
    for index in order:
        for left, right in zip(first[index], again[index], strict=True):
            assert torch.equal(left, right)
    assert not torch.equal(first[5][0], first[6][0])
    assert any(not torch.equal(first[index][0], other[index][0]) for index in range(5))


def test_memory_does_not_change_a_crop(store):
    config = TrainingConfig(crop=32)
    from_disk = ChipStore(store.refs, cache_bytes=0)
    for index in range(6):
        for left, right in zip(crops(store, config)[index], crops(from_disk, config)[index], strict=True):
            assert torch.equal(left, right)


def test_crops_show_water_in_the_configured_share(store):
    wet = crops(store, STILL.model_copy(update={"water_share": 1.0}))
    assert all((wet.draw(index)[1] == 1).any() for index in range(60))
    free = crops(store, STILL.model_copy(update={"water_share": 0.0}))
    assert sum((free.draw(index)[1] == 1).any() for index in range(60)) < 40


def test_labels_stay_on_their_pixels_when_a_crop_is_turned(store):
    drawn = crops(store)
    for index in range(60):
        db, label = drawn.draw(index)
        np.testing.assert_array_equal(db[1] < -20, label == 1)


def test_samples_have_the_shapes_and_types_that_the_network_expects(store):
    values, truth, mask, weight, _ = crops(store)[0]
    assert values.shape == (2, 32, 32)
    assert values.dtype == truth.dtype == torch.float32
    assert mask.dtype == torch.bool
    assert set(truth.unique().tolist()) <= {0.0, 1.0}
    assert weight.dtype == torch.float32
    assert weight.shape == ()


def test_a_crop_larger_than_the_chip_is_padded_with_pixels_that_do_not_count(store):
    drawn = crops(store, STILL.model_copy(update={"crop": 96}))
    for index in range(8):
        db, label = drawn.draw(index)
        assert label.shape == (96, 96)
        assert np.isnan(db).any(axis=0).sum() == (label == -1).sum() == 96 * 96 - 64 * 64


def test_vh_is_dropped_as_often_as_configured_but_kept_where_vv_does_not_show_the_water(store, tmp_path):
    asked = STILL.model_copy(update={"drop_vh": 1.0, "water_share": 1.0})
    assert all(len(crops(store, asked).draw(index)[0]) == 1 for index in range(10))
    windy, pond = scene(vv_water=-10.5)
    wind = ChipStore([make_chip(tmp_path, "Made_3", windy, pond)])
    assert all(len(crops(wind, asked).draw(index)[0]) == 2 for index in range(10))
    never = asked.model_copy(update={"drop_vh": 0.0})
    assert all(len(crops(store, never).draw(index)[0]) == 2 for index in range(10))


def test_chips_without_a_labelled_pixel_are_never_drawn(store, tmp_path, caplog):
    blank = make_chip(tmp_path, "Made_4", np.full((2, 64, 64), -5.0), np.full((64, 64), -1))
    mixed = ChipStore([*store.refs, blank])
    drawn = crops(mixed, STILL.model_copy(update={"water_share": 0.0}))
    assert all((drawn.draw(index)[1] != -1).any() for index in range(60))
    assert "1 training chips have no labelled, observed pixel and are never drawn: Made_4" in caplog.text
    with pytest.raises(InputError, match="labelled, observed pixel"):
        crops(ChipStore([blank]))


def test_many_chips_without_a_label_are_counted_and_only_the_first_are_named(store, tmp_path, caplog):
    blanks = [make_chip(tmp_path, f"Blank_{n}", np.full((2, 32, 32), np.nan), np.zeros((32, 32))) for n in range(12)]
    crops(ChipStore([*store.refs, *blanks]))
    assert "12 training chips" in caplog.text
    assert "Blank_0, " in caplog.text
    assert "Blank_9 and 2 more" in caplog.text


@dataclass(frozen=True)
class Source:
    refs: list[ChipRef]
    weight: float
    label_weight: float
    laid_water: float = 0.0


def test_water_of_the_main_set_is_laid_into_a_share_of_the_crops_of_another_source(store):
    """The first chip of the store has water; the second, which is dry, is used as real land."""
    drawn = {}
    for share in (0.0, 0.5, 1.0):
        sources = [Source([store.refs[0]], 0.5, 1.0), Source([store.refs[1]], 0.5, 1.0, laid_water=share)]
        config = STILL.model_copy(update={"water_share": 0.0})
        laid = TrainingCrops(store, config, as_input, seed=1, length=80, sources=sources)
        land = [crop for crop in (laid[index] for index in range(80)) if int(crop.chip) == 1]
        drawn[share] = np.mean([bool((crop.truth > 0).any()) for crop in land])
        for crop in land:  # laid water has the level of the main set's water, -20 dB
            assert (crop.inputs[0][crop.truth > 0] < -10.5).all()
    assert drawn[0.0] == 0.0
    assert 0.2 < drawn[0.5] < 0.8
    assert drawn[1.0] == 1.0


def test_a_crop_has_the_weight_of_its_label_and_the_number_of_its_chip(store):
    weak = replace(store.refs[1], split="weak")
    sources = [Source([store.refs[0]], 0.5, 1.0), Source([store.refs[1], weak], 0.5, 0.6)]
    mixed = ChipStore([ref for source in sources for ref in source.refs])
    config = STILL.model_copy(update={"weak_weight": 0.5, "water_share": 0.0})
    drawn = [TrainingCrops(mixed, config, as_input, seed=1, length=60, sources=sources)[n] for n in range(60)]
    worth = {int(crop.chip): float(crop.weight) for crop in drawn}
    assert worth == pytest.approx({0: 1.0, 1: 0.6, 2: 0.3})
    with pytest.raises(ValueError, match="the sources have 1 chips, the store 3"):
        TrainingCrops(mixed, config, as_input, seed=1, length=60, sources=sources[:1])


def test_backscatter_truth_and_label_weight_are_mixed_with_the_same_share(store):
    config = STILL.model_copy(update={"mixup": 1.0, "water_share": 0.0, "crop": 64})
    wet, dry = Source([store.refs[0]], 0.5, 1.0), Source([store.refs[1]], 0.5, 0.2)
    mixed = TrainingCrops(store, config, as_input, seed=3, length=60, sources=[wet, dry])
    shares = set()
    for crop in (mixed[index] for index in range(60)):
        levels = [float(value) for value in crop.truth.unique() if 0 < value < 1]
        if len(levels) != 1:
            continue  # both parts are of one chip
        share_of_wet = levels[0]
        assert float(crop.weight) == pytest.approx(0.2 + 0.8 * share_of_wet, abs=1e-5)
        assert (share_of_wet >= 0.5) == (int(crop.chip) == 0)
        water = crop.truth > 0
        expected = torch.where(water, -20 * share_of_wet, -10 * share_of_wet) - 9 * (1 - share_of_wet)
        torch.testing.assert_close(crop.inputs[0], expected, atol=0.02, rtol=0)
        shares.add(round(share_of_wet, 3))
    assert len(shares) > 5


def test_a_pixel_counts_in_a_mixed_crop_only_where_both_parts_do(store, tmp_path):
    db, label = scene()
    label[:, :32] = -1
    half = ChipStore([make_chip(tmp_path, "Made_5", db, label)])
    config = STILL.model_copy(update={"mixup": 1.0, "crop": 64})
    plain = TrainingCrops(half, config.model_copy(update={"mixup": 0.0}), as_input, seed=1, length=40)
    assert {int(plain[index].mask.sum()) for index in range(40)} == {64 * 32}
    mixed = TrainingCrops(half, config, as_input, seed=1, length=40)
    assert {int(mixed[index].mask.sum()) for index in range(40)} == {0, 32 * 32, 64 * 32}


def test_two_crops_are_mixed_in_their_common_bands():
    two, one = np.full((2, 3, 3), -10.0, np.float32), np.full((1, 3, 3), -20.0, np.float32)
    one[0, 0, 0] = np.nan
    mixed = mix(two, one, 0.75)
    assert mixed.shape == (1, 3, 3)
    assert mixed.dtype == np.float32
    assert np.isnan(mixed[0, 0, 0])
    np.testing.assert_allclose(mixed[0].ravel()[1:], -12.5)


def test_running_losses_change_what_is_drawn_and_workers_see_them(store):
    config = STILL.model_copy(update={"hard_share": 1.0, "water_share": 0.0})
    drawn = crops(store, config)
    assert {int(drawn[index].chip) for index in range(30)} == {0, 1}
    drawn.sampler.learn(np.array([0, 1]), np.array([0.0, 1.0]))
    assert {int(drawn[index].chip) for index in range(30)} == {1}
    batches = DataLoader(drawn, batch_size=10, num_workers=1)
    assert {int(chip) for batch in batches for chip in batch.chip} == {1}


def test_an_index_past_the_end_is_an_index_error(store):
    assert len(crops(store)) == 60
    with pytest.raises(IndexError):
        crops(store)[60]


def test_whole_chips_are_not_changed(store):
    values, truth, mask = WholeChips(store, as_input)[0]
    db, label = scene()
    np.testing.assert_allclose(values.numpy(), db, atol=0.01)
    np.testing.assert_array_equal(truth.numpy(), label)
    assert mask.all()
    hidden, _, _ = WholeChips(store, as_input, vv_only=True)[0]
    assert (hidden[1] == 0).all()


@given(k=st.integers(0, 7), height=st.integers(1, 6), width=st.integers(1, 6))
def test_symmetries_move_pixels_and_labels_together_and_keep_all_pixels(k, height, width):
    label = np.arange(height * width, dtype=np.int8).reshape(height, width)
    db = np.stack([label, label]).astype(np.float32)
    turned_db, turned = dihedral(db, label, k)
    np.testing.assert_array_equal(turned_db[0], turned)
    assert sorted(turned.ravel()) == sorted(label.ravel())


def test_the_eight_symmetries_differ():
    label = np.arange(6, dtype=np.int8).reshape(2, 3)
    db = label[None].astype(np.float32)
    assert len({(dihedral(db, label, k)[1].shape, dihedral(db, label, k)[1].tobytes()) for k in range(8)}) == 8
    with pytest.raises(ValueError, match="0 to 7"):
        dihedral(db, label, 8)


def test_jitter_keeps_what_was_not_observed_and_moves_the_level():
    db = np.full((2, 50, 50), -10.0, np.float32)
    db[:, 0] = np.nan
    rng = np.random.default_rng(1)
    shifted = jitter_db(db, rng, gain_db=2.0, band_db=0.7, noise_db=0.5)
    assert np.isnan(shifted[:, 0]).all()
    assert np.isfinite(shifted[:, 1:]).all()
    assert shifted[0, 1:].std() == pytest.approx(0.5, rel=0.1)
    levels = np.stack([jitter_db(db, rng, gain_db=2.0, band_db=0.7, noise_db=0.0)[:, 1, 1] for _ in range(400)])
    assert levels[:, 0].std() == pytest.approx(np.hypot(2.0, 0.7), rel=0.15)
    assert (levels[:, 0] - levels[:, 1]).std() == pytest.approx(0.7 * 2**0.5, rel=0.15)


def test_dropping_vh_leaves_vv():
    assert drop_vh(np.zeros((2, 3, 3), np.float32)).shape == (1, 3, 3)
