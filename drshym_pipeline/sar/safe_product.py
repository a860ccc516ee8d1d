"""Sentinel-1 products as they are delivered: a SAFE folder, or a zip that contains one.

One product is one scene. Only ground-range products (GRD) with VV can be mapped. Here only names are read; `archives`
unpacks zips, and `product_tables` finds the tables of an image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePath, PurePosixPath
from typing import Final

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.file_names import named_polarisations
from drshym_pipeline.sar.product_tables import MEASUREMENT_FOLDER, TABLE_KINDS, table_places

_SAFE: Final = ".safe"
_ZIP: Final = ".zip"
_MANIFEST: Final = "manifest.safe"
_IMAGES: Final = (".tif", ".tiff")
_PRODUCT = re.compile(r"^S1[A-D]_[A-Z0-9]{2}_(?P<kind>GRD|SLC|OCN|RAW|ETA)", re.IGNORECASE)
_PRODUCT_ZIP = re.compile(  # not the zip of a map's light products, whose name begins in the same way
    rf"{_PRODUCT.pattern}\w*_[0-9A-F]{{4}}(?:_COG)?(?:\.SAFE)?(?:\s?\(\d+\))?\.zip$", re.IGNORECASE
)
_FILE = re.compile(r"^s1[a-d]-[a-z0-9]{2,3}-(?P<kind>grd|slc|ocn|raw|eta)-", re.IGNORECASE)
_OWN_FOLDERS: Final = ("preview", "annotation", "support")  # may contain pictures of the product
_USE_GRD = "Use the GRD product of the same pass"
_UNNAMED: Final = "no polarisation"
_AGAIN = "Download the product, or unpack it, again"


def is_safe_name(name: str) -> bool:
    """Return whether a name is that of a SAFE folder."""
    return name.lower().endswith(_SAFE) and len(name) > len(_SAFE) and name.lower() != _MANIFEST


def is_zip_name(name: str) -> bool:
    """Return whether a name is that of a zip."""
    return name.lower().endswith(_ZIP)


def is_product_zip_name(name: str) -> bool:
    """Return whether a name is that of a zip with a Sentinel-1 product. In a folder, other zips are not scenes."""
    return _PRODUCT_ZIP.match(name) is not None


def safe_folder_of(path: PurePath) -> PurePath | None:
    """Return the SAFE folder that a file is in, None if it is in none."""
    return next((folder for folder in path.parents if is_safe_name(folder.name)), None)


def product_folder(path: Path) -> Path | None:
    """Return the folder of the product that a path names, or None if it names no product.

    Args:
        path: A SAFE folder, which may have another name if `manifest.safe` is in it, or that file.
    """
    if path.name.lower() == _MANIFEST and path.is_file():
        return path.absolute().parent
    return path if path.is_dir() and (is_safe_name(path.name) or (path / _MANIFEST).is_file()) else None


def product_around(folder: Path) -> Path | None:
    """Return the product that a folder is, or whose `measurement` folder it is, or None."""
    whole = folder.parent if folder.name == MEASUREMENT_FOLDER else folder
    return product_folder(whole)


def skipped_product(name: str) -> str | None:
    """Return why no file of a SAFE folder or zip with this name is mapped, or None if the product may be mapped."""
    kind = _kind(name)
    if kind is None or kind == "GRD":
        return None
    return f"an {kind} product; only ground-range products (GRD) are mapped"


def is_product_image(path: PurePath) -> bool:
    """Return whether a file of a SAFE folder is one of its images, by its place and name."""
    return path.parent.name == MEASUREMENT_FOLDER and path.suffix.lower() in _IMAGES


def is_stray_raster(path: PurePath) -> bool:
    """Return whether a file of a SAFE folder is a raster that a user has saved there, not a part of the product."""
    safe = safe_folder_of(path)
    if safe is None or path.suffix.lower() not in _IMAGES:
        return False
    return path.relative_to(safe).parts[0] not in (MEASUREMENT_FOLDER, *_OWN_FOLDERS)


def is_table(path: PurePath) -> bool:
    """Return whether a file is a table of an image, or the annotation of a product, by its place and name."""
    name = path.name.lower()
    if path.suffix.lower() != ".xml":
        return False
    if path.parent.name in ("annotation", "calibration") and safe_folder_of(path) is not None:
        return _kind(name.removeprefix("calibration-").removeprefix("noise-")) is not None
    return name.startswith(("calibration-", "noise-")) or _FILE.match(name) is not None


def _kind(name: str) -> str | None:
    found = _PRODUCT.match(name) or _FILE.match(name)
    return None if found is None else found["kind"].upper()


def choose_images(subject: Path, product: str, files: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the images of a product that are mapped: VV, and VH if there is one.

    Args:
        subject: The folder or zip, for an error.
        product: The name of the product's folder.
        files: The files in that folder, as paths below it.

    Raises:
        InputError: It is not a ground-range product, has no VV, or has no image.
    """
    measured = [file for file in files if file.parent.name == MEASUREMENT_FOLDER]
    kinds = {kind for name in (product, *(file.name for file in measured)) if (kind := _kind(name)) is not None}
    if other := sorted(kinds - {"GRD"}):
        raise InputError(subject, f"is an {other[0]} product; only ground-range products (GRD) can be mapped", _USE_GRD)
    images = sorted(file for file in measured if is_product_image(file))
    if not images:
        raise InputError(subject, f"contains no image ({MEASUREMENT_FOLDER}/*.tiff)", _AGAIN)
    by_name: dict[str, list[PurePosixPath]] = {}
    for image in images:
        for polarisation in named_polarisations(image.stem) or (_UNNAMED,):
            by_name.setdefault(polarisation, []).append(image)
    if "VV" not in by_name:
        found = " and ".join(sorted(set(by_name) - {_UNNAMED}))
        if not found:
            problem = f"no image of VV was found in {MEASUREMENT_FOLDER}/ (there is {images[0].name})"
            raise InputError(subject, problem, "Give the images their original names again")
        raise InputError(subject, f"contains {found}, and no VV", "Use a product with VV (1SDV or 1SSV in its name)")
    chosen = [by_name[name] for name in ("VV", "VH") if name in by_name]
    if double := next((found for found in chosen if len(found) > 1), None):
        problem = f"contains {len(double)} images of one polarisation ({double[0].name}, ...)"
        raise InputError(subject, problem, "Give one of its images")
    return [found[0] for found in chosen]


