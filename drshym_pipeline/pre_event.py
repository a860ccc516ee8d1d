"""The scene from before an event: whether it can be the reference of a map, and its probability of water.

The same network maps it on its own grid. The result is moved to the grid of the event scene, so its grid, its track and
its bands may be others.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Resampling

from drshym_pipeline.errors import InputError
from drshym_pipeline.prediction import PredictionPlan
from drshym_pipeline.probabilities import NOT_OBSERVED, open_probabilities
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import MapGrid, Modality, PreEventScene, SceneMeta
from drshym_pipeline.reprojection import moved, new_image_raster, strips
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.georeference import to_degrees
from drshym_pipeline.sar.named_times import acquired_text, is_not_before
from drshym_pipeline.scene_folder import Prediction
from drshym_pipeline.stitching import stitch_rows

STAGE = "pre_event"
_OTHER_SCENE = "Give a scene of the same place from before the event as --pre, or leave --pre out"
_POINTS = 33  # on each side of a grid, for its extent in degrees


@dataclass(frozen=True)
class ReferenceWater:
    """The probability of water before an event, on the grid of a map.

    Args:
        raster: One band of uint16 in steps of 1e-4, 65535 where it is not known.
        scene: The scene that it comes from.
        key: 12 hexadecimal digits over what changed the probabilities: model, calibration, grid and arithmetic.
        warnings: What a reader of the map must know about the scene, as sentences.
    """

    raster: Path
    scene: PreEventScene
    key: str
    warnings: tuple[str, ...]


def check_pre_event(now: SceneMeta, before: SceneMeta) -> tuple[str, ...]:
    """Check whether a scene can be the reference of another, as far as their records say.

    Args:
        now: The scene of the event.
        before: The scene from before the event.

    Returns:
        What a reader of the map must know about it, as sentences.

    Raises:
        InputError: It is the same scene, is not earlier than the event scene, or shows another place.
    """
    source = before.source_uris[0]
    if before.sha256 == now.sha256:
        raise InputError(source, f"is the scene {now.scene_id} itself, so no pixel would be flooded", _OTHER_SCENE)
    warnings = []
    named = f"The pre-event scene {before.scene_id}"
    if now.acquired_at is None or before.acquired_at is None:
        unknown = now.scene_id if now.acquired_at is None else before.scene_id
        warnings.append(f"{named} may be later than the event: the name of {unknown} has no date.")
    elif is_not_before(before.acquired_at, now.acquired_at):
        raise InputError(
            source,
            f"is of {acquired_text(before.acquired_at)}, not earlier than the scene {now.scene_id} of "
            f"{acquired_text(now.acquired_at)}",
            _OTHER_SCENE,
        )
    if _are_apart(now.map_grid, before.map_grid):
        raise _no_overlap(now, before)
    directions = now.orbit_direction, before.orbit_direction
    if None not in directions and directions[0] != directions[1]:
        warnings.append(
            f"{named} was taken on the {directions[1]} pass, this scene on the {directions[0]} pass: slopes and "
            "buildings look different from the other side, and some of that may appear as flood."
        )
    warnings += [f"{named}: {warning}" for warning in before.warnings]
    return tuple(warnings)


def _no_overlap(now: SceneMeta, before: SceneMeta) -> InputError:
    return InputError(
        before.source_uris[0], f"does not overlap the scene {now.scene_id}: no pixel has a reference", _OTHER_SCENE
    )


def _are_apart(one: MapGrid, other: MapGrid) -> bool:
    """Return whether the extents of two grids in degrees do not touch."""
    (lons, lats), (other_lons, other_lats) = _degrees(one), _degrees(other)
    middle = float(lons[len(lons) // 2])
    # Longitudes count from the middle of one grid, so that the antimeridian is an ordinary place.
    turned, other_turned = ((values - middle + 180.0) % 360.0 - 180.0 for values in (lons, other_lons))
    return _apart(lats, other_lats) or _apart(turned, other_turned)


def _degrees(grid: MapGrid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return longitudes and latitudes of points all over a grid."""
    along = np.linspace(0.0, 1.0, _POINTS)
    places: Any = np.stack(np.meshgrid(along * grid.width, along * grid.height)).reshape(2, -1)
    lons, lats = to_degrees(grid.crs).transform(*(grid.affine @ places))
    return np.asarray(lons), np.asarray(lats)


def _apart(some: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    return bool(some.max() < others.min() or some.min() > others.max())


def map_pre_event(
    now: SceneMeta, before: SceneMeta, plan: PredictionPlan, work: Path, *, raster: Path, progress: Progress = silent
) -> ReferenceWater:
    """Map a scene from before an event, and move its probability of water to the grid of the event scene.

    Args:
        now: The scene of the event.
        before: The scene from before the event.
        plan: How it is predicted.
        work: The folder of its backscatter. Other files that are needed only here are written there too.
        raster: The file of the result.
        progress: Called after every row of tiles.

    Raises:
        InputError: It cannot be the reference; see `check_pre_event`. Or it has no observed pixel in the event scene.
    """
    warnings = check_pre_event(now, before)
    probabilities, image = work / "probabilities.zarr", work / "image.tif"

    def labelled(stage: str, done: int, total: int) -> None:
        del stage
        progress(STAGE, done, total)

    with BackscatterReader(before, work) as reader:
        prediction = plan.carry_out(reader, probabilities, labelled)
    with new_image_raster(image, before, 1, NOT_OBSERVED) as target:
        for row, stored in stitch_rows(open_probabilities(probabilities, plan.grid), plan.grid):
            target.write(stored, 1, window=((row, row + len(stored)), (0, before.width)))
    known = _write_reference(image, raster, now.map_grid)
    if not known:
        raise _no_overlap(now, before)
    modality: Modality = "sentinel1_sar_vv_vh" if plan.mode == "vv_vh" else "sentinel1_sar_vv"
    scene = PreEventScene(
        scene_id=before.scene_id,
        scene_version=before.version,
        source_uris=before.source_uris,
        source_sha256=before.sha256,
        acquired_at=before.acquired_at,
        orbit_direction=before.orbit_direction,
        modality=modality,
        crs=before.map_grid.crs,
        shape=before.map_grid.shape,
        known_pixels=known,
    )
    return ReferenceWater(raster, scene, plan.key, (*warnings, *_prediction_warnings(before, prediction)))


def _prediction_warnings(before: SceneMeta, prediction: Prediction) -> list[str]:
    named = f"The pre-event scene {before.scene_id}"
    found = []
    if prediction.summary.mode == "vv":
        found.append(f"{named} was mapped from VV alone, which is usually weaker than VV with VH.")
    if (novelty := prediction.summary.novelty) is not None and novelty.is_unusual:
        found.append(f"{named}: {novelty.warning()}")
    return found


def _write_reference(image: Path, raster: Path, grid: MapGrid) -> int:
    """Write the values of an image's raster on a map grid, and return the number of pixels that have one."""
    known = 0
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "nodata": NOT_OBSERVED, "BIGTIFF": "IF_SAFER"}
    place = {"height": grid.height, "width": grid.width, "crs": grid.crs, "transform": grid.affine}
    with rasterio.open(image) as source, rasterio.open(raster, "w", **profile, **place) as target:
        for rows in strips(grid):
            (stored,) = moved(source, grid, rows, Resampling.bilinear)
            known += int(np.count_nonzero(stored != NOT_OBSERVED))
            target.write(stored, 1, window=((rows.start, rows.stop), (0, grid.width)))
    return known
