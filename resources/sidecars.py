"""The side-car of a scene as it was when the scene was requested, kept in the store beside the list of its files.

The sensor keeps what it found, good or bad; the run reads it, so that a broken side-car fails its own scene and nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from drshym_pipeline.sar.sidecar import SceneSidecar, parse_sidecar, read_text
from drshym_pipeline.storage import read_json, write_json

_FILE = "sidecar.json"


def _place(store: Path, partition: str) -> Path:
    return store / "scenes" / partition / _FILE


def keep_sidecar(store: Path, partition: str, key: str | None, path: Path | None) -> None:
    """Keep the content of a scene's side-car, or that it has none.

    Args:
        store: Folder of the artefact store.
        partition: The scene.
        key: What the side-car is called in the watched folder; None without one.
        path: The file.
    """
    if key is None or path is None:
        _place(store, partition).unlink(missing_ok=True)
    else:
        write_json(_place(store, partition), {"name": key, "text": read_text(path)})


def kept_sidecar(store: Path, partition: str) -> SceneSidecar:
    """What the side-car of a scene says; an empty one when it has none.

    Raises:
        InputError: The side-car cannot be used.
    """
    path = _place(store, partition)
    if not path.is_file():
        return SceneSidecar()
    kept = read_json(path)
    return parse_sidecar(kept["text"], kept["name"])


def unchanged_sidecar(store: Path, partition: str, path_of: Callable[[str], Path]) -> Path | None:
    """The side-car's file in the watched folder, when it still says what is kept of it; else None.

    Args:
        store: Folder of the artefact store.
        partition: The scene.
        path_of: Where a file of the watched folder lies, by its key.
    """
    kept = _place(store, partition)
    if not kept.is_file():
        return None
    values = read_json(kept)
    path = path_of(values["name"])
    return path if path.is_file() and read_text(path) == values["text"] else None