def needed_files(images: Sequence[PurePosixPath], files: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """Return the files of a product that are read: its images, and their tables as far as there are any.

    Args:
        images: The images, as `choose_images` returns them.
        files: All files of the product.
    """
    there = set(files)
    tables = (place for image in images for kind in TABLE_KINDS for place in table_places(image, kind))
    return [*images, *(PurePosixPath(place) for place in tables if place in there)]


def product_images(folder: Path) -> list[Path]:
    """Return the images of a SAFE folder that are mapped: VV, and VH if there is one.

    A link is not followed, because it may point to any file.

    Raises:
        InputError: It is not a ground-range product, has no VV, has no image, or cannot be read.
    """
    files: list[PurePosixPath] = []
    try:
        files = [
            PurePosixPath(MEASUREMENT_FOLDER, path.name)
            for path in (folder / MEASUREMENT_FOLDER).iterdir()  # `glob` would hide that it cannot be read
            if path.is_file() and not path.is_symlink()
        ]
    except (FileNotFoundError, NotADirectoryError):
        pass  # a product without images: `choose_images` says so, or names its kind
    except OSError as error:
        raise InputError(folder, f"cannot be read ({error.strerror})", "Give read permission for it") from error
    return [folder / image for image in choose_images(folder, folder.name, files)]
