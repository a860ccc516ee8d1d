"""Ways to the same logits with less arithmetic: what a network needs for training and not for mapping is taken out.

Two rewrites, both exact up to rounding. Batch norms are folded into the convolutions before them. A convolution over a
nearest-neighbour enlargement is computed on the small image: of the nine pixels under a 3 x 3 kernel several are copies
of the same small one, so their weights are added up beforehand and four kernels of 2 x 2, one for each place of a pixel
in its enlarged block, do with 16 multiplications what takes 36 (the opposite view of the sub-pixel convolution in Shi
et al. 2016, Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel CNN, section 2.2).
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_PROBE = 64  # side of the tile that shows whether a rewrite changed the network
_ALIKE = 1e-3  # of the spread of the logits
_PHASES = ((0, 0), (0, 1), (1, 0), (1, 1))  # row and column of a pixel in its enlarged block


def _fold(module: nn.Module) -> None:
    """Fold every BatchNorm2d into the convolution defined right before it, in place."""
    before: tuple[str, nn.Module] | None = None
    for name, child in list(module.named_children()):
        if (
            isinstance(child, nn.BatchNorm2d)
            and before is not None
            and isinstance(before[1], nn.Conv2d)
            and before[1].out_channels == child.num_features
        ):
            setattr(module, before[0], fuse_conv_bn_eval(before[1], child))
            # timm fuses the activation into its BatchNorm; it must outlive the fold.
            activation = getattr(child, "act", None)
            setattr(module, name, activation if isinstance(activation, nn.Module) else nn.Identity())
        else:
            _fold(child)
        before = (name, child)


def _summed(weight: Tensor, place: int, axis: int) -> Tensor:
    """A kernel of three along an axis as one of two: the first pixel of a block shares its source with the next."""
    first, middle, last = weight.unbind(axis)
    return torch.stack([first, middle + last] if place == 0 else [first + middle, last], dim=axis)


class EnlargedConvolution(nn.Module):
    """A 3 x 3 convolution over a doubled image and, beside it, one of full size; nothing is ever enlarged.

    Args:
        convolution: Over the channels of the doubled image, then those of the other.
        enlarged: How many of its input channels come from the doubled image.
    """

    def __init__(self, convolution: nn.Conv2d, enlarged: int) -> None:
        super().__init__()
        weight = convolution.weight.detach()
        bias = torch.zeros(weight.shape[0]) if convolution.bias is None else convolution.bias.detach()
        small, full = weight[:, :enlarged], weight[:, enlarged:]
        kernels = [_summed(_summed(small, down, 2), along, 3) for down, along in _PHASES]
        self.width = convolution.out_channels
        self.small = nn.Conv2d(enlarged, self.width * len(_PHASES), 2, padding=1)
        self.full = nn.Conv2d(full.shape[1], self.width, 3, padding=1, bias=False) if full.shape[1] else None
        with torch.no_grad():
            self.small.weight.copy_(torch.cat(kernels))
            cast("Tensor", self.small.bias).copy_(bias.repeat(len(_PHASES)))
            if self.full is not None:
                self.full.weight.copy_(full)

    def forward(self, small: Tensor, full: Tensor | None) -> Tensor:
        """(N, enlarged, H, W) and perhaps (N, C, 2 H, 2 W) to (N, width, 2 H, 2 W)."""
        count, _, height, width = small.shape
        phases = self.small(small)
        out: Tensor
        if self.full is None:
            out = phases.new_zeros((count, self.width, 2 * height, 2 * width)).to(memory_format=torch.channels_last)
        else:
            out = self.full(full)
        for index, (down, along) in enumerate(_PHASES):
            # The border of one pixel around the small image gives one row and one column too many.
            found = phases[:, index * self.width : (index + 1) * self.width, down:, along:][..., :height, :width]
            out[:, :, down::2, along::2].add_(found)
        return out


class _DecoderBlock(nn.Module):
    """A decoder block whose first convolution never sees the enlarged image."""

    def __init__(self, block: UnetDecoderBlock, enlarged: int) -> None:
        super().__init__()
        convolution, *rest = block.conv1
        self.first = EnlargedConvolution(cast("nn.Conv2d", convolution), enlarged)
        self.rest = nn.Sequential(*rest, block.conv2, block.attention2)

    def forward(
        self, feature_map: Tensor, target_height: int, target_width: int, skip_connection: Tensor | None = None
    ) -> Tensor:
        """As the block it stands for; the target is twice the feature map."""
        out: Tensor = self.rest(self.first(feature_map, skip_connection))
        return out


def _takes_shortcut(block: UnetDecoderBlock) -> bool:
    convolution = block.conv1[0]
    return (
        block.interpolation_mode == "nearest"
        and isinstance(block.attention1.attention, nn.Identity)
        and isinstance(convolution, nn.Conv2d)
        and (convolution.kernel_size, convolution.stride, convolution.padding) == ((3, 3), (1, 1), (1, 1))
        and (convolution.dilation, convolution.groups) == ((1, 1), 1)
    )


def _enlarge_nothing(network: nn.Module, probe: Tensor) -> None:
    """Exchange the decoder blocks of a U-Net that double their input, in place."""
    channels: dict[str, int] = {}

    def look(name: str, given: tuple[Any, ...]) -> None:
        feature_map, height, width = given[:3]
        if (2 * feature_map.shape[2], 2 * feature_map.shape[3]) == (height, width):
            channels[name] = feature_map.shape[1]

    blocks = {name: part for name, part in network.named_modules() if isinstance(part, UnetDecoderBlock)}
    hooks = [
        block.register_forward_pre_hook(lambda _, given, name=name: look(name, given)) for name, block in blocks.items()
    ]
    with torch.inference_mode():
        network(probe)
    for hook in hooks:
        hook.remove()
    for name, enlarged in channels.items():
        if _takes_shortcut(blocks[name]):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, _DecoderBlock(blocks[name], enlarged))


def shortened(network: nn.Module) -> nn.Module:
    """A copy of a network in eval mode that computes the same logits with less arithmetic.

    Modules are folded in the order they are defined in, which need not be the order they run in: the copy is compared
    with the network on a probe, and where it differs an unchanged copy is returned.

    Args:
        network: On the CPU, float32.
    """
    plain = copy.deepcopy(network).eval()
    candidate = copy.deepcopy(plain)
    first = next(module for module in plain.modules() if isinstance(module, nn.Conv2d))
    count = getattr(network, "in_channels", first.in_channels)
    probe = torch.rand((1, count, _PROBE, _PROBE), generator=torch.Generator().manual_seed(42))
    _fold(candidate)
    _enlarge_nothing(candidate, probe)
    with torch.inference_mode():
        expected, found = plain(probe), candidate(probe)
    spread = max(float(expected.std()), float(torch.finfo(torch.float32).tiny))
    alike = bool(torch.isfinite(found).all()) and float((expected - found).abs().max()) <= _ALIKE * spread
    return candidate if alike else plain
