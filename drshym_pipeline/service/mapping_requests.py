"""From the addresses or the uploaded files of a request to a job in the queue.

The reader of scenes decides what can be mapped; here only the number of pixels is asked for, from a process that reads
the header of each image. Errors about uploaded files name them as the user does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.pixel_limit import TooManyPixelsError
from drshym_pipeline.sar.safe_product import product_folder
from drshym_pipeline.sar.scene_groups import pair_files
from drshym_pipeline.sar.scene_names import is_scene_id, scene_id
from drshym_pipeline.service.access import resolve_uri
from drshym_pipeline.service.engine import MappingEngine
from drshym_pipeline.service.invalid_requests import shown_value
from drshym_pipeline.service.jobs import Job, JobSpec, new_job_id
from drshym_pipeline.service.problems import ProblemError
from drshym_pipeline.service.scene_sizes import SceneSizes
from drshym_pipeline.service.scenes import SceneCatalogue
from drshym_pipeline.service.schemas import ImageUris, SegmentOptions, SegmentRequest
from drshym_pipeline.service.settings import ServiceSettings
from drshym_pipeline.service.upload_form import PRE_FIELD, SCENE_FIELD, UploadedFile
from drshym_pipeline.service.uploads import Upload
from drshym_pipeline.service.user_texts import with_shown_names
from drshym_pipeline.storage import sha256_json, upload_uri
from drshym_pipeline.tiling import TileGrid


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
        shown_names: The names that the user gave to uploaded files, by the paths of the stored ones.
    """

    sources: tuple[Path, ...]
    pre: tuple[Path, ...]
    name: str
    identity: str
    pixels: int
    uploads: tuple[Path, ...] = ()
    source_uris: tuple[str, ...] = ()
    pre_uris: tuple[str, ...] = ()
    shown_names: dict[str, str] = field(default_factory=dict)


def addressed_scene(request: SegmentRequest, settings: ServiceSettings, sizes: SceneSizes) -> SceneToMap:
    """Return the scene that a request names by its addresses.

    Args:
        request: The request.
        settings: The folders that may be read, and the limits.
        sizes: Looks up the size of the scene.

    Raises:
        ForbiddenError: An address is outside the configured folders.
        InputError: A file is missing, is not a scene, or is too large.
        ProblemError: Its size could not be looked up.
    """
    given = _addressed(request.image_uri, settings)
    sources = _ordered(given, [path.name for path in given])
    before = () if request.pre_image_uri is None else _addressed(request.pre_image_uri, settings)
    pre = _ordered(before, [path.name for path in before])
    identity = sha256_json({"addresses": [str(path) for path in sources]})
    pixels = sum(_checked_pixels(files, files[0].name, settings, sizes) for files in (sources, pre) if files)
    return SceneToMap(sources, pre, _name_of(sources), identity, pixels)


def uploaded_scene(upload: Upload, name: str | None, settings: ServiceSettings, sizes: SceneSizes) -> SceneToMap:
    """Return the scene of an upload.

    Args:
        upload: The upload.
        name: The name that the user wants for the scene; taken from the files when None.
        settings: The limits.
        sizes: Looks up the size of the scene.

    Raises:
        ProblemError: There is no file, a name cannot be used, or the size could not be looked up.
        InputError: A file is not a scene, or is too large; it is named as the user does.
    """
    files = _ordered_files(upload.named(SCENE_FIELD))
    if not files:
        raise ProblemError("invalid_request", f"form: the field '{SCENE_FIELD}' is missing. Add the file of a scene.")
    before = _ordered_files(upload.named(PRE_FIELD))
    if name is not None and not is_scene_id(name):
        raise ProblemError(
            "invalid_request",
            f"form: name: {shown_value(name)} cannot be the name of a scene. Use letters, digits, '_', '-' and '.', at "
            "most 200 bytes, and begin with a letter or digit.",
        )
    sources, pre = (tuple(file.path for file in found) for found in (files, before))
    try:
        pixels = sum(
            _checked_pixels([file.path for file in found], found[0].name, settings, sizes)
            for found in (files, before)
            if found
        )
    except TooManyPixelsError:  # it has the user's name
        raise
    except InputError as error:
        raise as_user_names(error, upload) from error
    identity = sha256_json({"files": [file.sha256 for file in files]})
    own = name or scene_id([PurePath(file.name) for file in files])
    # The files are deleted when they are mapped, so the record of the map has the names that the user gave.
    uris, pre_uris = (tuple(upload_uri(file.name) for file in found) for found in (files, before))
    return SceneToMap(sources, pre, own, identity, pixels, (upload.folder,), uris, pre_uris, upload.shown_names)


def submit(
    scene: SceneToMap, options: SegmentOptions, engine: MappingEngine, catalogue: SceneCatalogue, most_pixels: int
) -> Job:
    """Put a scene into the queue.

    Args:
        scene: The scene.
        options: How it is mapped.
        engine: Has the queue.
        catalogue: Makes the folder of the map.
        most_pixels: The largest number of pixels of one band; a worker checks it again when a zip is unpacked.

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
        shown_names=scene.shown_names,
        most_pixels=most_pixels,
    )
    try:
        return engine.submit(spec, out.name)
    except BaseException:
        catalogue.remove_folder(id, out.name)
        raise


def as_user_names(error: InputError, upload: Upload) -> InputError:
    """Return an error about an uploaded file with the name that the user gave to the file."""
    texts = (error.subject, error.problem, error.remedy)
    return InputError(*(with_shown_names(text, upload.shown_names) for text in texts))


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


def _checked_pixels(sources: Sequence[Path], name: str, settings: ServiceSettings, sizes: SceneSizes) -> int:
    """Return the pixels of one band of a scene.

    Raises:
        TooManyPixelsError: The scene has more pixels than the service maps.
        InputError: A file is not a GeoTIFF, or a folder or zip is not a product.
        ProblemError: Its size could not be looked up.
    """
    pixels = sizes.pixels(sources, name)
    if pixels > settings.scene_pixels:
        raise TooManyPixelsError(name, pixels, settings.scene_pixels)
    return pixels
