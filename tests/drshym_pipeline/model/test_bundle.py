import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.model import bundle as bundle_module
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.model.network import build_network
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.model.service_record import in_service_record, model_in_service, write_in_service
from drshym_pipeline.model.weights import pack_weights, unpack_weights
from drshym_pipeline.records import Calibration, ModelCard
from drshym_pipeline.settings import NetworkConfig
from drshym_pipeline.training.start import initial_state

NETWORK = NetworkConfig(decoder_channels=(32, 16, 16, 8, 8))


def make(seed: int = 0, network: NetworkConfig = NETWORK) -> ModelBundle:
    torch.manual_seed(seed)
    net = build_network(network)
    net.train()
    net(torch.rand(2, 3 if network.bands == "vv_vh" else 1, 64, 64))
    card = ModelCard(
        name="tiny",
        version="0.1",
        architecture="unet",
        encoder=network.encoder,
        parameters=sum(p.numel() for p in net.parameters()),
        bands=network.bands,
        training_data="made for a test",
        training_sha256="0" * 64,
        scores={},
        intended_use="tests",
        limits=(),
    )
    return ModelBundle.create(
        name="tiny",
        version="0.1",
        network=network,
        state=net.state_dict(),
        calibration={"vv": Calibration(T=1.3, threshold=0.4), "vv_vh": Calibration(T=1.1, threshold=0.45)},
        area_errors={"vv_vh": AreaErrorModel()},
        card=card,
        training_sha256="0" * 64,
    )


@pytest.fixture(scope="module")
def sealed() -> ModelBundle:
    return make()


@pytest.fixture
def saved(sealed: ModelBundle, tmp_path: Path) -> Path:
    return sealed.save(tmp_path / "bundle")


def test_a_saved_bundle_is_loaded_with_the_same_hash_and_output(sealed: ModelBundle, saved: Path) -> None:
    tiles = np.random.default_rng(3).random((2, 3, 64, 64), dtype=np.float32)
    expected = predict_logits(sealed.build(), tiles)
    for path in (saved, saved / "model.json", saved / "model.safetensors"):
        loaded = ModelBundle.load(path)
        assert loaded.sha256 == sealed.sha256
        assert loaded.calibration["vv"].threshold == 0.4
        assert loaded.area_errors == sealed.area_errors
    np.testing.assert_array_equal(predict_logits(loaded.build(), tiles), expected)


def test_a_loaded_bundle_saved_again_is_the_same_bundle(saved: Path, tmp_path: Path) -> None:
    again = ModelBundle.load(saved).save(tmp_path / "again")
    for name in ("model.json", "model.safetensors"):
        assert (again / name).read_bytes() == (saved / name).read_bytes()


def test_half_precision_weights_keep_buffers_and_differ_little() -> None:
    torch.manual_seed(0)
    net = build_network(NETWORK)
    net.train()
    net(torch.rand(2, 3, 64, 64))
    state = net.state_dict()
    state["encoder.bn1.running_var"][0] = 1e6  # beyond float16
    back = unpack_weights(pack_weights(state, "float16"))
    assert back.keys() == state.keys()
    assert back["encoder.bn1.num_batches_tracked"].dtype == torch.int64
    assert int(back["encoder.bn1.num_batches_tracked"]) == 1
    assert float(back["encoder.bn1.running_var"][0]) == 1e6
    assert all(torch.isfinite(tensor).all() for tensor in back.values())
    worst = max(float((back[name] - state[name]).abs().max()) for name in state if "running_var" not in name)
    assert 0 < worst < 2e-3


def test_changed_weights_are_refused(saved: Path) -> None:
    path = saved / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"model\.safetensors: the weights do not match"):
        ModelBundle.load(saved)


def test_a_changed_threshold_is_refused(saved: Path) -> None:
    path = saved / "model.json"
    values = json.loads(path.read_text())
    values["calibration"]["vv"]["threshold"] = 0.9
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"model\.json: its contents do not match its sha256"):
        ModelBundle.load(saved)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_one_clear_error(saved: Path, number: str) -> None:
    path = saved / "model.json"
    path.write_text(path.read_text("utf-8").replace("{", f'{{"extra": {number},', 1), "utf-8")
    with pytest.raises(InputError, match=r"model\.json: not valid JSON \(.*\)\. Copy the bundle again\.$"):
        ModelBundle.load(saved)


