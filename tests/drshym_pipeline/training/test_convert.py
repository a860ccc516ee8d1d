import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.network import build_network
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.settings import NetworkConfig
from drshym_pipeline.training.convert import convert_checkpoint

SMALL = NetworkConfig(encoder="resnet34", bands="vv", decoder_channels=(32, 16, 16, 8, 8))


def original(network: NetworkConfig = SMALL) -> nn.Module:
    torch.manual_seed(0)
    return build_network(network).eval()


@pytest.mark.parametrize(
    ("wrapper", "prefix"), [(None, ""), ("model", "module."), ("state_dict", "model.module."), (None, "net.")]
)
def test_a_state_dict_becomes_a_bundle_with_the_same_output(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    net = original()
    state = {prefix + name: tensor for name, tensor in net.state_dict().items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "best.pt")
    bundle = convert_checkpoint(tmp_path / "best.pt", tmp_path / "bundle")
    assert bundle.network.encoder == "resnet34"
    assert bundle.network.decoder_channels == (32, 16, 16, 8, 8)
    tiles = np.random.default_rng(0).random((1, 1, 64, 64), dtype=np.float32)
    converted = ModelBundle.load(tmp_path / "bundle").build()
    np.testing.assert_allclose(predict_logits(converted, tiles), predict_logits(net, tiles), atol=0.02)


def test_the_original_resnet50_on_vv_is_taken_over_uncalibrated(tmp_path: Path) -> None:
    net = original(NetworkConfig(encoder="resnet50", bands="vv"))
    state = {name: tensor for name, tensor in net.state_dict().items() if "num_batches_tracked" not in name}
    torch.save(state, tmp_path / "best.pt")
    bundle = convert_checkpoint(tmp_path / "best.pt", tmp_path / "bundle", encoder="resnet50")
    assert bundle.name == "unet_resnet50"
    assert (bundle.calibration["vv"].T, bundle.calibration["vv"].threshold) == (1.0, 0.45)
    assert bundle.area_errors["vv"].quantile is None
    assert bundle.network.bands == "vv"


def test_a_pickle_that_would_run_code_does_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"model": Trap()}, tmp_path / "zip.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Trap()))
    for name in ("zip.pt", "plain.pt"):
        with pytest.raises(InputError, match=rf"{name}: "):
            convert_checkpoint(tmp_path / name, tmp_path / "bundle")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "bundle").exists()


def save(tmp_path: Path, content: object) -> Path:
    torch.save(content, tmp_path / "best.pt")
    return tmp_path / "best.pt"


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="contains more than plain tensors"):
        convert_checkpoint(save(tmp_path, original()), tmp_path / "bundle")


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"model": {"a": 1}}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match=r"best\.pt: contains no state dict"):
        convert_checkpoint(save(tmp_path, content), tmp_path / "bundle")


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no convolutional encoder"):
        convert_checkpoint(save(tmp_path, {"fc.weight": torch.zeros(3, 3)}), tmp_path / "bundle")


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    state = original().state_dict()
    state["encoder.conv1.weight"] = torch.zeros(48, 1, 7, 7)
    with pytest.raises(InputError, match="not a Unet with a plain ResNet encoder"):
        convert_checkpoint(save(tmp_path, state), tmp_path / "bundle")
    with pytest.raises(InputError, match="another architecture"):
        convert_checkpoint(save(tmp_path, state), tmp_path / "bundle", encoder="resnet34")


def test_channels_of_unknown_meaning_are_refused_unless_said(tmp_path: Path) -> None:
    path = save(tmp_path, original(SMALL.model_copy(update={"bands": "vv_vh"})).state_dict())
    with pytest.raises(InputError, match="takes 3 input channels"):
        convert_checkpoint(path, tmp_path / "bundle")
    assert convert_checkpoint(path, tmp_path / "bundle", bands="vv_vh").default_mode == "vv_vh"


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    state = original().state_dict()
    state["encoder.conv1.weight"][0] = float("nan")
    with pytest.raises(InputError, match=r"'encoder\.conv1\.weight' are not finite"):
        convert_checkpoint(save(tmp_path, state), tmp_path / "bundle")


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, size: int) -> None:
    path = save(tmp_path, original().state_dict())
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InputError, match=r"best\.pt: "):
        convert_checkpoint(path, tmp_path / "bundle")


@pytest.mark.parametrize("content", [b"import this\n" * 50, b"\x80\x02jK\x00\x00\x00."])
def test_a_file_that_is_no_checkpoint_is_refused_in_words(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "best.pt").write_bytes(content)
    with pytest.raises(
        InputError, match=r"best\.pt: (not a readable checkpoint \([a-z ]{9,}|contains more than)"
    ) as caught:
        convert_checkpoint(tmp_path / "best.pt", tmp_path / "bundle")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_bad_threshold_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        convert_checkpoint(tmp_path / "none.pt", tmp_path / "bundle")
    with pytest.raises(InputError, match="threshold"):
        convert_checkpoint(tmp_path / "none.pt", tmp_path / "bundle", threshold=1.0)
