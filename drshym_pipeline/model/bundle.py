"""The sealed model: weights, normalisation, calibration and card as one thing with one SHA-256.

A bundle is a directory of two files: `model.safetensors` (tensors, nothing executable) and `model.json`. Loading checks
both against the hash and needs no torch; `build` does. Which bundle is in service is kept by `service_record`, how one
comes about by `sealing`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from drshym_pipeline import __version__
from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import BandMode, Calibration, ModelCard, ModelReference, Record, describe_validation
from drshym_pipeline.settings import NetworkConfig
from drshym_pipeline.storage import atomic_directory, read_json, sha256_json, write_bytes, write_json

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS_FILE = "model.safetensors"
RECORD_FILE = "model.json"
SHIPPED_NAME = "unet_resnet18_v0.1"

_PICKLES = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin"})
_PART_OF = {"vv": ("vv",), "vv_vh": ("vv_vh", "vv")}


class Normalisation(Record):
    """How dB became the network's input: clip((dB - low) / (high - low), 0, 1), 0 where not observed.

    Only the range this program applies is allowed, so that a bundle made for another one is refused, not misread.
    """

    unit: Literal["dB"] = "dB"
    low: Literal[-30] = -30
    high: Literal[0] = 0


class BundleRecord(Record):
    """The contents of `model.json`, apart from its hash.

    `calibration` and `area_errors` are by band mode: a `vv_vh` network serves scenes of VV alone as a mode of its own.
    `training` is the recipe as plain values, None for a model converted from elsewhere: it is history, and an option
    renamed later must not make an old bundle unreadable.
    """

    format: Literal["drshym-bundle/1"] = "drshym-bundle/1"
    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    version: str = Field(min_length=1)
    architecture: Literal["unet"] = "unet"
    network: NetworkConfig
    normalisation: Normalisation = Normalisation()
    default_mode: BandMode
    calibration: dict[BandMode, Calibration] = Field(min_length=1)
    area_errors: dict[BandMode, AreaErrorModel]
    training_sha256: str
    training: dict[str, Any] | None
    card: ModelCard
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    weights_dtype: Literal["float16", "float32"]
    software: dict[str, str]


def served_modes(bands: BandMode) -> tuple[BandMode, ...]:
    """Band modes a network of these bands can map, its own first."""
    return _PART_OF[bands]  # type: ignore[return-value]  # mypy widens the literals of a dict


def software_versions() -> dict[str, str]:
    """Versions of what a model's figures depend on."""
    names = ("torch", "segmentation-models-pytorch", "lightning", "numpy")
    return {"drshym-pipeline": __version__, **{name: version(name) for name in names}}


def pack_weights(state: Mapping[str, torch.Tensor], dtype: Literal["float16", "float32"]) -> bytes:
    """Tensors as safetensors bytes, the same bytes for the same tensors.

    Integer buffers keep their type; a tensor that would not stay finite in float16 stays float32.
    """
    import torch
    from safetensors.torch import save

    packed = {}
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        if tensor.is_floating_point():
            tensor = tensor.float()
            if dtype == "float16" and bool(torch.isfinite(tensor.half()).all()):
                tensor = tensor.half()
        packed[name] = tensor.clone(memory_format=torch.contiguous_format)
    return save(packed)


def unpack_weights(data: bytes) -> dict[str, torch.Tensor]:
    """The inverse of `pack_weights`, floating tensors as float32."""
    from safetensors.torch import load

    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in load(data).items()}


