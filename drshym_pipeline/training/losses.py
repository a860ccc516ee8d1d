"""Training losses. Pixels that are not labelled or not observed contribute nothing: no loss and no gradient.

All losses take logits, truth, mask and the weights of the samples. They are proportional to those weights: a batch with
half the weight has half the loss and half the gradient. Means are over the counted pixels of the whole batch, so a tile
with ten labelled pixels counts less than a fully labelled one. Truth is between 0 and 1 where two samples were mixed.
"""

from __future__ import annotations

from typing import Protocol, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from drshym_pipeline.settings import LossName

LOSS_NAMES: tuple[LossName, ...] = get_args(LossName)

DICE_WEIGHT = 0.5
# Abraham and Khan 2019, section 3.2: a missed pixel costs more than a false one.
TVERSKY_MISSED, TVERSKY_FALSE = 0.7, 0.3
TVERSKY_POWER = 0.75  # 1 / gamma with their gamma of 4/3
SHORE_REACH = (1, 3)  # pixels; hand-drawn shores are not more exact than that
SHORE_GAIN = 2.0  # extra weight of a pixel at the shore itself
_SMOOTH = 1.0  # one pixel: a batch without any water has a Dice loss that goes to 0, not to 0/0
_TINY = 1e-6
_TINY_POWER: float = _TINY**TVERSKY_POWER


