"""Logits of a batch of chips by a network as it is, in training or out of it.

What maps scenes is `compute`, which makes a network ready first; both give the same logits up to rounding.
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
    """Logits of "flooded" for a batch of tiles of any size.

    Args:
        network: From `build_network` or `ModelBundle.build`, already on `device`. It is run in eval mode and left in
            the mode it was in.
        inputs: (N, C, H, W) float32 from `network_input`.
        device: Where to compute.
        precision: `bf16` runs under autocast; see `resolve_precision` for `auto`.

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
    # On a CPU one tile at a time is as fast as a batch, needs less memory, and takes the same kernels whatever the
    # batch, so that not even rounding depends on it. A GPU needs the batch to be busy.
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
