"""The same logits with less arithmetic: operations that only training needs are removed from a network.

There are two changes, both exact up to rounding. Batch norms are folded into the convolutions before them. A
convolution over a nearest-neighbour enlargement is computed on the small image: several of the nine pixels under a 3 x
3 kernel are copies of the same small pixel, so their weights can be added in advance. Four kernels of 2 x 2, one for
each place of a pixel in its enlarged block, then need 16 multiplications instead of 36 (the inverse of the sub-pixel
convolution in Shi et al. 2016, Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel CNN,
section 2.2).
"""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_PROBE = 64  # side of the tile on which the changed network is compared with the original
_ALIKE = 1e-3  # largest difference, as a share of the standard deviation of the logits
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
            # timm makes the activation a part of its BatchNorm; it must be kept when the norm is folded.
            activation = getattr(child, "act", None)
            setattr(module, name, activation if isinstance(activation, nn.Module) else nn.Identity())
        else:
            _fold(child)
        before = (name, child)


def _summed(weight: Tensor, place: int, axis: int) -> Tensor:
    """Turn a kernel of three weights along an axis into one of two; neighbouring pixels that are copies share a weight.

    `place` is 0 for the first pixel of an enlarged block along the axis, and 1 for the second.
    """
    first, middle, last = weight.unbind(axis)
    return torch.stack([first, middle + last] if place == 0 else [first + middle, last], dim=axis)


class EnlargedConvolution(nn.Module):
    """A 3 x 3 convolution over a doubled image and an image of full size, computed without enlarging the first.

    Args:
        convolution: The convolution over the channels of the doubled image, followed by those of the other image.
        enlarged: Number of its input channels that come from the doubled image.
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
        """Compute (N, width, 2 H, 2 W) from (N, enlarged, H, W) and, where there is one, (N, C, 2 H, 2 W)."""
        count, _, height, width = small.shape
        phases = self.small(small)
        out: Tensor
        if self.full is None:
            out = phases.new_zeros((count, self.width, 2 * height, 2 * width)).to(memory_format=torch.channels_last)
        else:
            out = self.full(full)
        for index, (down, along) in enumerate(_PHASES):
            # With the border of one pixel around the small image there is one row and one column too many.
            found = phases[:, index * self.width : (index + 1) * self.width, down:, along:][..., :height, :width]
            out[:, :, down::2, along::2].add_(found)
        return out


class _DecoderBlock(nn.Module):
    """A decoder block whose first convolution does not need the enlarged image."""

    def __init__(self, block: UnetDecoderBlock, enlarged: int) -> None:
        super().__init__()
        convolution, *rest = block.conv1
        self.first = EnlargedConvolution(cast("nn.Conv2d", convolution), enlarged)
        self.rest = nn.Sequential(*rest, block.conv2, block.attention2)

    def forward(
        self, feature_map: Tensor, target_height: int, target_width: int, skip_connection: Tensor | None = None
    ) -> Tensor:
        """Compute the output of the original block; the target size is twice that of the feature map."""
        out: Tensor = self.rest(self.first(feature_map, skip_connection))
        return out


def _can_be_replaced(block: UnetDecoderBlock) -> bool:
    convolution = block.conv1[0]
    return (
        block.interpolation_mode == "nearest"
        and isinstance(block.attention1.attention, nn.Identity)
        and isinstance(convolution, nn.Conv2d)
        and (convolution.kernel_size, convolution.stride, convolution.padding) == ((3, 3), (1, 1), (1, 1))
        and (convolution.dilation, convolution.groups) == ((1, 1), 1)
    )


def _replace_decoder_blocks(network: nn.Module, probe: Tensor) -> None:
    """Replace the decoder blocks of a U-Net that double their input, in place."""
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
        if _can_be_replaced(blocks[name]):
            parent, _, own = name.rpartition(".")
            setattr(network.get_submodule(parent), own, _DecoderBlock(blocks[name], enlarged))


def shortened(network: nn.Module) -> nn.Module:
    """Return a copy of a network in eval mode that computes the same logits with less arithmetic.

    Modules are folded in the order of their definition, which may differ from the order in which they run. Therefore
    the copy is compared with the network on a probe, and an unchanged copy is returned where they differ.

    Args:
        network: A float32 network on the CPU.
    """
    plain = copy.deepcopy(network).eval()
    candidate = copy.deepcopy(plain)
    first = next(module for module in plain.modules() if isinstance(module, nn.Conv2d))
    count = getattr(network, "in_channels", first.in_channels)
    probe = torch.rand((1, count, _PROBE, _PROBE), generator=torch.Generator().manual_seed(42))
    _fold(candidate)
    _replace_decoder_blocks(candidate, probe)
    with torch.inference_mode():
        expected, found = plain(probe), candidate(probe)
    spread = max(float(expected.std()), float(torch.finfo(torch.float32).tiny))
    alike = bool(torch.isfinite(found).all()) and float((expected - found).abs().max()) <= _ALIKE * spread
    return candidate if alike else plain
