"""The side-car of a scene as it was when the scene was requested; a copy is kept in the store with the scene.

The sensor keeps the content without checking it, and the run reads it. So an invalid side-car fails only its own scene.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drshym_pipeline.sar.sidecar import SceneSidecar, parse_sidecar, read_text
from drshym_pipeline.storage import read_json, write_json

_FILE = "sidecar.json"


def sidecar_place(store: Path, partition: str) -> Path:
    """Return the file of a scene's stored side-car, whether it exists or not."""
    return store / "scenes" / partition / _FILE


def keep_sidecar(store: Path, partition: str, key: str | None, path: Path | None) -> None:
    """Store the content of a scene's side-car, or delete the stored one if the scene has none.

    Args:
        store: Folder of the artefact store.
        partition: The scene.
        key: The name of the side-car in the watched folder; None if there is none.
        path: The side-car file.
    """
    if key is None or path is None:
        sidecar_place(store, partition).unlink(missing_ok=True)
    else:
        write_json(sidecar_place(store, partition), {"name": key, "text": read_text(path)})


def kept_sidecar(store: Path, partition: str) -> SceneSidecar:
    """Return the stored side-car of a scene; an empty one if it has none.

    Raises:
        InputError: The side-car cannot be used.
    """
    path = sidecar_place(store, partition)
    if not path.is_file():
        return SceneSidecar()
    kept = read_json(path)
    return parse_sidecar(kept["text"], kept["name"])


def unchanged_sidecar(store: Path, partition: str, path_of: Callable[[str], Path]) -> Path | None:
    """Return the side-car's file in the watched folder if its content is still the stored one; otherwise None.

    Args:
        store: Folder of the artefact store.
        partition: The scene.
        path_of: Returns the path of a file of the watched folder, by its key.
    """
    kept = sidecar_place(store, partition)
    if not kept.is_file():
        return None
    values = read_json(kept)
    path = path_of(values["name"])
    return path if path.is_file() and read_text(path) == values["text"] else None