def test_weights_of_another_bundle_are_refused(saved: Path, tmp_path: Path) -> None:
    other = make(seed=1).save(tmp_path / "other")
    (saved / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="do not match"):
        ModelBundle.load(saved)


def test_weights_of_another_architecture_are_refused(sealed: ModelBundle) -> None:
    grouped = NETWORK.model_copy(update={"norm": "group"})
    record = sealed.record.model_copy(update={"network": grouped})
    with pytest.raises(InputError, match="another architecture"):
        ModelBundle(record, sealed.document, sealed.weights).build()


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".pkl"])
def test_a_pickle_is_refused_and_conversion_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"best{suffix}"
    path.write_bytes(b"\x80\x04.")
    with pytest.raises(InputError, match="drshym convert-checkpoint"):
        ModelBundle.load(path)


def test_a_missing_bundle_and_a_folder_without_a_bundle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model bundle"):
        ModelBundle.load(tmp_path / "nothing")
    with pytest.raises(InputError, match="not a model bundle"):
        ModelBundle.load(tmp_path)


def test_missing_weights_are_named(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    with pytest.raises(InputError, match="weights are missing"):
        ModelBundle.load(saved)


def test_a_missing_shipped_checkpoint_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bundle_module, "shipped_path", lambda: tmp_path / "none")
    with pytest.raises(InputError, match="ships with the package is missing"):
        shipped_bundle()


def test_a_mode_without_calibration_uses_the_default_mode(sealed: ModelBundle) -> None:
    assert sealed.serving_mode("vv") == "vv"
    only = sealed.record.model_copy(update={"calibration": {"vv_vh": Calibration()}})
    assert ModelBundle(only, sealed.document, sealed.weights).serving_mode("vv") == "vv_vh"


def test_a_bundle_is_loaded_without_torch(saved: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from drshym_pipeline.model.service_record import model_in_service;"
        "from drshym_pipeline.model.bundle import ModelBundle; ModelBundle.load(Path(sys.argv[1]));"
        "assert not {'torch', 'rasterio', 'lightning'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code, str(saved)], check=True, timeout=300)


def test_training_can_start_from_a_bundle(sealed: ModelBundle, saved: Path) -> None:
    state = initial_state(NETWORK.model_copy(update={"start": str(saved)}))
    expected = sealed.state()
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_training_cannot_start_from_a_bundle_of_another_architecture(saved: Path) -> None:
    config = NetworkConfig(decoder_channels=(64, 32, 16, 16, 8), start=str(saved))
    with pytest.raises(InputError, match=r"network\.start .*another architecture"):
        initial_state(config)


def test_random_start_follows_the_seed() -> None:
    torch.manual_seed(5)
    first = initial_state(NETWORK)
    torch.manual_seed(5)
    second = initial_state(NETWORK)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_pretrained_weights_that_cannot_be_downloaded_are_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_CACHE", "/nonexistent")
    with pytest.raises(InputError, match=r"network\.start: the imagenet weights of 'resnet34' cannot be fetched"):
        initial_state(NetworkConfig(encoder="resnet34", start="imagenet"))


def test_the_model_in_service_is_recorded_and_loaded(sealed: ModelBundle, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert in_service_record(store) is None
    directory = sealed.save(store / "models" / "tiny")
    written = write_in_service(store, directory, sealed.reference("registry"), "first model")
    assert written.path == "models/tiny"
    bundle, reference = model_in_service(store)
    assert bundle.sha256 == reference.sha256 == sealed.sha256
    assert reference.source == "registry"
    moved = store.rename(tmp_path / "moved")
    assert model_in_service(moved)[1] == reference


def test_a_bundle_that_was_replaced_after_it_was_recorded_is_refused(sealed: ModelBundle, tmp_path: Path) -> None:
    store = tmp_path / "store"
    directory = sealed.save(store / "models" / "tiny")
    write_in_service(store, directory, sealed.reference("registry"), "first model")
    make(seed=2).save(directory)
    with pytest.raises(InputError, match="the record pins"):
        model_in_service(store)


def test_a_damaged_service_record_is_named(tmp_path: Path) -> None:
    path = tmp_path / "records" / "flood_model.json"
    path.parent.mkdir()
    path.write_text('{"path": "x"}')
    with pytest.raises(InputError, match=r"flood_model\.json: field 'reference' is missing"):
        in_service_record(tmp_path)
