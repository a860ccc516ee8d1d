"""The model registry: registered versions and the aliases `candidate` and `champion`.

MLflow is imported inside methods, because the import takes five seconds and code that maps scenes does not need it.
`assets.training.promotion` decides which version gets an alias; runs are in `mlflow_runs`.
"""

import shutil
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import Field

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import SHIPPED
from drshym_pipeline.storage import atomic_directory
from resources.mlflow_runs import MlflowRuns

CANDIDATE = "candidate"
CHAMPION = "champion"
BUNDLE_ARTIFACT = "bundle"
CONSIDERED = "promotion.considered"
NOT_JUDGED = "not judged"
CARDS_FOLDER = "cards"
_PYFUNC = Path(__file__).with_name("pyfunc_model.py")
_ABSENT = {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}  # MLflow answers an unknown alias with the second


@dataclass(frozen=True, slots=True)
class RegisteredVersion:
    """One registered version: its number, the hash of its bundle, its verdict, its MLflow run and its source."""

    version: str
    sha256: str
    verdict: str
    run_id: str
    considered: bool = False
    source: str = ""


class ModelRegistry(MlflowRuns):
    """The functions of MLflow's model registry that the training assets need."""

    model_name: str = Field(default="drshym-flood", description="Name of the registered model.")

    def version_url(self, version: str) -> str:
        """Return the address of the page of a registered version."""
        return f"{self.ui}/#/models/{self.model_name}/versions/{version}"

    def register(
        self, run_id: str, bundle: Path, *, sha256: str, verdict: str, card: str, tags: Mapping[str, str]
    ) -> RegisteredVersion:
        """Register a sealed bundle as a version; the same bundle of the same run is registered once.

        Args:
            run_id: The MLflow run of the training.
            bundle: Folder of the bundle.
            sha256: Content hash of the bundle.
            verdict: The verdict of its evaluation.
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

    def register_shipped(
        self, bundle: Path, *, sha256: str, card: str, files: Sequence[Path], tags: Mapping[str, str]
    ) -> RegisteredVersion:
        """Register the checkpoint of the package as a version with its own run, unless it is registered already.

        Args:
            bundle: Folder of the bundle.
            sha256: Content hash of the bundle.
            card: The description of the version, as Markdown.
            files: The cards, kept with the run.
            tags: More tags of the version.
        """
        if known := self.find_shipped(sha256):
            return known
        run_id = self.start_run(f"{SHIPPED}-{sha256[:12]}", {"source": SHIPPED})
        with self.failing(run_id):
            self.log_files(run_id, files, CARDS_FOLDER)
            tags = {**tags, "source": SHIPPED}
            version = self.register(run_id, bundle, sha256=sha256, verdict=NOT_JUDGED, card=card, tags=tags)
        self.end_run(run_id)
        return replace(version, source=SHIPPED)

    def find_shipped(self, sha256: str) -> RegisteredVersion | None:
        """Return the version of a shipped checkpoint, or None if it was never registered."""
        return next((found for found in self.versions() if (found.sha256, found.source) == (sha256, SHIPPED)), None)

    def _log_model(self, run_id: str, bundle: Path) -> str:
        self._client()
        import mlflow
        import numpy as np
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

        from drshym_pipeline.version import __version__

        single = np.dtype(np.float32)
        # The tensors have no names: MLflow passes a named tensor inside a dict. (chips, bands, rows, columns) in,
        # probability out.
        signature = ModelSignature(
            inputs=Schema([TensorSpec(single, (-1, -1, -1, -1))]), outputs=Schema([TensorSpec(single, (-1, -1, -1))])
        )
        # In a temporary folder: MLflow writes a copy of the bundle under this name into the folder of the bundle.
        with tempfile.TemporaryDirectory() as scratch, _active_run(run_id), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*input example was not provided.*")  # the signature is given
            copy = Path(scratch) / BUNDLE_ARTIFACT
            shutil.copytree(bundle, copy)
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(_PYFUNC),
                artifacts={BUNDLE_ARTIFACT: str(copy)},
                signature=signature,
                # Given, because MLflow needs a minute to find them. No package index has the package; the card says so.
                pip_requirements=[f"drshym-pipeline=={__version__}"],
                registered_model_name=self.model_name,
            )
        return str(logged.registered_model_version)

    def versions(self) -> list[RegisteredVersion]:
        """Return all registered versions, newest first."""
        found = self._client().search_model_versions(f"name = '{self.model_name}'")
        return sorted((_registered(version) for version in found), key=lambda item: -int(item.version))

    def set_alias(self, alias: str, version: str) -> None:
        """Set an alias on a version."""
        self._client().set_registered_model_alias(self.model_name, alias, version)

    def mark_considered(self, version: str) -> None:
        """Record that the rules of promotion have been applied to a version."""
        self._client().set_model_version_tag(self.model_name, version, CONSIDERED, "true")

    def aliased(self, alias: str) -> RegisteredVersion | None:
        """Return the version that an alias points to, or None."""
        if self.database and not self.database.is_file():
            return None  # nothing has been trained, so the import of five seconds is not needed
        client = self._client()
        from mlflow.exceptions import MlflowException

        try:
            return _registered(client.get_model_version_by_alias(self.model_name, alias))
        except MlflowException as error:
            if error.error_code in _ABSENT:
                return None
            raise

    def champion(self) -> RegisteredVersion | None:
        """Return the version with the alias `champion`, or None."""
        return self.aliased(CHAMPION)

    def candidate(self) -> RegisteredVersion | None:
        """Return the version with the alias `candidate`, or None."""
        return self.aliased(CANDIDATE)

    def download_bundle(self, version: str, target: Path) -> Path:
        """Download the bundle of a version into the folder `target`, in one step.

        Raises:
            InputError: The version contains no model bundle.
        """
        self._client()
        import mlflow

        with tempfile.TemporaryDirectory() as scratch:
            uri = f"models:/{self.model_name}/{version}"
            fetched = Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch))
            bundles = list(fetched.glob(f"**/{BUNDLE_ARTIFACT}"))
            if not bundles:
                raise InputError(
                    f"{self.model_name} version {version}", "contains no model bundle", "Promote another version"
                )
            with atomic_directory(target) as place:
                shutil.copytree(bundles[0], place, dirs_exist_ok=True)
        return target


@contextmanager
def _active_run(run_id: str) -> Iterator[None]:
    """Make a run the active one without ending it, because later stages still write to it."""
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
        source=tags.get("source", ""),
    )
