from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from drshym_pipeline.model.inputs import channels
from drshym_pipeline.model.network import build_network
from drshym_pipeline.settings import TrainConfig, load_config
from drshym_pipeline.training.train import check_training

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
RECIPES = sorted(CONFIGS.glob("*.yaml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_can_be_trained(path: Path) -> None:
    check_training(load_config(path, TrainConfig))


def test_the_recipes_name_both_encoders() -> None:
    recipes = {path.stem: load_config(path, TrainConfig) for path in RECIPES}
    assert {recipe.network.encoder for recipe in recipes.values()} >= {"resnet18", "resnet50"}
    assert recipes["flood"].network.bands == "vv"


def test_the_demo_trains_the_shipped_network_for_two_minutes() -> None:
    """Operations are counted and no time is measured; two free cores do about 200e9 operations per second."""
    demo = load_config(CONFIGS / "demo.yaml", TrainConfig)
    shipped = load_config(CONFIGS / "shipped.yaml", TrainConfig).network
    assert demo.network == shipped.model_copy(update={"start": "shipped"})
    training = demo.training
    inputs = torch.zeros(1, len(channels(demo.network.bands)), training.crop, training.crop)
    with FlopCounterMode(display=False) as counter:
        build_network(demo.network)(inputs).mean().backward()
    assert counter.get_total_flops() * training.batch_size * training.max_steps < 120 * 200e9
