"""Moving finished products to where they are looked for, without losing a map that is there.

In a user's folder the record goes last, in a scene's folder the manifest: a folder that has it has all the files it
names.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.products.folder import PRODUCTS_FOLDER, STITCHED_FILE, SceneFolder
from drshym_pipeline.products.names import PRODUCT_KINDS, product_name
from drshym_pipeline.records import MapRecord, SceneMeta
from drshym_pipeline.storage import fsync_directory, sha256_file, write_bytes, write_json


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


def finish(folder: SceneFolder, record: MapRecord) -> None:
    """Let the newest map of a scene take the place of the one before, and write its manifest.

    Until here the map before is whole. Killed anywhere, this can be repeated.
    """
    folder.manifest.unlink(missing_ok=True)
    if folder.newest == folder.following:
        # The figures go first: as long as the products have not moved, they are read from beside them.
        write_bytes(folder.directory / STITCHED_FILE, folder.stitched_summary.read_bytes())
        if folder.products.exists():
            folder.products.replace(folder.following / "replaced")
        (folder.following / PRODUCTS_FOLDER).replace(folder.products)
        fsync_directory(folder.directory)
        shutil.rmtree(folder.following, ignore_errors=True)
    meta = folder.meta()
    paths = [folder.products / product_name(meta.scene_id, kind) for kind in PRODUCT_KINDS]
    write_json(
        folder.manifest,
        {
            "scene_id": meta.scene_id,
            "scene_version": meta.version,
            "model_sha256": record.model.sha256,
            "files": {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)} for path in paths},
        },
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
