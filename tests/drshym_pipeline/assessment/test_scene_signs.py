"""The signs of a scene: the same in strips and as a whole, for chips and for scenes, and true to their definition."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from drshym_pipeline.assessment.scene_signs import (
    BARE_LIKE,
    OTHER,
    WIND_LIKE,
    SignCounts,
    quarter_counts,
    signs_of_counts,
    surfaces,
    used_bands,
)
from drshym_pipeline.probabilities import NOT_OBSERVED, encode
from drshym_pipeline.records import Calibration
from drshym_pipeline.sar.codes import encode_db
from tests.examples import examples

LOOKS = 4.4
LEVELS = {"wind": (-13.0, -26.0), "bare": (-13.5, -22.0), "calm": (-21.0, -28.0), "meadow": (-9.5, -16.0)}
FOUND = {"wind": WIND_LIKE, "bare": BARE_LIKE, "calm": OTHER, "meadow": OTHER}


def speckled(rng: np.random.Generator, vv: float, vh: float, shape: tuple[int, int]) -> np.ndarray:
    """Return the stored backscatter of an even surface with the speckle of Sentinel-1."""
    power = rng.gamma(LOOKS, 1.0 / LOOKS, (2, *shape))
    return encode_db((np.array([vv, vh])[:, None, None] + 10 * np.log10(power)).astype(np.float32))


def scene(rng: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return stored probabilities and backscatter with all surfaces and with unobserved pixels."""
    codes = np.empty((2, height, width), np.uint16)
    kinds = rng.integers(0, len(LEVELS), (-(-height // 8), -(-width // 8))).repeat(8, 0).repeat(8, 1)[:height, :width]
    for number, level in enumerate(LEVELS.values()):
        inside = kinds == number
        codes[:, inside] = speckled(rng, *level, (height, width))[:, inside]
    stored = rng.integers(0, 10_001, (height, width)).astype(np.uint16)
    unseen = rng.random((height, width)) < rng.choice([0.0, 0.1, 0.6])
    stored[unseen], codes[:, unseen] = NOT_OBSERVED, 0
    return stored, codes


@pytest.mark.parametrize("name", LEVELS)
def test_surfaces_are_recognised_through_speckle(name: str) -> None:
    found = surfaces(speckled(np.random.default_rng(1), *LEVELS[name], (200, 200)))
    assert found.shape == (50, 50)
    assert np.mean(found == FOUND[name]) > 0.85


@pytest.mark.parametrize(("vv", "surface"), [(-9.0, WIND_LIKE), (-13.5, BARE_LIKE), (-20.0, OTHER)])
def test_in_vv_alone_the_surfaces_are_ranges_of_vv(vv: float, surface: int) -> None:
    found = surfaces(speckled(np.random.default_rng(2), vv, -22.0, (80, 80))[: used_bands("vv")])
    assert np.mean(found == surface) > 0.85


def test_limits_are_those_of_the_definition() -> None:
    """One value on each side of every limit, in dB, without speckle."""
    db = np.array(
        [[-11.0, -23.0025], [-11.0, -22.99], [-11.0, -22.995], [-15.995, -22.0], [-16.01, -22.0], [-12.0, -18.99]]
    )
    codes = encode_db(db.T[:, :, None].repeat(4, 1).repeat(4, 2).astype(np.float32))
    wanted = [WIND_LIKE, OTHER, OTHER, BARE_LIKE, OTHER, OTHER]
    assert surfaces(codes).ravel().tolist() == wanted


def test_a_block_with_fewer_than_half_of_its_pixels_has_no_surface() -> None:
    codes = speckled(np.random.default_rng(3), -13.0, -27.0, (4, 4))
    codes[:, :2] = 0
    assert surfaces(codes).item() == WIND_LIKE
    codes[:, 2, 0] = 0
    assert surfaces(codes).item() == OTHER


@examples(60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.integers(1, 50), st.lists(st.integers(1, 17), max_size=60))
def test_strips_of_any_height_give_the_signs_of_the_whole_scene(seed, height, width, heights) -> None:
    stored, codes = scene(np.random.default_rng(seed), height, width)
    whole, strips = SignCounts(), SignCounts()
    whole.add(stored, codes)
    row = 0
    for rows in [*heights, height]:
        if row < height:
            strips.add(stored[row : row + rows], codes[:, row : row + rows])
        row += rows
    assert strips.signs(0.4) == whole.signs(0.4)


@examples(30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40))
def test_shares_follow_their_definition_pixel_by_pixel(seed, height, width) -> None:
    stored, codes = scene(np.random.default_rng(seed), height, width)
    counts = SignCounts()
    counts.add(stored, codes)
    signs = counts.signs(0.4)
    surface = surfaces(codes).repeat(4, 0).repeat(4, 1)[:height, :width]
    seen = stored != NOT_OBSERVED
    p, kind, pixels = stored[seen] / 10_000, surface[seen], max(np.count_nonzero(seen), 1)
    likely = p >= 0.05
    assert signs.mapped == pytest.approx(np.sum(p >= 0.4) / pixels)
    assert signs.faint == pytest.approx(np.sum(p[~likely]) / pixels)
    assert signs.uncertain == pytest.approx(np.sum(np.minimum(p, 1 - p)[likely]) / pixels)
    assert signs.expected == pytest.approx([np.sum(p[likely & (kind == number)]) / pixels for number in range(3)])


@pytest.mark.parametrize("mode", ["vv", "vv_vh"])
def test_a_chip_has_the_signs_of_the_same_scene(mode) -> None:
    rng = np.random.default_rng(5)
    _, codes = scene(rng, 90, 70)
    codes = codes[: used_bands(mode)]
    logits = rng.normal(-1.0, 2.5, (90, 70)).astype(np.float32)
    labels = rng.integers(-1, 2, (90, 70)).astype(np.int8)
    labels[codes[0] == 0] = -1
    calibration = Calibration(method="temperature", T=1.4, bias=0.2, threshold=0.4)
    parts = quarter_counts(logits, labels, codes)
    chip = parts[0] + parts[1] + parts[2] + parts[3]
    stored = encode(expit(logits / 1.4 + 0.2))
    stored[labels < 0] = NOT_OBSERVED
    counts = SignCounts()
    counts.add(stored, np.where(labels >= 0, codes, np.uint16(0)))
    scene_signs, chip_signs = counts.signs(0.4), chip.signs(calibration)
    assert chip.pixels == np.count_nonzero(labels >= 0)
    assert chip.true == np.mean(labels[labels >= 0] == 1)
    for name in ("mapped", "mapped_surfaces", "faint", "uncertain", "expected"):
        assert getattr(chip_signs, name) == pytest.approx(getattr(scene_signs, name), abs=0.004)
    assert min(scene_signs.expected) > 0.01


def test_nothing_counted_gives_zeros() -> None:
    counts = SignCounts()
    counts.add(np.full((5, 3), NOT_OBSERVED, np.uint16), np.zeros((2, 5, 3), np.uint16))
    assert counts.signs(0.5) == signs_of_counts(
        np.zeros((3, 2), np.int64), np.array([0.0, 1.0]), np.array([False, True])
    )
    assert counts.signs(0.5).expected == (0.0, 0.0, 0.0)
    (first, *_) = quarter_counts(np.zeros((1, 1)), np.array([[-1]], np.int8), np.zeros((1, 1, 1), np.uint16))
    assert first.true == 0.0
