"""Small arrays to look at, taken from the files of a scene without reading the whole scene."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.scene_folder import PredictionFolder, SceneFolder, TilesFolder
from drshym_pipeline.tiling import Window

DB_RANGE = (-25.0, 0.0)
_ROWS = 240


def _places(length: int, most: int) -> NDArray[np.int64]:
    """Return evenly spaced pixels along an axis, at most `most`."""
    count = min(length, most)
    return ((np.arange(count) + 0.5) * length / count).astype(np.int64)


def quicklook(folder: SceneFolder) -> NDArray[np.float32]:
    """Return VV in dB on a coarse grid: (h, w) float32 with at most 240 pixels per side, NaN where not observed."""
    from drshym_pipeline.sar.backscatter import BackscatterReader
    from drshym_pipeline.sar.codes import decode_db

    meta = folder.meta()
    side = _ROWS / max(meta.shape)
    rows = _places(meta.height, max(1, round(min(1.0, side) * meta.height)))
    columns = _places(meta.width, max(1, round(min(1.0, side) * meta.width)))
    with BackscatterReader(meta, folder.directory) as reader:
        lines = [reader.read(Window(int(row), 0, 1, meta.width), 1)[0, 0, columns] for row in rows]
    return decode_db(np.stack(lines))


def ground_cell(folder: SceneFolder) -> tuple[float, float]:
    """Return the length on the ground of the sides (x, y) of a pixel of the scene's image, in metres."""
    from drshym_pipeline.sar.georeference import pixel_size_m

    meta = folder.meta()
    return pixel_size_m(meta.crs, meta.affine, meta.height, meta.width)


def valid_share(tiles: TilesFolder) -> NDArray[np.float64]:
    """Return the observed share of every tile, laid out as the grid: (rows of tiles, columns of tiles)."""
    import pandas as pd

    table = pd.read_parquet(tiles.parquet, columns=["valid_fraction"])
    shares: NDArray[np.float64] = table["valid_fraction"].to_numpy(dtype=float)
    return shares.reshape(tiles.grid().shape)


def tile_means(predicted: PredictionFolder) -> NDArray[np.float64] | None:
    """Return the mean probability of every tile, laid out as the grid, NaN where nothing was observed.

    None for a prediction of an earlier version, which has no overview.
    """
    overview = predicted.read().overview
    if overview is None:
        return None
    means = np.array([np.nan if mean is None else mean for mean in overview.tile_means])
    return means.reshape(predicted.tiles.grid().shape)


def probability_histogram(predicted: PredictionFolder) -> list[dict[str, Any]]:
    """Return the share of the observed tile pixels by class of probability; empty where it is not known."""
    overview = predicted.read().overview
    if overview is None:
        return []
    classes, total = len(overview.histogram), max(sum(overview.histogram), 1)
    return [
        {"probability": f"{index / classes:.1f} to {(index + 1) / classes:.1f}", "share of pixels": count / total}
        for index, count in enumerate(overview.histogram)
    ]
