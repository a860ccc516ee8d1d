"""Where the training assets keep what they hand to one another: one record of the training in work.

`records/training.json` names the training; its files are in `training/<id>/`. The id is that of the recipe, the data
and the code, so that a repeated run goes on with what is there instead of starting again.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.storage import sha256_json
from resources.registry import ModelRegistry
from resources.store import ArtefactStore

if TYPE_CHECKING:
    from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11

RECORD = "training"
CHECKPOINT, BUNDLE_FOLDER, PLOTS = "checkpoint", "bundle", "plots"


@dataclass(frozen=True, slots=True)
class TrainingState:
    """One training in work.

    Args:
        id: Names its folder.
        mlflow_run: Id of its MLflow run.
        mlflow_url: The run's page.
        config: The recipe, as plain values.
        data_root: Folder of the chips.
        data_sha256: Their content hash.
    """

    id: str
    mlflow_run: str
    mlflow_url: str
    config: dict[str, Any]
    data_root: str
    data_sha256: str

    @property
    def recipe(self) -> TrainConfig:
        """The recipe."""
        return TrainConfig.model_validate(self.config)

    def data(self) -> "Sen1Floods11":
        """The chips."""
        from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11

        return Sen1Floods11(Path(self.data_root))

    def save(self, store: ArtefactStore) -> None:
        """Make this the training in work."""
        store.write_record(RECORD, asdict(self))

    @classmethod
    def load(cls, store: ArtefactStore) -> "TrainingState":
        """The training in work.

        Raises:
            InputError: Nothing was trained yet.
        """
        return cls(**store.read_record(RECORD))


def learning(config: dict[str, Any]) -> dict[str, Any]:
    """The part of a recipe that decides the weights: how they are judged and promoted may change without training."""
    return {key: value for key, value in config.items() if key not in ("evaluation", "promote")}


def begin(store: ArtefactStore, registry: ModelRegistry, code_version: str, tags: dict[str, str]) -> TrainingState:
    """Start, or take up again, the training of the chips and the recipe that `labelled_tiles` noted.

    Args:
        store: The artefact store.
        registry: Where the MLflow run is opened, or reopened when this training has one.
        code_version: Of the training code: another one is another training.
        tags: Of the MLflow run; they link it to the Dagster run.
    """
    tiles = store.read_record("labelled_tiles")
    config = TrainConfig.model_validate(tiles["config"])
    identity = {"config": learning(tiles["config"]), "data": tiles["sha256"], "code": code_version}
    training_id = f"{config.name}-{sha256_json(identity)[:12]}"
    known = store.find_record(f"training-{training_id}")
    run = str(known["mlflow_run"]) if known and registry.has_run(str(known["mlflow_run"])) else None
    if run is None:
        run = registry.start_run(training_id, tags)
        store.write_record(f"training-{training_id}", {"mlflow_run": run})
    registry.reopen_run(run)
    registry.tag_run(run, tags)
    state = TrainingState(training_id, run, registry.run_url(run), tiles["config"], tiles["root"], tiles["sha256"])
    state.save(store)
    return state
