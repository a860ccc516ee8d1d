"""`make bench` installs every library that a measurement imports."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {
    "assets", "benchmarks", "definitions", "demo", "deploy", "drshym_pipeline", "experiments", "resources", "sensors",
    "tests",
}  # fmt: skip
# Distributions whose modules have another name.
NAMES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}


def imported(files: Iterable[Path]) -> dict[str, str]:
    """Return the top-level modules that files import anywhere, each with the name of one of these files."""
    found: dict[str, str] = {}
    for path in files:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            else:
                continue
            found |= {name.split(".")[0]: path.name for name in names}
    return found


def declared(extra: str) -> set[str]:
    """Return the modules of the libraries that `make` installs for an extra; for `bench` they include torchgeo."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"][extra]]
    by_hand = re.findall(r"--no-deps '([^']+)'", (ROOT / "Makefile").read_text("utf-8")) if extra == "bench" else []
    names = [re.split(r"[^A-Za-z0-9_.-]", line, maxsplit=1)[0].lower() for line in [*requirements, *by_hand]]
    return {NAMES.get(name, name.replace("-", "_")) for name in names}


def undeclared(files: Iterable[Path], extra: str) -> dict[str, str]:
    known = declared(extra) | OURS | set(sys.stdlib_module_names)
    return {module: file for module, file in imported(files).items() if module not in known}


def test_every_library_that_a_measurement_imports_is_declared() -> None:
    assert undeclared([*ROOT.glob("benchmarks/*.py"), *ROOT.glob("experiments/*.py")], "bench") == {}


@pytest.mark.parametrize("line", ["import no_such_library", "def f():\n    from no_such_library.inner import it"])
def test_a_library_that_is_not_declared_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "measure_it.py").write_text(f"import numpy\n{line}\n")
    assert undeclared([tmp_path / "measure_it.py"], "bench") == {"no_such_library": "measure_it.py"}


def test_a_library_installed_without_dependencies_is_imported_before_it_counts_as_installed() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    recipe = makefile.split("$(VENV)/.bench:")[1].split("\n\n")[0].splitlines()
    for number, line in enumerate(recipe):
        for module in re.findall(r"--no-deps '([a-z]+)", line):
            imports = [each for each in recipe[number:] if f"import {module}" in each]
            assert imports
            assert recipe.index(imports[0]) < recipe.index("\ttouch $@")
