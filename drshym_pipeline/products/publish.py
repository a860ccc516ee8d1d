"""Move finished products to their final folder, without losing a map that already exists there.

In a user's folder the record is moved last; in a scene's folder a map appears in one rename, with its manifest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import MapRecord, SceneMeta
from drshym_pipeline.scene_folder import BACKSCATTER_KINDS, PRODUCT_KINDS, MapFolder, product_name
from drshym_pipeline.storage import (
    delete_directory,
    fsync_directory,
    fsync_tree,
    sha256_file,
    temporary_directory,
    write_json,
)


def check_free(out: Path, meta: SceneMeta, *, backscatter: bool = False) -> None:
    """Check that the names of a scene's products are free, or belong to the same scene.

    Args:
        out: The user's folder.
        meta: The scene.
        backscatter: Whether the map has the backscatter too. Otherwise a file of that name may be the user's own.

    Raises:
        InputError: A file with such a name belongs to another source.
    """
    kinds = [kind for kind in PRODUCT_KINDS if backscatter or kind not in BACKSCATTER_KINDS]
    taken = [out / name for kind in kinds if (out / (name := product_name(meta.scene_id, kind))).exists()]
    if taken and _earlier_record(out, meta.scene_id).get("source_sha256") != meta.sha256:
        raise InputError(
            taken[0],
            "the file already exists and is not of this scene",
            "Choose another --out, or replace it with --overwrite",
        )


def _earlier_record(out: Path, scene: str) -> dict[str, Any]:
    """Return the record of an earlier map in a user's folder; empty if there is none that can be read."""
    try:
        found = json.loads((out / product_name(scene, "record")).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def finish(drawn: MapFolder, record: MapRecord) -> MapFolder:
    """Write the manifest of a drawn map and move the map to its final folder, in one rename.

    A finished map is never changed. If another run has finished the same map in the meantime, its map stays and this
    one is deleted. If the process is killed at any point, the call can be repeated.

    Args:
        drawn: The map, with its report.
        record: The record of the map.

    Returns:
        The finished map.

    Raises:
        OSError: A file that the record names is missing.
    """
    paths = [drawn.products / name for name in record.files.values()]
    write_json(
        drawn.manifest,
        {
            "scene_id": record.scene_id,
            "scene_version": record.scene_version,
            "map_version": drawn.version,
            "model_sha256": record.model.sha256,
            "files": {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in paths},
        },
    )
    fsync_tree(drawn.directory)
    finished = drawn.scene.map(drawn.version)
    finished.directory.parent.mkdir(exist_ok=True)
    try:
        drawn.directory.rename(finished.directory)
    except OSError:  # a rename cannot replace a folder that is not empty
        if finished.can_be_reused():
            delete_directory(drawn.directory)
            return finished
        # Files of the existing map were deleted or damaged: the rest of it is moved away first.
        with temporary_directory(finished.directory.parent) as holder:
            finished.directory.replace(holder / finished.directory.name)
            drawn.directory.rename(finished.directory)
    fsync_directory(finished.directory.parent)
    return finished


def publish(products: Path, scene: str, out: Path) -> None:
    """Move the products of a map to a user's folder; the record is moved last.

    Args:
        products: The folder of the products, on the same file system as `out`.
        scene: The scene's name.
        out: The user's folder.
    """
    record = product_name(scene, "record")
    earlier = _earlier_record(out, scene).get("files")
    earlier_kinds = set(earlier) if isinstance(earlier, dict) else set()
    # An old record must not describe a mix of old and new files.
    (out / record).unlink(missing_ok=True)
    for kind in PRODUCT_KINDS:
        name = product_name(scene, kind)
        if name == record:
            continue
        if (products / name).is_file():
            (products / name).replace(out / name)
        elif kind not in BACKSCATTER_KINDS or kind in earlier_kinds:
            # This map does not have this optional product, so the file of an earlier map is deleted. A raster with the
            # word backscatter in its name may also be a scene of the user.
            (out / name).unlink(missing_ok=True)
    fsync_directory(out)
    (products / record).replace(out / record)
    fsync_directory(out)
