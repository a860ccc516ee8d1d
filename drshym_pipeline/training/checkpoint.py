"""The files of a training run: best weights, history and identity, as safetensors and JSON.

This module imports torch only where weights are read, so that a report on a run needs no torch. `train` makes a run;
`sealing` makes a bundle of its weights that can map scenes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.weights import pack_weights, unpack_weights
from drshym_pipeline.settings import NetworkConfig, SourceConfig, TrainConfig, TrainingConfig
from drshym_pipeline.storage import read_json, sha256_file, write_bytes, write_json

if TYPE_CHECKING:
    import torch

WEIGHTS_FILE = "best.safetensors"
OUTCOME_FILE = "checkpoint.json"
IDENTITY_FILE = "run.json"
RESUME_FILE = "last.ckpt"


@dataclass(frozen=True)
class TrainedCheckpoint:
    """The outcome of a finished training run.

    Args:
        directory: The directory of the run.
        history: One dict per validation: `step`, `train_loss`, `valid_loss`, `learning_rate`, `valid_iou` (pooled),
            `valid_mean_iou` (over chips with water) and, for a network that takes VH, `valid_iou_vv` and
            `valid_mean_iou_vv`.
        best_step: Number of optimiser steps after which the best weights were saved.
        best_iou: Pooled validation IoU of the best weights at the best threshold, in [0, 1].
        steps: Number of optimiser steps of the whole run.
        stopped_early: Whether the run ended because `patience` validations brought no better score.
        seconds: Time of the run, the sum of all its parts when it was resumed.
        precision: `fp32` or `bf16`.
        device: `cpu` or `cuda`.
        data_sha256: Content hash of the main data set.
        weights_sha256: Hash of the file with the best weights.
        start: Validation scores of the weights that the run started from, or None when they were not computed.
    """

    directory: Path
    history: tuple[dict[str, float], ...]
    best_step: int
    best_iou: float
    steps: int
    stopped_early: bool
    seconds: float
    precision: str
    device: str
    data_sha256: str
    weights_sha256: str
    start: dict[str, float] | None = None

    @property
    def best(self) -> dict[str, float]:
        """Return the validation whose weights were saved."""
        return next(entry for entry in self.history if entry["step"] == self.best_step)

    @property
    def weights(self) -> Path:
        """Return the path of the best weights, float32 safetensors."""
        return self.directory / WEIGHTS_FILE

    def state(self) -> dict[str, torch.Tensor]:
        """Return the best weights as tensors by name."""
        return unpack_weights(self.weights.read_bytes())

    def save(self) -> None:
        """Write the outcome; a run without this file is unfinished."""
        values = {key: value for key, value in asdict(self).items() if key != "directory"}
        write_json(self.directory / OUTCOME_FILE, values)

    @classmethod
    def load(cls, directory: Path) -> TrainedCheckpoint:
        """Read a finished run.

        Args:
            directory: The directory of the run.

        Raises:
            InputError: The run is not finished, or its weights were changed later.
        """
        path = directory / OUTCOME_FILE
        if not path.is_file():
            raise InputError(directory, "contains no finished training run", "Train again with the same directory")
        values: Any = read_json(path)
        try:
            outcome = cls(directory=directory, **{**values, "history": tuple(values["history"])})
        except (TypeError, KeyError) as error:
            raise InputError(path, "not the outcome of a training run", "Train again in an empty directory") from error
        if not outcome.weights.is_file() or sha256_file(outcome.weights) != outcome.weights_sha256:
            raise InputError(outcome.weights, "the weights do not match the run", "Train again in an empty directory")
        return outcome


def is_finished(directory: Path) -> bool:
    """Return whether a directory contains the outcome of a run."""
    return (directory / OUTCOME_FILE).is_file()


def keep_weights(directory: Path, state: dict[str, torch.Tensor]) -> None:
    """Write the best weights so far, atomically, as float32 safetensors."""
    write_bytes(directory / WEIGHTS_FILE, pack_weights(state, "float32"))


def run_identity(
    config: TrainConfig, data_sha256: str, start_sha256: str | None, sources_sha256: Sequence[str] = ()
) -> dict[str, Any]:
    """Return all values that decide the weights of a run: two runs with one identity are the same run.

    The folder of the data, the number of workers and the settings of the evaluation are not part of it.

    Args:
        config: The recipe.
        data_sha256: Content hash of the main set.
        start_sha256: Hash of the bundle that the run starts from, or None.
        sources_sha256: Content hashes of the additional training sources, in the order of the recipe.
    """
    sources = [source.model_dump(mode="json", exclude={"root"}) for source in config.data.sources]
    return {
        "name": config.name,
        "seed": config.seed,
        "network": config.network.model_dump(mode="json"),
        "training": config.training.model_dump(mode="json", exclude={"workers"}),
        "labels": config.data.labels,
        "invalid_label": config.data.invalid_label,
        "data_sha256": data_sha256,
        "start_sha256": start_sha256,
        "sources": {
            str(number): {**source, "sha256": digest}
            for number, (source, digest) in enumerate(zip(sources, sources_sha256, strict=True))
        },
    }


def _with_defaults(identity: Any) -> Any:
    """Return a stored identity with the defaults of all settings that its release did not have.

    The default of a new setting must keep the behaviour of earlier releases, so that their runs can be continued.
    """
    if not isinstance(identity, dict):
        return identity
    defaults = {
        "network": NetworkConfig().model_dump(mode="json"),
        "training": TrainingConfig().model_dump(mode="json", exclude={"workers"}),
    }
    known = {
        key: {**values, **identity[key]} for key, values in defaults.items() if isinstance(identity.get(key), dict)
    }
    source = SourceConfig(kind="real_land").model_dump(mode="json", exclude={"root"})
    sources = {number: {**source, **stored} for number, stored in (identity.get("sources") or {}).items()}
    return {**identity, **known, "sources": sources}


def _first_difference(old: Any, new: Any, path: str = "") -> str | None:
    """Return the dotted key of the first value that differs, or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if found := _first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else str(key)):
                return found
        return None
    return None if old == new else path or "run"


def check_claim(directory: Path, identity: dict[str, Any]) -> None:
    """Check that `directory` is free or belongs to this run; write nothing.

    Args:
        directory: The directory of the run.
        identity: The identity of this run; see `run_identity`.

    Raises:
        InputError: The directory belongs to a run with another configuration or other data.
    """
    path = directory / IDENTITY_FILE
    if not path.is_file():
        return
    if difference := _first_difference(_with_defaults(read_json(path)), identity):
        raise InputError(
            directory,
            f"contains a training run that differs in '{difference}'",
            "Train in another directory, or restore the configuration to resume this run",
        )


def claim_directory(directory: Path, identity: dict[str, Any]) -> None:
    """Write the identity of this run into `directory`, unless it is there already.

    Args:
        directory: The directory of the run.
        identity: The identity of this run; see `run_identity`.

    Raises:
        InputError: As for `check_claim`.
    """
    check_claim(directory, identity)
    path = directory / IDENTITY_FILE
    if not path.is_file():
        write_json(path, identity)
