"""The commands for tiles as files: `tile`, the tile mode of `predict-folder`, and `export-stitched`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click
import typer

from drshym_pipeline.commands.options import (
    BandsOption,
    DenoiseOption,
    MinAreaOption,
    OutOption,
    OverlapOption,
    OverwriteOption,
    ThresholdOption,
    TileOption,
    UnitsOption,
    VHOption,
    band_numbers,
)
from drshym_pipeline.commands.outcome import Job, Outcome, run_jobs, shown_outcome
from drshym_pipeline.commands.scene_choice import named_scenes
from drshym_pipeline.console import Display, note_line, result_line, shown_progress
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import PrecisionOption, Record, counted
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

if TYPE_CHECKING:
    from drshym_pipeline.tile_folders.exporting import TilesToExport
    from drshym_pipeline.tile_folders.listing import TiledFolder, TileFile

# What the tiles cannot change any more, or what only the map needs; and the command that takes the option.
_TO_TILE = "Give it to `drshym tile`, which cuts the scene"
_TO_EXPORT = "Give it to `drshym export-stitched`, which makes the map"
_REMEDIES = {
    "ancillary": "Map the scene with `drshym segment`, which takes it",
    "units": _TO_TILE,
    "bands": _TO_TILE,
    "denoise": _TO_TILE,
    "tile": _TO_TILE,
    "overlap": _TO_TILE,
    "min_area_ha": _TO_EXPORT,
    "threshold": _TO_EXPORT,
}


def tile(
    *,
    out: OutOption,
    scene: Annotated[Path, typer.Argument(help="A Sentinel-1 GeoTIFF, a .SAFE folder, or a zip of it.")],
    vh: VHOption = None,
    units: UnitsOption = None,
    bands: BandsOption = None,
    denoise: DenoiseOption = True,
    size: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
) -> Record:
    """Cut a scene into GeoTIFF chips in dB, each with its record as JSON beside it, and write the scene's record."""
    from drshym_pipeline.commands.result_documents import TileDocument
    from drshym_pipeline.products.chips import META_SUFFIX, write_chips

    sources, chosen = [scene] if vh is None else [scene, vh], band_numbers(bands)
    (named,) = named_scenes([sources], out)
    with shown_progress(scene.name) as progress:
        tiled = write_chips(
            sources,
            out,
            scene_id=named.scene_id,
            units=units,
            bands=chosen,
            denoise=denoise,
            tile=size,
            overlap=overlap,
            progress=progress,
        )
    result_line(f"{counted(tiled.grid.count, 'chip')} in {out}")
    return TileDocument(
        scene_id=tiled.scene_id,
        folder=str(out.absolute()),
        scene_meta=str((out / f"{tiled.scene_id}{META_SUFFIX}").absolute()),
        chips=tiled.grid.count,
        tile=tiled.grid.tile,
        overlap=tiled.grid.overlap,
    )


def tiles_of(folder: Path, out: Path) -> list[TileFile]:
    """Return the chips of a folder and its subfolders; an empty list if it holds scenes, or cannot be listed.

    Raises:
        InputError: Some of its GeoTIFFs have a tile record and some have none, or all of them are predicted already.
    """
    from drshym_pipeline.sar.safe_product import product_around
    from drshym_pipeline.sar.scene_files import scene_paths
    from drshym_pipeline.tile_folders.listing import tiles_among

    if not folder.is_dir() or product_around(folder.resolve()) is not None:
        return []
    try:
        rasters = scene_paths(folder.resolve(), out.resolve())
    except OSError:  # reported when the scenes are looked for
        return []
    tiles = tiles_among(rasters)
    chips = [tile for tile in tiles if tile.record.provenance.model is None]
    if tiles and not chips:
        raise InputError(
            folder,
            "holds tiles that are predicted already",
            "Make maps of them with `drshym export-stitched`, or give the folder of `drshym tile`",
        )
    return chips


