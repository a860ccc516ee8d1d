"""What the checks of the inference assets compare. Each function returns the faults that it found, in words.

They read what the stages stored, one band of rows or one row of tiles at a time. They never read the source: to
decode it again would take longer than making the map.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.records import counted, read_drshym_record
from drshym_pipeline.scene_folder import MapFolder, PredictionFolder, SceneFolder, TilesFolder
from drshym_pipeline.tiling import Window

_ROWS = 512
# What the libraries raise on a damaged file: rasterio's errors are of the first kind, those of Zarr's codecs of the
# others. Anything else is a fault of the program and keeps its traceback.
_DAMAGE = (OSError, ValueError, RuntimeError)

FolderT = TypeVar("FolderT", SceneFolder, TilesFolder, PredictionFolder, MapFolder)


def _damage_is_a_fault(find: Callable[[FolderT], list[str]]) -> Callable[[FolderT], list[str]]:
    """Report a file that is missing or cannot be read as a fault: the check must fail, not stop with an exception."""

    @wraps(find)
    def found(folder: FolderT) -> list[str]:
        try:
            return find(folder)
        except InputError as error:
            return [str(error)]
        except _DAMAGE as error:
            return [f"what was stored cannot be read: {one_line(error)}"]

    return found


@_damage_is_a_fault
def scene_faults(folder: SceneFolder) -> list[str]:
    """Return the faults of a staged scene: incomplete backscatter, an unknown CRS, a degenerate transform."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    from drshym_pipeline.sar.backscatter import BackscatterReader
    from drshym_pipeline.sar.scene import make_backscatter

    meta = folder.meta()
    faults = []
    try:
        CRS.from_user_input(meta.crs)
    except CRSError:
        faults.append(f"the CRS {meta.crs} is not known")
    if meta.affine.is_degenerate:
        faults.append("the transform is not usable: all pixels would be on one line")
    make_backscatter(meta, folder.directory)  # retention may have deleted it
    with BackscatterReader(meta, folder.directory) as reader:
        reader.check_whole()
    return faults


@_damage_is_a_fault
def grid_faults(tiles: TilesFolder) -> list[str]:
    """Return the faults of the tile records.

    These are a pixel in no tile, a window that is not inside the scene, and a record that cannot be read.
    """
    meta = tiles.scene.meta()
    spans: dict[tuple[int, int], list[tuple[int, int]]] = {}
    faults = []
    lines = tiles.jsonl.read_text("utf-8").splitlines()
    if len(lines) != len(tiles.grid()):
        faults.append(f"{tiles.jsonl.name} has {len(lines)} records, the grid has {len(tiles.grid())} tiles")
    for number, line in enumerate(lines, start=1):
        try:
            window = read_drshym_record(line, f"{tiles.jsonl.name} line {number}").window
        except InputError as error:
            return [str(error)]
        if window is None or window.row + window.height > meta.height or window.col + window.width > meta.width:
            faults.append(f"tile {number} is not inside the scene")
            continue
        spans.setdefault((window.row, window.height), []).append((window.col, window.width))
    for (row, _), columns in spans.items():
        if not _covers(columns, meta.width):
            faults.append(f"the tiles from row {row} do not reach from the first to the last column")
    if not _covers(list(spans), meta.height):
        faults.append("the rows of tiles do not reach from the first to the last row")
    return faults


def _covers(spans: list[tuple[int, int]], length: int) -> bool:
    """Return whether (start, length) spans together cover 0 to `length`."""
    reach = 0
    for start, size in sorted(spans):
        if start > reach:
            return False
        reach = max(reach, start + size)
    return reach >= length


@_damage_is_a_fault
def probability_faults(predicted: PredictionFolder) -> list[str]:
    """Return the faults of the tile probabilities: values above 1, or other observed pixels than in the stored scene.

    Every pixel of every tile is compared. The scene is read from the stored backscatter: the source takes many times
    longer to decode, and whether the two agree is settled when the scene is staged.
    """
    from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_STEPS, open_probabilities
    from drshym_pipeline.sar.codes import NOT_OBSERVED_CODE
    from drshym_pipeline.sar.scene import open_backscatter

    meta, grid = predicted.scene.meta(), predicted.tiles.grid()
    columns = len(grid.col_starts)
    faults = []
    with open_backscatter(meta, predicted.scene.directory) as reader:  # retention may have deleted it
        stored = open_probabilities(predicted.path, grid)
        for first in range(0, len(grid), columns):
            row, height = grid.window(first).row, grid.window(first).height
            scene = reader.read(Window(row, 0, height, meta.width), 1)[0] != NOT_OBSERVED_CODE
            try:
                tiles = stored[first : first + columns]
            except InputError as error:
                faults.append(f"tiles {first} to {first + columns - 1}: {one_line(error)}")
                continue
            for index, tile in enumerate(tiles, first):
                window = grid.window(index)
                expected = np.zeros(tile.shape, dtype=bool)
                expected[: window.height, : window.width] = scene[:, window.cols]
                observed = tile != NOT_OBSERVED
                if (differing := int(np.count_nonzero(observed != expected))) > 0:
                    pixels = counted(differing, "pixel")
                    faults.append(f"tile {index}: {pixels} observed in one of scene and tile, but not in both")
                if (observed & (tile > PROBABILITY_STEPS)).any():
                    faults.append(f"tile {index}: a probability is above 1")
    return faults


