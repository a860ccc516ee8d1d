"""The network: a U-Net from segmentation-models-pytorch, with BatchNorm or GroupNorm in all layers.

With the stem `half` the U-Net works at half the resolution: each 2 x 2 block of pixels becomes channels. A small head,
which gets those channels as a second input, computes the logits of all pixels. This is more than twice as fast, and
every layer covers twice as much ground in each direction.

Architecture only. The initial weights are chosen in `training.start`, networks are trained in `training`, and `bundle`
defines what is sealed with a network.
"""

from __future__ import annotations

import difflib
import warnings
from typing import Any

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.encoders import get_encoder_names
from torch import Tensor, nn
from torch.nn import functional as F

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.context import CONTEXTS, WithContext
from drshym_pipeline.model.inputs import channels
from drshym_pipeline.settings import NetworkConfig

STRIDE = 32
"""Height and width of a network's input must be multiples of this, because resolution is halved at most five times."""

_MIN_STAGES, _MAX_STAGES = 3, 5  # limits of the encoders of segmentation-models-pytorch
_BLOCK = 2  # side of the block of pixels that the stem `half` turns into channels
_DETAIL_WIDTH = 32
_MAX_GROUPS = 32  # the group count of the GroupNorm paper (Wu and He 2018, section 4.1)


def unknown_encoder(name: str) -> InputError:
    """Return the error for an unknown encoder, with the most similar names that exist."""
    names = [known for known in get_encoder_names() if not known.startswith("timm-")]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return InputError(
        "network.encoder",
        f"unknown encoder '{name}'",
        f"Did you mean {' or '.join(near)}?" if near else "Use one of segmentation-models-pytorch, such as resnet18",
    )


def check_network(config: NetworkConfig) -> None:
    """Check a configuration before anything is built from it.

    Raises:
        InputError: The encoder is unknown, or the decoder's widths do not fit the stem.
    """
    name = config.encoder
    if name.startswith("tu-"):
        import timm

        if not timm.is_model(name.removeprefix("tu-").split(".")[0]):
            raise unknown_encoder(name)
    elif name not in get_encoder_names():
        raise unknown_encoder(name)
    widths = config.decoder_channels
    most = _MAX_STAGES - (config.stem == "half")
    if not _MIN_STAGES <= len(widths) <= most or min(widths) < 1:
        raise InputError(
            "network.decoder_channels",
            f"needs {_MIN_STAGES} to {most} positive widths with stem: {config.stem}, got {list(widths)}",
            f"Write one per stage, such as {[256, 128, 64, 32, 16][:most]}",
        )


