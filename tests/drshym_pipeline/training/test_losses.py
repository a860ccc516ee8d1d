import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from sklearn.metrics import fbeta_score, log_loss

from drshym_pipeline.training.losses import (
    LOSS_NAMES,
    entropy_by_sample,
    loss_function,
    masked_bce,
    masked_boundary,
    masked_dice,
    masked_focal,
    masked_focal_tversky,
    shore_weights,
)


def batch(seed: int = 42, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 8, 8, generator=generator, dtype=dtype)
    truth = (torch.rand(2, 8, 8, generator=generator) > 0.7).to(dtype)
    mask = torch.rand(2, 8, 8, generator=generator) > 0.4
    return logits, truth, mask


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_ignored_pixels_change_nothing_and_get_no_gradient(name: str) -> None:
    logits, truth, mask = batch()
    loss = loss_function(name)
    plain = logits.clone().requires_grad_()
    first = loss(plain, truth, mask)
    first.backward()
    other_logits = torch.where(mask, logits, 40.0)
    other_truth = torch.where(mask, truth, 1 - truth)
    assert torch.equal(loss(other_logits, other_truth, mask), first.detach())
    assert (plain.grad[~mask] == 0).all()
    assert (plain.grad[mask] != 0).all()


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_nan_outside_the_mask_harms_neither_the_loss_nor_its_gradient(name: str) -> None:
    logits, truth, mask = batch()
    clean = logits.clone().requires_grad_()
    expected = loss_function(name)(clean, truth, mask)
    expected.backward()
    holes = torch.where(mask, logits, torch.nan).requires_grad_()
    loss = loss_function(name)(holes, torch.where(mask, truth, torch.nan), mask)
    loss.backward()
    assert torch.equal(loss, expected)
    assert torch.equal(holes.grad, clean.grad)


@pytest.mark.parametrize("name", LOSS_NAMES)
@pytest.mark.parametrize("mixed", [False, True])
def test_the_gradient_is_that_of_finite_differences(name: str, mixed: bool) -> None:
    logits, truth, mask = batch(seed=7)
    if mixed:
        truth = 0.7 * truth + 0.3 * truth.flip(0)
    weight = torch.tensor([1.0, 0.4])
    loss = loss_function(name)
    start = logits.requires_grad_()
    loss(start, truth, mask, weight).backward()
    for place in mask.nonzero()[::7]:
        nudge = torch.zeros_like(logits)
        nudge[tuple(place)] = 0.05
        with torch.no_grad():
            slope = (loss(logits + nudge, truth, mask, weight) - loss(logits - nudge, truth, mask, weight)) / 0.1
        assert float(slope) == pytest.approx(float(start.grad[tuple(place)]), rel=0.02, abs=3e-6)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_a_batch_without_a_counted_pixel_is_a_finite_zero_with_gradient(name: str) -> None:
    logits, truth, mask = batch()
    logits.requires_grad_()
    loss = loss_function(name)(logits, truth, torch.zeros_like(mask))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_right_answers_cost_less_than_wrong_ones(name: str) -> None:
    _, truth, mask = batch()
    right = (truth * 2 - 1) * 8
    loss = loss_function(name)
    assert float(loss(right, truth, mask)) < 0.05
    assert float(loss(-right, truth, mask)) > 0.9


@pytest.mark.parametrize("name", LOSS_NAMES)
@given(scale=st.floats(0.05, 20.0), seed=st.integers(0, 50))
def test_a_loss_is_proportional_to_the_weights_of_the_samples(name: str, scale: float, seed: int) -> None:
    logits, truth, mask = batch(seed)
    weight = torch.tensor([1.0, 0.3])
    loss = loss_function(name)
    plain = float(loss(logits, truth, mask, weight))
    assert float(loss(logits, truth, mask, weight * scale)) == pytest.approx(plain * scale, rel=1e-4)
    assert float(loss(logits, truth, mask, torch.ones(2))) == pytest.approx(float(loss(logits, truth, mask)), rel=1e-6)


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_a_sample_of_no_weight_moves_nothing(name: str) -> None:
    logits, truth, mask = batch()
    logits.requires_grad_()
    loss_function(name)(logits, truth, mask, torch.tensor([1.0, 0.0])).backward()
    assert (logits.grad[1] == 0).all()
    assert (logits.grad[0][mask[0]] != 0).all()


def test_the_mean_is_over_counted_pixels() -> None:
    logits = torch.tensor([[[0.0, 0.0], [5.0, 5.0]]])
    truth = torch.zeros(1, 2, 2)
    mask = torch.tensor([[[True, False], [False, False]]])
    assert float(masked_bce(logits, truth, mask)) == pytest.approx(0.693147, abs=1e-5)


