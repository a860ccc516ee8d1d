import re

import numpy as np
import pytest
import torch
from torch import nn

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.compute import native_bf16, resolve_precision
from drshym_pipeline.model.network import build_network, load_state
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.settings import NetworkConfig

SMALL = {"decoder_channels": (32, 16, 16, 8, 8)}


def network(norm: str = "batch", bands: str = "vv_vh", encoder: str = "resnet18") -> nn.Module:
    torch.manual_seed(0)
    return build_network(NetworkConfig(encoder=encoder, norm=norm, bands=bands, **SMALL))


def test_unknown_encoder_names_the_nearest_ones() -> None:
    with pytest.raises(InputError, match=r"unknown encoder 'resnet19'.*resnet18"):
        build_network(NetworkConfig(encoder="resnet19"))


def test_unknown_timm_encoder_is_refused() -> None:
    with pytest.raises(InputError, match="unknown encoder 'tu-resnett18'"):
        build_network(NetworkConfig(encoder="tu-resnett18"))


@pytest.mark.parametrize(("stem", "widths"), [("full", (64, 32)), ("full", (8,) * 6), ("half", (16, 16, 8, 8, 8))])
def test_decoder_widths_must_fit_the_stem(stem: str, widths: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=f"decoder_channels.*stem: {stem}"):
        build_network(NetworkConfig(stem=stem, decoder_channels=widths))


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("encoder", ["resnet18", "resnet50", "efficientnet-b0", "mobilenet_v2", "tu-resnet18"])
def test_the_half_stem_gives_every_pixel_its_own_logit(encoder: str, norm: str) -> None:
    torch.manual_seed(0)
    net = build_network(NetworkConfig(encoder=encoder, stem="half", norm=norm, decoder_channels=(16, 16, 8, 8)))
    out = net(torch.rand(2, 3, 64, 96))
    assert out.shape == (2, 1, 64, 96)
    # The four pixels of a block have different logits, so the output is not just enlarged.
    assert out[..., ::2, ::2].ne(out[..., 1::2, 1::2]).all()


def test_a_shallow_network_has_no_unused_weights() -> None:
    net = build_network(NetworkConfig(stem="half", decoder_channels=(16, 16, 8, 8)))
    net(torch.rand(2, 3, 64, 64)).sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []
    assert net.training


@pytest.mark.parametrize("encoder", ["resnet18", "mobilenet_v2", "efficientnet-b0", "tu-resnet18"])
def test_group_norm_leaves_no_batch_norm_in_any_family(encoder: str) -> None:
    net = network("group", encoder=encoder)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
    out = net(torch.rand(1, 3, 64, 64))
    assert out.shape == (1, 1, 64, 64)
    assert torch.isfinite(out).all()


def test_group_norm_keeps_activations_fused_into_the_norm() -> None:
    with_batch = network("batch", encoder="tu-efficientnet_b0")
    with_group = network("group", encoder="tu-efficientnet_b0")
    fused = sum(isinstance(getattr(module, "act", None), nn.SiLU) for module in with_batch.modules())
    assert fused > 10
    assert sum(isinstance(module, nn.SiLU) for module in with_group.modules()) >= fused


@pytest.mark.parametrize(("bands", "count"), [("vv", 1), ("vv_vh", 3)])
def test_input_channels_follow_the_bands(bands: str, count: int) -> None:
    assert network(bands=bands)(torch.rand(2, count, 32, 32)).shape == (2, 1, 32, 32)


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_tile_does_not_depend_on_the_other_tiles_of_its_batch(norm: str, precision: str) -> None:
    net = network(norm)
    rng = np.random.default_rng(42)
    net.train()
    net(torch.from_numpy(rng.random((4, 3, 64, 64), dtype=np.float32)))  # changes the running statistics
    tiles = rng.random((3, 3, 64, 64), dtype=np.float32)
    tiles[2] = 0.0
    together = predict_logits(net, tiles, precision=precision)
    assert np.isfinite(together).all()
    for index in range(3):
        alone = predict_logits(net, tiles[index : index + 1], precision=precision)
        np.testing.assert_array_equal(alone[0], together[index])
    assert net.training


def test_prediction_takes_any_size_and_returns_it() -> None:
    net = network()
    tiles = np.random.default_rng(1).random((1, 3, 70, 33), dtype=np.float32)
    out = predict_logits(net, tiles)
    assert out.shape == (1, 70, 33)
    assert out.dtype == np.float32
    assert predict_logits(net, tiles[:, :, :1, :1]).shape == (1, 1, 1)


def test_prediction_refuses_an_empty_batch() -> None:
    with pytest.raises(InputError, match="no empty axis"):
        predict_logits(network(), np.zeros((0, 3, 32, 32), dtype=np.float32))


def test_auto_precision_on_a_cpu_is_bf16_only_with_hardware_support() -> None:
    assert resolve_precision("auto", "cpu") == ("bf16" if native_bf16("cpu") else "fp32")
    assert resolve_precision("bf16", "cpu") == "bf16"


def test_the_error_for_weights_of_another_architecture_names_what_does_not_fit() -> None:
    wide = build_network(NetworkConfig(decoder_channels=(64, 32, 16, 16, 8)))
    with pytest.raises(InputError, match=r"w\.bin: the weights belong to another architecture"):
        load_state(network(), dict(wide.state_dict()), "w.bin")
    with pytest.raises(InputError, match="is missing"):
        load_state(network(), {}, "w.bin")


def test_the_error_for_weights_of_another_architecture_names_every_setting_of_the_network() -> None:
    with pytest.raises(InputError) as caught:
        load_state(torch.nn.Linear(1, 1), {}, "w.bin")
    assert caught.value.remedy.endswith(" against the model's own")
    named = set(re.findall(r"[a-z_]+", caught.value.remedy))
    assert named >= NetworkConfig.model_fields.keys() - {"start"}
    assert "start" not in named
