"""The artefact store: the folder of all results, and the small records with which stages find them.

Layout: `scenes/<partition>/`, which `drshym_pipeline.scene_store` reads and writes; `training/<id>/`;
`models/<sha256>/`; `records/<name>.json`; `failures/<partition>.json`; `progress/<run id>.json`;
`objects/<kind>/<digest>.json`. Everything is written atomically. `drshym_pipeline` defines what the files mean.
"""

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any

from dagster import ConfigurableResource
from pydantic import Field

from drshym_pipeline.errors import InputError
from drshym_pipeline.scene_store import SceneStore
from drshym_pipeline.storage import canonical_json, read_json, write_bytes, write_json

_KEPT_OBJECTS = 20


def _read_if_there(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


class ArtefactStore(ConfigurableResource[Any]):
    """Paths and records below one folder."""

    root: str = Field(description="The folder of all artefacts.")

    @property
    def path(self) -> Path:
        """The folder of all artefacts."""
        return Path(self.root)

    def find_record(self, name: str) -> dict[str, Any] | None:
        """Return the record `name`, or None if the stage that writes it has not run."""
        record: dict[str, Any] | None = _read_if_there(self.path / "records" / f"{name}.json")
        return record

    def write_record(self, name: str, value: dict[str, Any]) -> None:
        """Replace the record `name`."""
        write_json(self.path / "records" / f"{name}.json", value)

    def training(self, training_id: str) -> Path:
        """Return the folder of one training."""
        return self.path / "training" / training_id

    @property
    def scenes(self) -> SceneStore:
        """The scenes and their maps."""
        return SceneStore(self.path)

    def sources(self, partition: str) -> list[str]:
        """Return the names of a scene's files in the watched folder.

        Raises:
            InputError: The scene was never in the watched folder.
        """
        listed = self.scenes.sources(partition)
        if listed is None:
            raise InputError(partition, "no source files are known for this scene", "Copy it into the watched folder")
        return list(listed.files)

    def put_object(self, kind: str, value: Any) -> str:
        """Store a JSON value under its digest and return the digest; old values of the same kind are deleted.

        The digest is the file name, so a writer that is killed does not change the value of an earlier digest.
        """
        # Encoded once for the name and the content: with tens of thousands of scenes this takes a second of the tick.
        data = canonical_json(value)
        digest = hashlib.sha256(data).hexdigest()
        folder = self.path / "objects" / kind
        path = folder / f"{digest}.json"
        if path.is_file():
            path.touch()  # it is the newest again and must not be deleted below
            return digest
        write_bytes(path, data)
        files = sorted(folder.glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        for stale in files[:-_KEPT_OBJECTS]:
            stale.unlink(missing_ok=True)
        return digest

    def get_object(self, kind: str, digest: str) -> Any:
        """Return the JSON value with this digest, or None if it is no longer stored."""
        return _read_if_there(self.path / "objects" / kind / f"{digest}.json")

    def progress_path(self, run_id: str) -> Path:
        """Return the file with the progress of a run."""
        return self.path / "progress" / f"{run_id}.json"

    def discard_progress(self, before: datetime) -> int:
        """Delete progress files that were last written before a moment; return their number."""
        old = [path for path in (self.path / "progress").glob("*.json") if path.stat().st_mtime < before.timestamp()]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)
