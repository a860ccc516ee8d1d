"""The loader on real Sen1Floods11 chips: official lists, counts of labels, an incomplete copy."""

from __future__ import annotations

import numpy as np
import pytest

from drshym_pipeline.datasets.chips import ChipRef, read_chip
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError

pytestmark = [pytest.mark.real, pytest.mark.system]

# Numbers of (ignored, dry, water) pixels in the official labels.
COUNTS = {
    "Ghana_53713": (0, 262144, 0),
    "Ghana_83483": (262144, 0, 0),
    "Mekong_333434": (59011, 199849, 3284),
    "Paraguay_34417": (262144, 0, 0),
    "Spain_7370579": (99, 192010, 70035),
    "Sri-Lanka_534068": (0, 4876, 257268),
}


@pytest.fixture
def data(real_data) -> Sen1Floods11:
    return Sen1Floods11(real_data / "sen1floods11")


def count(label: np.ndarray) -> tuple[int, ...]:
    return tuple(int((label == value).sum()) for value in (-1, 0, 1))


def test_the_folder_above_the_release_and_its_four_lists_are_found(data):
    assert data.root.name == "v1.1"
    assert data.splits() == ("bolivia", "test", "train", "valid")


def test_every_chip_that_is_present_is_read_with_the_right_truth(data):
    found = {ref.chip_id: read_chip(ref) for ref in data.chips("test", present_only=True)}
    assert {name: count(chip.label) for name, chip in found.items()} == COUNTS
    for chip in found.values():
        assert chip.db.shape == (2, 512, 512)
        assert chip.crs == "EPSG:4326"
        if np.isfinite(chip.db).any():
            # Values are dB and VV is the first band: over nearly all ground VV is stronger than VH.
            assert -40 < np.nanmedian(chip.db[1]) < np.nanmedian(chip.db[0]) < 5


def test_a_chip_without_observed_pixels_has_no_truth_for_both_options(data):
    ref = next(ref for ref in data.chips("test", present_only=True) if ref.chip_id == "Paraguay_34417")
    for choice in ("ignore", "non_flood"):
        chip = read_chip(ref, choice)
        assert np.isnan(chip.db).all()
        assert (chip.label == -1).all()


def test_a_label_with_only_ignored_pixels_is_dry_only_on_request(data):
    ref = next(ref for ref in data.chips("test", present_only=True) if ref.chip_id == "Ghana_83483")
    assert count(read_chip(ref).label) == (512 * 512, 0, 0)
    assert count(read_chip(ref, "non_flood").label) == (0, 512 * 512, 0)


def test_an_incomplete_copy_is_refused_by_the_name_of_a_missing_chip(data):
    with pytest.raises(InputError, match=r"'Ghana_313799' named by .*flood_test_data\.csv is missing"):
        data.chips("test")


def test_chips_without_a_label_are_read_and_every_pixel_is_ignored(data):
    for name in ("India_80221", "Ghana_124834"):
        image = data.root / "data/flood_events/HandLabeled/S1Hand" / f"{name}_S1Hand.tif"
        chip = read_chip(ChipRef(name, name.split("_")[0], "unlabelled", image))
        assert np.isfinite(chip.db).all()
        assert (chip.label == -1).all()
