"""From the addresses or the uploaded files of a request to a job in the queue.

The reader of scenes decides what can be mapped; here only the header of each GeoTIFF is read, for the number of its
pixels. Errors about uploaded files name them as the user does.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.safe_open import open_scene_file
from drshym_pipeline.sar.safe_product import is_zip_name, product_folder, product_images
from drshym_pipeline.sar.scene_groups import pair_files
from drshym_pipeline.sar.scene_names import is_scene_id, scene_id
from drshym_pipeline.service.access import resolve_uri
from drshym_pipeline.service.engine import MappingEngine
from drshym_pipeline.service.jobs import Job, JobSpec, new_job_id
from drshym_pipeline.service.problems import ProblemError
from drshym_pipeline.service.scenes import SceneCatalogue
from drshym_pipeline.service.schemas import ImageUris, SegmentOptions, SegmentRequest
from drshym_pipeline.service.settings import ServiceSettings
from drshym_pipeline.service.uploads import PRE_FIELD, SCENE_FIELD, Upload, UploadedFile
from drshym_pipeline.storage import TEMPORARY_PREFIX, sha256_json, upload_uri
from drshym_pipeline.tiling import TileGrid

_BYTES_PER_PIXEL: Final = 4  # of a zip, whose pixels are not known before it is unpacked


@dataclass(frozen=True)
class SceneToMap:
    """A scene of a request.

    Args:
        sources: Its files, VV first.
        pre: The files of the scene from before the event.
        name: The name of the scene.
        identity: SHA-256 of what it is: its addresses, or the bytes of its files.
        pixels: Pixels of one band of all images together.
        uploads: Folders that are deleted when the job has ended.
        source_uris: Where its files came from, for the record of the map; their own addresses when empty.
        pre_uris: The same for the files of the scene from before the event.
    """

    sources: tuple[Path, ...]
    pre: tuple[Path, ...]
    name: str
    identity: str
    pixels: int
    uploads: tuple[Path, ...] = ()
    source_uris: tuple[str, ...] = ()
    pre_uris: tuple[str, ...] = ()


def addressed_scene(request: SegmentRequest, settings: ServiceSettings) -> SceneToMap:
    """Return the scene that a request names by its addresses.

    Raises:
        ForbiddenError: An address is outside the configured folders.
        InputError: A file is missing or is no scene.
        ProblemError: The scene is too large.
    """
    given = _addressed(request.image_uri, settings)
    sources = _ordered(given, [path.name for path in given])
    before = () if request.pre_image_uri is None else _addressed(request.pre_image_uri, settings)
    pre = _ordered(before, [path.name for path in before])
    identity = sha256_json({"addresses": [str(path) for path in sources]})
    pixels = _checked_pixels(sources, settings) + _checked_pixels(pre, settings)
    return SceneToMap(sources, pre, _name_of(sources), identity, pixels)


def uploaded_scene(upload: Upload, name: str | None, settings: ServiceSettings) -> SceneToMap:
    """Return the scene of an upload.

    Args:
        upload: The upload.
        name: The name that the user wants for the scene; taken from the files when None.
        settings: The limits.

    Raises:
        ProblemError: There is no file, a name cannot be used, or the scene is too large.
        InputError: A file is no scene; it is named as the user does.
    """
    files = _ordered_files(upload.named(SCENE_FIELD))
    if not files:
        raise ProblemError("invalid_request", f"form: the field '{SCENE_FIELD}' is missing. Add the file of a scene.")
    before = _ordered_files(upload.named(PRE_FIELD))
    if name is not None and not is_scene_id(name):
        raise ProblemError(
            "invalid_request",
            f"form: name: {name[:80]!r} cannot be the name of a scene. Use letters, digits, '_', '-' and '.', at most "
            "200 bytes, and begin with a letter or digit.",
        )
    sources, pre = (tuple(file.path for file in found) for found in (files, before))
    try:
        pixels = _checked_pixels(sources, settings) + _checked_pixels(pre, settings)
    except InputError as error:
        raise as_user_names(error, upload) from error
    identity = sha256_json({"files": [file.sha256 for file in files]})
    own = name or scene_id([PurePath(file.name) for file in files])
    # The files are deleted when they are mapped, so the record of the map has the names that the user gave.
    uris, pre_uris = (tuple(upload_uri(file.name) for file in found) for found in (files, before))
    return SceneToMap(sources, pre, own, identity, pixels, (upload.folder,), uris, pre_uris)


def submit(scene: SceneToMap, options: SegmentOptions, engine: MappingEngine, catalogue: SceneCatalogue) -> Job:
    """Put a scene into the queue.

    Raises:
        QueueFullError: The queue is full.
        InputError: An option cannot be used.
    """
    TileGrid(1, 1, options.tile, options.overlap)  # refuses an overlap that does not fit the tile
    id, out = catalogue.new_folder(scene.name, scene.identity, new_job_id())
    spec = JobSpec(
        scene_name=id,
        sources=scene.sources,
        pre=scene.pre,
        source_uris=scene.source_uris,
        pre_uris=scene.pre_uris,
        options=options,
        identity=scene.identity,
        out=out,
        uploads=scene.uploads,
    )
    try:
        return engine.submit(spec, out.name)
    except BaseException:
        catalogue.remove_folder(id, out.name)
        raise


def as_user_names(error: InputError, upload: Upload) -> InputError:
    """Return an error about an uploaded file with the name that the user gave to the file."""
    names = {str(file.path): file.name for file in upload.files}
    return InputError(
        _replaced(error.subject, names, upload.folder),
        _replaced(error.problem, names, upload.folder),
        _replaced(error.remedy, names, upload.folder),
    )


def without_own_folders(text: str, spec: JobSpec) -> str:
    """Return a text in which uploaded and unpacked files have no folder of the service before their names."""
    for folder in spec.uploads:
        text = _replaced(text, {}, folder)
    temporary = rf"(?:{re.escape(TEMPORARY_PREFIX)}[^/]*/)*"
    return re.sub(rf"{re.escape(str(spec.out))}/{temporary}", "", text)


def _replaced(text: str, names: Mapping[str, str], folder: Path) -> str:
    for path, name in names.items():
        text = text.replace(path, name)
    for field in (SCENE_FIELD, PRE_FIELD):
        text = text.replace(f"{folder / field}{os.sep}", "")
    return text


def _addressed(uris: ImageUris, settings: ServiceSettings) -> tuple[Path, ...]:
    texts = (uris,) if isinstance(uris, str) else uris
    return tuple(resolve_uri(text, settings.input_roots) for text in texts)


def _ordered(paths: Sequence[Path], names: Sequence[str]) -> tuple[Path, ...]:
    """Return the files of one scene, VV first as far as their names say which is which; else in the given order."""
    if len(paths) == 2 and names[0] != names[1]:
        groups = pair_files(names)
        if len(groups) == 1:
            return tuple(paths[names.index(name)] for name in groups[0].ordered)
    return tuple(paths)


def _ordered_files(files: Sequence[UploadedFile]) -> list[UploadedFile]:
    by_path = {file.path: file for file in files}
    return [by_path[path] for path in _ordered([file.path for file in files], [file.name for file in files])]


def _name_of(sources: Sequence[Path]) -> str:
    """Return the name of a scene, as the reader gives it."""
    folder = product_folder(sources[0]) if len(sources) == 1 else None
    return scene_id(list(sources) if folder is None else [folder])


def _checked_pixels(sources: Sequence[Path], settings: ServiceSettings) -> int:
    """Return the pixels of one band of a scene.

    Raises:
        InputError: A file is no GeoTIFF, a folder is no product.
        ProblemError: The scene has more pixels than the service maps.
    """
    pixels = max(map(_pixels, _images(sources)), default=0)
    if pixels > settings.scene_pixels:
        raise ProblemError(
            "scene_too_large",
            f"The scene has {pixels} pixels, and this service maps at most {settings.scene_pixels}. Cut it into parts.",
        )
    return pixels


def _images(sources: Sequence[Path]) -> Sequence[Path]:
    folder = product_folder(sources[0]) if len(sources) == 1 else None
    return sources if folder is None else product_images(folder)


def _pixels(path: Path) -> int:
    if is_zip_name(path.name):
        return path.stat().st_size // _BYTES_PER_PIXEL
    with open_scene_file(path) as dataset:
        return int(dataset.width) * int(dataset.height)
