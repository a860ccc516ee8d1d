"""Tools of the operating system that the tests marked `system` need."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def system_tool() -> Callable[[str], str]:
    """A function that returns the path of a program of the operating system, by its name.

    If the program is missing, the test is skipped with a reason; in CI that is an error, not a skip.
    """

    def find(name: str) -> str:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin")
        if path:
            return path
        reason = f"{name} is not installed: this test cannot run. Install it with the system's package manager"
        if os.environ.get("CI"):
            raise RuntimeError(reason)
        pytest.skip(reason)

    return find
