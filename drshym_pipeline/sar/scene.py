"""Stage a Sentinel-1 scene under its version, read its record, open its backscatter.

This module keeps staged copies and their records; `ingest` describes a scene, and `reader` reads windows of it as dB.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import ValidationError

from drshym_pipeline.errors import InputError
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import SceneMeta, Units, describe_validation
from drshym_pipeline.sar.backscatter import BackscatterReader, BackscatterWriter
from drshym_pipeline.sar.codes import BACKSCATTER_FILE, encode_db
from drshym_pipeline.sar.ingest import content_hash, describe_scene
from drshym_pipeline.sar.reader import SceneReader, strips
from drshym_pipeline.sar.safe_product import is_zip_name
from drshym_pipeline.sar.source_files import open_sources, source_root
from drshym_pipeline.storage import atomic_path, fsync_directory, fsync_tree, scratch_directory, to_uri, write_text

__all__ = ["SCENE_META_NAME", "SOURCE_FOLDER", "SceneReader", "describe_scene", "read_scene_meta", "stage_scene"]

SCENE_META_NAME = "scene_meta.json"
SOURCE_FOLDER = "source"
_STRIP_ROWS = 64


def read_scene_meta(directory: Path) -> SceneMeta:
    """Read the record of a staged scene.

    Raises:
        InputError: There is no record in the directory, or it is not a `SceneMeta`.
    """
    path = directory / SCENE_META_NAME
    remedy = "Stage the scene again"
    try:
        return SceneMeta.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise InputError(path, "the file does not exist", remedy) from error
    except ValidationError as error:
        raise InputError(path, describe_validation(error), remedy) from error


def _staged_before(directory: Path, meta: SceneMeta, copied: bool) -> SceneMeta | None:
    """Return the record of the same scene, if the directory has one and its sources exist (inside it if `copied`)."""
    if not (directory / SCENE_META_NAME).is_file():
        return None
    try:
        staged = read_scene_meta(directory)
    except InputError:
        return None  # written by another version of the program: the scene is staged again
    paths = [Path(path) for path in staged.source_paths]
    there = all((directory / path).is_file() and not (copied and path.is_absolute()) for path in paths)
    return staged if there and staged.sha256 == meta.sha256 else None


def _staged_names(meta: SceneMeta) -> dict[str, str]:
    """Return the name of each source below the version's directory; of two equal names one gets its polarisation."""
    names: dict[str, str] = {}
    for band in meta.bands:
        if band.path not in names:
            name = Path(band.path).name
            taken = f"{SOURCE_FOLDER}/{name}" in names.values()
            names[band.path] = f"{SOURCE_FOLDER}/{band.polarisation}_{name}" if taken else f"{SOURCE_FOLDER}/{name}"
        # The tables are named after the copy of their image, so that they are found when the copy is read as a scene.
        for kind, table in (("calibration", band.calibration), ("noise", band.noise)):
            if table is not None:
                names[table] = f"{SOURCE_FOLDER}/{kind}-{Path(names[band.path]).stem}.xml"
    return names


def stage_scene(
    sources: Sequence[Path],
    root: Path,
    *,
    scene_id: str | None = None,
    units: Units | None = None,
    bands: Sequence[int] = (),
    denoise: bool = True,
    source_uris: Sequence[str] | None = None,
    copy: bool = True,
    progress: Progress = silent,
) -> tuple[SceneMeta, Path]:
    """Describe a scene and keep its record, its backscatter and, if wanted, a copy of its files.

    The files are written to `root/<scene_id>/<version>/`, copies to `source/` in it; a new directory appears in one
    rename. A second call with the same content and options finds this directory, copies nothing and changes no other
    file in it.

    Args:
        sources: The files, as for `describe_scene`; or one SAFE folder, or one zip that contains one.
        root: Folder of all staged scenes.
        scene_id: The scene's name; by default made from the file names.
        units: The units of the pixels; by default found from the values, the file's name and its tags.
        bands: The numbers of the bands to read, VV first; by default found from their names.
        denoise: Subtract the thermal noise from digital numbers, if the product has the tables for it.
        source_uris: Where the files came from.
        copy: Copy the files; of a zip, the zip. Otherwise the record names the original files.
        progress: Called after every strip (stage `describe`) and for every file (stage `stage`).

    Returns:
        The record, whose band paths are relative to the returned directory when the files were copied and absolute
        when they were not, and that directory.

    Raises:
        InputError: As for `describe_scene` and `open_sources`; or a file changed while it was copied. No new version
            exists then.
    """
    with scratch_directory(root) as scratch:
        backscatter = scratch / BACKSCATTER_FILE
        given = [Path(source) for source in sources]
        if copy and len(given) == 1 and is_zip_name(given[0].name) and given[0].is_file():
            # The copy is read, so that the record fits it even if the zip changes in the meantime.
            source_uris = source_uris or [to_uri(given[0])]
            given = [Path(shutil.copyfile(given[0], scratch / given[0].name))]
        with open_sources(given, scratch) as opened:
            described = opened.recorded(
                describe_scene(
                    opened.files,
                    scene_id=scene_id or opened.name,
                    units=units,
                    bands=bands,
                    denoise=denoise,
                    source_uris=source_uris or opened.uris,
                    backscatter=backscatter,
                    progress=progress,
                )
            )
        directory = root / described.scene_id / described.version
        if (staged := _staged_before(directory, described, copy)) is not None:
            backscatter.replace(directory / BACKSCATTER_FILE)
            return staged, directory
        prepared = scratch / "scene"
        prepared.mkdir()
        meta = _copied(sources, described, prepared, progress) if copy else described
        backscatter.replace(prepared / BACKSCATTER_FILE)
        write_text(prepared / SCENE_META_NAME, meta.model_dump_json(indent=2) + "\n")
        fsync_tree(prepared)
        _put(prepared, directory)
        return meta, directory


