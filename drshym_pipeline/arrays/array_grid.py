"""The grid of a labelled array: which dimensions are rows and columns, and where its pixels are."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError

if TYPE_CHECKING:
    import xarray as xr

_TOLERANCE: Final = 0.01  # pixels
_NUMBER_KINDS: Final = "iuf"


def spatial_dims(array: xr.DataArray, label: str) -> tuple[Hashable, Hashable]:
    """Return the names of the dimensions of rows and columns.

    Args:
        array: The array.
        label: Its name in messages.

    Raises:
        InputError: They are not (y, x) or (band, y, x), in this order, or one is empty.
    """
    import rioxarray  # noqa: F401  the accessor `rio`
    from rioxarray.exceptions import MissingSpatialDimensionError

    shown = f"({', '.join(map(str, array.dims))})"
    try:
        y_dim, x_dim = array.rio.y_dim, array.rio.x_dim
    except MissingSpatialDimensionError as error:
        raise InputError(
            label, f"its dimensions {shown} are not y and x", "Rename them, such as array.rename(lat='y', lon='x')"
        ) from error
    if not 2 <= array.ndim <= 3:
        raise InputError(
            label,
            f"has the dimensions {shown}, not (y, x) or (band, y, x)",
            "Select one image, such as array.isel(time=0)",
        )
    if array.dims[-2:] != (y_dim, x_dim):
        order = ", ".join(repr(str(dim)) for dim in [*({*array.dims} - {y_dim, x_dim}), y_dim, x_dim])
        raise InputError(
            label, f"its dimensions {shown} are in another order than (band, y, x)", f"Use array.transpose({order})"
        )
    if not array.sizes[y_dim] or not array.sizes[x_dim]:
        raise InputError(label, "has no pixel", "Check the selection that it comes from")
    return y_dim, x_dim


def array_transform(array: xr.DataArray, y_dim: Hashable, x_dim: Hashable, label: str) -> Affine:
    """Return the transform from (column, row) to (x, y) that the coordinates of an array say.

    The transform in the attributes is used only where it says the same: it stays behind when a part is selected.

    Args:
        array: The array.
        y_dim: The dimension of the rows.
        x_dim: The dimension of the columns.
        label: Its name in messages.

    Raises:
        InputError: There are no coordinates, they do not have equal steps, or x falls.
    """
    stored = _stored_transform(array)
    first_x, step_x = _steps(array, x_dim, None if stored is None else stored.a, label)
    first_y, step_y = _steps(array, y_dim, None if stored is None else stored.e, label)
    if step_x < 0:
        raise InputError(label, f"its coordinates {x_dim} fall", f"Sort them: array.sortby({str(x_dim)!r})")
    found = Affine(step_x, 0.0, first_x - step_x / 2, 0.0, step_y, first_y - step_y / 2)
    if stored is not None and _are_same(stored, found, int(array.sizes[x_dim]), int(array.sizes[y_dim])):
        return stored
    return found


def _stored_transform(array: xr.DataArray) -> Affine | None:
    """Return the transform in the attributes; None without one, and for a turned grid."""
    mapping = array.rio.grid_mapping
    text = array.coords[mapping].attrs.get("GeoTransform") if mapping in array.coords else None
    try:
        numbers = [float(number) for number in str(text).split()]
        stored = Affine.from_gdal(*numbers)
    except (TypeError, ValueError):
        return None
    return stored if stored.b == stored.d == 0.0 else None


def _steps(array: xr.DataArray, dim: Hashable, stored: float | None, label: str) -> tuple[float, float]:
    """Return the first coordinate of a dimension and the step between two."""
    if dim not in array.coords:
        raise InputError(
            label,
            f"has no coordinates {dim}",
            "Give the path of its file, or array.assign_coords with the centres of the pixels; a turned grid has none",
        )
    values: NDArray[Any] = np.asarray(array.coords[dim].values)
    if values.dtype.kind not in _NUMBER_KINDS:
        raise InputError(label, f"its coordinates {dim} are not numbers", "Give the centres of the pixels in its CRS")
    places = values.astype(np.float64)
    if len(places) == 1:
        if stored is None:
            raise InputError(label, f"has one pixel along {dim}, so its size is not known", "Give more of the scene")
        return float(places[0]), stored
    step = float((places[-1] - places[0]) / (len(places) - 1))
    expected = places[0] + step * np.arange(len(places))
    if not np.isfinite(places).all() or step == 0.0 or float(np.abs(places - expected).max()) > _TOLERANCE * abs(step):
        raise InputError(
            label,
            f"its coordinates {dim} do not have equal steps",
            "Bring it onto a regular grid first, such as with array.rio.reproject",
        )
    return float(places[0]), step


def _are_same(one: Affine, other: Affine, width: int, height: int) -> bool:
    """Return whether two transforms put the first and the last pixel at the same place."""
    ends = ((0, 0), (width, height))
    shifts = np.abs([np.subtract(one @ end, other @ end) for end in ends])
    most = np.array([abs(other.a), abs(other.e)]) * _TOLERANCE
    return bool((shifts <= most).all())
