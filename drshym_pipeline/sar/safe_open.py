"""Open GeoTIFFs of unknown origin.

A file is opened as GeoTIFF or not at all, without side-cars, overviews, virtual file systems or the network, and its
nominal size is checked before a pixel is read. Every error of GDAL about a bad file becomes an `InputError` that names
the file. Other modules of this package decide what the pixels mean.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from drshym_pipeline.errors import InputError, one_line

MAX_BYTES = 48 << 30
MAX_BLOCK_BYTES = 1 << 30
# Deflate cannot compress by more than 1032, so a normal file of any common compression is below this limit; sparse
# files and zstd bombs are not. Small rasters are not checked: a chip without an observed pixel is only a header.
MAX_RATIO = 2000
RATIO_FREE_BYTES = 64 << 20

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
# Drivers that open other files or the network. GDAL removes them only when it registers its drivers, so this is the
# second protection; the first is to name the GTiff driver at every open.
_SKIPPED_DRIVERS = (
    "VRT DERIVED GTI WMS WMTS WCS HTTP PLMOSAIC EEDA EEDAI STACIT STACTA TIL MRF KMLSUPEROVERLAY DAAS ESRIC NGSGEOID "
    "SAFE SENTINEL2 DIMAP PDS PDS4 ISIS2 ISIS3 VICAR ENVI EHdr ERS RS2 TSX COSAR GTX HDF5 HDF5Image netCDF Zarr NITF "
    "GRIB MBTiles GPKG SQLite Rasterlite PCIDSK HFA AAIGrid PDF OSM MVT XYZ RRASTER BAG S102 S104 S111"
)


def register_all_drivers() -> None:
    """Register all drivers of GDAL, unless this process has done so or has registered the safe ones alone.

    For a process that belongs to the user: a warp of rasterio needs the driver VRT, also for the result of a map. Files
    of unknown origin are opened by the GTiff driver alone in every process.
    """
    with rasterio.Env():
        pass


@contextmanager
def safe_env() -> Iterator[None]:
    """Set a GDAL environment that reads only the bytes of the given file and writes no file beside it."""
    with rasterio.Env(
        GDAL_SKIP=_SKIPPED_DRIVERS,
        GDAL_PAM_ENABLED="NO",
        GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR",
        GDAL_GEOREF_SOURCES="INTERNAL",
        CPL_VSIL_CURL_ALLOWED_EXTENSIONS=".never",
        CPL_VSIL_CURL_USE_HEAD="NO",
        GDAL_HTTP_MAX_RETRY="0",
    ):
        yield


def damaged(path: Path, error: BaseException) -> InputError:
    """Return the error for a file that GDAL could not open or read, with GDAL's reason."""
    # GDAL's own message is in the cause; rasterio's message repeats the file name.
    reason = one_line(error.__cause__ if error.__cause__ is not None else error).rstrip(".")
    return InputError(path, f"damaged or cut short ({reason})", "Download or copy it again")


def _is_local_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder in the path cannot be entered
        return False


def check_location(path: Path) -> Path:
    """Return the absolute path of a local regular file that starts like a TIFF.

    Raises:
        InputError: The path is virtual or remote, or the file is missing, empty or not a TIFF.
    """
    text = str(path)
    # A folder may be called `C:` or `http:`. GDAL takes the absolute path of a file in it for no address.
    refused = "\0" in text or "\n" in text or text.startswith(("/vsi", "<"))
    if refused or (":/" in text and not _is_local_file(path)):
        raise InputError(repr(text), "not a path of a local file", "Copy the scene to a local disk and give its path")
    path = path.absolute()
    try:
        there = path.exists()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Check the permissions of its folder") from error
    if not there and path.is_symlink():
        raise InputError(path, "is a broken link", "Give the path of the file itself")
    if not there:
        raise InputError(path, "the file does not exist", "Check the path")
    if not path.is_file():
        raise InputError(path, "not a regular file", "Give the path of one GeoTIFF or .SAFE folder")
    try:
        with path.open("rb") as handle:
            magic = handle.read(4)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Check its permissions") from error
    if not magic:
        raise InputError(path, "the file is empty (zero bytes)", "Download or copy it again")
    if magic not in _TIFF_MAGIC:
        raise InputError(path, "not a TIFF", "Give a GeoTIFF with Sentinel-1 backscatter")
    return path


