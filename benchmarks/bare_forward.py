"""The network alone: as many forward passes as a scene has tiles, on tensors that lie in memory already."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE, TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

_DIFFERENT = 8  # tensors that are gone through in turn


def bare_forward(bundle: ModelBundle, shape: tuple[int, int], precision: Literal["fp32", "bf16"]) -> Callable[[], None]:
    """Passes through the network as the engine prepares it, one tile a call as the engine does it on a CPU.

    All threads work on one tile, which is how PyTorch is used when nobody thinks about it; on two cores that is as fast
    as two tiles side by side.

    Args:
        bundle: The model.
        shape: Rows and columns of the scene whose tiles are counted.
        precision: Of the network and its inputs.
    """
    import torch

    from drshym_pipeline.model.compute import prepare_network
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

    def passes() -> None:
        with torch.inference_mode():
            for index in range(count):
                network(tiles[index % _DIFFERENT])

    return passes
