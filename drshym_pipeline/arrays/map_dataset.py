"""Read the files of a map as one labelled dataset (xarray), with its areas and its provenance as attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.records import AreaEstimate, MapRecord, no_area_text
from drshym_pipeline.scene_folder import ProductKind
from drshym_pipeline.states import EXCLUSION_REASONS, EXCLUSION_UNKNOWN, MASK_LEGEND, MASK_NOT_OBSERVED, mask_labels
from drshym_pipeline.storage import plain_name

if TYPE_CHECKING:
    import xarray as xr

_ROWS: Final = 512
# The files of a map with probabilities, and the names and descriptions of their variables.
_PROBABILITIES: Final[dict[ProductKind, tuple[str, str]]] = {
    "proba": ("probability", "calibrated probability of open water"),
    "reference": ("reference", "calibrated probability of open water before the event"),
    "flood_proba": ("flood_probability", "probability of flood"),
}


def map_dataset(record: MapRecord, folder: Path, coordinates: Mapping[str, NDArray[Any]] | None = None) -> xr.Dataset:
    """Return a map as a dataset in memory.

    Args:
        record: The record of the map.
        folder: The folder of its files.
        coordinates: `x` and `y` of the array that was mapped, so that both have exactly the same; made from the
            transform of the map when None.

    Returns:
        (y, x) variables: `mask` uint8; `probability` float32 in [0, 1], NaN where not observed; `reference` and
        `flood_probability` in the same form with a reference; `exclusion` uint8 with terrain.
    """
    import rioxarray  # noqa: F401  the accessor `rio`
    import xarray as xr
    from affine import Affine

    found: dict[str, tuple[tuple[str, str], NDArray[Any], dict[str, Any]]] = {}

    def add(kind: ProductKind, name: str, attributes: Mapping[str, Any], convert: Callable[[Any], Any] | None) -> None:
        if kind in record.files:
            found[name] = ("y", "x"), _raster(folder / record.files[kind], convert), dict(attributes)

    add("mask", "mask", _mask_attributes(record), None)
    for kind, (name, title) in _PROBABILITIES.items():
        add(kind, name, {"long_name": title, "units": "1", "_FillValue": np.float32(np.nan)}, _decoded)
    add("exclusion", "exclusion", _exclusion_attributes(), None)
    transform = Affine(*record.transform)
    made = coordinates if coordinates is not None else _coordinates(transform, record.shape)
    dataset: xr.Dataset = xr.Dataset(found, dict(made), _attributes(record)).rio.write_crs(record.crs)
    dataset = dataset.rio.write_transform(transform)
    if made:
        dataset = dataset.rio.write_coordinate_system()
    return dataset


def _decoded(stored: NDArray[np.uint16]) -> NDArray[np.float32]:
    from drshym_pipeline.probabilities import decode

    return decode(stored)


def _raster(path: Path, convert: Callable[[Any], Any] | None) -> NDArray[Any]:
    """Read a raster; some rows at a time if its values are converted, so that memory holds the result once."""
    import rasterio

    with rasterio.open(path) as source:
        if convert is None:
            whole: NDArray[Any] = source.read(1)
            return whole
        values = np.empty(source.shape, np.float32)
        for row in range(0, source.height, _ROWS):
            window = ((row, min(row + _ROWS, source.height)), (0, source.width))
            values[row : row + _ROWS] = convert(source.read(1, window=window))
    return values


def _coordinates(transform: Any, shape: tuple[int, int]) -> dict[str, NDArray[Any]]:
    """Return the centres of the pixels as `x` and `y`; nothing for a turned grid, which has no such coordinates."""
    if transform.b or transform.d:
        return {}
    from rioxarray.rioxarray import affine_to_coords

    # As `open_rasterio` makes them, so that the map and its scene have the same coordinates to the last digit.
    height, width = shape
    return dict(affine_to_coords(transform, width, height))


def _mask_attributes(record: MapRecord) -> dict[str, Any]:
    separation = record.separation
    labels = mask_labels(
        water_separated=record.water_separated, unseparated=separation is not None and separation.water_unseparated > 0
    )
    return {
        "long_name": "state of each pixel",
        "flag_values": np.array(list(MASK_LEGEND.values()), np.uint8),
        "flag_meanings": " ".join(MASK_LEGEND),
        "comment": "; ".join(f"{value}: {label}" for value, label in labels.items()),
        "_FillValue": np.uint8(MASK_NOT_OBSERVED),
    }


def _exclusion_attributes() -> dict[str, Any]:
    return {
        "long_name": "why ground is excluded; several reasons are added",
        "flag_masks": np.array(list(EXCLUSION_REASONS.values()), np.uint8),
        "flag_meanings": " ".join(EXCLUSION_REASONS),
        "_FillValue": np.uint8(EXCLUSION_UNKNOWN),
    }


def _attributes(record: MapRecord) -> dict[str, Any]:
    """Return the attributes of the dataset: texts, numbers and lists of texts, which every file format can hold."""
    separation = record.separation
    areas = {
        "flooded": record.flooded,
        "water": record.flooded if separation is None else separation.water,
        "other_water": None if separation is None else separation.other_water,
    }
    numbers: dict[str, Any] = {}
    for name, area in areas.items():
        numbers |= _area(name, area)
    if record.flooded is None:
        numbers["flooded_text"] = no_area_text(record.exclusion)
    elif record.exclusion is not None:
        numbers["excluded_km2"] = record.exclusion.km2
    return {
        "scene_id": record.scene_id,
        **({} if record.acquired_at is None else {"acquired_at": record.acquired_at.isoformat()}),
        "caption": record.caption,
        **numbers,
        "observed_km2": record.observed_km2,
        "warnings": list(record.warnings),
        "model": record.model.label,
        "model_sha256": record.model.sha256,
        "threshold": record.calibration.threshold,
        **({} if record.model_threshold is None else {"model_threshold": record.model_threshold}),
        "calibration": record.calibration.text(),
        "source": [plain_name(uri) for uri in record.source_uris],
        "source_sha256": record.source_sha256,
        "map_version": record.map_version or "",
        "processing": list(record.processing),
        # The files were temporary.
        "record": record.model_copy(update={"files": {}}).model_dump_json(),
    }


def _area(name: str, area: AreaEstimate | None) -> dict[str, Any]:
    """Return an area with its interval as attributes; those that are not known are left out."""
    if area is None:
        return {}
    found = {
        f"{name}_km2": area.km2,
        f"{name}_low_km2": area.low_km2,
        f"{name}_high_km2": area.high_km2,
        f"{name}_level": area.level,
        f"{name}_text": area.text(),
        f"{name}_interval_from": area.method,
    }
    return found if area.expected_km2 is None else {**found, f"{name}_expected_km2": area.expected_km2}
