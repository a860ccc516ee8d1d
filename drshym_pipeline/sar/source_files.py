"""The GeoTIFFs of a scene, whatever the user gives: GeoTIFFs, a SAFE folder, or a zip that contains one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar.archives import unpacked
from drshym_pipeline.sar.safe_product import is_zip_name, product_folder, product_images
from drshym_pipeline.sar.scene_names import scene_id
from drshym_pipeline.storage import to_uri


@dataclass(frozen=True)
class SourceFiles:
    """The files of a scene, as long as they are open.

    Args:
        files: The GeoTIFFs.
        name: The name of the scene, as what the user gave says it.
        uris: Where the scene came from.
        archive: The zip that the files were unpacked from.
        root: The temporary folder that they were unpacked into.
    """

    files: list[Path]
    name: str
    uris: tuple[str, ...]
    archive: Path | None = None
    root: Path | None = None

    def recorded(self, meta: SceneMeta) -> SceneMeta:
        """Return the record of the scene with the zip and the paths in it, instead of those of the temporary files."""
        root = self.root
        if self.archive is None or root is None:
            return meta

        def inside(path: str | None) -> str | None:
            return None if path is None else Path(path).relative_to(root).as_posix()

        bands = tuple(
            band.model_copy(
                update={
                    "path": inside(band.path),
                    "calibration": inside(band.calibration),
                    "noise": inside(band.noise),
                }
            )
            for band in meta.bands
        )
        return meta.model_copy(update={"bands": bands, "archive": str(self.archive)})


@contextmanager
def open_sources(sources: Sequence[Path], parent: Path) -> Iterator[SourceFiles]:
    """Yield the GeoTIFFs of a scene. What has to be unpacked for it is deleted at the end of the block.

    Args:
        sources: One SAFE folder, one zip, or one or two GeoTIFFs.
        parent: The folder in which a temporary folder is made if the source is a zip.

    Raises:
        InputError: The folder or zip contains no ground-range product with VV, or cannot be used for another reason.
    """
    paths = [Path(source) for source in sources]
    if len(paths) == 1:
        path = paths[0].absolute()
        if is_zip_name(path.name) and path.is_file():
            try:
                with unpacked(path, parent) as (root, files):
                    yield SourceFiles(files, scene_id([path]), (to_uri(path),), path, root)
            except PermissionError as error:
                if str(error.filename) != str(path):
                    raise
                raise InputError(path, f"cannot be read ({error.strerror})", "Check its permissions") from error
            return
        if (folder := product_folder(path)) is not None:
            files = product_images(folder)
            yield SourceFiles(files, scene_id([folder]), tuple(map(to_uri, files)))
            return
    uris = tuple(to_uri(path) for path in paths)
    yield SourceFiles(paths, scene_id(paths) if paths else "", uris)


@contextmanager
def source_root(meta: SceneMeta, directory: Path) -> Iterator[Path]:
    """Yield the folder that the paths of a staged scene's bands start from.

    Args:
        meta: The scene.
        directory: Its folder. A zip is unpacked into a temporary folder in it.

    Raises:
        InputError: The scene was read from a zip that can no longer be used.
    """
    if meta.archive is None:
        yield directory
        return
    with unpacked(directory / meta.archive, directory) as (root, _):
        yield root
