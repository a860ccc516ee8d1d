"""MLflow's tracking store: runs, their parameters, curves and files.

MLflow is imported inside methods, because the import takes five seconds and code that maps scenes does not need it.
Registered versions and aliases are in `registry`.
"""

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import ConfigurableResource
from pydantic import Field

from drshym_pipeline.storage import write_bytes

if TYPE_CHECKING:
    from mlflow import MlflowClient

_BATCH = 1000  # the largest number of metrics that MLflow accepts in one call
_SQLITE = "sqlite:///"


class MlflowRuns(ConfigurableResource[Any]):
    """The functions of MLflow's tracking store that the training assets need."""

    tracking_uri: str = Field(description="MLflow store; SQLite, because MLflow 3 no longer has the plain file store.")
    artifact_root: str = Field(
        description="Folder of the artefacts; by default MLflow would use the working directory."
    )
    ui: str = Field(description="Address of the MLflow pages, for links.")
    experiment: str = Field(default="drshym-flood", description="MLflow experiment.")

    @property
    def database(self) -> Path | None:
        """The SQLite file, or None for a server."""
        return Path(self.tracking_uri.removeprefix(_SQLITE)) if self.tracking_uri.startswith(_SQLITE) else None

    def _client(self) -> "MlflowClient":
        # MLflow reads this when it is imported. Without it MLflow prints progress bars into Dagster's logs.
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
        """Return whether the run exists and is not deleted."""
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

    def log_metrics(self, run_id: str, values: Mapping[str, float]) -> None:
        """Log one value per metric."""
        self.log_curves(run_id, [values])

    def log_curves(self, run_id: str, rows: Sequence[Mapping[str, float]]) -> None:
        """Log rows of metrics; the key `step` of a row is its position on the horizontal axis."""
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

    def log_pictures(self, run_id: str, pictures: Mapping[str, bytes], folder: str) -> None:
        """Write pictures, given by file name, into a folder of the run's artefacts."""
        with tempfile.TemporaryDirectory() as scratch:
            files = [Path(scratch) / name for name in pictures]
            for file, png in zip(files, pictures.values(), strict=True):
                write_bytes(file, png)
            self.log_files(run_id, files, folder)

    @contextmanager
    def failing(self, run_id: str) -> Iterator[None]:
        """Close a run as failed if the block raises; otherwise it stays open for the next stages."""
        try:
            yield
        except BaseException:
            self.end_run(run_id, failed=True)
            raise

    def reopen_run(self, run_id: str) -> None:
        """Open a closed run again, so that it can be written to."""
        self._client().update_run(run_id, status="RUNNING")

    def end_run(self, run_id: str, *, failed: bool = False) -> None:
        """Close a run."""
        self._client().set_terminated(run_id, "FAILED" if failed else "FINISHED")

    def run_url(self, run_id: str) -> str:
        """Return the address of the page of a run."""
        experiment = self._client().get_run(run_id).info.experiment_id
        return f"{self.ui}/#/experiments/{experiment}/runs/{run_id}"


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values of nested mappings as (dotted name, value) pairs."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten(value, f"{name}.")
        else:
            yield name, value
