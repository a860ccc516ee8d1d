import pytest
import torch

from drshym_pipeline.model.losses import loss_function, masked_bce

NAMES = ["bce", "bce_dice", "focal_dice"]


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(42)
    logits = torch.randn(2, 8, 8, generator=generator)
    truth = (torch.rand(2, 8, 8, generator=generator) > 0.7).float()
    mask = torch.rand(2, 8, 8, generator=generator) > 0.4
    return logits, truth, mask


@pytest.mark.parametrize("name", NAMES)
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


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_without_a_counted_pixel_is_a_finite_zero_with_gradient(name: str) -> None:
    logits, truth, mask = batch()
    logits.requires_grad_()
    loss = loss_function(name)(logits, truth, torch.zeros_like(mask))
    loss.backward()
    assert loss.item() == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_cost_less_than_wrong_ones(name: str) -> None:
    _, truth, mask = batch()
    right = (truth * 2 - 1) * 8
    loss = loss_function(name)
    assert float(loss(right, truth, mask)) < 0.05
    assert float(loss(-right, truth, mask)) > 1.0


def test_the_mean_is_over_counted_pixels() -> None:
    logits = torch.tensor([[[0.0, 0.0], [5.0, 5.0]]])
    truth = torch.zeros(1, 2, 2)
    mask = torch.tensor([[[True, False], [False, False]]])
    assert float(masked_bce(logits, truth, mask)) == pytest.approx(0.693147, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_logits_give_a_full_precision_loss(name: str) -> None:
    logits, truth, mask = batch()
    loss = loss_function(name)(logits.bfloat16(), truth, mask)
    assert loss.dtype == torch.float32
