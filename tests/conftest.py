"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("PYTHONHASHSEED", "0")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real Sentinel-1 data.

    Without it the real-data tests say that they did not run; in CI its absence is an error, not a skip.
    """
    folder = os.environ.get("DRSHYM_REAL_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder).resolve()
    reason = "DRSHYM_REAL_DATA does not name a folder: the tests on real Sentinel-1 scenes cannot run"
    if os.environ.get("CI"):
        raise RuntimeError(reason)
    pytest.skip(reason)
