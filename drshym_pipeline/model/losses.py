"""Training losses. Pixels that are not labelled or not observed contribute nothing: no loss and no gradient.

All take logits, truth and mask of one shape. Means are over the counted pixels of the whole batch, so a tile with ten
labelled pixels does not weigh as much as a full one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
LossName = Literal["bce", "bce_dice", "focal_dice"]

FOCAL_GAMMA = 2.0  # Lin et al. 2017, Focal Loss for Dense Object Detection, section 4
DICE_WEIGHT = 0.5
_SMOOTH = 1.0  # one pixel: a batch without any water has a Dice loss that goes to 0, not to 0/0


def _masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    # `where` and not a product: 0 x inf would be NaN.
    return torch.where(mask, values, 0.0).sum() / mask.sum().clamp(min=1)


def masked_bce(logits: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Binary cross-entropy.

    Args:
        logits: Any shape.
        truth: Same shape, float, 1 water and 0 dry; any value outside the mask.
        mask: Same shape, bool, True where the pixel counts.

    Returns:
        A scalar with gradient, 0 when nothing counts.
    """
    return _masked_mean(F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none"), mask)


def masked_focal(logits: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Focal loss with gamma 2 and no class weight (balance is the sampler's task); arguments as `masked_bce`."""
    entropy = F.binary_cross_entropy_with_logits(logits.float(), truth, reduction="none")
    # exp(-entropy) is the probability given to the right class.
    return _masked_mean((1.0 - torch.exp(-entropy)).pow(FOCAL_GAMMA) * entropy, mask)


def masked_dice(logits: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Soft Dice loss of the water class, pooled over the batch; arguments as `masked_bce`.

    Milletari et al. 2016, V-Net, section 3, without the squares.
    """
    water = torch.where(mask, torch.sigmoid(logits.float()), 0.0)
    target = torch.where(mask, truth, 0.0)
    overlap = 2.0 * (water * target).sum() + _SMOOTH
    return 1.0 - overlap / (water.sum() + target.sum() + _SMOOTH)


def _bce_dice(logits: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    return masked_bce(logits, truth, mask) + DICE_WEIGHT * masked_dice(logits, truth, mask)


def _focal_dice(logits: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    return masked_focal(logits, truth, mask) + masked_dice(logits, truth, mask)


_LOSSES: dict[LossName, Loss] = {"bce": masked_bce, "bce_dice": _bce_dice, "focal_dice": _focal_dice}


def loss_function(name: LossName) -> Loss:
    """The loss a configuration names: `bce`, `bce_dice` (BCE + 0.5 Dice) or `focal_dice` (focal + Dice)."""
    return _LOSSES[name]
