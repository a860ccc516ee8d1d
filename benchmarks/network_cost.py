"""Cost of tiles in the shipped network: time against a ResNet18 U-Net of the usual form, and peak memory of a batch.

One thread is used, so that the ratio depends less on other programs of the machine. Memory is measured in a process of
its own, whose peak is that of one batch and of the libraries for it.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import ROOT, Row, interleave, peak_bytes, ratio

SIDE = 512
BATCH = 8
LIMIT_RATIO = 1.0
LIMIT_GB = 1.5
_PEAK = "--peak"


def _tiles(count: int, channels: int) -> NDArray[np.float32]:
    """Return (count, channels, 512, 512) float32 network input in [0, 1], the same values every time."""
    return np.random.default_rng(42).random((count, channels, SIDE, SIDE), dtype=np.float32)


def batch_peak() -> int:
    """Run one batch of tiles in the shipped network and return the peak memory of this process in bytes."""
    from drshym_pipeline.model.bundle import shipped_bundle
    from drshym_pipeline.model.inputs import channels
    from drshym_pipeline.model.predict import predict_logits

    bundle = shipped_bundle()
    predict_logits(bundle.build(), _tiles(BATCH, len(channels(bundle.network.bands))), precision="fp32")
    return peak_bytes()


def measure(repeats: int = 7) -> list[Row]:
    """Measure one tile in both networks in turn, and the peak memory of a batch in a new process."""
    import torch

    from drshym_pipeline.model.bundle import shipped_bundle
    from drshym_pipeline.model.inputs import channels
    from drshym_pipeline.model.network import build_network
    from drshym_pipeline.model.predict import predict_logits
    from drshym_pipeline.settings import NetworkConfig

    bundle = shipped_bundle()
    tile = _tiles(1, len(channels(bundle.network.bands)))
    usual = build_network(NetworkConfig(encoder="resnet18", bands=bundle.network.bands))
    networks = {"shipped": bundle.build(), "usual": usual.to(memory_format=torch.channels_last)}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        samples = interleave(
            {name: partial(predict_logits, network, tile, precision="fp32") for name, network in networks.items()},
            repeats,
        )
    finally:
        torch.set_num_threads(threads)
    value = ratio(samples, "shipped", "usual")
    printed = subprocess.run(
        [sys.executable, "-m", "benchmarks.network_cost", _PEAK],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    gigabytes = int(printed) / 1e9
    return [
        Row(
            what="512 x 512 tile in the shipped network against a ResNet18 U-Net, one thread",
            measured=f"{value:.2f} x",
            asked=f"at most {LIMIT_RATIO:.0f} x",
            met=value <= LIMIT_RATIO,
            command="python -m benchmarks network",
            samples=samples,
        ),
        Row(
            what=f"Peak memory of a process that maps {BATCH} tiles of 512 x 512 in one batch with the shipped network",
            measured=f"{gigabytes:.2f} GB",
            asked=f"under {LIMIT_GB} GB",
            met=gigabytes < LIMIT_GB,
            command="python -m benchmarks network",
            samples={},
        ),
    ]


if __name__ == "__main__":
    if sys.argv[1:] == [_PEAK]:
        print(batch_peak())
