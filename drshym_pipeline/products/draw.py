"""Make every file of a map except the report, in one pass over a predicted scene.

The scene is processed in bands of rows: each band is stitched, compared with the threshold, counted, drawn and written.
The next bands are stitched in the background. Other modules make the intervals, rasters, pictures, polygons and texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.scene_signs import SceneSigns, SignCounts, used_bands
from drshym_pipeline.change import flood_threshold
from drshym_pipeline.prefetch import Prefetched
from drshym_pipeline.probabilities import TileProbabilities
from drshym_pipeline.products.bands import Band, image_bands
from drshym_pipeline.products.caption import write_caption
from drshym_pipeline.products.exclusion_bands import ExclusionRaster, exclusion_tags
from drshym_pipeline.products.figure import write_pictures
from drshym_pipeline.products.flood_rasters import FloodRasters, separation_tags
from drshym_pipeline.products.geocode import geocoded
from drshym_pipeline.products.map_statistics import MapStatistics
from drshym_pipeline.products.map_texts import about_map, figure_text, map_warnings, polygon_properties
from drshym_pipeline.products.minimum_area import SmallAreas, without_small_areas
from drshym_pipeline.products.overlay import OverlayCanvas
from drshym_pipeline.products.rasters import MapRasters, picture_text, provenance_tags
from drshym_pipeline.products.style import mask_style
from drshym_pipeline.products.vectors import write_flood_polygons
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import AreaEstimate, Exclusion, MappedSurfaces, ReferenceNote, StitchSummary
from drshym_pipeline.references.exclusion import TerrainExclusion
from drshym_pipeline.references.reference import ReferenceWater
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.georeference import pixel_size_m
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.scene_folder import EXCLUSION_KIND, REFERENCE_KINDS, Prediction, ProductKind, product_name
from drshym_pipeline.states import mask_of
from drshym_pipeline.storage import temporary_directory, write_text
from drshym_pipeline.worker_threads import WorkerThreads

STAGE = "stitched_scenes"
_WRITERS = 2
_AHEAD = 2  # bands stitched in advance
_DRAWN: tuple[ProductKind, ...] = ("mask", "style", "proba", "overlay", "thumbnail", "flood", "caption")


def _mapped_surfaces(signs: SceneSigns) -> MappedSurfaces | None:
    """Return what the mapped water looks like; None where nothing is mapped."""
    total = sum(signs.mapped_surfaces)
    if not total:
        return None
    _, wind, bare = signs.mapped_surfaces
    return MappedSurfaces(bare_like=bare / total, wind_like=wind / total)


def _kinds(reference: ReferenceWater | None, exclusion: TerrainExclusion | None) -> Iterator[ProductKind]:
    """Yield the files that are drawn."""
    yield from _DRAWN
    if reference is not None:
        yield from REFERENCE_KINDS
    if exclusion is not None:
        yield EXCLUSION_KIND


def _area_of_water(
    errors: AreaErrorModel,
    water_km2: float,
    statistics: MapStatistics,
    signs: SceneSigns | None,
    excluded: Exclusion | None,
) -> AreaEstimate | None:
    """Return the area of all water in the observed ground that is not excluded; None where there is none."""
    pixels, km2 = (0, 0.0) if excluded is None else (excluded.pixels, excluded.km2)
    if statistics.observed_pixels == pixels:
        return None
    return errors.estimate(water_km2, max(statistics.observed_km2 - km2, 0.0), signs)


def _map_bands(
    reader: BackscatterReader,
    tiles: TileProbabilities,
    prediction: Prediction,
    signs: SignCounts | None,
    scratch: Path,
    *,
    small: SmallAreas | None,
    terrain: ExclusionRaster | None,
    flood: FloodRasters | None,
    excluded: Path | None,
) -> Iterator[Band]:
    """Yield the bands of the finished map, from the first row to the last."""
    summary, meta = prediction.summary, reader.meta
    threshold = summary.calibration.threshold
    # The exclusion is on the map grid, which an image with control points is moved to only later.
    in_image = excluded if meta.product_grid is None else None
    bands = image_bands(reader, tiles, threshold, signs, used_bands(summary.mode), exclusion=in_image)
    if meta.product_grid is not None:
        bands = geocoded(bands, meta, scratch)
        if flood is not None or terrain is not None:
            # The states follow from the files of the map, so the water does too.
            bands = (replace(band, mask=mask_of(band.stored, threshold)) for band in bands)
    if small is not None:
        bands = without_small_areas(bands, small)
    if terrain is not None:
        bands = terrain.written(bands)
    return bands if flood is None else flood.written(bands)


def draw_map(
    reader: BackscatterReader,
    tiles: TileProbabilities,
    prediction: Prediction,
    products: Path,
    progress: Progress = silent,
    *,
    min_area_ha: float = 0.0,
    reference: ReferenceWater | None = None,
    exclusion: TerrainExclusion | None = None,
    reference_note: ReferenceNote | None = None,
    notes: Sequence[str] = (),
) -> StitchSummary:
    """Write mask and its style, probability, pictures, polygons and caption of a predicted scene.

    Args:
        reader: The open scene.
        tiles: The open probabilities of the scene.
        prediction: The prediction: model, calibration and area errors.
        products: The folder of the files; it is created if it does not exist.
        progress: Called after every band, with the number of rows.
        min_area_ha: Water areas below this size become dry, in hectares; 0 to keep areas of any size.
        reference: The probability of water before the event; without it the flooded class is water of any kind.
        exclusion: What the terrain excludes; without it nothing is excluded.
        reference_note: What the reference was planned to be, for a map in a store.
        notes: More warnings of the map, as sentences.

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
    canvas = OverlayCanvas(place.height, place.width, separated=reference is not None, terrain=exclusion is not None)
    paths = {kind: products / product_name(meta.scene_id, kind) for kind in _kinds(reference, exclusion)}
    flood_from = flood_threshold(calibration.threshold)
    tags = provenance_tags(meta, prediction.summary, min_area_ha=min_area_ha)
    more_tags = {} if reference is None else separation_tags(reference, flood_from)
    more_tags |= {} if exclusion is None else exclusion_tags(exclusion)
    small = SmallAreas(areas, min_area_ha) if min_area_ha else None
    products.mkdir(exist_ok=True)
    with (
        temporary_directory(products) as scratch,
        MapRasters(
            meta,
            scratch,
            tags,
            mask_tags=more_tags,
            water_separated=reference is not None,
            terrain=exclusion is not None,
        ) as rasters,
        ExitStack() as stack,
    ):
        flood = (
            None
            if reference is None
            else stack.enter_context(
                FloodRasters(
                    meta,
                    scratch,
                    tags | more_tags,
                    areas=areas,
                    reference=reference,
                    water_threshold=calibration.threshold,
                )
            )
        )
        terrain = (
            None
            if exclusion is None
            else stack.enter_context(ExclusionRaster(meta, scratch, tags | more_tags, areas=areas, exclusion=exclusion))
        )
        bands = _map_bands(
            reader,
            tiles,
            prediction,
            signs,
            scratch,
            small=small,
            terrain=terrain,
            flood=flood,
            excluded=None if exclusion is None else exclusion.raster,
        )
        progress(STAGE, 0, place.height)
        with closing(iter(Prefetched(bands, _AHEAD))) as made:
            for band in made:
                statistics.add(band.row, band.stored, band.mask, band.vv)
                canvas.add(band.row, band.vv, band.mask)
                rasters.write(band.row, band.stored, band.mask)
                progress(STAGE, band.row + len(band.mask), place.height)
        has_unseparated = flood is not None and flood.statistics.has_unseparated
        mask, probability = rasters.close(
            statistics.mask_tags(),
            statistics.probability_tags(),
            unseparated=has_unseparated,
        )
        excluded = None if terrain is None else terrain.finished()
        counted = None if signs is None else signs.signs(calibration.threshold)
        mapped_surfaces = None if counted is None or mode == "vv" else _mapped_surfaces(counted)
        water_km2 = statistics.flooded_km2 if flood is None else flood.statistics.water_km2
        water = _area_of_water(errors, water_km2, statistics, counted, excluded)
        flooded, separation = (water, None) if flood is None else flood.finished(water, prediction)
        minimum_area = None if small is None else small.result()
        shown = meta.statistics.get("VV")
        # All these products are made from the same finished rasters, so they are made at the same time.
        with WorkerThreads(_WRITERS, "products") as pool:
            cogs = [pool.submit(rasters.publish, paths["mask"], paths["proba"])]
            if flood is not None:
                cogs.append(pool.submit(flood.publish, *(paths[kind] for kind in REFERENCE_KINDS)))
            if terrain is not None:
                cogs.append(pool.submit(terrain.publish, paths[EXCLUSION_KIND]))
            vectors = pool.submit(
                write_flood_polygons,
                mask,
                probability,
                paths["flood"],
                crs=place.crs,
                areas=areas,
                properties=polygon_properties(meta, prediction, min_area_ha, separation, excluded),
                about=about_map(meta, flooded, minimum_area, separation, excluded, prediction=prediction.summary),
            )
            write_pictures(
                canvas,
                paths["overlay"],
                paths["thumbnail"],
                text=picture_text(tags | more_tags),
                words=figure_text(meta, prediction, flooded, min_area_ha, separation, exclusion=excluded),
                scene_width=place.width,
                pixel_m=pixel_size_m(place.crs, place.affine, place.height, place.width),
                statistics=(shown.p01, shown.p99) if shown else None,
            )
            for cog in cogs:
                cog.result()
            polygons = vectors.result()
    caption = write_caption(
        meta,
        prediction.summary,
        flooded,
        statistics.observed_km2,
        separation,
        interval_source=errors.source(prediction.validation_data),
        min_area_ha=min_area_ha,
        exclusion=excluded,
    )
    write_text(paths["caption"], caption + "\n")
    write_text(
        paths["style"],
        mask_style(water_separated=reference is not None, unseparated=has_unseparated, terrain=exclusion is not None),
    )
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
        water_separated=reference is not None,
        polygons=polygons.count,
        polygon_counts=polygons,
        pixel_spacing=summary.pixels,
        minimum_area=minimum_area,
        novelty=summary.novelty,
        mapped_surfaces=mapped_surfaces,
        separation=separation,
        exclusion=excluded,
        model_threshold=summary.model_threshold,
        reference_note=reference_note,
        slices=statistics.slices(),
        caption=caption,
        warnings=map_warnings(
            meta,
            prediction,
            statistics.observed_fraction,
            minimum_area=minimum_area,
            surfaces=mapped_surfaces,
            flooded=flooded,
            separation=separation,
            exclusion=excluded,
            source_warnings=[
                *(() if reference is None else reference.warnings),
                *(() if exclusion is None else exclusion.warnings),
                *notes,
            ],
        ),
        files={kind: path.name for kind, path in paths.items()},
    )
