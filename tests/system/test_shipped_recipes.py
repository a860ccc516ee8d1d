"""Every recipe of the repository in Dagster's job, a few steps each, in a process like that of a real run."""

import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from drshym_pipeline.settings import TrainConfig, load_config
from drshym_pipeline.storage import read_json
from tests.recipe_runs import STEPS, run_recipes

pytestmark = pytest.mark.system  # the imports and the first step of every recipe take minutes

RECIPES = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of each recipe; all in one process, because the imports take half a minute."""
    home = tmp_path_factory.mktemp("recipes")
    process = multiprocessing.get_context("spawn").Process(
        target=run_recipes, args=(str(home), [str(path) for path in RECIPES], str(home / "answer.json"))
    )
    process.start()
    process.join()
    assert process.exitcode == 0
    return dict(read_json(home / "answer.json"))


def test_the_runs_start_their_workers_as_runs_of_dagster_do(found: dict[str, Any]):
    assert found["start method"] == "spawn"
    assert {name for name, came in found.items() if name.endswith(".yaml") and came.get("workers") == 2} == {
        "flood.yaml",
        "sen1floods11.yaml",
        "sen1floods11_resnet50.yaml",
    }


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_the_recipe_is_trained_sealed_judged_and_registered(found: dict[str, Any], path: Path):
    came, recipe = found[path.name], load_config(path, TrainConfig)
    assert came == {
        "reasons": [],
        "name": recipe.name,
        "workers": recipe.training.workers,
        "steps": STEPS,
        "verdict": came.get("verdict"),
    }
    assert came["verdict"] in {"better", "not distinguishable", "worse"}
