"""Layers that let a network see more ground at once, at the lowest resolution of its encoder.

One position there covers 32 x 32 pixels. A field, a lake and the open land around them are larger than what the last
convolutions of a small encoder combine.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_DILATIONS = (1, 2, 4)
_HEADS = 4
_PERIODS = (4.0, 64.0)  # of the code of a position, in positions; the longest is more than a tile of 1024 pixels has


class DilatedContext(nn.Module):
    """Parallel dilated convolutions, added to their input (Chen et al. 2017, arXiv:1706.05587, section 3.3).

    Args:
        width: Channels of the input and the output.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = width // 4
        self.reduce = nn.Sequential(nn.Conv2d(width, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU(True))
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inner, inner, 3, padding=dilation, dilation=dilation, bias=False),
                nn.BatchNorm2d(inner),
                nn.ReLU(True),
            )
            for dilation in _DILATIONS
        )
        self.expand = nn.Conv2d(inner * len(_DILATIONS), width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Compute features of the same shape, (N, width, H, W)."""
        reduced = self.reduce(features)
        added: Tensor = self.expand(torch.cat([branch(reduced) for branch in self.branches], dim=1))
        return features + added


def _positions(height: int, width: int, channels: int, like: Tensor) -> Tensor:
    """Return sine and cosine of the row and the column of every position: (height x width, channels)."""
    count = channels // 4
    shortest, longest = (math.log10(period) for period in _PERIODS)
    rates = 2 * math.pi / torch.logspace(shortest, longest, count, device=like.device)
    rows = torch.arange(height, device=like.device)[:, None] * rates
    cols = torch.arange(width, device=like.device)[:, None] * rates
    down = torch.cat([rows.sin(), rows.cos()], dim=1)[:, None, :].expand(height, width, 2 * count)
    along = torch.cat([cols.sin(), cols.cos()], dim=1)[None, :, :].expand(height, width, 2 * count)
    return torch.cat([down, along], dim=2).reshape(height * width, 4 * count).to(like.dtype)


class AttentionContext(nn.Module):
    """Self-attention over all positions, added to its input (Vaswani et al. 2017, arXiv:1706.03762, section 3.2).

    Args:
        width: Channels of the input and the output, a multiple of 16.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, _HEADS, batch_first=True)

    def forward(self, features: Tensor) -> Tensor:
        """Compute features of the same shape, (N, width, H, W)."""
        count, width, height, columns = features.shape
        tokens = self.norm(features.flatten(2).transpose(1, 2))
        placed = tokens + _positions(height, columns, width, tokens)
        mixed: Tensor = self.attention(placed, placed, tokens, need_weights=False)[0]
        return features + mixed.transpose(1, 2).reshape(count, width, height, columns)


CONTEXTS: dict[str, type[nn.Module]] = {"dilated": DilatedContext, "attention": AttentionContext}


class WithContext(nn.Module):
    """An encoder whose lowest features pass through a context layer.

    Args:
        encoder: Encoder of segmentation-models-pytorch: it returns features from fine to coarse.
        context: Layer for the last of them.
    """

    def __init__(self, encoder: nn.Module, context: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.context = context

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Compute the features of all stages."""
        features = list(self.encoder(inputs))
        features[-1] = self.context(features[-1])
        return features
