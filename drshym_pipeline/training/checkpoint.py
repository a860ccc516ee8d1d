"""What a training run leaves on disk: best weights, history and identity, as safetensors and JSON.

Light to import, so that whatever reports on a run needs no torch. How a run is made is in `training`; what makes a
model of it that may map scenes is in `sealing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.weights import pack_weights, unpack_weights
from drshym_pipeline.settings import TrainConfig
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
        directory: The run's directory.
        history: One dict a validation: `step`, `train_loss`, `valid_loss`, `learning_rate`, `valid_iou` (pooled),
            `valid_mean_iou` (over chips with water) and, for a network that takes VH, `valid_iou_vv` and
            `valid_mean_iou_vv`.
        best_step: Optimiser steps done when the best weights were kept.
        best_iou: Their pooled validation IoU at the best threshold, in [0, 1].
        steps: Optimiser steps of the whole run.
        stopped_early: Whether patience ended it before `max_steps`.
        seconds: Time spent, resumed parts added up.
        precision: `fp32` or `bf16`.
        device: `cpu` or `cuda`.
        data_sha256: Content hash of the training data.
        weights_sha256: Hash of the weights file.
        start: Validation scores of the weights that the run started from, where they were asked for.
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
        """The validation whose weights were kept."""
        return next(entry for entry in self.history if entry["step"] == self.best_step)

    @property
    def weights(self) -> Path:
        """The best weights, float32 safetensors."""
        return self.directory / WEIGHTS_FILE

    def state(self) -> dict[str, torch.Tensor]:
        """The best weights as tensors by name."""
        return unpack_weights(self.weights.read_bytes())

    def save(self) -> None:
        """Write the outcome; until then the run counts as unfinished."""
        values = {key: value for key, value in asdict(self).items() if key != "directory"}
        write_json(self.directory / OUTCOME_FILE, values)

    @classmethod
    def load(cls, directory: Path) -> TrainedCheckpoint:
        """Read a finished run.

        Raises:
            InputError: The run is not finished, or its weights were changed since.
        """
        path = directory / OUTCOME_FILE
        if not path.is_file():
            raise InputError(directory, "holds no finished training run", "Train again with the same directory")
        values: Any = read_json(path)
        try:
            outcome = cls(directory=directory, **{**values, "history": tuple(values["history"])})
        except (TypeError, KeyError) as error:
            raise InputError(path, "not the outcome of a training run", "Train again in an empty directory") from error
        if not outcome.weights.is_file() or sha256_file(outcome.weights) != outcome.weights_sha256:
            raise InputError(outcome.weights, "the weights do not match the run", "Train again in an empty directory")
        return outcome


def is_finished(directory: Path) -> bool:
    """Whether a directory holds the outcome of a run."""
    return (directory / OUTCOME_FILE).is_file()


def keep_weights(directory: Path, state: dict[str, torch.Tensor]) -> None:
    """Write the best weights so far, atomically."""
    write_bytes(directory / WEIGHTS_FILE, pack_weights(state, "float32"))


def run_identity(
    config: TrainConfig, data_sha256: str, start_sha256: str | None, sources_sha256: Sequence[str] = ()
) -> dict[str, Any]:
    """All that decides a run's weights: two runs of one identity are the same run.

    Where the data lies, how many workers read it and how the result will be judged are not part of it.

    Args:
        config: The recipe.
        data_sha256: Of the main set.
        start_sha256: Of the bundle the run starts from.
        sources_sha256: Of the additional training sources, in the recipe's order.
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


def _first_difference(old: Any, new: Any, path: str = "") -> str | None:
    """The dotted key of the first value that differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if found := _first_difference(old.get(key), new.get(key), f"{path}.{key}" if path else str(key)):
                return found
        return None
    return None if old == new else path or "run"


def check_claim(directory: Path, identity: dict[str, Any]) -> None:
    """Make sure that `directory` is free or this run's already; nothing is written.

    Raises:
        InputError: It belongs to a run of another configuration or other data.
    """
    path = directory / IDENTITY_FILE
    if not path.is_file():
        return
    if difference := _first_difference(read_json(path), identity):
        raise InputError(
            directory,
            f"holds a training run that differs in '{difference}'",
            "Train in another directory, or restore the configuration to go on with this one",
        )


def claim_directory(directory: Path, identity: dict[str, Any]) -> None:
    """Make `directory` this run's, or find that it already is.

    Raises:
        InputError: As for `check_claim`.
    """
    check_claim(directory, identity)
    path = directory / IDENTITY_FILE
    if not path.is_file():
        write_json(path, identity)
