"""The scene from before an event: whether it can be the reference of a map, and its probability of water.

The same network maps it on its own grid. The result is moved to the grid of the event scene, so its grid, its track and
its bands may be others.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.observation import row_windows
from drshym_pipeline.prediction import PredictionPlan
from drshym_pipeline.probabilities import NOT_OBSERVED, open_probabilities
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import (
    MapGrid,
    MapRecord,
    Modality,
    PixelSpacing,
    PredictionSummary,
    PreEventScene,
    ReferenceSources,
    SceneMeta,
)
from drshym_pipeline.references.event_scene import values_on, write_reference
from drshym_pipeline.references.grid_points import points_in_degrees
from drshym_pipeline.references.reference import ReferenceWater
from drshym_pipeline.reprojection import new_image_raster
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.codes import NOT_OBSERVED_CODE
from drshym_pipeline.sar.named_times import acquired_text, is_before
from drshym_pipeline.sar.pixel_limit import TooManyPixelsError
from drshym_pipeline.stitching import stitch_rows
from drshym_pipeline.storage import plain_name, to_uri

STAGE = "pre_event"
_OTHER_SCENE = "Give a scene of the same place from before the event as --pre, or leave --pre out"
_POINTS = 33  # on each side of a grid, for its extent in degrees
_ROUNDING = 1  # steps of the stored backscatter between the same value in two units
_FEWEST_SAME = 100  # pixels; fewer can have the same values by chance


def check_pre_event(now: SceneMeta, before: SceneMeta) -> tuple[str, ...]:
    """Check whether a scene can be the reference of another, as far as their records say.

    Args:
        now: The scene of the event.
        before: The scene from before the event.

    Returns:
        What a reader of the map must know about it, as sentences.

    Raises:
        InputError: It shares a file with the event scene, is not earlier, or shows another place.
    """
    source = _named_source(before)
    if shared := _files(now) & _files(before):
        raise InputError(
            next((name for digest, name in _named_files(before) if digest in shared), source),
            f"is a file of the scene {now.scene_id} itself, so it does not show the place before the event",
            _OTHER_SCENE,
        )
    warnings = []
    named, event = f"The pre-event scene {scene_label(before, now)}", scene_label(now, before)
    if unknown := _unknown_order(now, before):
        warnings.append(f"{named} may be later than the event: {unknown}.")
    elif now.acquired_at and before.acquired_at and not is_before(before.acquired_at, now.acquired_at):
        raise InputError(
            source,
            f"is of {acquired_text(before.acquired_at)}, not earlier than the scene {event} of "
            f"{acquired_text(now.acquired_at)}",
            _OTHER_SCENE,
        )
    if _are_apart(now.map_grid, before.map_grid):
        raise InputError(source, f"does not overlap the scene {event}: no pixel has a reference", _OTHER_SCENE)
    directions = now.orbit_direction, before.orbit_direction
    if None not in directions and directions[0] != directions[1]:
        warnings.append(
            f"{named} was taken on the {directions[1]} pass, this scene on the {directions[0]} pass: slopes and "
            "buildings look different from the other side, and some of that may appear as flood."
        )
    warnings += [f"{named}: {warning}" for warning in before.warnings]
    return tuple(warnings)


@contextmanager
def as_pre_event() -> Iterator[None]:
    """Say in every error of the block about an input that it is the pre-event scene.

    Raises:
        InputError: The same error, with the option that the file was given with.
    """
    try:
        yield
    except TooManyPixelsError:  # a limit of the caller: the scene itself can be a reference
        raise
    except InputError as error:
        problem = f"cannot be used as the pre-event scene (--pre): {error.problem}"
        raise InputError(error.subject, problem, error.remedy) from error


def scene_label(scene: SceneMeta | PreEventScene, other: SceneMeta | PreEventScene | MapRecord) -> str:
    """Return the name of a scene, with its path where another scene of the same sentence has the same name."""
    return scene.scene_id if scene.scene_id != other.scene_id else f"{scene.scene_id} ({_named_source(scene)})"


def _named_source(scene: SceneMeta | PreEventScene) -> str:
    return plain_name(scene.source_uris[0])


def _files(meta: SceneMeta) -> set[str]:
    """Return the hashes of a scene and of the files that its bands are read from."""
    return {meta.sha256, *(band.sha256 for band in meta.bands if band.sha256 is not None)}


def _named_files(meta: SceneMeta) -> Iterator[tuple[str | None, str]]:
    """Yield the hash and path of the files of a scene that the user has named, so none of those in a zip."""
    names = set(map(plain_name, meta.source_uris))
    return ((band.sha256, name) for band in meta.bands if (name := plain_name(to_uri(Path(band.path)))) in names)


def _unknown_order(now: SceneMeta, before: SceneMeta) -> str:
    """Return why it is not known which of two scenes is earlier, as a clause; empty if it is known."""
    labels = {scene_label(before, now): before.acquired_at, scene_label(now, before): now.acquired_at}
    undated = [label for label, moment in labels.items() if moment is None]
    if len(undated) == len(labels):
        return f"the names of {' and '.join(undated)} have no date"
    if undated:
        return f"the name of {undated[0]} has no date"
    if now.acquired_at and before.acquired_at and is_before(before.acquired_at, now.acquired_at) is None:
        return "both names have the same day, and at least one has no time of day"
    return ""


def _are_apart(one: MapGrid, other: MapGrid) -> bool:
    """Return whether the extents of two grids in degrees do not touch."""
    along = np.linspace(0.0, 1.0, _POINTS)
    (lons, lats), (other_lons, other_lats) = points_in_degrees(one, along), points_in_degrees(other, along)
    middle = float(lons[len(lons) // 2])
    # Longitudes count from the middle of one grid, so that the antimeridian is an ordinary place.
    turned, other_turned = ((values - middle + 180.0) % 360.0 - 180.0 for values in (lons, other_lons))
    return _apart(lats, other_lats) or _apart(turned, other_turned)


def _apart(some: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    return bool(some.max() < others.min() or some.min() > others.max())


def map_pre_event(
    now: BackscatterReader,
    before: SceneMeta,
    plan: PredictionPlan,
    work: Path,
    *,
    raster: Path,
    progress: Progress = silent,
) -> ReferenceWater:
    """Map a scene from before an event, and move its probability of water to the grid of the event scene.

    Args:
        now: The open scene of the event.
        before: The scene from before the event.
        plan: How it is predicted.
        work: The folder of its backscatter. Other files that are needed only here are written there too.
        raster: The file of the result.
        progress: Called after every row of tiles.

    Raises:
        InputError: It cannot be the reference; see `check_pre_event`. Or it has the pixels of the event scene, or no
            pixel is observed in both scenes.
    """
    warnings = check_pre_event(now.meta, before)
    probabilities, image = work / "probabilities.zarr", work / "image.tif"

    def labelled(stage: str, done: int, total: int) -> None:
        del stage
        progress(STAGE, done, total)

    with BackscatterReader(before, work) as reader:
        _check_other_pixels(now, reader)
        prediction = plan.carry_out(reader, probabilities, labelled)
    with new_image_raster(image, before, 1, NOT_OBSERVED) as target:
        for row, stored in stitch_rows(open_probabilities(probabilities, plan.grid), plan.grid):
            target.write(stored, 1, window=((row, row + len(stored)), (0, before.width)))
    with rasterio.open(image) as source:
        written = write_reference(now, [values_on(source, now.meta.map_grid)], raster, work)
    event = scene_label(now.meta, before)
    if not written.known:
        raise InputError(
            _named_source(before), f"has no observed pixel inside the scene {event}: nothing to compare", _OTHER_SCENE
        )
    # A scene without an observed pixel has no flood on its map.
    if not written.compared and now.meta.observed_fraction > 0:
        raise InputError(
            _named_source(before),
            f"has no observed pixel where the scene {event} has one: no pixel can be compared",
            _OTHER_SCENE,
        )
    modality: Modality = "sentinel1_sar_vv_vh" if plan.mode == "vv_vh" else "sentinel1_sar_vv"
    scene = pre_event_record(before, modality, written.compared, prediction.summary.pixels)
    named = f"The pre-event scene {scene_label(before, now.meta)}"
    return ReferenceWater(
        raster,
        ReferenceSources(pre_event=scene),
        {"pre_event": {"scene": before.version, "prediction": plan.key}},
        (*warnings, *_prediction_warnings(named, prediction.summary)),
        of_one_scene=raster,
    )


def pre_event_record(
    before: SceneMeta, modality: Modality, known_pixels: int, pixel_spacing: PixelSpacing | None
) -> PreEventScene:
    """Return the record of a pre-event scene.

    Args:
        before: The pre-event scene.
        modality: The bands that the network used of it.
        known_pixels: Pixels that are known in it and observed in the scene of the event.
        pixel_spacing: How its pixels were resampled for the network; None if they were not.
    """
    return PreEventScene(
        scene_id=before.scene_id,
        scene_version=before.version,
        source_uris=before.source_uris,
        source_sha256=before.sha256,
        acquired_at=before.acquired_at,
        orbit_direction=before.orbit_direction,
        modality=modality,
        crs=before.map_grid.crs,
        shape=before.map_grid.shape,
        known_pixels=known_pixels,
        pixel_spacing=pixel_spacing,
    )


def _prediction_warnings(named: str, summary: PredictionSummary) -> list[str]:
    found = []
    if summary.mode == "vv":
        found.append(f"{named} was mapped from VV alone, which is usually weaker than VV with VH.")
    if summary.pixels is not None:
        found.append(f"{named} has {summary.pixels.text()}.")
    if summary.novelty is not None and summary.novelty.is_unusual:
        found.append(f"{named}: {summary.novelty.warning()}")
    return found


def _check_other_pixels(now: BackscatterReader, before: BackscatterReader) -> None:
    """Check that a scene does not have the pixels of another, in a file that is compressed or scaled otherwise.

    Raises:
        InputError: One polarisation is the same in both.
    """
    if now.meta.shape != before.meta.shape:
        return
    places = {band.polarisation: place for place, band in enumerate(now.meta.bands)}
    for place, band in enumerate(before.meta.bands):
        if band.polarisation in places and _are_same(now, before, places[band.polarisation], place):
            raise InputError(
                _named_source(before.meta),
                f"has the {band.polarisation} pixels of the scene {scene_label(now.meta, before.meta)} itself, so it "
                "does not show the place before the event",
                _OTHER_SCENE,
            )


def _are_same(now: BackscatterReader, before: BackscatterReader, now_band: int, band: int) -> bool:
    """Return whether the stored values of two bands are the same wherever both are observed.

    Speckle is never the same twice, so bands of two images differ in the first rows that both observe.
    """
    common = 0
    for window in row_windows(now.meta.shape):
        some = now.read(window, now_band + 1)[now_band].astype(np.int32)
        others = before.read(window, band + 1)[band].astype(np.int32)
        both = (some != NOT_OBSERVED_CODE) & (others != NOT_OBSERVED_CODE)
        if (np.abs(some - others)[both] > _ROUNDING).any():
            return False
        common += int(np.count_nonzero(both))
    return common >= _FEWEST_SAME
