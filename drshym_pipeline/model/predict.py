"""Logits of a batch of chips by an unchanged network, during training or after it.

Scenes are mapped with `compute`, which prepares a network first; both give the same logits up to rounding.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.compute import pad_to_stride, resolve_precision
from drshym_pipeline.records import PrecisionOption


def predict_logits(
    network: nn.Module, inputs: NDArray[np.float32], *, device: str = "cpu", precision: PrecisionOption = "fp32"
) -> NDArray[np.float32]:
    """Compute logits of "flooded" for a batch of tiles of any size.

    Args:
        network: A network from `build_network` or `ModelBundle.build`, already on `device`. It runs in eval mode; its
            former mode is restored afterwards.
        inputs: (N, C, H, W) float32 from `network_input`.
        device: Device to compute on.
        precision: Precision of the computation. `bf16` uses autocast; see `resolve_precision` for `auto`.

    Returns:
        (N, H, W) float32. A tile's logits do not depend on the other tiles of the batch.

    Raises:
        InputError: The array is not (N, C, H, W), or is empty.
    """
    if inputs.ndim != 4 or 0 in inputs.shape:
        raise InputError("inputs", f"expected (N, C, H, W) with no empty axis, got {inputs.shape}", "Give whole tiles")
    height, width = inputs.shape[-2:]
    kind = torch.device(device).type
    padded = torch.from_numpy(np.ascontiguousarray(pad_to_stride(inputs), dtype=np.float32))
    # On a CPU one tile at a time is as fast as a batch and needs less memory. It uses the same kernels for every size
    # of the batch, so even rounding does not depend on the batch. A GPU needs a batch to use all its cores.
    chunks = torch.split(padded, 1) if kind == "cpu" else (padded,)
    was_training = network.training
    network.eval()
    try:
        with (
            torch.inference_mode(),
            torch.autocast(kind, torch.bfloat16, enabled=resolve_precision(precision, device) == "bf16"),
        ):
            logits = [
                network(chunk.to(device, memory_format=torch.channels_last))[:, 0].float().cpu() for chunk in chunks
            ]
    finally:
        network.train(was_training)
    return torch.cat(logits).numpy()[:, :height, :width]
