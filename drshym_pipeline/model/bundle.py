"""The sealed model: weights, normalisation, calibration and card as one thing with one SHA-256.

A bundle is a directory of two files: `model.safetensors` (tensors, nothing executable) and `model.json`. Loading checks
both against the hash and needs no torch; `build` does. Two cards for people, written from the record, lie beside them.
Which bundle is in service is kept by `service_record`, how one comes about by `sealing`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle_record import BundleRecord
from drshym_pipeline.model.model_card import (
    DATASET_CARD_FILE,
    MODEL_CARD_FILE,
    dataset_card_markdown,
    model_card_markdown,
)
from drshym_pipeline.model.weights import pack_weights, unpack_weights
from drshym_pipeline.records import BandMode, Calibration, ModelCard, ModelReference, describe_validation
from drshym_pipeline.settings import NetworkConfig
from drshym_pipeline.storage import atomic_directory, read_json, sha256_json, write_bytes, write_json, write_text
from drshym_pipeline.version import software_versions

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS_FILE = "model.safetensors"
RECORD_FILE = "model.json"
SHIPPED_NAME = "unet_resnet18_v0.1"
SHIPPED: Literal["shipped"] = "shipped"  # where the checkpoint of the package says it comes from

_PICKLES = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin"})
# Versions of these are kept: the figures of a model depend on them.
_LIBRARIES = ("torch", "segmentation-models-pytorch", "lightning", "numpy")
_PART_OF = {"vv": ("vv",), "vv_vh": ("vv_vh", "vv")}


def served_modes(bands: BandMode) -> tuple[BandMode, ...]:
    """Band modes a network of these bands can map, its own first."""
    return _PART_OF[bands]  # type: ignore[return-value]  # mypy widens the literals of a dict


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
            software=software_versions(*_LIBRARIES),
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
        """Write the two files and the cards into `directory`, which appears whole or not at all, and return it."""
        with atomic_directory(directory) as temporary:
            self.write_files(temporary)
        return directory

    def write_files(self, directory: Path) -> None:
        """Write the two files and the cards into a directory that exists.

        For whoever makes a larger directory appear at once.
        """
        write_bytes(directory / WEIGHTS_FILE, self.weights)
        write_json(directory / RECORD_FILE, self.as_dict())
        write_text(directory / MODEL_CARD_FILE, self.model_card())
        write_text(directory / DATASET_CARD_FILE, dataset_card_markdown(self.card))

    def model_card(self, measured: str | None = None) -> str:
        """The model card as Markdown; see `model_card_markdown`."""
        return model_card_markdown(
            self.card,
            sha256=self.sha256,
            calibration=self.calibration,
            recipe=self.record.training,
            measured=measured,
        )

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
