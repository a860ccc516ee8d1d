"""One pass over a predicted scene that makes every file of its map but the report.

The scene streams by in bands of rows: each band is stitched, thresholded, counted, drawn and written before the next
one is read. The intervals, rasters, pictures, polygons and words are made by the neighbours of this module.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from drshym_pipeline.prefetch import Prefetched
from drshym_pipeline.products.bands import image_bands
from drshym_pipeline.products.caption import write_caption
from drshym_pipeline.products.folder import Prediction, PredictionFolder
from drshym_pipeline.products.geocode import geocoded
from drshym_pipeline.products.names import ProductKind, product_name
from drshym_pipeline.products.overlay import OverlayCanvas, write_pictures
from drshym_pipeline.products.rasters import MapRasters, picture_text, provenance_tags
from drshym_pipeline.products.summary import MapStatistics, StitchSummary
from drshym_pipeline.products.vectors import write_flood_polygons
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar.georeference import pixel_area_km2
from drshym_pipeline.storage import temporary_directory, write_text

STAGE = "stitched_scenes"
_WRITERS = 2
_AHEAD = 2  # bands stitched before they are written
_DRAWN: tuple[ProductKind, ...] = ("mask", "proba", "overlay", "thumbnail", "flood", "caption")


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


def draw_map(predicted: PredictionFolder, products: Path, progress: Progress = silent) -> StitchSummary:
    """Write mask, probability, pictures, polygons and caption of a predicted scene.

    Args:
        predicted: The probabilities.
        products: Folder of the files; made when it is not there.
        progress: Called after every band, in rows.

    Returns:
        The figures of the map; nothing but the products is written.
    """
    meta, grid, prediction = predicted.scene.meta(), predicted.tiles.grid(), predicted.read()
    calibration, place = prediction.summary.calibration, meta.map_grid
    statistics = MapStatistics(pixel_area_km2(place.crs, place.transform, place.height, place.width))
    canvas = OverlayCanvas(place.height, place.width)
    paths = {kind: products / product_name(meta.scene_id, kind) for kind in _DRAWN}
    tags = provenance_tags(meta, prediction.summary)
    products.mkdir(exist_ok=True)
    with (
        temporary_directory(products) as scratch,
        MapRasters(meta, scratch, tags) as rasters,
    ):
        bands = image_bands(predicted, meta, grid, calibration.threshold)
        if meta.product_grid is not None:
            bands = geocoded(bands, meta, scratch)
        progress(STAGE, 0, place.height)
        for band in Prefetched(bands, _AHEAD):
            statistics.add(band.row, band.stored, band.mask, band.vv)
            canvas.add(band.row, band.vv, band.mask)
            rasters.write(band.row, band.stored, band.mask)
            progress(STAGE, band.row + len(band.mask), place.height)
        mask = rasters.close()
        provenance: dict[str, str | float] = {
            "scene": meta.scene_id,
            "source_sha256": meta.sha256,
            "model_sha256": prediction.summary.reference.sha256,
            "threshold": calibration.threshold,
        }
        shown = meta.statistics.get("VV")
        stretch = (shown.p01, shown.p99) if shown else None
        # The products are made of the same finished rasters and do not wait for each other.
        with ThreadPoolExecutor(_WRITERS) as pool:
            cogs = pool.submit(rasters.publish, paths["mask"], paths["proba"])
            vectors = pool.submit(write_flood_polygons, mask, place.crs, paths["flood"], provenance)
            write_pictures(canvas, paths["overlay"], paths["thumbnail"], text=picture_text(tags), stretch=stretch)
            cogs.result()
            polygons = vectors.result()
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
