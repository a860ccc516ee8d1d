"""A network's tensors as safetensors bytes, and back: nothing executable, the same bytes for the same tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch


def pack_weights(state: Mapping[str, torch.Tensor], dtype: Literal["float16", "float32"]) -> bytes:
    """Tensors as safetensors bytes, the same bytes for the same tensors.

    Integer buffers keep their type; a tensor that would not stay finite in float16 stays float32.
    """
    import torch
    from safetensors.torch import save

    packed = {}
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        if tensor.is_floating_point():
            tensor = tensor.float()
            if dtype == "float16" and bool(torch.isfinite(tensor.half()).all()):
                tensor = tensor.half()
        packed[name] = tensor.clone(memory_format=torch.contiguous_format)
    return save(packed)


def unpack_weights(data: bytes) -> dict[str, torch.Tensor]:
    """The inverse of `pack_weights`, floating tensors as float32."""
    from safetensors.torch import load

    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load(data).items()}
