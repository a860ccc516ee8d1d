import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from drshym_pipeline.training.examples import choose_examples, example_png


def test_examples_go_from_little_water_to_much_and_leave_out_what_shows_nothing() -> None:
    labelled = np.array([100, 100, 100, 100, 100, 0])
    water = np.array([0, 90, 10, 50, 100, 0])
    assert choose_examples(water, labelled) == (2, 3, 1)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), max_size=20), st.integers(1, 5))
def test_examples_are_distinct_chips_with_water_and_land(chips: list[tuple[int, int]], count: int) -> None:
    water = np.array([chip[0] for chip in chips], np.int64)
    labelled = water + np.array([chip[1] for chip in chips], np.int64)
    chosen = choose_examples(water, labelled, count)
    mixed = [index for index in range(len(chips)) if 0 < water[index] < labelled[index]]
    assert len(chosen) == len(set(chosen)) == min(count, len(mixed))
    assert set(chosen) <= set(mixed)


def test_the_picture_shows_backscatter_truth_and_probability_side_by_side() -> None:
    vv = np.tile(np.linspace(0.0, 1.0, 20, dtype=np.float32), (10, 1))
    truth = np.zeros((10, 20), np.float32)
    truth[:5] = 1
    mask = np.ones((10, 20), bool)
    mask[:, 0] = False
    logits = np.where(truth == 1, 30.0, -30.0).astype(np.float32)
    picture = np.asarray(Image.open(io.BytesIO(example_png(vv, truth, mask, logits))))
    assert picture.dtype == np.uint8
    assert picture.shape == (10, 20 * 3 + 4 * 2)
    backscatter, shown_truth, probability = picture[:, :20], picture[:, 24:44], picture[:, 48:]
    assert (np.diff(backscatter.astype(int), axis=1) >= 0).all()
    assert (backscatter[0, 0], backscatter[0, -1]) == (0, 255)
    assert (shown_truth[:, 0] == 128).all()
    np.testing.assert_array_equal(shown_truth[:, 1:], truth[:, 1:] * 255)
    np.testing.assert_array_equal(probability, truth * 255)
    assert (picture[:, 20:24] == 255).all()
