from pathlib import Path

import pytest

from drshym_pipeline.model.training import check_training
from drshym_pipeline.settings import TrainConfig, load_config

RECIPES = sorted((Path(__file__).resolve().parents[3] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_can_be_trained(path: Path) -> None:
    check_training(load_config(path, TrainConfig))


def test_the_recipes_name_both_encoders_and_the_demo_is_short() -> None:
    recipes = {path.stem: load_config(path, TrainConfig) for path in RECIPES}
    assert {recipe.network.encoder for recipe in recipes.values()} >= {"resnet18", "resnet50"}
    demo = recipes["demo"].training
    assert demo.max_steps * demo.batch_size * demo.crop**2 < 30e6
    assert recipes["flood"].network.bands == "vv"