@dataclass(frozen=True, eq=False)
class ModelBundle:
    """One model, whole: its record and the bytes of its weights.

    Both are held in memory, so what was verified on loading is what runs, whatever happens to the files afterwards.
    `document` is the record as it stands in the file: the hash is over it, so that a later version of this program,
    which might write the record differently, still knows the model by the same hash.
    """

    record: BundleRecord
    document: Mapping[str, Any]
    weights: bytes

    @classmethod
    def create(
        cls,
        *,
        name: str,
        version: str,
        network: NetworkConfig,
        state: Mapping[str, torch.Tensor],
        calibration: Mapping[BandMode, Calibration],
        area_errors: Mapping[BandMode, AreaErrorModel],
        card: ModelCard,
        training_sha256: str,
        training: Mapping[str, Any] | None = None,
        weights_dtype: Literal["float16", "float32"] = "float16",
    ) -> ModelBundle:
        """Pack a network's state with all that is needed to use it."""
        weights = pack_weights(state, weights_dtype)
        record = BundleRecord(
            name=name,
            version=version,
            network=network,
            default_mode=network.bands,
            calibration=dict(calibration),
            area_errors=dict(area_errors),
            training_sha256=training_sha256,
            training=None if training is None else dict(training),
            card=card,
            weights_sha256=hashlib.sha256(weights).hexdigest(),
            weights_dtype=weights_dtype,
            software=software_versions(),
        )
        return cls(record, record.model_dump(mode="json"), weights)

    @property
    def name(self) -> str:
        """The model's name, such as `unet_resnet18`."""
        return self.record.name

    @property
    def version(self) -> str:
        """The model's version."""
        return self.record.version

    @property
    def network(self) -> NetworkConfig:
        """The architecture."""
        return self.record.network

    @property
    def calibration(self) -> dict[BandMode, Calibration]:
        """Temperature, bias and threshold by band mode."""
        return self.record.calibration

    @property
    def area_errors(self) -> dict[BandMode, AreaErrorModel]:
        """Errors of whole-chip areas by band mode; empty for a model that was never validated here."""
        return self.record.area_errors

    @property
    def card(self) -> ModelCard:
        """What the model is, and how good."""
        return self.record.card

    @property
    def default_mode(self) -> BandMode:
        """The band mode whose threshold stands first in `thresholds.json`."""
        return self.record.default_mode

    @property
    def training_sha256(self) -> str:
        """Content hash of the training data."""
        return self.record.training_sha256

    @cached_property
    def sha256(self) -> str:
        """The model's identity: SHA-256 of the canonical record, which holds that of the weights."""
        return sha256_json(self.document)

    def serving_mode(self, scene_mode: BandMode) -> BandMode:
        """The mode a scene is mapped in: its own where the model has a calibration for it, else the model's default.

        A VV network maps a VV+VH scene by its VV; a network that was never calibrated for VV alone uses its default.
        """
        return scene_mode if scene_mode in self.calibration else self.default_mode

    def reference(self, source: Literal["shipped", "registry", "checkpoint"]) -> ModelReference:
        """The pinned reference written beside every map."""
        return ModelReference(name=self.name, version=self.version, sha256=self.sha256, source=source)

    def as_dict(self) -> dict[str, Any]:
        """The record and its hash as plain JSON values: the contents of `model.json`."""
        return {"sha256": self.sha256, **self.document}

    def save(self, directory: Path) -> Path:
        """Write the two files into `directory`, which appears whole or not at all, and return it."""
        with atomic_directory(directory) as temporary:
            self.write_files(temporary)
        return directory

    def write_files(self, directory: Path) -> None:
        """Write the two files into a directory that exists: for whoever makes a larger directory appear at once."""
        write_bytes(directory / WEIGHTS_FILE, self.weights)
        write_json(directory / RECORD_FILE, self.as_dict())

    @classmethod
    def load(cls, path: Path) -> ModelBundle:
        """Read and verify a bundle.

        Args:
            path: Its directory, or either of its two files.

        Raises:
            InputError: A file is missing, is a pickle, was changed after sealing, or says something unknown.
        """
        directory = _bundle_directory(path)
        record_path, weights_path = directory / RECORD_FILE, directory / WEIGHTS_FILE
        values = read_json(record_path)
        if not isinstance(values, dict):
            raise InputError(record_path, "not a model record", "Seal the model again")
        stated = values.pop("sha256", None)
        if stated != sha256_json(values):
            raise InputError(record_path, "its contents do not match its sha256", "Copy the bundle again")
        try:
            record = BundleRecord.model_validate_json(json.dumps(values))
        except ValidationError as error:
            raise InputError(record_path, describe_validation(error), "Seal the model with this version") from error
        try:
            weights = weights_path.read_bytes()
        except FileNotFoundError as error:
            raise InputError(weights_path, "the weights are missing", "Copy the bundle again") from error
        if hashlib.sha256(weights).hexdigest() != record.weights_sha256:
            raise InputError(weights_path, "the weights do not match the record's sha256", "Copy the bundle again")
        return cls(record, values, weights)

    def state(self) -> dict[str, torch.Tensor]:
        """The weights as float32 tensors by name; integer buffers as they are."""
        return unpack_weights(self.weights)

    def build(self, device: str = "cpu") -> nn.Module:
        """The network with its weights, in eval mode on `device`.

        Raises:
            InputError: The weights do not fit the architecture the record names.
        """
        import torch

        from drshym_pipeline.model.network import build_network, load_state

        # On the meta device nothing is allocated or drawn at random, which is most of the time of building a network.
        try:
            with torch.device("meta"):
                network = build_network(self.network)
        except RuntimeError:
            # The mit encoders read values while they are built, which that device does not have.
            network = build_network(self.network)
        load_state(network, self.state(), f"model {self.name}")
        return network.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]


def _bundle_directory(path: Path) -> Path:
    if path.suffix.lower() in _PICKLES:
        raise InputError(
            path,
            "this is a pickled checkpoint, which can run any code when loaded",
            "Convert it once with `drshym convert-checkpoint`, then use the bundle it writes",
        )
    directory = path.parent if path.name in (WEIGHTS_FILE, RECORD_FILE) else path
    if not directory.is_dir():
        raise InputError(path, "no such model bundle", f"Give a directory with {RECORD_FILE} and {WEIGHTS_FILE}")
    if not (directory / RECORD_FILE).is_file():
        raise InputError(path, f"not a model bundle (no {RECORD_FILE})", "Give the directory of a sealed model")
    return directory


def shipped_path() -> Path:
    """The directory of the checkpoint that comes with the package."""
    return Path(__file__).resolve().parent.parent / "checkpoints" / SHIPPED_NAME


def shipped_bundle() -> ModelBundle:
    """The checkpoint that comes with the package.

    Raises:
        InputError: The installation lacks it.
    """
    path = shipped_path()
    if not path.is_dir():
        raise InputError(path, "the checkpoint that ships with the package is missing", "Install the package again")
    return ModelBundle.load(path)
