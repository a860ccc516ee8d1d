"""A network with less arithmetic gives the logits of the original network."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from drshym_pipeline.model.shortcuts import EnlargedConvolution, shortened
from tests.drshym_pipeline.model.settled_networks import NETWORKS, settled


@given(
    small=st.integers(1, 4),
    full=st.integers(0, 3),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_convolution_over_an_enlarged_image_is_computed_on_the_small_image(small, full, height, width, bias, seed):
    torch.manual_seed(seed)
    convolution = nn.Conv2d(small + full, 5, 3, padding=1, bias=bias)
    image = torch.randn(2, small, height, width)
    beside = torch.randn(2, full, 2 * height, 2 * width) if full else None
    with torch.inference_mode():
        enlarged = F.interpolate(image, scale_factor=2, mode="nearest")
        expected = convolution(enlarged if beside is None else torch.cat([enlarged, beside], dim=1))
        found = EnlargedConvolution(convolution, small)(image, beside)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_shortened_network_gives_the_same_logits(name):
    network = settled(NETWORKS[name])
    tiles = torch.rand(2, 3, 96, 64)
    with torch.inference_mode():
        expected, found = network(tiles), shortened(network)(tiles)
    assert float((expected - found).abs().max()) < 1e-3 * float(expected.std())


def test_batch_norms_are_gone_from_a_folded_network_and_still_in_the_original():
    network = settled(NETWORKS["half"])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in shortened(network).modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


class OppositeOrder(nn.Module):
    """A network that defines a convolution before a norm and runs them in the opposite order."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.norm = nn.BatchNorm2d(3)
        self.head = nn.Conv2d(3, 1, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.conv(torch.relu(self.norm(inputs))))


def test_a_network_that_does_not_run_in_the_order_of_its_definition_is_not_changed():
    torch.manual_seed(0)
    network = OppositeOrder()
    network.norm.running_mean.fill_(0.4)
    network.norm.running_var.fill_(0.1)
    network.eval()
    tiles = torch.rand(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(shortened(network)(tiles), network(tiles))


@pytest.mark.parametrize(("name", "blocks"), [("full", 5), ("half", 3), ("group", 5)])
def test_every_decoder_block_that_enlarges_is_replaced(name, blocks):
    ready = shortened(settled(NETWORKS[name]))
    assert sum(isinstance(module, EnlargedConvolution) for module in ready.modules()) == blocks


def test_a_decoder_with_bilinear_enlargement_keeps_its_blocks():
    network = settled(NETWORKS["full"])
    for block in network.decoder.blocks:
        block.interpolation_mode = "bilinear"
    ready = shortened(network)
    assert not any(isinstance(module, EnlargedConvolution) for module in ready.modules())
    tiles = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ready(tiles), network(tiles), rtol=1e-3, atol=1e-4)
