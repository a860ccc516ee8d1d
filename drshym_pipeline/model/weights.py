"""Conversion of a network's tensors to safetensors bytes and back.

The bytes contain nothing executable, and the same tensors always give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch


def pack_weights(state: Mapping[str, torch.Tensor], dtype: Literal["float16", "float32"]) -> bytes:
    """Return tensors as safetensors bytes; the same tensors give the same bytes.

    Integer buffers keep their type. A tensor with values that are not finite in float16 stays float32.
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
    """Return the tensors that `pack_weights` packed, floating tensors as float32."""
    from safetensors.torch import load

    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load(data).items()}
