"""Where the bytes of a scene are read from, and which of its two possible copies is kept.

`DRSHYM_KEEP_SOURCES=inbox` leaves the files in the watched folder, and the store refers to them. With `store` the store
keeps a copy, and the files leave the watched folder as soon as their map is finished.
"""

from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.product_tables import find_table
from drshym_pipeline.scene_folder import MapFolder
from resources.bucket import SceneBucket
from resources.sidecars import unchanged_sidecar
from resources.store import ArtefactStore


def source_files(bucket: SceneBucket, store: ArtefactStore, partition: str) -> list[Path]:
    """Return the files of a scene: those of the watched folder, or the store's copies of them.

    Raises:
        InputError: The files are neither in the watched folder nor in the store.
    """
    keys = store.sources(partition)
    try:
        return [bucket.local_path(key) for key in keys]
    except InputError:
        copies = _copies(store, partition, keys)
        if copies is None:
            raise
        return copies


def _copies(store: ArtefactStore, partition: str, keys: list[str]) -> list[Path] | None:
    """Return the copies that the store keeps of these files, in the same order, or None."""
    names = [Path(key).name for key in keys]
    for folder in reversed(store.scenes.versions(partition)):
        kept = {
            path.name: folder.directory / path
            for source in folder.meta().source_paths
            if not (path := Path(source)).is_absolute() and (folder.directory / path).is_file()
        }
        if all(name in kept for name in names):
            return [kept[name] for name in names]
    return None


def remove_from_bucket(bucket: SceneBucket, store: ArtefactStore, partition: str, finished: MapFolder) -> list[Path]:
    """Delete the files of a mapped scene from the watched folder, where the store has the same bytes.

    A file that was replaced after it was staged is kept: it is a scene that has not been mapped yet. The tables of an
    image are deleted with it. The other files of a SAFE folder are not copied to the store, so they stay.

    Returns:
        The deleted files.
    """
    from drshym_pipeline.storage import sha256_file

    folder = finished.scene
    meta = folder.meta()
    tables = [] if meta.archive else [table for band in meta.bands for table in (band.calibration, band.noise) if table]
    kept = {
        sha256_file(path)
        for source in (*meta.source_paths, *tables)
        if not Path(source).is_absolute() and (path := folder.directory / source).is_file()
    }
    removed = []
    for key in store.sources(partition):
        try:
            path = bucket.local_path(key)
        except InputError:  # another process has deleted it
            continue
        if sha256_file(path) in kept:
            found = [path, *(table for kind in ("calibration", "noise") if (table := find_table(path, kind)))]
            copied = [file for file in found if sha256_file(file) in kept]
            for file in copied:
                file.unlink()
            removed.extend(copied)
    if removed and (note := unchanged_sidecar(store.path, partition, bucket.path_of)) is not None:
        note.unlink()
        removed.append(note)
    return removed
