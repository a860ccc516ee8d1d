"""Crops of small patches are filled with mirrored copies: nothing is missing, nothing is repeated side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.datasets.chips import ChipRef
from drshym_pipeline.datasets.crops import ChipStore, TrainingCrops, crop_window
from drshym_pipeline.datasets.mirroring import mirrored_start, mirrored_window
from drshym_pipeline.datasets.real_land import RealLand
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.settings import TrainingConfig

_STILL = {"jitter_gain_db": 0.0, "jitter_band_db": 0.0, "jitter_noise_db": 0.0, "drop_vh": 0.0}


def numbered(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A chip in which every pixel has its own value, at most 2048, which half precision keeps."""
    values = np.arange(height * width, dtype=np.float16).reshape(height, width)
    return np.stack([values, -values]), (values % 3 - 1).astype(np.int8)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 90), st.integers(-300, 300), st.integers(-300, 300))
def test_a_window_is_the_part_of_a_plane_that_numpy_reflects(height: int, width: int, size: int, row: int, col: int):
    """The judge is `numpy.pad`, which reflects as often as needed."""
    db, label = numbered(height, width)
    pads = [(-min(start, 0), max(start + size - length, 0)) for start, length in ((row, height), (col, width))]
    corner = max(row, 0), max(col, 0)
    cut = tuple(slice(start, start + size) for start in corner)
    found_db, found_label = mirrored_window(db, label, row, col, size)
    np.testing.assert_array_equal(found_db, np.pad(db, [(0, 0), *pads], mode="reflect")[(slice(None), *cut)])
    np.testing.assert_array_equal(found_label, np.pad(label, pads, mode="reflect")[cut])


def test_no_pixel_has_a_copy_of_itself_beside_it():
    db, label = numbered(30, 20)
    cut, _ = mirrored_window(db, label, -45, 7, 96)
    assert (np.diff(cut[0], axis=0) != 0).all()
    assert (np.diff(cut[0], axis=1) != 0).all()


def test_a_window_inside_the_chip_is_the_same_without_copies():
    db, label = numbered(30, 40)
    for found, expected in zip(mirrored_window(db, label, 3, 5, 20), crop_window(db, label, 3, 5, 20), strict=True):
        np.testing.assert_array_equal(found, expected)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(0, 2**31), st.data())
def test_a_window_shows_the_pixel_it_must_show(length: int, extra: int, seed: int, data: st.DataObject):
    size = length + extra
    anchor = data.draw(st.integers(0, length - 1))
    start = mirrored_start(length, size, anchor, np.random.default_rng(seed))
    assert start <= anchor < start + size


@pytest.fixture(scope="module")
def store() -> ChipStore:
    return ChipStore([ref for ref in RealLand().chips("train") if ref.chip_id in ("ben_7118", "ben_270749")])


def crops(store: ChipStore, size: int, **changes: float) -> TrainingCrops:
    config = TrainingConfig.model_validate({"crop": size, **_STILL, **changes})
    return TrainingCrops(store, config, partial(network_input, bands="vv_vh"), seed=7, length=12)


@pytest.mark.parametrize("size", [64, 128, 256, 512])
def test_crops_of_small_patches_are_observed_everywhere(store: ChipStore, size: int):
    """The patches have 120 x 120 pixels."""
    drawn = crops(store, size, water_share=0.0)
    for index in range(4):
        db, label = drawn.draw(index)
        assert db.shape == (2, size, size)
        assert not np.isnan(db).any()
        assert (label >= 0).mean() > 0.95


def test_a_mirrored_crop_keeps_the_statistics_of_the_patch(store: ChipStore):
    """Mean, spread and contrast of neighbours, which a repeated edge or an interpolation would change."""
    patch = store[0][0].astype(np.float32)
    db, _ = crops(store, 256, water_share=0.0).draw(next(_indices_of(store, 0)))
    for band, original in zip(db, patch, strict=True):
        assert band.mean() == pytest.approx(original.mean(), abs=0.3)
        assert band.std() == pytest.approx(original.std(), rel=0.1)
        assert np.abs(np.diff(band)).mean() == pytest.approx(np.abs(np.diff(original)).mean(), rel=0.1)


def _indices_of(store: ChipStore, chip: int):
    drawn = crops(store, 256, water_share=0.0)
    return (index for index in range(12) if int(drawn[index].chip) == chip)


def test_crops_near_water_show_water(store: ChipStore):
    """Fifty water pixels at the edge of one patch; every crop of it has some of them."""
    drawn = crops(store, 128, water_share=1.0)
    for index in range(12):
        _, label = drawn.draw(index)
        assert (label == 1).any()


def test_other_small_chips_are_still_surrounded_by_pixels_that_were_not_observed(tmp_path: Path):
    (ref,) = [ref for ref in RealLand().chips("train") if ref.chip_id == "ben_7118"]
    plain = ChipRef(ref.chip_id, ref.event, ref.split, ref.image, ref.label)
    db, label = crops(ChipStore([plain]), 256).draw(0)
    assert np.isnan(db[0]).sum() == (label < 0).sum() == 256 * 256 - 120 * 120
