"""Seeds and deterministic kernels during a training run.

All settings are restored at the end, because a process may map scenes after it has trained.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Seed Python, NumPy and torch and require deterministic kernels; restore everything at the end."""
    # cuBLAS reads this variable when it starts and is not deterministic without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - libraries draw from the global generator
    flags = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=devices):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.use_deterministic_algorithms(flags[0])
            torch.backends.cudnn.benchmark = flags[1]
