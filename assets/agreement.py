"""What the checks of the inference assets compare; each function answers with the faults it found, in words.

They read the files back as a user would, a band of rows or a row of tiles at a time.
"""

import numpy as np

from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import SceneFolder
from drshym_pipeline.records import read_drshym_record
from drshym_pipeline.tiling import Window

_ROWS = 512


def scene_faults(folder: SceneFolder) -> list[str]:
    """Faults of a staged scene: bytes that cannot be read, a CRS nobody knows, a degenerate transform."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    from drshym_pipeline.sar.scene import SceneReader

    meta = folder.meta()
    faults = []
    try:
        CRS.from_user_input(meta.crs)
    except CRSError:
        faults.append(f"the CRS {meta.crs} is not known")
    a, b, _, d, e, _ = meta.transform
    if a * e - b * d == 0:
        faults.append("the transform maps the scene onto a line")
    try:
        with SceneReader(meta, folder.directory) as reader:
            for row in (0, meta.height - 1):
                reader.read(Window(row, 0, 1, meta.width))
    except InputError as error:
        faults.append(str(error))
    return faults


def grid_faults(folder: SceneFolder) -> list[str]:
    """Faults of the tile records: a pixel in no tile, a window out of the scene, a record that cannot be read."""
    meta = folder.meta()
    spans: dict[tuple[int, int], list[tuple[int, int]]] = {}
    faults = []
    for number, line in enumerate(folder.tiles_jsonl.read_text("utf-8").splitlines(), start=1):
        try:
            window = read_drshym_record(line, f"{folder.tiles_jsonl.name} line {number}").window
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
    """Whether (start, length) spans together cover 0 to `length`."""
    reach = 0
    for start, size in sorted(spans):
        if start > reach:
            return False
        reach = max(reach, start + size)
    return reach >= length


def probability_faults(folder: SceneFolder) -> list[str]:
    """Faults of the tile probabilities: values above one, or observed pixels that differ from the scene's."""
    import zarr

    from drshym_pipeline.assessment.probability import NOT_OBSERVED, PROBABILITY_STEPS
    from drshym_pipeline.sar.scene import SceneReader

    meta, grid = folder.meta(), folder.grid()
    stored = zarr.open_array(str(folder.probabilities), mode="r")
    rows, columns = grid.shape
    faults = []
    with SceneReader(meta, folder.directory) as reader:
        for row in range(rows):
            tiles = np.asarray(stored[row * columns : (row + 1) * columns])
            for column, tile in enumerate(tiles):
                index = row * columns + column
                window = grid.window(index)
                observed = np.zeros(tile.shape, dtype=bool)
                observed[: window.height, : window.width] = np.isfinite(reader.read(window)).all(axis=0)
                if (differing := int(((tile != NOT_OBSERVED) != observed).sum())) > 0:
                    faults.append(f"tile {index}: {differing} pixels are observed in one and not in the other")
                if (tile[observed] > PROBABILITY_STEPS).any():
                    faults.append(f"tile {index}: a probability is above 1")
    return faults


def map_faults(folder: SceneFolder) -> list[str]:
    """Faults of the finished rasters: another grid than the source's, or a mask that is not the probability cut."""
    import rasterio
    from rasterio.windows import Window as RasterWindow

    from drshym_pipeline.products.names import MASK_NOT_OBSERVED as NOT_SEEN
    from drshym_pipeline.products.rasters import mask_of

    meta = folder.meta()
    grid = meta.map_grid
    threshold = folder.stitched().calibration.threshold
    faults = []
    with rasterio.open(folder.product("mask")) as mask, rasterio.open(folder.product("proba")) as proba:
        for name, raster in (("mask", mask), ("probability", proba)):
            if raster.shape != grid.shape or tuple(raster.transform)[:6] != grid.transform:
                faults.append(f"the {name} does not lie on the scene's grid")
            if raster.crs != rasterio.crs.CRS.from_user_input(grid.crs):
                faults.append(f"the {name} has another CRS than the scene")
        if faults:
            return faults
        wrong = 0
        for row in range(0, grid.height, _ROWS):
            place = RasterWindow(0, row, grid.width, min(_ROWS, grid.height - row))
            drawn, cut = mask.read(1, window=place), mask_of(proba.read(1, window=place), threshold)
            # An image with control points was cut before it was moved: what must agree there is what was observed.
            differ = drawn != cut if meta.product_grid is None else (drawn == NOT_SEEN) != (cut == NOT_SEEN)
            wrong += int(differ.sum())
    return [f"{wrong} pixels of the mask differ from the probability cut at {threshold:g}"] if wrong else []
