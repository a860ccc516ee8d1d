"""Moving finished products to where they are looked for, without losing a map that is there.

In a user's folder the record is written last; in a scene's folder a map appears in one rename, with its manifest.
"""

from __future__ import annotations

import json
from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import MapRecord, SceneMeta
from drshym_pipeline.scene_folder import PRODUCT_KINDS, MapFolder, product_name
from drshym_pipeline.storage import (
    delete_directory,
    fsync_directory,
    fsync_tree,
    sha256_file,
    temporary_directory,
    write_json,
)


def check_free(out: Path, meta: SceneMeta) -> None:
    """Make sure that the names of a scene's products are free, or held by the same scene.

    Raises:
        InputError: A file of that name belongs to another source.
    """
    taken = [out / name for kind in PRODUCT_KINDS if (out / (name := product_name(meta.scene_id, kind))).exists()]
    if not taken:
        return
    try:
        known = json.loads((out / product_name(meta.scene_id, "record")).read_text("utf-8"))["source_sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        known = None
    if known != meta.sha256:
        raise InputError(
            taken[0],
            "the file is there already and is not of this scene",
            "Choose another --out, or replace it with --overwrite",
        )


def finish(drawn: MapFolder, record: MapRecord) -> MapFolder:
    """Write the manifest of a drawn map and move the map to its place, in one rename.

    A finished map is never changed. When another run has finished the same map meanwhile, that one stays and this one
    is deleted. Killed anywhere, this can be repeated.

    Args:
        drawn: The map, with its report.
        record: What its record holds.

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
    except OSError:  # a folder that is not empty cannot be renamed over
        if finished.is_complete():
            delete_directory(drawn.directory)
            return finished
        # Somebody has deleted files of the map: what is left steps aside.
        with temporary_directory(finished.directory.parent) as holder:
            finished.directory.replace(holder / finished.directory.name)
            drawn.directory.rename(finished.directory)
    fsync_directory(finished.directory.parent)
    return finished


def publish(products: Path, scene: str, out: Path) -> None:
    """Move the products of a map to a user's folder; the record is moved last.

    Args:
        products: Where they are: a folder on the same file system as `out`.
        scene: The scene's name.
        out: Where they go.
    """
    record = product_name(scene, "record")
    # An old record must not describe a mix of old and new files.
    (out / record).unlink(missing_ok=True)
    for kind in PRODUCT_KINDS:
        name = product_name(scene, kind)
        if name == record:
            continue
        if (products / name).is_file():
            (products / name).replace(out / name)
        else:
            # An optional product that this map does not have: one of an earlier map would not belong to it.
            (out / name).unlink(missing_ok=True)
    fsync_directory(out)
    (products / record).replace(out / record)
    fsync_directory(out)
