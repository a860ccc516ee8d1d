"""Moving finished products into a user's folder, without losing another scene's.

The record goes last, so that a folder with a record has all the files it names.
"""

from __future__ import annotations

import json
from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.products.folder import SceneFolder
from drshym_pipeline.products.names import PRODUCT_KINDS, product_name
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.storage import fsync_directory


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


def publish(folder: SceneFolder, out: Path) -> None:
    """Move the products of a finished map to `out`, on the same file system."""
    scene = folder.meta().scene_id
    record = product_name(scene, "record")
    # An old record must not vouch for a mix of old and new files.
    (out / record).unlink(missing_ok=True)
    for kind in PRODUCT_KINDS:
        name = product_name(scene, kind)
        if name != record:
            (folder.products / name).replace(out / name)
    fsync_directory(out)
    (folder.products / record).replace(out / record)
    fsync_directory(out)
