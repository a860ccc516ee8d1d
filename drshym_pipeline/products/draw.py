"""One pass over a predicted scene that makes every file of its map but the report.

The scene streams by in bands of rows: each band is stitched, thresholded, counted, drawn and written before the next
one is read. The intervals, rasters, pictures, polygons and words are made by the neighbours of this module.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from drshym_pipeline.assessment.probability import decode, encode
from drshym_pipeline.products.caption import write_caption
from drshym_pipeline.products.folder import Prediction, SceneFolder
from drshym_pipeline.products.names import ProductKind, product_name
from drshym_pipeline.products.overlay import OverlayCanvas, write_pictures
from drshym_pipeline.products.rasters import MapRasters, mask_of, picture_text, provenance_tags
from drshym_pipeline.products.summary import MapStatistics, StitchSummary
from drshym_pipeline.products.vectors import write_flood_polygons
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar.georeference import pixel_area_km2
from drshym_pipeline.sar.scene import SceneReader
from drshym_pipeline.stitching import stitch_rows
from drshym_pipeline.storage import TEMPORARY_PREFIX, write_text
from drshym_pipeline.tiling import TileGrid, Window

STAGE = "stitched_scenes"
_ROWS = 128
_DRAWN: tuple[ProductKind, ...] = ("mask", "proba", "overlay", "thumbnail", "flood", "caption")


def _bands(probabilities: Path, grid: TileGrid) -> Iterator[tuple[int, NDArray[np.uint16]]]:
    """Stitched rows in thin bands: (first row, (rows, width) uint16 as stored in the probability raster)."""
    tiles = zarr.open_array(store=str(probabilities), mode="r")
    for top, rows in stitch_rows(tiles, grid):
        for offset in range(0, len(rows), _ROWS):
            yield top + offset, encode(rows[offset : offset + _ROWS])


def map_warnings(meta: SceneMeta, prediction: Prediction, observed_fraction: float) -> tuple[str, ...]:
    """What a reader of the map must know, as sentences."""
    found = list(meta.warnings)
    found.append(
        "Flood is not separated from permanent water: neither reference water nor a pre-event scene was used, "
        "so the flooded class means open water of any kind."
    )
    found.append("Preliminary automatic result, not validated in the field.")
    if observed_fraction == 0.0:
        found.append("Nothing was observed: the scene holds no valid measurement.")
    if meta.mode != prediction.summary.mode:
        found.append(f"The model was used on {prediction.summary.mode}, the scene has {meta.mode}.")
    if prediction.area_errors.quantile is None:
        found.append("The model has no fitted area errors: the interval is the whole observed area.")
    return tuple(found)


def draw_map(folder: SceneFolder, products: Path, progress: Progress = silent) -> StitchSummary:
    """Write mask, probability, pictures, polygons and caption of a predicted scene.

    Args:
        folder: A scene whose probabilities are there.
        products: Folder of the files; made when it is not there.
        progress: Told after every band, in rows.

    Returns:
        The figures of the map; nothing but the products is written.
    """
    meta, grid, prediction = folder.meta(), folder.grid(), folder.prediction()
    calibration = prediction.summary.calibration
    statistics = MapStatistics(pixel_area_km2(meta.crs, meta.transform, meta.height, meta.width))
    canvas = OverlayCanvas(meta.height, meta.width)
    paths = {kind: products / product_name(meta.scene_id, kind) for kind in _DRAWN}
    tags = provenance_tags(meta, prediction.summary)
    products.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=folder.directory) as scratch,
        SceneReader(meta, folder.directory) as reader,
        MapRasters(meta, Path(scratch), tags) as rasters,
    ):
        progress(STAGE, 0, meta.height)
        for row, stored in _bands(folder.probabilities, grid):
            mask = mask_of(stored, calibration.threshold)
            vv = reader.read(Window(row, 0, len(stored), meta.width))[0]
            statistics.add(row, decode(stored), mask, vv)
            canvas.add(row, vv, mask)
            rasters.write(row, stored, mask)
            progress(STAGE, row + len(stored), meta.height)
        rasters.publish(paths["mask"], paths["proba"])
    shown = meta.statistics.get("VV")
    write_pictures(
        canvas,
        paths["overlay"],
        paths["thumbnail"],
        text=picture_text(tags),
        stretch=(shown.p01, shown.p99) if shown else None,
    )
    provenance: dict[str, str | float] = {
        "scene": meta.scene_id,
        "source_sha256": meta.sha256,
        "model_sha256": prediction.summary.reference.sha256,
        "threshold": calibration.threshold,
    }
    polygons = write_flood_polygons(paths["mask"], meta.crs, paths["flood"], provenance)
    observed = statistics.observed_pixels > 0
    flooded = prediction.area_errors.estimate(statistics.flooded_km2, statistics.observed_km2) if observed else None
    caption = write_caption(meta, prediction.summary.reference, flooded, statistics.observed_km2, water_separated=False)
    write_text(paths["caption"], caption + "\n")
    summary = prediction.summary
    return StitchSummary(
        reference=summary.reference,
        calibration=calibration,
        mode=summary.mode,
        device=summary.device,
        precision=summary.precision,
        tile=grid.tile,
        overlap=grid.overlap,
        flooded=flooded,
        observed_km2=statistics.observed_km2,
        observed_fraction=statistics.observed_fraction,
        pixels=statistics.pixels,
        mean_confidence=statistics.mean_confidence,
        mean_probability=statistics.mean_probability,
        polygons=polygons,
        slices=statistics.slices(),
        caption=caption,
        warnings=map_warnings(meta, prediction, statistics.observed_fraction),
        files={kind: path.name for kind, path in paths.items()},
    )
