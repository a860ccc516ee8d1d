"""Where the training assets keep what they hand to one another.

Every run has a note of its own, `training/runs/<root run id>.json`: under the name of each asset, what it handed over.
So two trainings that run at the same time never use each other's results, and a retried run finds what its first
attempt has done. A run that starts in the middle of the chain uses the newest result of the previous asset, from any
run (`records/<asset>.json`). It notes this result and uses the same one until it ends.

The files of a training are in `training/<id>/`. The id is computed from the recipe, the data and the code, so a
repeated run continues with the results that exist instead of starting again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import AssetCheckExecutionContext, AssetExecutionContext

from assets.run_context import run_name
from drshym_pipeline.errors import InputError
from drshym_pipeline.locking import alone_in
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.storage import read_json, sha256_json, write_json
from resources.registry import ModelRegistry
from resources.store import ArtefactStore

if TYPE_CHECKING:
    from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11

CHECKPOINT, BUNDLE_FOLDER, PLOTS, JUDGEMENTS = "checkpoint", "bundle", "plots", "judgements"
# A store of an earlier release has one record for these, of the newest training.
_EARLIER_RECORD = "training"
_IN_EARLIER_RECORD = ("trained_checkpoint", "calibration_temperature", "slice_reports")


class RunNote:
    """What the training assets have handed over in one run, its retries included.

    Args:
        store: The artefact store.
        context: The context of the asset or check that uses the note.
    """

    def __init__(self, store: ArtefactStore, context: AssetExecutionContext | AssetCheckExecutionContext) -> None:
        self._store = store
        self.root = run_name(context.run)
        self._path = store.path / "training" / "runs" / f"{self.root}.json"

    def own(self, asset: str) -> dict[str, Any] | None:
        """Return what an asset handed over in this run, or what this run has taken over from it, or None."""
        noted = read_json(self._path) if self._path.is_file() else {}
        value: dict[str, Any] | None = noted.get(asset)
        return value

    def hand_over(self, asset: str, value: dict[str, Any]) -> None:
        """Note what an asset of this run hands over; later runs that start in the middle of the chain use it."""
        self._keep(asset, value)
        self._store.write_record(asset, value)

    def take_over(self, asset: str) -> dict[str, Any]:
        """Return what an asset handed over in this run.

        A run that starts in the middle of the chain uses the newest result of the previous asset, from any run. The
        answer stays the same for the whole run.

        Raises:
            InputError: It was never materialised.
        """
        value = self.own(asset)
        if value is None:
            value = self._store.find_record(asset)
            if value is None and asset in _IN_EARLIER_RECORD:
                value = self._store.find_record(_EARLIER_RECORD)
            if value is None:
                raise InputError(asset, "was never materialised in this store", f"Materialise {asset} first")
            self._keep(asset, value)
        return value

    def _keep(self, asset: str, value: dict[str, Any]) -> None:
        noted = read_json(self._path) if self._path.is_file() else {}
        write_json(self._path, noted | {asset: value})


@dataclass(frozen=True, slots=True)
class TrainingState:
    """One training in progress.

    Args:
        id: The name of its folder.
        mlflow_run: Id of its MLflow run.
        mlflow_url: The address of the page of that run.
        config: The recipe, as plain values.
        data_root: Folder of the chips.
        data_sha256: Content hash of the chips.
        judgement: Name of its judgement below `judgements/`; empty for one of an earlier release, which has one only,
            in the folder itself.
        version: The registered version; empty until it is registered.
    """

    id: str
    mlflow_run: str
    mlflow_url: str
    config: dict[str, Any]
    data_root: str
    data_sha256: str
    judgement: str = ""
    version: str = ""

    @property
    def recipe(self) -> TrainConfig:
        """The recipe."""
        return TrainConfig.model_validate(self.config)

    def data(self) -> "Sen1Floods11":
        """Return the chips."""
        from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11

        return Sen1Floods11(Path(self.data_root))

    def folder(self, store: ArtefactStore) -> Path:
        """Return the folder of the training."""
        return store.training(self.id)

    def judged_in(self, store: ArtefactStore) -> Path:
        """Return the folder of the judgement.

        Several runs may judge the same bundle, each with its own floors and against the model in service at that time.
        """
        folder = self.folder(store)
        return folder / JUDGEMENTS / self.judgement if self.judgement else folder

    def hand_over(self, note: RunNote, asset: str) -> None:
        """Hand this state over to the assets that follow."""
        note.hand_over(asset, asdict(self))

    @classmethod
    def take_over(cls, note: RunNote, asset: str) -> "TrainingState":
        """Return the state that an asset handed over (see `RunNote.take_over`).

        Raises:
            InputError: It was never materialised.
        """
        return cls(**note.take_over(asset))


def learning(config: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a recipe that decides the weights; the other keys may change without a new training."""
    return {key: value for key, value in config.items() if key not in ("evaluation", "promote")}


def training_id(tiles: dict[str, Any], code_version: str) -> str:
    """Return the name of a training with some chips and a recipe.

    Args:
        tiles: The chips and the recipe, as `labelled_tiles` handed them over.
        code_version: Version of the training code; with another version it is another training.
    """
    identity = {"config": learning(tiles["config"]), "data": tiles["sha256"], "code": code_version}
    return f"{TrainConfig.model_validate(tiles['config']).name}-{sha256_json(identity)[:12]}"


@contextmanager
def alone_with(training: str, store: ArtefactStore, note: RunNote) -> Iterator[None]:
    """Keep other runs out of a training's folder while a stage writes to it.

    Raises:
        InputError: Another run works on the same training now.
    """
    with alone_in(store.training(training), f"run {note.root}"):
        yield


def begin(
    training: str, tiles: dict[str, Any], store: ArtefactStore, registry: ModelRegistry, tags: dict[str, str]
) -> TrainingState:
    """Start a training, or continue it.

    Args:
        training: Id of the training.
        tiles: The chips and the recipe, as `labelled_tiles` handed them over.
        store: The artefact store.
        registry: The registry in which the MLflow run is opened, or reopened if this training has one.
        tags: Tags of the MLflow run; they link it to the Dagster run.
    """
    known = store.find_record(f"training-{training}")
    run = str(known["mlflow_run"]) if known and registry.has_run(str(known["mlflow_run"])) else None
    if run is None:
        run = registry.start_run(training, tags)
        store.write_record(f"training-{training}", {"mlflow_run": run})
    registry.reopen_run(run)
    registry.tag_run(run, tags)
    return TrainingState(training, run, registry.run_url(run), tiles["config"], tiles["root"], tiles["sha256"])
