"""The network itself: a U-Net from segmentation-models-pytorch, with BatchNorm or GroupNorm throughout.

Architecture only. Where initial weights come from is decided in `start`, how a network is trained in `training`, and
what is sealed with it in `bundle`.
"""

from __future__ import annotations

import difflib
import warnings

import segmentation_models_pytorch as smp
import torch
from segmentation_models_pytorch.encoders import get_encoder_names
from torch import nn

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.inputs import channels
from drshym_pipeline.settings import NetworkConfig

STRIDE = 32
"""Height and width of a network's input must be multiples of this: the encoder halves its resolution five times."""

_STAGES = 5
_MAX_GROUPS = 32  # the group count of the GroupNorm paper (Wu and He 2018, section 4.1)


def unknown_encoder(name: str) -> InputError:
    """The error for an encoder nobody knows, with the nearest names that exist."""
    names = [known for known in get_encoder_names() if not known.startswith("timm-")]
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return InputError(
        "network.encoder",
        f"unknown encoder '{name}'",
        f"Did you mean {' or '.join(near)}" if near else "Use one of segmentation-models-pytorch, such as resnet18",
    )


def check_network(config: NetworkConfig) -> None:
    """Refuse a configuration no network can be built from, before anything is built.

    Raises:
        InputError: The encoder is unknown, or the decoder does not have five positive widths.
    """
    name = config.encoder
    if name.startswith("tu-"):
        import timm

        if not timm.is_model(name.removeprefix("tu-").split(".")[0]):
            raise unknown_encoder(name)
    elif name not in get_encoder_names():
        raise unknown_encoder(name)
    widths = config.decoder_channels
    if len(widths) != _STAGES or min(widths) < 1:
        raise InputError(
            "network.decoder_channels",
            f"needs {_STAGES} positive widths, got {list(widths)}",
            "Write five, such as [256, 128, 64, 32, 16]",
        )


def _groups(width: int) -> int:
    """The largest group count up to 32 that divides `width` and leaves at least two channels a group."""
    return max(g for g in range(1, _MAX_GROUPS + 1) if width % g == 0 and (width // g >= 2 or g == 1))


def _group_norm(norm: nn.BatchNorm2d) -> nn.Module:
    group = nn.GroupNorm(_groups(norm.num_features), norm.num_features, eps=norm.eps)
    # timm fuses the activation into its BatchNorm; it must outlive the exchange.
    activation = getattr(norm, "act", None)
    return nn.Sequential(group, activation) if isinstance(activation, nn.Module) else group


def replace_batch_norm(module: nn.Module) -> None:
    """Exchange every BatchNorm2d below `module` for a GroupNorm of the same width, in place."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            setattr(module, name, _group_norm(child))
        else:
            replace_batch_norm(child)


def build_network(config: NetworkConfig, *, encoder_weights: str | None = None) -> nn.Module:
    """Build the network of a configuration, with random weights drawn from torch's generator.

    The module takes (N, channels, H, W) float32 as made by `inputs.network_input`, H and W multiples of 32, and returns
    logits of "flooded" as (N, 1, H, W).

    Args:
        config: Encoder, norm, bands and decoder widths. `start` plays no part here.
        encoder_weights: Name of pretrained encoder weights to fetch; for `start.initial_state` alone.

    Raises:
        InputError: The encoder is unknown, or cannot take this number of channels.
    """
    check_network(config)
    count = len(channels(config.bands))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            network: nn.Module = smp.Unet(
                encoder_name=config.encoder,
                encoder_weights=encoder_weights,
                in_channels=count,
                classes=1,
                decoder_channels=config.decoder_channels,
            )
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
        network: Where they go.
        state: Tensors by name.
        subject: What to call the weights in an error.

    Raises:
        InputError: Names or shapes belong to another architecture; the first misfit is named.
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
        raise InputError(
            subject,
            f"the weights belong to another architecture ({detail})",
            "Check encoder, norm, bands and decoder_channels against the model's own",
        )
    network.load_state_dict(state, assign=any(tensor.is_meta for tensor in expected.values()))