@_damage_is_a_fault
def map_faults(drawn: MapFolder) -> list[str]:
    """Return the faults of the finished rasters.

    These are another grid than the scene's, and a mask that is not the probability compared with the threshold, without
    the areas below the minimum and with the ground that the terrain excludes. Where flood is separated from other
    water, a probability of flood that does not follow from the other two, and a mask without the states that follow
    from all three, are faults too.
    """
    import rasterio

    from drshym_pipeline.scene_folder import EXCLUSION_KIND, REFERENCE_KINDS, ProductKind

    summary = drawn.stitched()
    separation = summary.separation
    kinds: tuple[ProductKind, ...] = ("mask", "proba")
    kinds += () if separation is None else REFERENCE_KINDS
    kinds += () if summary.exclusion is None else (EXCLUSION_KIND,)
    with ExitStack() as stack:
        # All are compressed: GDAL decodes the blocks of a band of rows side by side.
        rasters: dict[str, Any] = {
            kind: stack.enter_context(rasterio.open(drawn.product(kind), NUM_THREADS="ALL_CPUS")) for kind in kinds
        }
        faults = _grid_faults(drawn, rasters)
        if not faults and separation is not None:
            faults += _flood_faults(rasters)
        return faults or _mask_faults(drawn, rasters)


def _grid_faults(drawn: MapFolder, rasters: Mapping[str, Any]) -> list[str]:
    from rasterio.crs import CRS

    grid = drawn.scene.meta().map_grid
    names = {"proba": "probability", "reference": "probability before", "flood_proba": "probability of flood"}
    faults = []
    for kind, raster in rasters.items():
        name = names.get(kind, kind)
        if raster.shape != grid.shape or tuple(raster.transform)[:6] != grid.transform:
            faults.append(f"the {name} is not on the scene's grid")
        if raster.crs != CRS.from_user_input(grid.crs):
            faults.append(f"the {name} has another CRS than the scene")
    return faults


def _flood_faults(rasters: Mapping[str, Any]) -> list[str]:
    """Return whether the probability of flood does not follow from those of water now and before."""
    from drshym_pipeline.change import FLOOD_METHOD, flood_probability

    bands = zip(_bands_of(rasters["proba"]), _bands_of(rasters["reference"]), strict=True)
    computed = (flood_probability(water, before) for (_, water), (_, before) in bands)
    wrong = _differing((band for _, band in _bands_of(rasters["flood_proba"])), computed)
    return [f"the probability of flood differs in {counted(wrong, 'pixel')} from {FLOOD_METHOD}"] if wrong else []


def _mask_faults(drawn: MapFolder, rasters: Mapping[str, Any]) -> list[str]:
    from drshym_pipeline.products.minimum_area import SmallAreas
    from drshym_pipeline.sar.pixel_area import PixelAreas
    from drshym_pipeline.states import MASK_NOT_OBSERVED as NOT_SEEN
    from drshym_pipeline.states import excluded_from, mask_of, mask_states

    meta, summary = drawn.scene.meta(), drawn.stitched()
    grid = meta.map_grid
    threshold, minimum, separation = summary.calibration.threshold, summary.minimum_area, summary.separation
    exclusion = summary.exclusion
    mask, proba = rasters["mask"], rasters["proba"]
    computed: Iterator[tuple[int, NDArray[Any]]] = (
        (row, mask_of(stored, threshold)) for row, stored in _bands_of(proba)
    )
    wrong = 0
    if meta.product_grid is not None and separation is None and exclusion is None:
        # The mask of an image with control points is computed before both are moved, so only the observed pixels can
        # be compared; areas below the minimum are removed from the moved mask.
        seen, expected = ((band == NOT_SEEN for _, band in bands) for bands in (_bands_of(mask), computed))
        wrong += _differing(seen, expected)
        computed = _bands_of(mask)
    kept: Iterable[NDArray[Any]] = (band for _, band in computed)
    if minimum is not None:
        areas = PixelAreas.measure(grid.crs, grid.affine, grid.height, grid.width)
        kept = SmallAreas(areas, minimum.ha).filtered(computed)
    if exclusion is not None:
        terrain = (values for _, values in _bands_of(rasters["exclusion"]))
        kept = (excluded_from(water, values) for water, values in zip(kept, terrain, strict=True))
    if separation is not None:
        others = zip(kept, _bands_of(rasters["reference"]), _bands_of(rasters["flood_proba"]), strict=True)
        kept = (mask_states(water, before, flood, separation.threshold) for water, (_, before), (_, flood) in others)
    wrong += _differing((band for _, band in _bands_of(mask)), kept)
    if not wrong:
        return []
    rule = f"the probability compared with the threshold {threshold:g}"
    rule += "" if minimum is None else f", without areas below {minimum.ha:g} ha"
    rule += "" if exclusion is None else ", with the ground that the terrain excludes"
    rule += "" if separation is None else f", with flood from a probability of {separation.threshold:g} on"
    return [f"the mask differs in {counted(wrong, 'pixel')} from {rule}"]


def _bands_of(raster: Any) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the first row and the values of each band of rows of an open raster, from top to bottom."""
    from rasterio.windows import Window as RasterWindow

    for row in range(0, raster.height, _ROWS):
        window = RasterWindow(0, row, raster.width, min(_ROWS, raster.height - row))
        yield row, raster.read(1, window=window)


def _differing(some: Iterable[NDArray[Any]], others: Iterable[NDArray[Any]]) -> int:
    """Return the number of pixels that differ between two rasters of the same bands."""
    return sum(int((one != other).sum()) for one, other in zip(some, others, strict=True))
