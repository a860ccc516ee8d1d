"""The model registry: MLflow runs, registered versions and the aliases `candidate` and `champion`.

MLflow is imported inside methods: it takes five seconds, and nothing that maps a scene needs it. Which version deserves
an alias is decided in `assets.promotion`.
"""

import math
import os
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import ConfigurableResource
from pydantic import Field

from drshym_pipeline.errors import InputError
from drshym_pipeline.storage import atomic_directory

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE = "candidate"
CHAMPION = "champion"
BUNDLE_ARTIFACT = "bundle"
CONSIDERED = "promotion.considered"
_PYFUNC = Path(__file__).with_name("pyfunc_model.py")
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # MLflow answers an unknown alias with the second
_BATCH = 1000  # the largest number of metrics MLflow takes in one call
_SQLITE = "sqlite:///"


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One registered model: its number, the content hash of its bundle, and what its evaluation said."""

    version: str
    sha256: str
    verdict: str
    run_id: str
    considered: bool = False


class ModelRegistry(ConfigurableResource):
    """MLflow's tracking and registry store, seen as what the training assets need of it."""

    tracking_uri: str = Field(description="MLflow store; SQLite, because the plain file store is gone in MLflow 3.")
    artifact_root: str = Field(description="Folder of the artefacts; MLflow would else use the working directory.")
    ui: str = Field(description="Address of the MLflow pages, for links.")
    experiment: str = Field(default="drshym-flood", description="MLflow experiment.")
    model_name: str = Field(default="drshym-flood", description="Name of the registered model.")

    @property
    def database(self) -> Path | None:
        """The SQLite file, or None for a server."""
        return Path(self.tracking_uri.removeprefix(_SQLITE)) if self.tracking_uri.startswith(_SQLITE) else None

    def _client(self) -> "MlflowClient":
        # Read by MLflow when it is imported: no calls home, and no progress bars in Dagster's logs.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        import mlflow

        if self.database:
            self.database.parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(self.tracking_uri)
        mlflow.set_registry_uri(self.tracking_uri)
        return mlflow.MlflowClient(self.tracking_uri, self.tracking_uri)

    def _experiment_id(self, client: "MlflowClient") -> str:
        known = client.get_experiment_by_name(self.experiment)
        if known is not None:
            return str(known.experiment_id)
        root = Path(self.artifact_root).resolve()
        root.mkdir(parents=True, exist_ok=True)
        return str(client.create_experiment(self.experiment, artifact_location=root.as_uri()))

    def start_run(self, name: str, tags: Mapping[str, str]) -> str:
        """Open an MLflow run and return its id. It stays open: later stages reopen it by id."""
        client = self._client()
        run = client.create_run(self._experiment_id(client), run_name=name, tags=dict(tags))
        return str(run.info.run_id)

    def has_run(self, run_id: str) -> bool:
        """Whether the run is there and not deleted."""
        client = self._client()
        from mlflow.exceptions import MlflowException

        try:
            return bool(client.get_run(run_id).info.lifecycle_stage == "active")
        except MlflowException:
            return False

    def tag_run(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        client = self._client()
        for key, value in tags.items():
            client.set_tag(run_id, key, value)

    def log_params(self, run_id: str, values: Mapping[str, Any]) -> None:
        """Log parameters, nested mappings as dotted names; logging the same values again is allowed."""
        client = self._client()
        from mlflow.entities import Param

        params = [Param(key, str(value)) for key, value in flatten(values)]
        client.log_batch(run_id, params=params)

    def log_metrics(self, run_id: str, values: Mapping[str, float], step: int = 0) -> None:
        """Log one value a metric."""
        self.log_curves(run_id, [{"step": step, **values}])

    def log_curves(self, run_id: str, rows: Sequence[Mapping[str, float]]) -> None:
        """Log rows of metrics; the key `step` of a row is its place on the horizontal axis."""
        client = self._client()
        from mlflow.entities import Metric

        moment = int(time.time() * 1000)
        metrics = [
            Metric(key, float(value), moment, int(row.get("step", index)))
            for index, row in enumerate(rows)
            for key, value in row.items()
            if key != "step" and math.isfinite(value)
        ]
        for first in range(0, len(metrics), _BATCH):
            client.log_batch(run_id, metrics=metrics[first : first + _BATCH])

    def log_files(self, run_id: str, files: Sequence[Path], folder: str) -> None:
        """Copy files into a folder of the run's artefacts."""
        client = self._client()
        for file in files:
            client.log_artifact(run_id, str(file), folder)

    @contextmanager
    def failing(self, run_id: str) -> Iterator[None]:
        """Close a run as failed when the block raises; otherwise it stays open for the stages that follow."""
        try:
            yield
        except BaseException:
            self.end_run(run_id, failed=True)
            raise

    def reopen_run(self, run_id: str) -> None:
        """Let a run that was closed be written to again."""
        self._client().update_run(run_id, status="RUNNING")

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        """Close a run."""
        self._client().set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def run_url(self, run_id: str) -> str:
        """The page of a run."""
        experiment = self._client().get_run(run_id).info.experiment_id
        return f"{self.ui}/#/experiments/{experiment}/runs/{run_id}"

    def version_url(self, version: str) -> str:
        """The page of a registered version."""
        return f"{self.ui}/#/models/{self.model_name}/versions/{version}"

    def register(
        self, run_id: str, bundle: Path, *, sha256: str, verdict: str, card: str, tags: Mapping[str, str]
    ) -> RegisteredVersion:
        """Register a sealed bundle as a version; the same bundle of the same run is registered once.

        Args:
            run_id: The MLflow run of the training.
            bundle: Folder of the bundle.
            sha256: Content hash of the bundle.
            verdict: What its evaluation said.
            card: The model card, as Markdown.
            tags: More tags of the version.
        """
        known = [found for found in self.versions() if found.sha256 == sha256 and found.run_id == run_id]
        version = known[0].version if known else self._log_model(run_id, bundle)
        client = self._client()
        client.update_model_version(self.model_name, version, card)
        for key, value in {**tags, "sha256": sha256, "verdict": verdict}.items():
            client.set_model_version_tag(self.model_name, version, key, value)
        return RegisteredVersion(version, sha256, verdict, run_id)

    def _log_model(self, run_id: str, bundle: Path) -> str:
        self._client()
        import mlflow
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        from drshym_pipeline import __version__

        single = np.dtype(np.float32)
        # Unnamed: MLflow hands a named tensor over inside a dict. (chips, bands, rows, columns) in, probability out.
        signature = ModelSignature(
            inputs=Schema([TensorSpec(single, (-1, -1, -1, -1))]), outputs=Schema([TensorSpec(single, (-1, -1, -1))])
        )
        # The working directory is left alone: MLflow writes a temporary copy of the bundle under this name.
        with tempfile.TemporaryDirectory() as scratch, _active_run(run_id), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*input example was not provided.*")  # the signature is given
            copy = Path(scratch) / BUNDLE_ARTIFACT
            shutil.copytree(bundle, copy)
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_PYFUNC),
                artifacts={BUNDLE_ARTIFACT: str(copy)},
                signature=signature,
                # Given, because working them out takes a minute. No index has the package: a version's card says so.
                pip_requirements=[f"drshym-pipeline=={__version__}"],
                registered_model_name=self.model_name,
            )
        return str(logged.registered_model_version)

    def versions(self) -> list[RegisteredVersion]:
        """All registered versions, newest first."""
        found = self._client().search_model_versions(f"name = '{self.model_name}'")
        return sorted((_registered(version) for version in found), key=lambda item: -int(item.version))

    def set_alias(self, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._client().set_registered_model_alias(self.model_name, alias, version)

    def mark_considered(self, version: str) -> None:
        """Note that the rules of promotion have been applied to a version."""
        self._client().set_model_version_tag(self.model_name, version, CONSIDERED, "true")

    def aliased(self, alias: str) -> RegisteredVersion | None:
        """The version an alias points at, or None."""
        if self.database and not self.database.is_file():
            return None  # nothing has been trained: not worth five seconds of import
        client = self._client()
        from mlflow.exceptions import MlflowException

        try:
            return _registered(client.get_model_version_by_alias(self.model_name, alias))
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise

    def champion(self) -> RegisteredVersion | None:
        """The version chosen to be in service, or None."""
        return self.aliased(CHAMPION)

    def candidate(self) -> RegisteredVersion | None:
        """The version registered last."""
        return self.aliased(CANDIDATE)

    def download_bundle(self, version: str, target: Path) -> Path:
        """Fetch the bundle of a version into the folder `target`, in one step.

        Raises:
            InputError: The version holds no bundle of ours.
        """
        self._client()
        import mlflow

        with tempfile.TemporaryDirectory() as scratch:
            uri = f"models:/{self.model_name}/{version}"
            fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch))
            bundles = list(fetched.glob(f"**/{BUNDLE_ARTIFACT}"))
            if not bundles:
                raise InputError(f"{self.model_name} version {version}", "holds no model bundle", "Promote another one")
            with atomic_directory(target) as place:
                shutil.copytree(bundles[0], place, dirs_exist_ok=True)
        return target


@contextmanager
def _active_run(run_id: str) -> Iterator[None]:
    """Make a run the active one without ending it: later stages still write to it."""
    import mlflow

    status = mlflow.MlflowClient().get_run(run_id).info.status
    with mlflow.start_run(run_id=run_id):
        yield
    mlflow.MlflowClient().update_run(run_id, status=status)


def _registered(version: Any) -> RegisteredVersion:
    tags = dict(version.tags)
    return RegisteredVersion(
        version=str(version.version),
        sha256=tags.get("sha256", ""),
        verdict=tags.get("verdict", ""),
        run_id=str(version.run_id or ""),
        considered=CONSIDERED in tags,
    )


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested mappings as (dotted name, value) pairs."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
        else:
            yield name, value
