"""A network prepared for mapping: with less arithmetic, in a given precision, for one tile or many tiles at a time.

On a CPU as many tiles are computed at the same time as there are cores, each by one thread. If several cores worked on
one layer, waiting for each other would cost more than their caches save. Reading and encoding of a tile run on the same
core right before and after. On a GPU tiles are computed in batches.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from drshym_pipeline.model.network import STRIDE
from drshym_pipeline.model.shortcuts import shortened
from drshym_pipeline.records import Precision, PrecisionOption

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle


_MOST_WORKERS = 8  # every worker holds the activations of a tile in memory
_GPU_BATCH = 8


def pad_to_stride(inputs: NDArray[np.float32], stride: int = STRIDE) -> NDArray[np.float32]:
    """Mirror the last rows and columns of (N, C, H, W) until H and W are multiples of `stride`.

    Zeros would look like a dark, unobserved border next to real ground; a mirror image has the right texture.
    """
    height, width = inputs.shape[-2:]
    bottom, right = -height % stride, -width % stride
    if not bottom and not right:
        return inputs
    return np.pad(inputs, ((0, 0), (0, 0), (0, bottom), (0, right)), mode="symmetric")


def native_bf16(device: str) -> bool:
    """Return whether a device multiplies bfloat16 in hardware. Other devices emulate it and become slower."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def resolve_precision(precision: PrecisionOption, device: str = "cpu") -> Precision:
    """Return the precision to use; `auto` is bf16 where the hardware has it, otherwise fp32.

    On a CPU with AVX-512 BF16 or AMX a network needs at most half the time of fp32.
    """
    if precision != "auto":
        return precision
    return "bf16" if native_bf16(device) else "fp32"


def best_device() -> str:
    """Return `cuda` where there is a CUDA device, else `cpu`."""
    return "cuda" if torch.cuda.is_available() else "cpu"


class _InFloat32(nn.Module):
    """A last layer in full precision: bf16 has eight significant bits, too few for logits."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer.float()

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute float32 outputs from (N, C, H, W) of any precision."""
        return self.layer(inputs.float())  # type: ignore[no-any-return]


def _last_convolution(network: nn.Module) -> tuple[nn.Module, str]:
    """Return the parent and name of the convolution that is defined last; it computes the logits."""
    found: tuple[nn.Module, str] | None = None
    for parent in network.modules():
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d):
                found = (parent, name)
    if found is None:
        raise ValueError("the network has no convolution")
    return found


def prepare_network(network: nn.Module, precision: Precision = "fp32", device: str = "cpu") -> nn.Module:
    """Return a copy of a network that computes the same logits faster.

    Args:
        network: A network from `build_network`, on the CPU.
        precision: Precision of the copy. With `bf16` all layers but the last are bfloat16, and inputs must be bfloat16
            too. Logits are always float32.
        device: Device of the copy.
    """
    ready = shortened(network)
    if precision == "bf16":
        parent, name = _last_convolution(ready)
        last = parent.get_submodule(name)
        ready = ready.to(torch.bfloat16)
        if isinstance(last, nn.Conv2d):
            setattr(parent, name, _InFloat32(last))
    return ready.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class TileNetwork:
    """Computes logits of tiles with a network that is prepared for a device and a precision.

    Args:
        network: A network from `ModelBundle.build`, on the CPU.
        device: Device to compute on, `cpu` or `cuda`.
        precision: Precision of all layers but the last.
    """

    def __init__(self, network: nn.Module, device: str, precision: Precision) -> None:
        self.device, self.precision = device, precision
        self._network = prepare_network(network, precision, device)
        self._dtype = torch.bfloat16 if precision == "bf16" else torch.float32

    def batch_of(self, wanted: int | None) -> int:
        """Return the number of tiles per call: 1 on a CPU, where threads compute tiles, else `wanted` or a default."""
        return (wanted or _GPU_BATCH) if torch.device(self.device).type == "cuda" else 1

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the logits of a batch of tiles of any size; several threads may call this at the same time.

        Args:
            inputs: (N, C, H, W) float32 from `model.inputs`.

        Returns:
            (N, H, W) float32 logits.
        """
        height, width = inputs.shape[-2:]
        tiles = torch.from_numpy(pad_to_stride(inputs)).to(
            device=self.device, dtype=self._dtype, memory_format=torch.channels_last
        )
        with torch.inference_mode():
            found: NDArray[np.float32] = self._network(tiles)[:, 0].float().cpu().numpy()
        return found[:, :height, :width]


@contextmanager
def tiles_side_by_side(device: str, tiles: int) -> Iterator[int]:
    """Yield how many threads should compute tiles at the same time, and limit the cores that each of them uses.

    On a GPU the threads only read and prepare tiles.

    Args:
        device: Device of the network.
        tiles: Number of tiles; a single tile uses all cores.
    """
    allowed = torch.get_num_threads()
    workers = max(1, min(allowed, _MOST_WORKERS, tiles))
    if torch.device(device).type == "cuda":
        yield workers
        return
    torch.set_num_threads(max(1, allowed // workers))
    try:
        yield workers
    finally:
        torch.set_num_threads(allowed)


_READY: dict[tuple[str, str, str], TileNetwork] = {}
_READY_LOCK = threading.Lock()


def tile_network(bundle: ModelBundle, device: str, precision: Precision) -> TileNetwork:
    """Return the prepared network of a bundle.

    It is prepared once per process, so all chips of an archive are mapped with the same one.
    """
    key = (bundle.sha256, device, precision)
    with _READY_LOCK:
        if key not in _READY:
            _READY.clear()  # two networks at a time would double the memory without a benefit
            _READY[key] = TileNetwork(bundle.build(), device, precision)
        return _READY[key]
