"""The network alone: as many forward passes as a scene has tiles, on tensors that are already in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE, TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

_DIFFERENT = 8  # number of tensors that are used in turn


def bare_forward(
    bundle: ModelBundle, shape: tuple[int, int], precision: Literal["fp32", "bf16"], *, side_by_side: bool = False
) -> Callable[[], None]:
    """Return a function that runs the forward passes of the prepared network, one tile per call as on a CPU.

    Args:
        bundle: The model.
        shape: Rows and columns of the scene whose tiles are counted.
        precision: Precision of the network and its inputs.
        side_by_side: Whether several tiles are computed at the same time, each by one thread, as when a scene is
            mapped. Otherwise all threads work on one tile, the default of PyTorch. Our time is compared with the faster
            way.
    """
    import torch

    from drshym_pipeline.model.compute import prepare_network, tiles_side_by_side
    from drshym_pipeline.model.inputs import channels

    count = len(TileGrid(*shape, DEFAULT_TILE, DEFAULT_OVERLAP))
    network = prepare_network(bundle.build(), precision)
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    generator = torch.Generator().manual_seed(42)
    tiles = [
        torch.rand((1, len(channels(bundle.network.bands)), DEFAULT_TILE, DEFAULT_TILE), generator=generator)
        .to(kind)
        .contiguous(memory_format=torch.channels_last)
        for _ in range(_DIFFERENT)
    ]

    def one(index: int) -> None:
        with torch.inference_mode():
            network(tiles[index % _DIFFERENT])

    def passes() -> None:
        if not side_by_side:
            for index in range(count):
                one(index)
            return
        with tiles_side_by_side("cpu", count) as workers, ThreadPoolExecutor(workers) as pool:
            deque(pool.map(one, range(count)), maxlen=0)

    return passes
