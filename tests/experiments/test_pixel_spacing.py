"""The comparison of pixel spacings: chips of other spacings, the candidates, and what may be used for the choice."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import rasterio

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.resampling import axis_scale, merge_pixels, split_pixels
from drshym_pipeline.records import Calibration
from experiments.pixel_spacing import chip_table, figures, labelled_chips, simulated_chips, table, tuning_scenes
from experiments.spacing_candidates import CHOSEN, averaged, candidates, enlarged, majority


def chip(height: int = 24, width: int = 30) -> np.ndarray:
    return np.random.default_rng(42).normal(-12, 3, (2, height, width)).astype(np.float32)


def test_coarse_pixels_have_the_mean_power_of_the_area_that_they_cover():
    db = np.full((2, 6, 6), -20.0, np.float32)
    db[:, :, 3:] = 0.0
    db[:, 0, 0] = np.nan
    found = averaged(db, Fraction(3))
    assert found.shape == (2, 2, 2)
    np.testing.assert_allclose(found[0], [[-20, 0], [-20, 0]], atol=1e-4)
    # A pixel of 20 m on a grid of 3/2: the middle one is half dark and half bright.
    wide = averaged(db[:, 1:], Fraction(3, 2))
    assert wide.shape == (2, 3, 4)
    mixed = averaged(np.repeat(db[:, 2:4, 2:5], 3, axis=1), Fraction(3, 2))
    np.testing.assert_allclose(mixed[0, 0], [10 * np.log10((0.01 * 2 + 1) / 3), 0], atol=1e-4)


def test_fine_pixels_keep_the_chip():
    found = averaged(np.full((2, 5, 5), -11.0, np.float32), Fraction(1, 2))
    assert found.shape == (2, 10, 10)
    np.testing.assert_allclose(found, -11.0, atol=1e-3)


@pytest.mark.parametrize(
    ("block", "expected"),
    [([1, 1, 1, 0], 1), ([0, 0, 0, 1], 0), ([1, 1, 0, 0], -1), ([-1, -1, 1, 1], 1), ([-1, -1, -1, 1], -1)],
)
def test_the_label_of_a_coarse_pixel_is_that_of_most_of_it(block, expected):
    assert majority(np.array(block, np.int8).reshape(2, 2), Fraction(2)) == [[expected]]


def test_the_chosen_way_is_the_one_of_the_maps():
    (way,) = [way for way in candidates() if way.name == CHOSEN]
    db = chip()
    db[:, 3:6, 7] = np.nan
    for parts in (2, 3, 4, 6):
        np.testing.assert_allclose(way.prepare(db, Fraction(parts)), split_pixels(db, (parts, parts)), atol=1e-4)
    np.testing.assert_allclose(way.prepare(db, Fraction(1, 2)), merge_pixels(db, (2, 2)), atol=1e-3)
    assert all(way.factor(Fraction(n, 2)) == axis_scale(5.0 * n).split for n in range(2, 13))


@pytest.mark.parametrize("way", candidates(), ids=lambda way: way.name)
@pytest.mark.parametrize("spacing", [Fraction(1, 2), Fraction(3, 2), Fraction(3)])
def test_every_way_gives_a_map_on_the_chips_own_grid(way, spacing):
    db = chip()
    prepared = way.prepare(db, spacing)
    factor, merge = way.factor(spacing), way.merge(spacing)
    assert prepared.shape == (2, 24 * factor // merge, 30 * factor // merge)
    water = way.chip_probability(prepared[0] + 12, spacing, Calibration())
    assert water.shape == (24, 30)
    assert np.isfinite(water).all()


@pytest.mark.parametrize("how", ["nearest", "linear", "cubic", "keys", "kept"])
def test_parts_of_missing_pixels_are_missing(how):
    db = chip()
    db[:, 5, 6] = np.nan
    fine = enlarged(db, 2, how)
    assert np.isnan(fine).sum() == 2 * 4
    assert np.isnan(fine[:, 10:12, 12:14]).all()
    assert np.isnan(enlarged(np.full((1, 3, 3), np.nan, np.float32), 2, how)).all()


def test_added_speckle_is_the_same_every_time_and_has_a_mean_of_one():
    (way,) = [way for way in candidates() if way.name.startswith("as it is, speckle")]
    flat = np.full((2, 200, 200), -10.0, np.float32)
    first, second = way.prepare(flat, Fraction(3)), way.prepare(flat, Fraction(3))
    np.testing.assert_array_equal(first, second)
    assert (10 ** (first / 10)).mean() == pytest.approx(0.1, rel=0.02)


def test_figures_are_pooled_and_a_table_has_one_row_per_way():
    found = figures([(6, 2, 2, 90), (0, 10, 0, 90)])
    assert found == {"iou": 0.3, "wet iou": 0.6, "false water": round(12 / 192, 4)}
    text = table({"as it is": {"30 m": found}, "nearest": {"30 m": {**found, "iou": None}}}, "vv")
    assert text.splitlines()[2] == "| as it is | 0.300 / 0.600 / 0.062 |"
    assert "- / 0.600" in text
    chips = chip_table({"vv": {"30 m": {"jja10": {"as it is": 0.5, "nearest": None}}}})
    assert chips.splitlines()[-1] == "| jja10 | vv | 30 m | 0.500 | - |"


def test_the_choice_never_sees_chips_that_are_for_reporting(tmp_path):
    folder = tmp_path / "real_db"
    folder.mkdir()
    profile = {"driver": "GTiff", "dtype": "float32", "count": 2, "height": 8, "width": 8}
    profile |= {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 5e5, 0, -10, 5e6), "nodata": float("nan")}
    for name in ("ben_1", "morava", "awc01"):
        with rasterio.open(folder / f"{name}.tif", "w", **profile) as file:
            file.write(np.full((2, 8, 8), -12.0, np.float32))
    assert [scene.name for scene in tuning_scenes(tmp_path)] == ["ben_1"]
    with pytest.raises(InputError, match="no folder real_db"):
        list(tuning_scenes(tmp_path / "nothing"))
    with pytest.raises(InputError, match="holds no real chips"):
        list(labelled_chips(tmp_path))


def test_simulated_chips_are_of_both_kinds():
    chips = list(simulated_chips(3))
    assert [chip.name for chip in chips] == ["standard 0", "standard 1", "hard 2"]
    assert all(chip.db.shape == (2, 480, 480) for chip in chips)
