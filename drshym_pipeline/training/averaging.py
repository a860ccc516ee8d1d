"""The exponential moving average of a network's weights. A run validates and keeps this average.

The weights of the last steps vary around a minimum. Their average is nearer to it and is worth a few points of IoU on
scenes the network has not seen. `loop` decides when the average is updated and used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

# The first releases kept the averaged network under the first of these names; `AveragedModel` uses the second.
_OLD_PREFIX, _PREFIX = "network.", "module."
_COUNT = "n_averaged"


def decay_at(step: int, decay: float) -> float:
    """Return the decay used after an optimiser step, in [0, `decay`].

    The decay is low at first, so that the random weights of the beginning lose their influence quickly: it is
    (1 + step) / (10 + step) until that exceeds `decay`.

    Args:
        step: Number of optimiser steps done, 1 after the first.
        decay: The decay of a long run.
    """
    return min(decay, (1 + step) / (10 + step))


def weight_average(network: nn.Module, decay: float) -> AveragedModel:
    """Return the moving average of a network; call its `update_parameters` after every optimiser step.

    Floating-point buffers, such as the running statistics of BatchNorm, are averaged like the weights; counters are
    copied. `n_averaged` is the number of networks in the average. The initial weights are one of them: it is 1 here.

    Args:
        network: The network to average; its weights are copied as they are now.
        decay: Share of the old average that remains at each update; see `decay_at`.
    """

    def update(averages: Any, news: Any, count: Tensor | int) -> None:
        if averages[0].is_floating_point():
            step = get_ema_multi_avg_fn(decay_at(int(count), decay))  # type: ignore[no-untyped-call]  # torch has no types
            step(averages, news, count)
            return
        # torch averages counters too and cuts the result to an integer, which is wrong for both networks.
        for average, new in zip(averages, news, strict=True):
            average.copy_(new)

    average = AveragedModel(network, multi_avg_fn=torch.no_grad()(update), use_buffers=True).requires_grad_(False)
    # With 0 the first update would replace the initial weights instead of averaging them with the new ones.
    average.n_averaged.fill_(1)
    return average


def renamed_state(state: Mapping[str, Tensor], prefix: str, steps: int) -> dict[str, Tensor]:
    """Return the state of a resume point with the names that `AveragedModel` uses.

    A resume point that one of the first releases wrote has other names and no count. All others stay as they are.

    Args:
        state: Tensors by name, of the module that holds the average.
        prefix: Beginning of the names of the average in `state`, such as `average.`.
        steps: Number of optimiser steps done when the state was written.
    """
    old = prefix + _OLD_PREFIX
    if not any(name.startswith(old) for name in state):
        return dict(state)
    renamed = {
        prefix + _PREFIX + name.removeprefix(old) if name.startswith(old) else name: tensor
        for name, tensor in state.items()
    }
    return {**renamed, prefix + _COUNT: torch.tensor(steps + 1)}
