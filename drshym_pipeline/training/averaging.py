"""The exponential moving average of a network's weights, which is what a run validates and keeps.

The last steps of a run scatter around a minimum; their average lies nearer to it and is worth a few points of IoU on
scenes the network has not seen. When the average is updated and used is the loop's business.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


def decay_at(step: int, decay: float) -> float:
    """The decay used after an optimiser step, in [0, `decay`].

    It starts low, so that the random weights of the beginning are forgotten at once: (1 + step) / (10 + step) until
    that exceeds `decay`.

    Args:
        step: Optimiser steps done, 1 after the first.
        decay: The decay of a long run.
    """
    return min(decay, (1 + step) / (10 + step))


class WeightAverage(nn.Module):
    """A second copy of a network that follows the first one slowly.

    Floating buffers, such as the running statistics of BatchNorm, are averaged with the weights they belong to;
    counters are copied. Part of a `state_dict` like any module, so a resumed run goes on with it.

    Args:
        network: To be followed; copied as it is now.
        decay: Share of the old average that stays at each update; see `decay_at`.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights of `network` after its optimiser step number `step`."""
        new = [*network.parameters(), *network.buffers()]
        old = [*self.network.parameters(), *self.network.buffers()]
        moving = [(mine, other) for mine, other in zip(old, new, strict=True) if mine.is_floating_point()]
        torch._foreach_lerp_(
            [mine for mine, _ in moving], [other.detach() for _, other in moving], 1.0 - decay_at(step, self._decay)
        )
        for mine, other in zip(old, new, strict=True):
            if not mine.is_floating_point():
                mine.copy_(other)