class Loss(Protocol):
    """A loss function; see `masked_bce` for the arguments."""

    def __call__(self, logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
        """Return a scalar with gradient, 0 when no pixel counts."""
        ...


def _counted(
    logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return logits and truth with zeros outside the mask, weights per pixel (0 outside), and the number of pixels.

    `where` and not a product, because 0 x NaN is NaN, also in the gradient.
    """
    weights = mask.float() if weight is None else mask * weight.float().reshape(-1, *[1] * (mask.ndim - 1))
    return (
        torch.where(mask, logits.float(), 0.0),
        torch.where(mask, truth, 0.0),
        weights,
        mask.sum().clamp(min=1),
    )


def _entropy(logits: Tensor, truth: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, truth, reduction="none")


def masked_bce(logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the binary cross-entropy.

    Args:
        logits: (N, ...) output of the network; any value outside the mask, also NaN.
        truth: Same shape, float in [0, 1], 1 water and 0 dry; any value outside the mask.
        mask: Same shape, bool, True where the pixel counts.
        weight: (N,) float weight of each sample's label; 1 when left out.

    Returns:
        A scalar with gradient, 0 when no pixel counts.
    """
    logits, truth, weights, count = _counted(logits, truth, mask, weight)
    return (_entropy(logits, truth) * weights).sum() / count


def masked_focal(logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the focal loss with gamma 2 and no class weight (the sampler balances); arguments as in `masked_bce`.

    Lin et al. 2017, Focal Loss for Dense Object Detection, section 3.2, in the form for mixed truth: Li et al.
    2020, Generalized Focal Loss, equation 4.
    """
    logits, truth, weights, count = _counted(logits, truth, mask, weight)
    return ((truth - torch.sigmoid(logits)).square() * _entropy(logits, truth) * weights).sum() / count


def _region_terms(
    logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return found, missed and falsely found water in pixels, and the mean weight of a counted pixel.

    A ratio of sums does not change when all weights are halved. Weights are therefore divided by their mean here, and
    the caller multiplies the loss by that mean.
    """
    logits, truth, weights, count = _counted(logits, truth, mask, weight)
    mean = weights.sum() / count
    relative = weights / mean.clamp(min=_TINY)
    water = torch.sigmoid(logits)
    found = (water * truth * relative).sum()
    missed = ((1.0 - water) * truth * relative).sum()
    false = (water * (1.0 - truth) * relative).sum()
    return found, missed, false, mean


def masked_dice(logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the soft Dice loss of the water class, pooled over the batch; arguments as in `masked_bce`.

    Milletari et al. 2016, V-Net, section 3, without the squares.
    """
    found, missed, false, mean = _region_terms(logits, truth, mask, weight)
    return mean * (missed + false) / (2.0 * found + missed + false + _SMOOTH)


def masked_focal_tversky(logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the focal Tversky loss of the water class, pooled over the batch; arguments as in `masked_bce`.

    Abraham and Khan 2019, A Novel Focal Tversky Loss Function with Improved Attention U-Net for Lesion Segmentation,
    equation 4.
    """
    found, missed, false, mean = _region_terms(logits, truth, mask, weight)
    wrong = TVERSKY_MISSED * missed + TVERSKY_FALSE * false
    share = wrong / (found + wrong + _SMOOTH)
    # The slope of the power is infinite at 0, the value of a perfect prediction.
    return mean * (torch.pow(share + _TINY, TVERSKY_POWER) - _TINY_POWER)


def _within(pixels: Tensor, reach: int) -> Tensor:
    """Return which pixels have a True pixel within a square of `reach` pixels to each side: (N, h, w) bool.

    Shifted copies of the bools take a tenth of the time of a max pool, which works on floats.
    """
    for axis in (1, 2):
        grown, length = pixels.clone(), pixels.shape[axis]
        for shift in range(1, min(reach, length - 1) + 1):
            kept = length - shift
            grown.narrow(axis, shift, kept).logical_or_(pixels.narrow(axis, 0, kept))
            grown.narrow(axis, 0, kept).logical_or_(pixels.narrow(axis, shift, kept))
        pixels = grown
    return pixels


def shore_weights(truth: Tensor, mask: Tensor) -> Tensor:
    """Return the weight of each pixel in the boundary-aware loss.

    A pixel with labelled pixels of the other class within 1 pixel gets 1 + `SHORE_GAIN`. A pixel with such pixels
    within 3 pixels gets half of the gain, and all others get 1. The edge of the labelled area is not a shore.

    Args:
        truth: (N, h, w) float in [0, 1], 1 water and 0 dry.
        mask: (N, h, w) bool, True where the pixel counts.

    Returns:
        (N, h, w) float32 without gradient, at least 1.
    """
    with torch.no_grad():
        water = mask & (truth >= 0.5)
        dry = mask & ~water
        shore = torch.zeros(mask.shape, device=mask.device)
        for reach in SHORE_REACH:
            shore += (_within(water, reach) & _within(dry, reach)) / len(SHORE_REACH)
        return 1.0 + SHORE_GAIN * shore


def masked_boundary(logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the binary cross-entropy with more weight at shores; arguments as in `masked_bce`, of shape (N, h, w).

    The weight map is that of U-Net (Ronneberger et al. 2015, equation 2) in steps; see `shore_weights`. The mean is
    weighted, so that many shores in a batch do not make its loss larger.
    """
    shore = shore_weights(truth, mask)
    logits, truth, weights, _ = _counted(logits, truth, mask, weight)
    return (_entropy(logits, truth) * weights * shore).sum() / (shore * mask).sum().clamp(min=1)


def _bce_dice(logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    return masked_bce(logits, truth, mask, weight) + DICE_WEIGHT * masked_dice(logits, truth, mask, weight)


def _focal_dice(logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    return masked_focal(logits, truth, mask, weight) + masked_dice(logits, truth, mask, weight)


def _bce_dice_boundary(logits: Tensor, truth: Tensor, mask: Tensor, weight: Tensor | None = None) -> Tensor:
    return masked_boundary(logits, truth, mask, weight) + DICE_WEIGHT * masked_dice(logits, truth, mask, weight)


_LOSSES: dict[LossName, Loss] = {
    "bce": masked_bce,
    "bce_dice": _bce_dice,
    "focal_dice": _focal_dice,
    "focal_tversky": masked_focal_tversky,
    "boundary": masked_boundary,
    "bce_dice_boundary": _bce_dice_boundary,
}


def loss_function(name: LossName) -> Loss:
    """Return the loss of a name in the configuration.

    `bce`; `bce_dice` (BCE + 0.5 Dice); `focal_dice` (focal + Dice); `focal_tversky`; `boundary` (BCE with
    more weight at shores); `bce_dice_boundary` (`boundary` + 0.5 Dice).

    Args:
        name: One of `LOSS_NAMES`.
    """
    return _LOSSES[name]


def entropy_by_sample(logits: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Return the mean binary cross-entropy of each sample, (N,) without gradient; 0 where no pixel counts.

    Arguments as in `masked_bce`.
    """
    with torch.no_grad():
        logits, truth, weights, _ = _counted(logits, truth, mask, None)
        axes = tuple(range(1, mask.ndim))
        return (_entropy(logits, truth) * weights).sum(axes) / weights.sum(axes).clamp(min=1)
