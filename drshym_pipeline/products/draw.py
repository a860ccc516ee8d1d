"""Make every file of a map except the report, in one pass over a predicted scene.

The scene is processed in bands of rows: each band is stitched, compared with the threshold, counted, drawn and written.
The next bands are stitched in the background. Other modules make the intervals, rasters, pictures, polygons and texts.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from drshym_pipeline.assessment.scene_signs import SceneSigns, SignCounts, used_bands
from drshym_pipeline.prefetch import Prefetched
from drshym_pipeline.probabilities import StoredProbabilities
from drshym_pipeline.products.bands import image_bands
from drshym_pipeline.products.caption import acquired_text, is_vv_alone, short_caveat, vv_alone_warning, write_caption
from drshym_pipeline.products.figure import FigureText, write_pictures
from drshym_pipeline.products.geocode import geocoded
from drshym_pipeline.products.map_statistics import MapStatistics
from drshym_pipeline.products.minimum_area import SmallAreas, without_small_areas
from drshym_pipeline.products.overlay import OverlayCanvas
from drshym_pipeline.products.rasters import MapRasters, picture_text, provenance_tags
from drshym_pipeline.products.style import mask_style
from drshym_pipeline.products.vectors import write_flood_polygons
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import AreaEstimate, MappedSurfaces, MinimumArea, SceneMeta, StitchSummary
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.georeference import pixel_size_m
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.scene_folder import Prediction, ProductKind, product_name
from drshym_pipeline.states import water_state
from drshym_pipeline.storage import temporary_directory, write_text

STAGE = "stitched_scenes"
_WRITERS = 2
_AHEAD = 2  # bands stitched in advance
_DRAWN: tuple[ProductKind, ...] = ("mask", "style", "proba", "overlay", "thumbnail", "flood", "caption")
_WATER_SEPARATED = False  # neither reference water nor a pre-event scene is used yet
INTERVAL_OF_OTHER_PIXELS = (
    "The interval of the area was fitted on pixels of 10 m and may be too narrow for other pixels."
)

INTERVAL_WITH_ALL_AREAS = "The interval of the area was fitted on maps with areas of any size."


def _mapped_surfaces(signs: SceneSigns) -> MappedSurfaces | None:
    """Return what the mapped water looks like; None where nothing is mapped."""
    total = sum(signs.mapped_surfaces)
    if not total:
        return None
    _, wind, bare = signs.mapped_surfaces
    return MappedSurfaces(bare_like=bare / total, wind_like=wind / total)


def map_warnings(
    meta: SceneMeta,
    prediction: Prediction,
    observed_fraction: float,
    *,
    minimum_area: MinimumArea | None = None,
    surfaces: MappedSurfaces | None = None,
    flooded: AreaEstimate | None = None,
) -> tuple[str, ...]:
    """Return what a reader of the map must know, as sentences."""
    found = list(meta.warnings)
    found.append(
        "Flood is not separated from permanent water: neither reference water nor a pre-event scene was used, "
        "so the flooded class means open water of any kind."
    )
    found.append("Preliminary automatic result, not validated in the field.")
    if flooded is not None and (outside := flooded.warning()):
        found.append(outside)
    if observed_fraction == 0.0:
        found.append("Nothing was observed: the scene holds no valid measurement.")
    if meta.mode != prediction.summary.mode:
        found.append(f"The model was used on {prediction.summary.mode}, the scene has {meta.mode}.")
    if is_vv_alone(meta, prediction.summary):
        found.append(vv_alone_warning(prediction.summary.card))
    if (pixels := prediction.summary.pixels) is not None:
        found.append(f"{pixels.text().capitalize()}. {INTERVAL_OF_OTHER_PIXELS}")
    if (novelty := prediction.summary.novelty) is not None and novelty.is_unusual:
        found.append(novelty.warning())
    if surfaces is not None and (looks_dry := surfaces.warning()):
        found.append(looks_dry)
    if minimum_area is not None:
        text = minimum_area.text().capitalize()
        found.append(f"{text}. {INTERVAL_WITH_ALL_AREAS}" if minimum_area.removed else f"{text}.")
    if prediction.area_errors.quantile is None:
        found.append("The model has no fitted area errors: the interval is the whole observed area.")
    return tuple(found)


def _polygon_properties(meta: SceneMeta, prediction: Prediction, min_area_ha: float) -> dict[str, Any]:
    """Return the properties that all polygons of a map share; `min_area_ha` only with a minimum area."""
    summary = prediction.summary
    return {
        "state": water_state(water_separated=_WATER_SEPARATED),
        "acquired_at": None if meta.acquired_at is None else meta.acquired_at.isoformat(),
        "scene": meta.scene_id,
        "model": summary.reference.name,
        "model_version": summary.reference.version,
        "threshold": summary.calibration.threshold,
        "caveat": short_caveat(meta, summary, water_separated=_WATER_SEPARATED, min_area_ha=min_area_ha),
        **({"min_area_ha": min_area_ha} if min_area_ha else {}),
        "model_sha256": summary.reference.sha256,
        "source_sha256": meta.sha256,
    }


def _about_map(meta: SceneMeta, flooded: AreaEstimate | None, minimum_area: MinimumArea | None) -> dict[str, Any]:
    """Return what the vector file says about the whole map."""
    warning = None if flooded is None else flooded.warning()
    return {
        "scene": meta.scene_id,
        "map_area": None if flooded is None else flooded.text(),
        **({"map_area_warning": warning} if warning else {}),
        **({"minimum_area": minimum_area.text()} if minimum_area else {}),
    }


def _figure_text(
    meta: SceneMeta, prediction: Prediction, flooded: AreaEstimate | None, min_area_ha: float
) -> FigureText:
    """Return the text below the overlay."""
    summary = prediction.summary
    when = acquired_text(meta.acquired_at) if meta.acquired_at else "acquisition date not known"
    state = water_state(water_separated=_WATER_SEPARATED)
    area = "nothing was observed" if flooded is None else f"{state}: {flooded.text()}"
    a, b, _, d, e, _ = meta.map_grid.transform
    return FigureText(
        title=meta.scene_id,
        lines=(
            f"Sentinel-1, {when}; {area}.",
            short_caveat(meta, summary, water_separated=_WATER_SEPARATED, min_area_ha=min_area_ha),
            f"Model {summary.reference.label}, threshold {summary.calibration.threshold:g}. Contains modified "
            "Copernicus Sentinel data.",
        ),
        water=state,
        north_up=a > 0 > e and b == d == 0,
    )


def draw_map(
    reader: BackscatterReader,
    tiles: StoredProbabilities,
    prediction: Prediction,
    products: Path,
    progress: Progress = silent,
    *,
    min_area_ha: float = 0.0,
) -> StitchSummary:
    """Write mask and its style, probability, pictures, polygons and caption of a predicted scene.

    Args:
        reader: The open scene.
        tiles: The open probabilities of the scene.
        prediction: The prediction: model, calibration and area errors.
        products: The folder of the files; it is created if it does not exist.
        progress: Called after every band, with the number of rows.
        min_area_ha: Water areas below this size become dry, in hectares; 0 to keep areas of any size.

    Returns:
        The figures of the map.
    """
    meta = reader.meta
    calibration, place = prediction.summary.calibration, meta.map_grid
    areas = PixelAreas.measure(place.crs, place.affine, place.height, place.width)
    statistics = MapStatistics(areas)
    errors = prediction.area_errors
    mode = prediction.summary.mode
    signs = None if errors.signs is None and mode == "vv" else SignCounts()
    canvas = OverlayCanvas(place.height, place.width)
    paths = {kind: products / product_name(meta.scene_id, kind) for kind in _DRAWN}
    tags = provenance_tags(meta, prediction.summary, min_area_ha=min_area_ha)
    small = SmallAreas(areas, min_area_ha) if min_area_ha else None
    products.mkdir(exist_ok=True)
    with (
        temporary_directory(products) as scratch,
        MapRasters(meta, scratch, tags, water_separated=_WATER_SEPARATED) as rasters,
    ):
        bands = image_bands(reader, tiles, calibration.threshold, signs, used_bands(mode))
        if meta.product_grid is not None:
            bands = geocoded(bands, meta, scratch)
        if small is not None:
            bands = without_small_areas(bands, small)
        progress(STAGE, 0, place.height)
        for band in Prefetched(bands, _AHEAD):
            statistics.add(band.row, band.stored, band.mask, band.vv)
            canvas.add(band.row, band.vv, band.mask)
            rasters.write(band.row, band.stored, band.mask)
            progress(STAGE, band.row + len(band.mask), place.height)
        mask, probability = rasters.close(statistics.mask_tags(), statistics.probability_tags())
        observed = statistics.observed_pixels > 0
        counted = None if signs is None else signs.signs(calibration.threshold)
        mapped_surfaces = None if counted is None or mode == "vv" else _mapped_surfaces(counted)
        flooded = errors.estimate(statistics.flooded_km2, statistics.observed_km2, counted) if observed else None
        minimum_area = None if small is None else small.result()
        shown = meta.statistics.get("VV")
        # All these products are made from the same finished rasters, so they are made at the same time.
        with ThreadPoolExecutor(_WRITERS) as pool:
            cogs = pool.submit(rasters.publish, paths["mask"], paths["proba"])
            vectors = pool.submit(
                write_flood_polygons,
                mask,
                probability,
                paths["flood"],
                crs=place.crs,
                areas=areas,
                properties=_polygon_properties(meta, prediction, min_area_ha),
                about=_about_map(meta, flooded, minimum_area),
            )
            write_pictures(
                canvas,
                paths["overlay"],
                paths["thumbnail"],
                text=picture_text(tags),
                words=_figure_text(meta, prediction, flooded, min_area_ha),
                scene_width=place.width,
                pixel_m=pixel_size_m(place.crs, place.affine, place.height, place.width),
                statistics=(shown.p01, shown.p99) if shown else None,
            )
            cogs.result()
            polygons = vectors.result()
    card = prediction.summary.card
    caption = write_caption(
        meta,
        prediction.summary,
        flooded,
        statistics.observed_km2,
        water_separated=_WATER_SEPARATED,
        interval_source=prediction.area_errors.source(card.data if card else None),
        min_area_ha=min_area_ha,
    )
    write_text(paths["caption"], caption + "\n")
    write_text(paths["style"], mask_style(water_separated=_WATER_SEPARATED))
    summary = prediction.summary
    return StitchSummary(
        reference=summary.reference,
        calibration=calibration,
        mode=summary.mode,
        device=summary.device,
        precision=summary.precision,
        tile=tiles.grid.tile,
        overlap=tiles.grid.overlap,
        flooded=flooded,
        observed_km2=statistics.observed_km2,
        observed_fraction=statistics.observed_fraction,
        pixels=statistics.pixels,
        mean_probability=statistics.mean_probability,
        water_separated=_WATER_SEPARATED,
        polygons=polygons.count,
        polygon_counts=polygons,
        pixel_spacing=summary.pixels,
        minimum_area=minimum_area,
        novelty=summary.novelty,
        mapped_surfaces=mapped_surfaces,
        slices=statistics.slices(),
        caption=caption,
        warnings=map_warnings(
            meta,
            prediction,
            statistics.observed_fraction,
            minimum_area=minimum_area,
            surfaces=mapped_surfaces,
            flooded=flooded,
        ),
        files={kind: path.name for kind, path in paths.items()},
    )
