from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.training.averaging import decay_at, weight_average
from drshym_pipeline.training.checkpoint import RESUME_FILE
from drshym_pipeline.training.train import train


def small_network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))


@given(step=st.integers(1, 10_000), decay=st.floats(0.0, 0.9999))
def test_the_decay_rises_from_a_low_start_to_what_was_asked(step: int, decay: float) -> None:
    assert 0.0 <= decay_at(step, decay) <= decay
    assert decay_at(step, decay) <= decay_at(step + 1, decay)
    assert decay_at(1, 0.999) < 0.2
    assert decay_at(10**9, decay) == decay


def test_the_average_is_the_recursion_of_weights_and_of_the_statistics_of_batch_norm() -> None:
    network = small_network()
    average = weight_average(network, 0.9)
    expected = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(1, 20):
        network(torch.randn(4, 2, 8, 8) * step)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        average.update_parameters(network)
        decay = decay_at(step, 0.9)
        for name, value in network.state_dict().items():
            expected[name] = expected[name] * decay + value * (1 - decay) if value.is_floating_point() else value
    for name, value in average.module.state_dict().items():
        torch.testing.assert_close(value, expected[name])
    assert int(average.module.state_dict()["1.num_batches_tracked"]) == 19


def test_the_average_takes_no_gradient_and_shares_no_memory() -> None:
    network = small_network()
    average = weight_average(network, 0.9)
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert all(parameter.requires_grad for parameter in network.parameters())
    before = average.module.state_dict()["0.weight"].clone()
    with torch.no_grad():
        network[0].weight.zero_()
    assert torch.equal(average.module.state_dict()["0.weight"], before)


def test_a_run_keeps_the_average_and_not_the_last_weights(
    recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    short = recipe.training.model_copy(update={"max_steps": 2})
    plain = short.model_copy(update={"ema": 0.0})
    averaged = train(recipe.model_copy(update={"training": short}), chips, tmp_path / "average").state()
    last = train(recipe.model_copy(update={"training": plain}), chips, tmp_path / "plain").state()
    assert averaged.keys() == last.keys()
    assert any(not torch.equal(averaged[name], last[name]) for name in last)
    frozen = short.model_copy(update={"ema": 1e-9})
    followed = train(recipe.model_copy(update={"training": frozen}), chips, tmp_path / "follows").state()
    for name, value in last.items():
        torch.testing.assert_close(followed[name], value, rtol=1e-4, atol=1e-5)


class KilledError(Exception):
    pass


def kill_in_the_third_step(stage: str, done: int, total: int) -> None:
    if stage == "train" and done == 3:
        raise KilledError


def test_a_resume_point_of_an_earlier_release_goes_on_to_the_same_weights(
    recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    short = recipe.model_copy(update={"training": recipe.training.model_copy(update={"max_steps": 4})})
    whole = train(short, chips, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(short, chips, tmp_path / "cut", progress=kill_in_the_third_step)
    path = tmp_path / "cut" / RESUME_FILE
    content = torch.load(path, weights_only=True)
    assert int(content["state_dict"].pop("average.n_averaged")) == 3
    # The names as the earlier releases wrote them.
    content["state_dict"] = {
        name.replace("average.module.", "average.network."): tensor for name, tensor in content["state_dict"].items()
    }
    torch.save(content, path)
    assert train(short, chips, tmp_path / "cut").weights_sha256 == whole.weights_sha256


def test_the_decay_must_leave_room_for_new_weights() -> None:
    with pytest.raises(ValueError, match="less than 1"):
        TrainConfig.model_validate({"training": {"ema": 1.0}})
