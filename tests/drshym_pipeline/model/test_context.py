"""Context layers: what they combine, and that they fit every encoder and norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from drshym_pipeline.model.context import CONTEXTS, AttentionContext
from drshym_pipeline.model.network import build_network
from drshym_pipeline.settings import NetworkConfig

WIDTHS = (16, 16, 8)


def reach(layer: nn.Module, side: int) -> Tensor:
    """Return which positions of the input change the output in the middle: (side, side) bool."""
    features = torch.rand(1, 32, side, side, requires_grad=True)
    layer(features)[0, :, side // 2, side // 2].sum().backward()
    assert features.grad is not None
    return features.grad.abs().sum(dim=(0, 1)) > 0


def test_dilated_convolutions_combine_positions_up_to_four_away():
    torch.manual_seed(0)
    reached = reach(CONTEXTS["dilated"](32).eval(), 16)
    assert reached[8, 4]
    assert reached[12, 12]
    assert not reached[8, 3]
    assert not reached[:, 13:].any()


def test_attention_combines_all_positions():
    torch.manual_seed(0)
    assert reach(CONTEXTS["attention"](32).eval(), 16).all()


def test_attention_knows_where_a_position_is():
    torch.manual_seed(0)
    layer = AttentionContext(32).eval()
    features = torch.rand(1, 32, 4, 4)
    exchanged = features.clone()
    exchanged[..., 0, 0], exchanged[..., 3, 2] = features[..., 3, 2], features[..., 0, 0]
    assert not torch.allclose(layer(features)[..., 1, 1], layer(exchanged)[..., 1, 1], atol=1e-5)


@pytest.mark.parametrize("context", list(CONTEXTS))
@pytest.mark.parametrize(
    ("encoder", "norm"),
    [("resnet18", "batch"), ("resnet18", "group"), ("tu-resnet18", "batch"), ("mobilenet_v2", "batch")],
)
def test_every_encoder_and_norm_can_have_context(context: str, encoder: str, norm: str):
    torch.manual_seed(0)
    config = NetworkConfig(encoder=encoder, norm=norm, stem="half", context=context, decoder_channels=WIDTHS)
    network = build_network(config)
    out = network(torch.rand(2, 3, 64, 96))
    assert out.shape == (2, 1, 64, 96)
    out.sum().backward()
    layers = [
        name for name, parameter in network.named_parameters() if "context" in name and parameter.grad is not None
    ]
    assert layers
    assert len(layers) == sum("context" in name for name, _ in network.named_parameters())