def predict_tile_folder(
    outcome: Outcome,
    chips: Sequence[TileFile],
    folder: Path,
    out: Path,
    checkpoint: Path | None,
    *,
    batch_size: int | None,
    precision: PrecisionOption,
    any_spacing: bool,
    overwrite: bool,
) -> None:
    """Predict the tiles of a folder and its subfolders, scene by scene.

    Args:
        outcome: Receives the results.
        chips: The chips, as `tiles_of` returns them.
        folder: The folder that they are in.
        out: The folder of the results, which keeps the subfolders.
        checkpoint: Folder of the model; by default the model in service, or the shipped one if none is.
        batch_size: Tiles in one forward pass on a GPU; chosen for the machine when None.
        precision: `fp32`, `bf16` or `auto`.
        any_spacing: Predict pixels of more than 60 m too.
        overwrite: Replace tiles of another scene that have the same names.

    Raises:
        InputError: The model cannot be loaded, or an option cannot be used for tiles.
    """
    from drshym_pipeline.inference import check_prediction_options
    from drshym_pipeline.tile_folders.listing import chips_by_scene, tiled_scenes
    from drshym_pipeline.tile_folders.predicting import predict_tiles

    _refuse_scene_options()
    check_prediction_options(batch_size, precision)
    root = folder.resolve()
    found: list[tuple[TiledFolder, Path]] = []
    for place in sorted({tile.path.parent for tile in chips}):
        here = [tile for tile in chips if tile.path.parent == place]
        try:
            scenes = chips_by_scene(here, tiled_scenes(place))
        except InputError as error:
            outcome.refuse(error, [place])
            continue
        found += [(scene, out / place.relative_to(root)) for scene in scenes]
    if not found:
        return
    model = outcome.choose(checkpoint)

    def job(scene: TiledFolder, place: Path) -> Job:
        def predict(progress: Display) -> None:
            if scene.missing:
                note_line(f"{scene.scene.scene_id}: {len(scene.chips)} of {len(scene.grid)} tiles are in the folder")
            made = predict_tiles(
                scene,
                place,
                model.bundle,
                model.reference,
                batch_size=batch_size,
                precision=precision,
                any_spacing=any_spacing,
                overwrite=overwrite,
                progress=progress,
            )
            outcome.tiles.append((made, place))

        return Job([scene.meta_path], predict)

    run_jobs(outcome, [job(*each) for each in found])


def _refuse_scene_options() -> None:
    """Refuse options that have no effect on tiles, if the user gave them; a setting of the environment gets a note."""
    context = click.get_current_context()
    for name, remedy in _REMEDIES.items():
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise InputError(f"--{name.replace('_', '-')}", "cannot be used on a folder of tiles", remedy)
    if context.get_parameter_source("ancillary") is click.core.ParameterSource.ENVIRONMENT:
        note_line("DRSHYM_ANCILLARY: long-term layers are not used for tiles: use `drshym segment`")


def export_stitched(
    *,
    tiles: Annotated[Path, typer.Option("--proba-dir", "--in", help="Folder of tiles that predict-folder wrote.")],
    scene_meta: Annotated[
        Path,
        typer.Option(
            "--scene-meta", help="<scene>_meta.json of `drshym tile`, beside its chips, or a folder with such files."
        ),
    ],
    out: OutOption,
    min_area_ha: MinAreaOption = 0.0,
    threshold: ThresholdOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make the maps of scenes from the probabilities of their tiles, the same as `segment` makes of the scenes."""
    with shown_outcome("export-stitched") as outcome:
        from drshym_pipeline.map_threshold import check_threshold
        from drshym_pipeline.records import check_min_area
        from drshym_pipeline.tile_folders.exporting import export_scene, scenes_to_export

        smallest, chosen = check_min_area(min_area_ha), check_threshold(threshold)

        def job(scene: TilesToExport) -> Job:
            place = out / scene.place

            def export(progress: Display) -> None:
                record = export_scene(
                    scene, place, min_area_ha=smallest, threshold=chosen, overwrite=overwrite, progress=progress
                )
                outcome.maps.append((record, place))

            return Job([scene.meta_path], export)

        run_jobs(outcome, [job(scene) for scene in scenes_to_export(tiles, scene_meta)])
