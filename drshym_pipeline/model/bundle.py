"""The sealed model: weights, normalisation, calibration and card together, with one SHA-256.

A bundle is a directory with two files: `model.safetensors` (tensors, nothing executable) and `model.json`. Loading
checks both files against the hash and does not need torch; `build` does. The directory also has two cards for people,
written from the record. `service_record` stores which bundle is in service, and `training.sealing` makes bundles.
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
from drshym_pipeline.assessment.novelty import NoveltyModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle_record import BundleRecord, FittedChips
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
SHIPPED_NAME = "unet_resnet18_v0.2"
SHIPPED: Literal["shipped"] = "shipped"  # the source in the reference of the checkpoint of the package

_PICKLES = frozenset({".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin"})
# The versions of these libraries are recorded, because the figures of a model depend on them.
_LIBRARIES = ("torch", "segmentation-models-pytorch", "lightning", "numpy")
_PART_OF = {"vv": ("vv",), "vv_vh": ("vv_vh", "vv")}


def served_modes(bands: BandMode) -> tuple[BandMode, ...]:
    """Return the band modes that a network of these bands can map, its own mode first."""
    return _PART_OF[bands]  # type: ignore[return-value]  # mypy widens the literals of a dict


@dataclass(frozen=True, eq=False)
class ModelBundle:
    """One complete model: its record and the bytes of its weights.

    Both are held in memory, so later changes of the files have no effect on the verified model. `document` is the
    record as it is in the file, and the hash is computed from it. A later version of this program may write the record
    differently and still computes the same hash for this model.
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
        novelty: Mapping[BandMode, NoveltyModel] | None = None,
        fitted_chips: FittedChips | None = None,
    ) -> ModelBundle:
        """Build a bundle from a network's state and everything that is needed to use it."""
        weights = pack_weights(state, weights_dtype)
        record = BundleRecord(
            name=name,
            version=version,
            network=network,
            default_mode=network.bands,
            calibration=dict(calibration),
            area_errors=dict(area_errors),
            novelty=dict(novelty or {}),
            fitted_chips=fitted_chips,
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
        """Errors of whole-chip areas by band mode; empty for a model that was never validated with this program."""
        return self.record.area_errors

    @property
    def novelty(self) -> dict[BandMode, NoveltyModel]:
        """What recognises scenes unlike the training chips, by band mode; empty for models of earlier releases."""
        return self.record.novelty

    @property
    def fitted_chips(self) -> FittedChips | None:
        """The chips that the model was trained and calibrated on; None for models that do not say it."""
        return self.record.fitted_chips

    @property
    def card(self) -> ModelCard:
        """Description and scores of the model."""
        return self.record.card

    @property
    def default_mode(self) -> BandMode:
        """The band mode whose threshold is the first in `thresholds.json`."""
        return self.record.default_mode

    @property
    def training_sha256(self) -> str:
        """Content hash of the training data."""
        return self.record.training_sha256

    @cached_property
    def sha256(self) -> str:
        """The model's identity: SHA-256 of the canonical record, which contains the SHA-256 of the weights."""
        return sha256_json(self.document)

    def serving_mode(self, scene_mode: BandMode) -> BandMode:
        """Return the mode in which a scene is mapped.

        It is the scene's own mode where the model has a calibration for it, else the model's default mode. A VV network
        maps a VV+VH scene from its VV band. A network that was never calibrated for VV alone uses its default mode.
        """
        return scene_mode if scene_mode in self.calibration else self.default_mode

    def reference(self, source: Literal["shipped", "registry", "checkpoint"]) -> ModelReference:
        """Return the reference with the hash that is written beside every map."""
        return ModelReference(name=self.name, version=self.version, sha256=self.sha256, source=source)

    def as_dict(self) -> dict[str, Any]:
        """Return the record and its hash as plain JSON values: the contents of `model.json`."""
        return {"sha256": self.sha256, **self.document}

    def save(self, directory: Path) -> Path:
        """Write the two files and the cards into `directory` and return it; it appears only when it is complete."""
        with atomic_directory(directory) as temporary:
            self.write_files(temporary)
        return directory

    def write_files(self, directory: Path) -> None:
        """Write the two files and the cards into an existing directory.

        Use it when the bundle is part of a larger directory that is written atomically.
        """
        write_bytes(directory / WEIGHTS_FILE, self.weights)
        write_json(directory / RECORD_FILE, self.as_dict())
        write_text(directory / MODEL_CARD_FILE, self.model_card())
        write_text(directory / DATASET_CARD_FILE, dataset_card_markdown(self.card))

    def model_card(self, measured: str | None = None) -> str:
        """Return the model card as Markdown; see `model_card_markdown`."""
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
            path: Directory of the bundle, or one of its two files.

        Raises:
            InputError: A file is missing, is a pickle, was changed after sealing, or has unknown content.
        """
        directory = _bundle_directory(path)
        record_path, weights_path = directory / RECORD_FILE, directory / WEIGHTS_FILE
        values = read_json(record_path, remedy="Copy the bundle again")
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
        """Return the weights as float32 tensors by name; integer buffers keep their type."""
        return unpack_weights(self.weights)

    def build(self, device: str = "cpu") -> nn.Module:
        """Build the network with its weights, in eval mode on `device`.

        Raises:
            InputError: The weights do not fit the architecture that the record names.
        """
        import torch

        from drshym_pipeline.model.network import build_network, load_state

        # On the meta device no memory is allocated and no random numbers are drawn, which takes most of the time.
        try:
            with torch.device("meta"):
                network = build_network(self.network)
        except RuntimeError:
            # The mit encoders read values of tensors while they are built; tensors on the meta device have no values.
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
    """Return the directory of the checkpoint that comes with the package."""
    return Path(__file__).resolve().parent.parent / "checkpoints" / SHIPPED_NAME


def shipped_bundle() -> ModelBundle:
    """Load the checkpoint that comes with the package.

    Raises:
        InputError: The installation has no checkpoint.
    """
    path = shipped_path()
    if not path.is_dir():
        raise InputError(path, "the checkpoint that ships with the package is missing", "Install the package again")
    return ModelBundle.load(path)
