"""Small networks of every kind with trained norms: with their initial statistics, folding would change nothing."""

from __future__ import annotations

import torch
from torch import nn

from drshym_pipeline.model.network import build_network
from drshym_pipeline.settings import NetworkConfig

NETWORKS = {
    "full": NetworkConfig(decoder_channels=(32, 16, 16, 8, 8)),
    "half": NetworkConfig(stem="half", decoder_channels=(32, 16, 8)),
    "dilated": NetworkConfig(stem="half", context="dilated", decoder_channels=(32, 16, 8)),
    "attention": NetworkConfig(stem="half", context="attention", decoder_channels=(32, 16, 8)),
    "group": NetworkConfig(norm="group", decoder_channels=(32, 16, 16, 8, 8)),
    "densenet": NetworkConfig(encoder="densenet121", decoder_channels=(32, 16, 16, 8, 8)),
    "timm": NetworkConfig(encoder="tu-resnet18", decoder_channels=(32, 16, 16, 8, 8)),
}


def settled(config: NetworkConfig) -> nn.Module:
    """Return the network of a configuration after three batches of noise."""
    torch.manual_seed(0)
    network = build_network(config).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(4, 3, 64, 64))
    return network.eval()
