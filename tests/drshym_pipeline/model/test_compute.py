"""A network made ready to map gives the logits of the network it was made from."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from drshym_pipeline.model import compute
from drshym_pipeline.model.compute import TileNetwork, prepare_network, tile_network, tiles_side_by_side
from tests.drshym_pipeline.model.settled_networks import NETWORKS, settled


@pytest.mark.parametrize("name", ["full", "half"])
def test_half_precision_stays_near_and_gives_logits_in_full(name):
    network = settled(NETWORKS[name])
    tiles = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    exact = TileNetwork(network, "cpu", "fp32").logits(tiles)
    near = TileNetwork(network, "cpu", "bf16").logits(tiles)
    assert exact.dtype == near.dtype == np.float32
    assert len(np.unique(near)) > 1000, "not rounded to the 8 bits of bfloat16"
    assert np.abs(exact - near).mean() < 0.05 * exact.std()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_logits_are_the_same_bits_whoever_computes_them_beside(precision):
    ready = TileNetwork(settled(NETWORKS["half"]), "cpu", precision)
    tiles = np.random.default_rng(0).random((6, 1, 3, 64, 64), dtype=np.float32)
    alone = [ready.logits(tile) for tile in tiles]
    with tiles_side_by_side("cpu", 6) as workers, ThreadPoolExecutor(max(workers, 2)) as pool:
        for first, second in zip(alone, pool.map(ready.logits, tiles), strict=True):
            np.testing.assert_array_equal(first, second)


def test_the_threads_of_torch_are_given_back():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), tiles_side_by_side("cpu", 6) as workers:
        assert workers * torch.get_num_threads() <= max(before, 1)
        raise ValueError("stop")
    assert torch.get_num_threads() == before


def test_a_model_is_made_ready_once_and_again_for_another_precision(random_bundle, monkeypatch):
    monkeypatch.setattr(compute, "_READY", {})
    first = tile_network(random_bundle, "cpu", "fp32")
    assert tile_network(random_bundle, "cpu", "fp32") is first
    assert tile_network(random_bundle, "cpu", "bf16") is not first


def test_a_network_without_a_convolution_is_no_network():
    with pytest.raises(ValueError, match="no convolution"):
        compute._last_convolution(nn.Linear(2, 2))


def test_preparing_leaves_the_network_itself_alone():
    network = settled(NETWORKS["half"])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    prepare_network(network, "bf16")
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("tiles", [0, 1, 2, 1000])
def test_no_more_threads_than_tiles_and_no_core_left_idle_by_a_single_one(tiles):
    before = torch.get_num_threads()
    with tiles_side_by_side("cpu", tiles) as workers:
        assert workers <= max(tiles, 1)
        if tiles == 1:
            assert torch.get_num_threads() == before
