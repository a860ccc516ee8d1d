"""A network that was prepared for mapping gives the logits of the original network."""

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
def test_bfloat16_gives_nearly_the_same_logits_in_full_precision(name):
    network = settled(NETWORKS[name])
    tiles = np.random.default_rng(0).random((1, 3, 64, 64), dtype=np.float32)
    exact = TileNetwork(network, "cpu", "fp32").logits(tiles)
    near = TileNetwork(network, "cpu", "bf16").logits(tiles)
    assert exact.dtype == near.dtype == np.float32
    assert len(np.unique(near)) > 1000, "not rounded to the 8 bits of bfloat16"
    assert np.abs(exact - near).mean() < 0.05 * exact.std()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_logits_are_bit_identical_when_other_threads_compute_at_the_same_time(precision):
    ready = TileNetwork(settled(NETWORKS["half"]), "cpu", precision)
    tiles = np.random.default_rng(0).random((6, 1, 3, 64, 64), dtype=np.float32)
    alone = [ready.logits(tile) for tile in tiles]
    with tiles_side_by_side("cpu", 6) as workers, ThreadPoolExecutor(max(workers, 2)) as pool:
        for first, second in zip(alone, pool.map(ready.logits, tiles), strict=True):
            np.testing.assert_array_equal(first, second)


def test_the_number_of_threads_of_torch_is_restored():
    before = torch.get_num_threads()
    with pytest.raises(ValueError, match="stop"), tiles_side_by_side("cpu", 6) as workers:
        assert workers * torch.get_num_threads() <= max(before, 1)
        raise ValueError("stop")
    assert torch.get_num_threads() == before


def test_a_model_is_prepared_once_per_precision(random_bundle, monkeypatch):
    monkeypatch.setattr(compute, "_READY", {})
    first = tile_network(random_bundle, "cpu", "fp32")
    assert tile_network(random_bundle, "cpu", "fp32") is first
    assert tile_network(random_bundle, "cpu", "bf16") is not first


def test_a_network_without_a_convolution_is_refused():
    with pytest.raises(ValueError, match="no convolution"):
        compute._last_convolution(nn.Linear(2, 2))


def test_preparing_does_not_change_the_original_network():
    network = settled(NETWORKS["half"])
    before = {name: value.clone() for name, value in network.state_dict().items()}
    prepare_network(network, "bf16")
    for name, value in network.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("tiles", [0, 1, 2, 1000])
def test_there_are_no_more_threads_than_tiles_and_a_single_tile_uses_all_cores(tiles):
    before = torch.get_num_threads()
    with tiles_side_by_side("cpu", tiles) as workers:
        assert workers <= max(tiles, 1)
        if tiles == 1:
            assert torch.get_num_threads() == before
