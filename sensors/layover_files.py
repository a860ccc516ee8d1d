"""The maps of layover and radar shadow in the watched folder: which have changed, and whose maps they concern."""

from collections.abc import Collection, Mapping
from pathlib import Path

from assets.scene_references import ScenesBeside
from drshym_pipeline.sar.file_names import stem
from drshym_pipeline.sar.layers import layer_of_name
from drshym_pipeline.sar.sidecar import scene_name

_SUFFIXES = (".tif", ".tiff")


def is_layover_file(name: str) -> bool:
    """Return whether the name of a file is that of a map of layover and shadow that a map of its scene can use."""
    from drshym_pipeline.ancillary.layover import is_layover_name

    layer = layer_of_name(stem(name)) if name.lower().endswith(_SUFFIXES) else None
    return layer is not None and is_layover_name(layer.layer, name)


def layover_files(inbox: Path) -> dict[str, list[int]]:
    """Return the maps of layover in a folder and its subfolders, each with its size and its time of change in ns."""
    found = {}
    for path in inbox.rglob("*"):
        if is_layover_file(path.name):
            try:
                facts = path.stat()
            except OSError:  # it was deleted after the folder was listed
                continue
            found[str(path)] = [facts.st_size, facts.st_mtime_ns]
    return found


def scenes_of_layover(beside: ScenesBeside, before: Mapping[str, list[int]], now: Mapping[str, list[int]]) -> set[str]:
    """Return the mapped scenes whose map of layover is new or has changed; a deleted one does not count.

    Args:
        beside: All scenes.
        before: The files at the last tick.
        now: The files at this tick.
    """
    changed = [Path(path).resolve() for path, facts in now.items() if before.get(path) != facts]
    if not changed:
        return set()
    return {partition for partition in beside.stamps if _has_one(beside, partition, changed)}


def _has_one(beside: ScenesBeside, partition: str, files: Collection[Path]) -> bool:
    mapped = beside.mapped(partition)
    if mapped is None:
        return False
    sources = [path for path in map(Path, mapped.meta.source_paths) if path.is_absolute()]
    return any(
        file.parent == source.resolve().parent and file.name.startswith(f"{scene_name(source.name)}_")
        for source in sources
        for file in files
    )
