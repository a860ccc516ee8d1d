"""Conversion of a pickled checkpoint of the original system to a bundle. No code in the pickle is executed.

This is the only module that reads a pickle from outside, and it reads plain tensors only (`torch.load` with
`weights_only`).
"""

from __future__ import annotations

import pickle
import re
import struct
from pathlib import Path
from typing import Any

import torch

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, served_modes
from drshym_pipeline.model.network import build_network, load_state
from drshym_pipeline.records import BandMode, Calibration, ModelCard
from drshym_pipeline.settings import NetworkConfig
from drshym_pipeline.storage import sha256_file

ORIGINAL_THRESHOLD = 0.45

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network")
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
_TRIED_ENCODERS = ("resnet50", "resnet18", "resnet34", "resnet101", "resnet152")
_REMEDY = "Give a state dict of a segmentation-models-pytorch Unet, saved with torch.save(model.state_dict(), path)"

State = dict[str, torch.Tensor]


def read_state(path: Path) -> State:
    """Read the tensors of a pickled checkpoint, by name without the prefixes of wrappers.

    Args:
        path: File with a state dict, or with a dict that contains one as `state_dict`, `model` or a similar name.

    Raises:
        InputError: The file is missing, is not a checkpoint, contains anything but plain values, or has values that are
            not finite.
    """
    if not path.is_file():
        raise InputError(path, "the checkpoint does not exist", "Check the path")
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(path, "contains more than plain tensors and was not opened", _REMEDY) from error
    except (EOFError, KeyError, IndexError, AttributeError, struct.error) as error:
        # The texts of these errors are fragments of the pickle, such as "(105)", and say nothing to a reader.
        raise InputError(path, "not a readable checkpoint (its contents are damaged or cut off)", _REMEDY) from error
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(path, f"not a readable checkpoint ({reason})", _REMEDY) from error
    for name in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
            break
    if not isinstance(content, dict) or not content or not all(torch.is_tensor(item) for item in content.values()):
        raise InputError(path, "contains no state dict", _REMEDY)
    state: State = {str(name): tensor for name, tensor in content.items()}
    while prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    broken = next((name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())), None)
    if broken:
        raise InputError(path, f"the weights '{broken}' are not finite", "Use an earlier checkpoint")
    return state


def _bands(state: State, path: Path) -> BandMode:
    first = next((t for name, t in state.items() if name.startswith("encoder.") and t.ndim == 4), None)
    if first is None:
        raise InputError(path, "contains no convolutional encoder", _REMEDY)
    count = first.shape[1]
    if count != 1:
        raise InputError(
            path,
            f"takes {count} input channels, of which only one (VV) has a known meaning",
            "Say --bands vv_vh if they are VV, VH and where VH was observed",
        )
    return "vv"


def _decoder_channels(state: State, path: Path) -> tuple[int, ...]:
    pattern = re.compile(r"^decoder\.blocks\.(\d+)\.conv1\.0\.weight$")
    widths = {int(match[1]): tensor.shape[0] for name, tensor in state.items() if (match := pattern.match(name))}
    if not widths:
        raise InputError(path, "contains no U-Net decoder", _REMEDY)
    return tuple(widths[index] for index in sorted(widths))


def _fits(network: NetworkConfig, state: State) -> bool:
    try:
        with torch.device("meta"):
            expected = build_network(network).state_dict()
    except (RuntimeError, InputError):
        return False
    return expected.keys() == state.keys() and all(expected[name].shape == state[name].shape for name in expected)


def infer_network(
    state: State, path: Path, *, encoder: str | None = None, bands: BandMode | None = None
) -> NetworkConfig:
    """Return the network configuration that a state dict fits.

    Args:
        state: The tensors, from `read_state`.
        path: The file to name in an error.
        encoder: The encoder of the network; the plain ResNets are tried when None.
        bands: The bands of the network; decided by the number of input channels when None.

    Raises:
        InputError: No known encoder fits, or the input is not VV.
    """
    network = NetworkConfig(
        encoder=encoder or _TRIED_ENCODERS[0],
        norm="batch" if any(name.endswith("running_mean") for name in state) else "group",
        bands=bands or _bands(state, path),
        decoder_channels=_decoder_channels(state, path),
    )
    if encoder is not None:
        return network
    candidates = (network.model_copy(update={"encoder": name}) for name in _TRIED_ENCODERS)
    found = next((candidate for candidate in candidates if _fits(candidate, state)), None)
    if found is None:
        raise InputError(path, "is not a Unet with a plain ResNet encoder", "Name its encoder with --encoder")
    return found


def convert_checkpoint(
    path: Path,
    directory: Path,
    *,
    encoder: str | None = None,
    bands: BandMode | None = None,
    threshold: float = ORIGINAL_THRESHOLD,
    name: str | None = None,
) -> ModelBundle:
    """Write a bundle with the weights of a pickled checkpoint.

    The bundle is not calibrated (T = 1) and has no area errors: the interval of an area is then the whole observed
    area.

    Args:
        path: The checkpoint, such as `best.pt` of the original system.
        directory: Folder of the bundle.
        encoder: The encoder of the network; the plain ResNets are tried when None.
        bands: The bands of the network; `vv` for one input channel when None.
        threshold: Threshold of the map, in (0, 1); that of the original system by default.
        name: Name of the model; `unet_<encoder>` by default.

    Raises:
        InputError: The file is not a checkpoint of a network that this program can build, or the threshold is out of
            range.
    """
    if not 0.0 < threshold < 1.0:
        raise InputError("threshold", f"must lie between 0 and 1, got {threshold}", f"Choose {ORIGINAL_THRESHOLD}")
    state = read_state(path)
    network = infer_network(state, path, encoder=encoder, bands=bands)
    # A finished network does not use counts of batches, and old checkpoints lack them.
    built = build_network(network)
    counters = {key: value for key, value in built.state_dict().items() if key.endswith("num_batches_tracked")}
    load_state(built, {**counters, **state}, str(path))
    model_name = name or f"unet_{network.encoder}"
    version = f"{model_name}_converted-{sha256_file(path)[:8]}"
    modes = served_modes(network.bands)
    card = ModelCard(
        name=model_name,
        version=version,
        architecture=f"U-Net, {network.norm} norm, decoder {list(network.decoder_channels)}",
        encoder=network.encoder,
        parameters=sum(parameter.numel() for parameter in built.parameters()),
        bands=network.bands,
        training_data=f"not known: converted from {path.name}",
        training_sha256="unknown",
        scores={},
        intended_use="Comparison with the system the checkpoint comes from.",
        limits=("Not calibrated: its probabilities and areas were never checked here.",),
    )
    bundle = ModelBundle.create(
        name=model_name,
        version=version,
        network=network,
        state=built.state_dict(),
        calibration={mode: Calibration(threshold=threshold) for mode in modes},
        area_errors={mode: AreaErrorModel() for mode in modes},
        card=card,
        training_sha256="unknown",
    )
    bundle.save(directory)
    return bundle