def _groups(width: int) -> int:
    """Return the largest group count up to 32 that divides `width` and leaves at least two channels per group."""
    return max(g for g in range(1, _MAX_GROUPS + 1) if width % g == 0 and (width // g >= 2 or g == 1))


def _group_norm(norm: nn.BatchNorm2d) -> nn.Module:
    group = nn.GroupNorm(_groups(norm.num_features), norm.num_features, eps=norm.eps)
    # timm makes the activation a part of its BatchNorm; it must be kept when the norm is replaced.
    activation = getattr(norm, "act", None)
    return nn.Sequential(group, activation) if isinstance(activation, nn.Module) else group


def replace_batch_norm(module: nn.Module) -> None:
    """Replace every BatchNorm2d below `module` by a GroupNorm of the same width, in place."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _group_norm(child))
        else:
            replace_batch_norm(child)


class HalfResolution(nn.Module):
    """A U-Net that works on blocks of 2 x 2 pixels.

    Space to depth and back (Shi et al. 2016, Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel CNN, section 2.2). The inputs of the head are the decoder's output and the blocks themselves, because the
    finest features of the encoder are four pixels wide, too coarse for a shore. With its second layer the head can
    average the speckle of a pond of a few pixels.

    Args:
        unet: Network that takes `count` x 4 channels and returns `width` features per block.
        count: Number of channels of the input.
        width: Number of channels of the U-Net's output.
    """

    def __init__(self, unet: nn.Module, count: int, width: int) -> None:
        super().__init__()
        self.in_channels = count
        self.unet = unet
        blocks = count * _BLOCK**2
        self.head = nn.Sequential(
            nn.Conv2d(width + blocks, _DETAIL_WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(_DETAIL_WIDTH),
            nn.ReLU(inplace=True),
            nn.Conv2d(_DETAIL_WIDTH, _DETAIL_WIDTH, 3, padding=1, bias=False),
            nn.BatchNorm2d(_DETAIL_WIDTH),
            nn.ReLU(inplace=True),
            nn.Conv2d(_DETAIL_WIDTH, _BLOCK**2, 3, padding=1),
        )

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute logits (N, 1, H, W) from inputs (N, count, H, W)."""
        blocks = F.pixel_unshuffle(inputs, _BLOCK).contiguous(memory_format=torch.channels_last)
        features = self.unet(blocks)
        return F.pixel_shuffle(self.head(torch.cat([features, blocks.to(features.dtype)], dim=1)), _BLOCK)


def _unet(config: NetworkConfig, count: int, classes: int, encoder_weights: str | None) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        network: nn.Module = smp.Unet(
            encoder_name=config.encoder,
            encoder_depth=len(config.decoder_channels),
            encoder_weights=encoder_weights,
            in_channels=count,
            classes=classes,
            decoder_channels=config.decoder_channels,
        )
    if len(config.decoder_channels) < _MAX_STAGES:
        _remove_unused_stages(network, count)
    if config.context != "none":
        encoder: Any = network.encoder
        network.encoder = WithContext(encoder, CONTEXTS[config.context](encoder.out_channels[-1]))
    return network


def _remove_unused_stages(network: nn.Module, count: int) -> None:
    """Remove the stages of a shallow encoder that are never run: they would be most of the bundle's size."""
    called: set[str] = set()
    encoder: Any = network.encoder
    stages = dict(encoder.named_children())
    # Some encoders call the parts of a stage directly, so a stage is in use when any of its parts is called.
    handles = [
        part.register_forward_hook(lambda *_, name=name: called.add(name))
        for name, stage in stages.items()
        for part in stage.modules()
    ]
    device = next(network.parameters()).device
    network.eval()
    with torch.inference_mode():
        encoder(torch.zeros(1, count, STRIDE, STRIDE, device=device))
    network.train()
    for handle in handles:
        handle.remove()
    for name in stages.keys() - called:
        setattr(encoder, name, nn.Identity())


def build_network(config: NetworkConfig, *, encoder_weights: str | None = None) -> nn.Module:
    """Build the network of a configuration, with random weights drawn from torch's generator.

    The module takes (N, channels, H, W) float32 as made by `inputs.network_input`, H and W multiples of 32, and returns
    logits of "flooded" as (N, 1, H, W).

    Args:
        config: Encoder, stem, norm, bands and decoder widths, one per stage. `start` is not used here.
        encoder_weights: Name of pretrained encoder weights to download; only `start.initial_state` sets it.

    Raises:
        InputError: The encoder is unknown, or cannot take this number of channels.
    """
    check_network(config)
    count = len(channels(config.bands))
    try:
        if config.stem == "half":
            width = config.decoder_channels[-1]
            unet = _unet(config, count * _BLOCK**2, width, encoder_weights)
            network: nn.Module = HalfResolution(unet, count, width)
        else:
            network = _unet(config, count, 1, encoder_weights)
    except (ValueError, NotImplementedError) as error:
        raise InputError(
            "network.encoder", f"'{config.encoder}' with {count} input channels: {error}", "Choose another encoder"
        ) from error
    if config.norm == "group":
        replace_batch_norm(network)
    return network


def load_state(network: nn.Module, state: dict[str, torch.Tensor], subject: str) -> None:
    """Put weights into a network; all of them must fit.

    Args:
        network: The network that gets the weights.
        state: Tensors by name.
        subject: Name of the weights in an error.

    Raises:
        InputError: Names or shapes belong to another architecture; the error names the first tensor that does not fit.
    """
    expected = network.state_dict()
    missing = sorted(expected.keys() - state.keys())
    surplus = sorted(state.keys() - expected.keys())
    misfit = sorted(name for name in expected.keys() & state.keys() if expected[name].shape != state[name].shape)
    if missing or surplus or misfit:
        if misfit:
            name = misfit[0]
            detail = f"'{name}' is {tuple(state[name].shape)}, the network has {tuple(expected[name].shape)}"
        else:
            detail = f"'{missing[0]}' is missing" if missing else f"'{surplus[0]}' has no place"
        *others, last = (name for name in NetworkConfig.model_fields if name != "start")
        raise InputError(
            subject,
            f"the weights belong to another architecture ({detail})",
            f"Check {', '.join(others)} and {last} against the model's own",
        )
    network.load_state_dict(state, assign=any(tensor.is_meta for tensor in expected.values()))
