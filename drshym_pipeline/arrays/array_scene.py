"""Write a labelled array (xarray) as a GeoTIFF, so that the reader of scenes reads it with all its checks.

Only what a GeoTIFF cannot hold is checked here: dimensions, coordinates, the type of the values, the number of bands.
Names, units, fill values and scales of the array become those of the file, as `rioxarray.open_rasterio` reads them. The
CRS, the values and what they mean are checked when the file is read.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import numpy as np

from drshym_pipeline.arrays.array_grid import array_transform, spatial_dims
from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.sar.file_names import named_polarisations, pair_key, stem

if TYPE_CHECKING:
    import xarray as xr

_ROWS: Final = 512
_BLOCK: Final = 512
_MOST_NAME: Final = 120  # characters
_MOST_BANDS: Final = 2
_DEFAULT_NAME: Final = "scene"
_BAND_COORDINATES: Final = ("band", "polarization", "polarisation", "pol", "variable")
# Attributes that become other parts of the file than its tags.
_OWN_ATTRIBUTES: Final = frozenset(
    [
        *("_FillValue", "missing_value", "fill_value", "nodata", "scale_factor", "add_offset"),
        *("long_name", "units", "grid_mapping", "transform", "AREA_OR_POINT"),
    ]
)
# The type that a GeoTIFF holds the values of other types in without loss.
_WIDER: Final = {"float16": "float32"}
_TYPES: Final = frozenset(
    [f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64)] + ["float32", "float64"]
)


@dataclass(frozen=True)
class ArrayScene:
    """An array as a file.

    Args:
        path: The GeoTIFF.
        label: The name of the array in messages, such as `DataArray 'vv'`.
        acquired: The time in its scalar coordinate `time`; None without one.
    """

    path: Path
    label: str
    acquired: datetime | None


def array_label(array: xr.DataArray) -> str:
    """Return the name of an array in messages, such as `DataArray 'vv'`."""
    if array.name is not None:
        return f"DataArray {str(array.name)!r}"
    source = _source(array).name
    return f"DataArray (of {source!r})" if source else "DataArray (without a name)"


def write_array(array: xr.DataArray, folder: Path, *, bands: Sequence[int] = ()) -> ArrayScene:
    """Write an array as a GeoTIFF, some rows at a time.

    Args:
        array: (y, x) or (band, y, x) backscatter, VV or VV and VH, with CRS and coordinates as rioxarray keeps them.
            Values that are not measured are NaN or its fill value.
        folder: An empty folder, in which the file is written below a folder of its own.
        bands: The bands that the user chose; they allow an array of more than two bands without names.

    Raises:
        InputError: The array cannot be a scene; the message names the array.
    """
    import rasterio

    label = array_label(array)
    y_dim, x_dim = spatial_dims(array, label)
    dtype = _stored_type(array, label)
    crs = _crs(array, label)
    transform = array_transform(array, y_dim, x_dim, label)
    count, names, units = _bands(array, label, bands)
    path = _file_of(array, folder, count)
    path.parent.mkdir(parents=True)
    height, width = int(array.sizes[y_dim]), int(array.sizes[x_dim])
    profile = {
        "driver": "GTiff",
        "dtype": dtype,
        "count": count,
        "height": height,
        "width": width,
        "crs": crs,
        "transform": transform,
        "nodata": _nodata(array, label),
        "tiled": True,
        "blockxsize": _BLOCK,
        "blockysize": _BLOCK,
        "compress": "deflate",
        "zlevel": 1,
        "num_threads": "all_cpus",
        "BIGTIFF": "IF_SAFER",
    }
    with rasterio.open(path, "w", **profile) as target:
        target.update_tags(**_tags(array))
        target.scales = (_number(array, "scale_factor", 1.0, label),) * count
        target.offsets = (_number(array, "add_offset", 0.0, label),) * count
        for band, (name, unit) in enumerate(zip(names, units, strict=True), 1):
            if name:
                target.set_band_description(band, name)
            if unit:
                target.set_band_unit(band, unit)
        for row in range(0, height, _ROWS):
            values = _rows(array, y_dim, slice(row, min(row + _ROWS, height)), label)
            window = ((row, row + values.shape[-2]), (0, width))
            target.write(values.reshape(count, -1, width).astype(dtype, copy=False), window=window)
    return ArrayScene(path, label, _acquired(array))


def _rows(array: xr.DataArray, y_dim: Hashable, rows: slice, label: str) -> np.ndarray[Any, Any]:
    """Return the values of some rows; they may be read from a file or computed only now."""
    try:
        return np.asarray(array.isel({y_dim: rows}).values)
    except (OSError, RuntimeError) as error:
        raise InputError(label, f"its values cannot be read ({one_line(error)})", "Load it again") from error


def _stored_type(array: xr.DataArray, label: str) -> str:
    dtype = str(array.dtype)
    if "complex" in dtype:
        raise InputError(label, f"complex values ({dtype}): a single-look complex SLC", "Use a GRD or RTC product")
    dtype = _WIDER.get(dtype, dtype)
    if dtype not in _TYPES:
        raise InputError(label, f"its values are of the type {array.dtype}, not numbers", "Convert it to float32")
    return dtype


def _crs(array: xr.DataArray, label: str) -> Any:
    from rasterio.errors import CRSError

    try:
        crs = array.rio.crs
        has_points = crs is None and array.rio.get_gcps() is not None
    except (CRSError, ValueError) as error:
        raise InputError(
            label, f"its CRS cannot be read ({one_line(error)})", 'Write it again: array.rio.write_crs("EPSG:n")'
        ) from error
    if has_points or (crs is not None and "gcps" in array.coords[array.rio.grid_mapping].attrs):
        raise InputError(
            label,
            "is an image with ground control points, which has no grid of coordinates",
            "Give the path of its file",
        )
    if crs is None:
        raise InputError(
            label, "has no CRS", 'Write the CRS of its coordinates into it: array = array.rio.write_crs("EPSG:n")'
        )
    return crs


def _nodata(array: xr.DataArray, label: str) -> float | None:
    """Return the number that means not measured."""
    try:
        nodata = array.rio.nodata
        return None if nodata is None else float(nodata)
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(
            label,
            f"its fill value does not fit the type {array.dtype}",
            "Correct it: array = array.rio.write_nodata(number)",
        ) from error


def _number(array: xr.DataArray, name: str, default: float, label: str) -> float:
    """Return a number in the attributes; that of the encoding was applied when the array was read."""
    try:
        return float(array.attrs.get(name, default))
    except (TypeError, ValueError) as error:
        raise InputError(
            label, f"its attribute {name} ({array.attrs[name]!r}) is not a number", "Correct or delete it"
        ) from error


def _bands(array: xr.DataArray, label: str, chosen: Sequence[int]) -> tuple[int, list[str], list[str]]:
    """Return the number of bands, and the name and unit of each; empty texts where there is none.

    Raises:
        InputError: There is no band, or more than two whose names do not say which is VV.
    """
    dim = array.dims[0] if array.ndim > _MOST_BANDS else None
    count = 1 if dim is None else int(array.sizes[dim])
    names = _band_texts(array, dim, count, "long_name")
    own = _own_names(array, dim)
    names = own or names
    if count == 1 and not names[0] and array.name is not None:
        names = [str(array.name)]
    if count == 0:
        raise InputError(label, "has no band", "Give VV, or VV and VH")
    named = {found for name in names for found in named_polarisations(name)}
    if count > _MOST_BANDS and not chosen and "VV" not in named:
        raise InputError(
            label,
            f"has {count} bands, and their names do not say which is VV",
            f"Give VV alone or VV and VH, such as array.isel({dim}=[0, 1]), or choose with bands=[1, 2] (VV first)",
        )
    if count > 1 and dim is not None and array[dim].dtype.kind == "M":
        raise InputError(label, f"has {count} times in {dim}", f"Give one time, such as array.isel({dim}=0)")
    return count, names, _band_texts(array, dim, count, "units")


def _own_names(array: xr.DataArray, dim: Hashable | None) -> list[str]:
    """Return the names in the coordinate of the bands; empty where there are none, or only numbers."""
    coordinates = _BAND_COORDINATES if dim is None else (dim,)
    for name in coordinates:
        if name in array.coords and array.coords[name].dtype.kind in "UO":
            return [str(value) for value in np.atleast_1d(array.coords[name].values)]
    return []


def _band_texts(array: xr.DataArray, dim: Hashable | None, count: int, attribute: str) -> list[str]:
    """Return an attribute of each band, which is one text for all of them, or one text for each band of the file.

    A selection of bands keeps the texts of all bands; the numbers of the bands say which are left.
    """
    found = array.attrs.get(attribute)
    if isinstance(found, str):
        return [found] * count if count == 1 or attribute == "units" else [""] * count
    if not isinstance(found, list | tuple | np.ndarray):
        return [""] * count
    texts = ["" if text is None else str(text) for text in found]
    coordinate = dim if dim is not None else "band"
    numbers = list(range(1, count + 1))
    if coordinate in array.coords and array.coords[coordinate].dtype.kind in "iu":
        numbers = [int(number) for number in np.atleast_1d(array.coords[coordinate].values)]
    if min(numbers) < 1 or max(numbers) > len(texts):
        return [""] * count
    return [texts[number - 1] for number in numbers]


def _tags(array: xr.DataArray) -> dict[str, str]:
    return {
        str(name): str(value)
        for name, value in array.attrs.items()
        if name not in _OWN_ATTRIBUTES and isinstance(value, str | int | float)
    }


def _file_of(array: xr.DataArray, folder: Path, count: int) -> Path:
    """Return the path of the file: with the names of the file that the array was read from, which say what it is."""
    source = _source(array)
    given = source.name or ("" if array.name is None else str(array.name))
    name = _safe(stem(given) if source.name else given)
    if count > 1:  # two polarisations were put together: the name of one of them is wrong for both
        name = _safe(pair_key(f"{name}.tif")[0])
    return folder / _safe(source.parent.name) / f"{name}.tif"


def _source(array: xr.DataArray) -> PurePath:
    """Return the path of the file that an array was read from; an empty path if it is not known."""
    return PurePath(urlsplit(str(array.encoding.get("source", ""))).path)


def _safe(text: str) -> str:
    return re.sub(r"[^\w.+-]", "_", text)[:_MOST_NAME].strip("._") or _DEFAULT_NAME


def _acquired(array: xr.DataArray) -> datetime | None:
    """Return the time in the scalar coordinate `time`, as catalogues of images have it."""
    if "time" not in array.coords:
        return None
    time = array.coords["time"]
    if time.ndim or time.dtype.kind != "M" or np.isnat(time.values):
        return None
    found: datetime = time.values.astype("datetime64[us]").item()
    return found.replace(tzinfo=UTC)