def _put(prepared: Path, directory: Path) -> None:
    """Move a staged scene to its final directory; other files in it, such as the scene's maps, stay."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):  # a rename cannot replace a folder that is not empty
        prepared.rename(directory)
        fsync_directory(directory.parent)
        return
    (directory / SOURCE_FOLDER).mkdir(exist_ok=True)
    for file in (prepared / SOURCE_FOLDER).glob("*"):
        file.replace(directory / SOURCE_FOLDER / file.name)
    for name in (BACKSCATTER_FILE, SCENE_META_NAME):  # the record last: it names the others
        (prepared / name).replace(directory / name)
    fsync_directory(directory)


def _copied(sources: Sequence[Path], described: SceneMeta, directory: Path, progress: Progress) -> SceneMeta:
    """Copy the sources into `source/` of a directory and return the record that names them there."""
    (directory / SOURCE_FOLDER).mkdir()
    if described.archive is not None:
        name = f"{SOURCE_FOLDER}/{Path(described.archive).name}"
        Path(described.archive).rename(directory / name)
        return described.model_copy(update={"archive": name})
    names = _staged_names(described)
    bands = tuple(
        band.model_copy(
            update={
                "path": names[band.path],
                "calibration": None if band.calibration is None else names[band.calibration],
                "noise": None if band.noise is None else names[band.noise],
            }
        )
        for band in described.bands
    )
    meta = described.model_copy(update={"bands": bands})
    for done, (source, name) in enumerate(names.items()):
        progress("stage", done, len(names))
        shutil.copyfile(source, directory / name)
    progress("stage", len(names), len(names))
    if content_hash(meta.bands, directory) != meta.sha256:
        raise InputError(
            Path(sources[0]),
            "changed while it was being copied",
            "Wait until the file is completely written, then try again",
        )
    return meta


@contextmanager
def open_backscatter(meta: SceneMeta, directory: Path, *, progress: Progress = silent) -> Iterator[BackscatterReader]:
    """Open the backscatter of a staged scene; make it from the source again when retention has deleted it.

    Raises:
        InputError: As for `make_backscatter`; or the file belongs to another scene.
    """
    make_backscatter(meta, directory, progress=progress)
    with BackscatterReader(meta, directory) as reader:
        yield reader


def make_backscatter(meta: SceneMeta, directory: Path, *, progress: Progress = silent) -> Path:
    """Return the `backscatter.tif` of a staged scene; make it from the source again when retention has deleted it.

    Raises:
        InputError: The source no longer exists, has changed since the scene was staged, or cannot be read.
    """
    path = directory / BACKSCATTER_FILE
    if path.is_file():
        path.touch()  # retention counts from the last use
        return path
    sources = [directory / source for source in meta.source_paths]
    missing = [source for source in sources if not source.is_file()]
    if missing:
        raise InputError(missing[0], "the source of the scene no longer exists", "Copy it there again")
    with source_root(meta, directory) as root:
        if content_hash(meta.bands, root) != meta.sha256:
            raise InputError(sources[0], "has changed since the scene was staged", "Stage the scene again")
        return _write_backscatter(meta, root, path, progress)


def _write_backscatter(meta: SceneMeta, root: Path, path: Path, progress: Progress) -> Path:
    """Read a scene from its sources and write its backscatter; `root` is where the paths of the bands start."""
    windows = list(strips(meta.height, meta.width, (_STRIP_ROWS, meta.width)))
    with (
        SceneReader(meta, root) as reader,
        atomic_path(path) as temporary,
        BackscatterWriter(temporary, len(meta.bands)) as writer,
    ):
        writer.open(meta.height, meta.width)
        for done, window in enumerate(windows, 1):
            writer.write(window, encode_db(reader.read(window)))
            progress("stage", done, len(windows))
    return path