def test_entropy_is_that_of_an_independent_judge() -> None:
    logits, truth, mask = batch()
    p = torch.sigmoid(logits)
    expected = [log_loss(truth[i][mask[i]], p[i][mask[i]].double(), labels=[0, 1]) for i in range(2)]
    np.testing.assert_allclose(entropy_by_sample(logits, truth, mask), expected, rtol=1e-5)
    assert float(masked_bce(logits, truth, mask)) == pytest.approx(
        log_loss(truth[mask], p[mask].double(), labels=[0, 1]), rel=1e-5
    )


def test_region_losses_of_hard_answers_are_one_minus_the_score_of_an_independent_judge() -> None:
    generator = torch.Generator().manual_seed(3)
    answer, truth = (torch.rand(2, 2, 64, 64, generator=generator) > 0.6).float()
    mask = torch.rand(2, 64, 64, generator=generator) > 0.3
    logits = (answer * 2 - 1) * 40
    f1 = fbeta_score(truth[mask], answer[mask], beta=1.0)
    assert float(masked_dice(logits, truth, mask)) == pytest.approx(1 - f1, abs=1e-3)
    # Tversky with 0.7 and 0.3 is F-beta with beta^2 / (1 + beta^2) = 0.7.
    f_beta = fbeta_score(truth[mask], answer[mask], beta=(0.7 / 0.3) ** 0.5)
    assert float(masked_focal_tversky(logits, truth, mask)) == pytest.approx((1 - f_beta) ** 0.75, abs=1e-3)


def test_a_missed_pixel_costs_more_than_a_false_one_in_focal_tversky() -> None:
    truth = torch.zeros(1, 16, 16)
    truth[:, :8] = 1
    mask = torch.ones_like(truth, dtype=torch.bool)
    missed, false = (truth * 2 - 1) * 9, (truth * 2 - 1) * 9
    missed[:, 0] = -9
    false[:, 15] = 9
    assert float(masked_focal_tversky(missed, truth, mask)) > 1.5 * float(masked_focal_tversky(false, truth, mask))


def test_focal_gives_sure_answers_less_weight_than_entropy_does() -> None:
    truth, mask = torch.ones(1, 1, 2), torch.ones(1, 1, 2, dtype=torch.bool)
    sure, unsure = torch.full((1, 1, 2), 2.0), torch.full((1, 1, 2), 0.0)
    ratio = masked_bce(sure, truth, mask) / masked_bce(unsure, truth, mask)
    assert masked_focal(sure, truth, mask) / masked_focal(unsure, truth, mask) < 0.1 * ratio
    expected = (1 - torch.sigmoid(sure[0, 0, 0])) ** 2 * masked_bce(sure, truth, mask)
    assert float(masked_focal(sure, truth, mask)) == pytest.approx(float(expected), rel=1e-5)


@given(seed=st.integers(0, 200))
def test_shore_weights_are_those_of_a_brute_force_distance(seed: int) -> None:
    generator = np.random.default_rng(seed)
    label = (ndimage.gaussian_filter(generator.normal(size=(24, 24)), 2) > 0).astype(int)
    label[generator.random((24, 24)) < 0.1] = -1
    found = shore_weights(torch.from_numpy(label == 1)[None].float(), torch.from_numpy(label != -1)[None])[0].numpy()
    for row, col in generator.integers(0, 24, (40, 2)):
        if label[row, col] == -1:
            continue
        other = np.argwhere(label == 1 - label[row, col])
        distance = np.abs(other - (row, col)).max(axis=1).min() if len(other) else 99
        assert found[row, col] == (3.0 if distance <= 1 else 2.0 if distance <= 3 else 1.0)


def test_the_edge_of_the_labelled_ground_is_no_shore() -> None:
    mask = torch.zeros(1, 12, 12, dtype=torch.bool)
    mask[:, :, :6] = True
    assert (shore_weights(torch.ones(1, 12, 12), mask) == 1.0).all()


def test_an_error_at_the_shore_costs_more_than_one_inland() -> None:
    truth = torch.zeros(1, 32, 32)
    truth[:, :, :16] = 1
    mask = torch.ones_like(truth, dtype=torch.bool)
    at_shore, inland = (truth * 2 - 1) * 5, (truth * 2 - 1) * 5
    at_shore[:, 10, 16] = 5
    inland[:, 10, 30] = 5
    assert float(masked_boundary(at_shore, truth, mask)) > 1.5 * float(masked_boundary(inland, truth, mask))
    assert float(masked_bce(at_shore, truth, mask)) == pytest.approx(float(masked_bce(inland, truth, mask)))


@pytest.mark.parametrize("name", LOSS_NAMES)
def test_half_precision_logits_give_a_full_precision_loss(name: str) -> None:
    logits, truth, mask = batch()
    loss = loss_function(name)(logits.bfloat16(), truth, mask)
    assert loss.dtype == torch.float32
