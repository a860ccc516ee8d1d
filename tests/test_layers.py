"""Imports go one way, and the science imports neither Dagster nor MLflow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "drshym_pipeline"

# A module or package of `drshym_pipeline` imports only what is before it in this list.
ORDER = [
    "version", "errors", "progress", "prefetch", "worker_threads",
    "records", "tiling", "settings", "storage", "locking", "sar",
    "probabilities", "states", "change", "ancillary", "assessment", "scene_folder", "scene_store", "datasets", "model",
    "training", "stitching", "reprojection", "observation", "tile_work", "inference", "prediction", "map_threshold",
    "references", "products", "stages", "mapping", "tile_folders", "arrays", "api", "evaluation", "service", "console",
    "commands", "cli", "__main__",
]  # fmt: skip
LOCATION = ["drshym_pipeline", "resources", "assets", "sensors", "definitions"]
# The same for the whole checkout.
LAYERS = [*LOCATION, "deploy", "demo", "benchmarks", "experiments", "docs"]
ORCHESTRATION = {"dagster", "dagster_graphql", "mlflow"}
HEAVY = ("torch", "mlflow", "rasterio", "lightning", "matplotlib", "geopandas", "segmentation_models_pytorch", "zarr")


def modules_imported(path: Path) -> Iterator[str]:
    """Yield every absolute module name that a file imports, anywhere in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", python_files("drshym_pipeline"), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_science_imports_no_orchestration_and_nothing_above(path: Path) -> None:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    name = parts[0]
    if name == "__init__":
        return
    assert name in ORDER, f"{name} is not in the order of the modules; add it here and in docs/architecture.md"
    for module in modules_imported(path):
        top, *rest = module.split(".")
        assert top not in ORCHESTRATION, f"{path} imports {module}"
        assert top not in {*LOCATION[1:], "deploy", "demo", "tests"}, f"{path} imports {module} from the code location"
        if top == "drshym_pipeline" and rest and rest[0] in ORDER:
            assert ORDER.index(rest[0]) <= ORDER.index(name), f"{path} imports upward: {module}"


def test_the_table_of_modules_in_the_documentation_has_the_same_order() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    table = page.partition("### The modules of `drshym_pipeline`")[2].partition("\n## ")[0]
    first_cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [name for cell in first_cells for name in re.findall(r"`(\w+)/?`", cell)] == ORDER


def imports_upward(root: Path, layers: list[str]) -> list[str]:
    """Return the imports of a layer from a later one in `layers`, as `file imports module`."""
    return [
        f"{path.relative_to(root)} imports {module}"
        for number, layer in enumerate(layers)
        for path in [*sorted((root / layer).rglob("*.py")), *root.glob(f"{layer}.py")]
        for module in modules_imported(path)
        if (top := module.split(".")[0]) in layers and layers.index(top) > number
    ]


def import_circle(root: Path, tops: list[str]) -> list[str]:
    """Return modules that import one another in a circle, anywhere in their files; empty if there is none."""
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for top in tops
        for path in [*sorted((root / top).rglob("*.py")), *root.glob(f"{top}.py")]
    }
    imports = {name: {*modules_imported(path)} & files.keys() - {name} for name, path in files.items()}
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_whole_tree_imports_one_way() -> None:
    assert imports_upward(ROOT, LAYERS) == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    assert import_circle(ROOT, LAYERS) == []


def test_an_upward_import_and_a_circle_are_found(tmp_path: Path) -> None:
    for name, text in {
        "low/a.py": "from low import b",
        "low/b.py": "def f():\n    from low.a import g",
        "low/c.py": "import high.d",
        "high/d.py": "import low.c",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert imports_upward(tmp_path, ["low", "high"]) == ["low/c.py imports high.d"]
    assert set(import_circle(tmp_path, ["low"])) == {"low.a", "low.b"}
    assert import_circle(tmp_path, ["high"]) == []


def loaded_by(statement: str) -> set[str]:
    """Return the top-level modules that a new interpreter has loaded after a statement."""
    code = f"import sys; {statement}; print('\\n'.join({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "definitions",
        "drshym_pipeline",
        "drshym_pipeline.cli",
        "drshym_pipeline.stages",
        "drshym_pipeline.mapping",
        "drshym_pipeline.api",
    ],
)
def test_loading_is_light(module: str) -> None:
    heavy = loaded_by(f"import {module}") & set(HEAVY)
    assert not heavy, f"import {module} loads {sorted(heavy)}"


def test_importing_the_whole_science_loads_no_orchestration() -> None:
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in python_files("drshym_pipeline")
    ]
    assert not loaded_by("; ".join(f"import {name}" for name in names)) & ORCHESTRATION