def _check_size(path: Path, dataset: Any) -> None:
    itemsize = max(np.dtype("complex64").itemsize if "complex" in t else np.dtype(t).itemsize for t in dataset.dtypes)
    nominal = dataset.width * dataset.height * dataset.count * itemsize
    remedy = "Give a scene of ordinary size, or cut it into parts"
    if nominal > MAX_BYTES:
        raise InputError(
            path,
            f"{dataset.width} x {dataset.height} pixels in {dataset.count} bands are {nominal / 2**30:.0f} GiB, "
            f"more than the limit of {MAX_BYTES >> 30} GiB",
            remedy,
        )
    stored = max(path.stat().st_size, 1)
    if nominal > RATIO_FREE_BYTES and nominal / stored > MAX_RATIO:
        raise InputError(
            path,
            f"{stored} bytes claim to be {nominal / 2**20:.0f} MiB of pixels ({nominal / stored:.0f} times as much)",
            "Write the file again without sparse blocks",
        )
    rows, cols = dataset.block_shapes[0]
    bands = dataset.count if dataset.tags(ns="IMAGE_STRUCTURE").get("INTERLEAVE") == "PIXEL" else 1
    if rows * cols * itemsize * bands > MAX_BLOCK_BYTES:
        raise InputError(
            path, f"its blocks of {cols} x {rows} pixels do not fit in memory", "Write it in 512x512 tiles"
        )


def _check_indirection(path: Path, dataset: Any) -> None:
    spaces = set(dataset.tag_namespaces())
    for band in dataset.indexes:
        spaces |= set(dataset.tag_namespaces(band))
    if "OVERVIEWS" in spaces:
        raise InputError(
            path, "its metadata points to another file (tag domain OVERVIEWS)", "Write it again without that metadata"
        )


def _open_geotiff(path: Path, **options: str) -> Any:
    with warnings.catch_warnings():
        # The caller decides whether a file without georeference can be used.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, driver="GTiff", sharing=False, **options)


@contextmanager
def open_scene_file(path: Path) -> Iterator[Any]:
    """Open one GeoTIFF safely, with its tags, band descriptions, CRS, transform and control points.

    Read pixels only at full size: a smaller read may come from the file's own overviews. `open_raster` has no
    overviews, but then GDAL hides tags, descriptions and control points. The environment of `safe_env` is active inside
    the block; an error of GDAL in it, such as a read after a truncated end, is reported as an error of this file.

    Args:
        path: A local file.

    Yields:
        The `DatasetReader` of rasterio.

    Raises:
        InputError: The file is missing, empty, not a TIFF, damaged, too large, or points to other files.
    """
    path = check_location(path)
    try:
        with safe_env(), _open_geotiff(path) as dataset:
            if dataset.count < 1:
                raise InputError(path, "no raster band inside", "Give a GeoTIFF with Sentinel-1 backscatter")
            _check_size(path, dataset)
            _check_indirection(path, dataset)
            yield dataset
    except (RasterioError, CPLE_BaseError) as error:
        raise damaged(path, error) from error


@contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """Open one GeoTIFF safely, for reading pixels at any size.

    Like `open_scene_file`, but without overviews, and without tags and band descriptions, which GDAL hides then.

    Args:
        path: A local file.

    Yields:
        The `DatasetReader` of rasterio, without overviews.

    Raises:
        InputError: As for `open_scene_file`.
    """
    with open_scene_file(path) as header:
        # Check the header first: a file that points to other files must not be opened for its pixels.
        path = Path(header.name)
    try:
        with safe_env(), _open_geotiff(path, OVERVIEW_LEVEL="NONE") as dataset:
            yield dataset
    except (RasterioError, CPLE_BaseError) as error:
        raise damaged(path, error) from error
