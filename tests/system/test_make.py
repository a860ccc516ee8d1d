"""Every target of the Makefile has a help text, and a dry run works in a fresh clone."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from deploy import local

MAKEFILE = local.ROOT / "Makefile"
TARGETS = re.search(r"^\.PHONY: (.+)$", MAKEFILE.read_text("utf-8"), re.MULTILINE)[1].split()


def make(folder: Path, *arguments: str) -> str:
    """Return the output of make, run without the variables of a make that runs these tests."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "DAGSTER_HOME"))}
    words = ["make", "--no-print-directory", "-f", str(MAKEFILE), *arguments]
    return subprocess.run(words, cwd=folder, env=kept, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def fresh(tmp_path: Path) -> Path:
    """A folder with the files that the targets depend on, without a virtual environment."""
    for name in ("pyproject.toml", "dagster.yaml"):
        (tmp_path / name).write_bytes((local.ROOT / name).read_bytes())
    return tmp_path


def test_the_help_names_every_target(fresh: Path) -> None:
    assert {line.split()[1] for line in make(fresh, "help").splitlines()} == set(TARGETS)


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"help", "clean-state"}))
def test_a_target_first_makes_the_environment_that_it_runs_in(target: str, fresh: Path) -> None:
    lines = make(fresh, "-n", target).splitlines()
    installs = [number for number, line in enumerate(lines) if "pip install" in line]
    runs = [number for number, line in enumerate(lines) if re.match(r"(\w+=\S+ )*\.venv/bin/(?!python -m pip)", line)]
    assert installs
    assert all(number > installs[0] for number in runs)
    extra = {"bench": "bench", "test": "dev", "test-system": "dev", "lint": "dev", "fuzz": "dev"}.get(target)
    assert extra is None or f"'.[{extra}]'" in lines[installs[-1 if extra == "dev" else -2]]
