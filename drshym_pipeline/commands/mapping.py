"""The commands that map scenes: `segment` maps named scenes, `predict-folder` all scenes of a folder.

One process maps all scenes with a model that is loaded once. `commands.outcome` collects and shows the results. Heavy
libraries are imported only when there is a scene to map.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drshym_pipeline.commands.ancillary import AncillaryOption, ancillary_options
from drshym_pipeline.commands.options import (
    BandsOption,
    CheckpointOption,
    DenoiseOption,
    MinAreaOption,
    OutOption,
    OverlapOption,
    OverwriteOption,
    ThresholdOption,
    TileOption,
    UnitsOption,
    VHOption,
    VVOption,
    band_numbers,
)
from drshym_pipeline.commands.outcome import map_groups, shown_outcome
from drshym_pipeline.commands.scene_choice import (
    folder_scenes,
    folder_sidecars,
    folder_strays,
    group_sources,
    named,
    named_scenes,
    pre_event_sources,
    shown,
)
from drshym_pipeline.commands.tiles import predict_tile_folder, tiles_of
from drshym_pipeline.console import note_line
from drshym_pipeline.records import PrecisionOption
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

BatchOption = Annotated[int | None, typer.Option("--batch-size", help="Tiles in one forward pass on a GPU.")]
PrecisionFlag = Annotated[PrecisionOption, typer.Option("--precision", help="Number format of the network.")]
AnySpacingOption = Annotated[bool, typer.Option("--any-spacing", help="Map scenes with pixels of more than 60 m too.")]
PreOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--pre",
        help="A scene from before the event, to separate flood from other water; twice for one file per polarisation.",
        readable=False,
    ),
]


def segment(
    *,
    out: OutOption,
    scenes: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[SCENE]...", help="Sentinel-1 GeoTIFFs, .SAFE folders, zips of them.", readable=False),
    ] = None,
    vv: VVOption = None,
    vh: VHOption = None,
    pre: PreOption = None,
    ancillary: AncillaryOption = None,
    units: UnitsOption = None,
    bands: BandsOption = None,
    denoise: DenoiseOption = True,
    checkpoint: CheckpointOption = None,
    tile: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
    batch_size: BatchOption = None,
    precision: PrecisionFlag = "auto",
    any_spacing: AnySpacingOption = False,
    min_area_ha: MinAreaOption = 0.0,
    threshold: ThresholdOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Map scenes (Sentinel-1 GeoTIFFs): each gets a mask, probability, polygons, picture, caption and report."""
    with shown_outcome("segment") as outcome:
        map_groups(
            outcome,
            named_scenes(group_sources(scenes or [], vv, vh), out),
            checkpoint,
            pre=pre_event_sources(pre or []),
            **ancillary_options(ancillary),
            units=units,
            bands=band_numbers(bands),
            denoise=denoise,
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
            precision=precision,
            any_spacing=any_spacing,
            min_area_ha=min_area_ha,
            threshold=threshold,
            overwrite=overwrite,
        )


def predict_folder(
    *,
    folder: Annotated[
        Path, typer.Option("--in", "--in-dir", "--scenes-dir", help="Folder of scenes, or of tiles, with subfolders.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", "--out-dir", "--proba-dir", help="Folder for the results.")],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--ckpt",
            "--checkpoint",
            help="Folder of a sealed model; by default the model in service, or the shipped one if none is.",
        ),
    ] = None,
    ancillary: AncillaryOption = None,
    units: UnitsOption = None,
    bands: BandsOption = None,
    denoise: DenoiseOption = True,
    tile: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
    batch_size: BatchOption = None,
    precision: PrecisionFlag = "auto",
    any_spacing: AnySpacingOption = False,
    min_area_ha: MinAreaOption = 0.0,
    threshold: ThresholdOption = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Map every scene of a folder in one process; the results keep its subfolders, so equal names do not conflict.

    If every GeoTIFF of the folder has a tile record beside it, as `drshym tile` writes them, the probability of every
    tile is written instead; `drshym export-stitched` makes maps of them.
    """
    with shown_outcome("predict-folder") as outcome:
        if chips := tiles_of(folder, out):
            predict_tile_folder(
                outcome,
                chips,
                folder,
                out,
                checkpoint,
                batch_size=batch_size,
                precision=precision,
                any_spacing=any_spacing,
                overwrite=overwrite,
            )
            return
        found, companions = folder_scenes(folder, out)
        if companions:
            note_line(f"not mapped, side rasters of scenes: {named(companions)}")
        if strays := folder_strays(folder, out):
            note_line(f"not mapped, inside a product and none of its images: {shown(strays)}")
        if unused := folder_sidecars(folder, out, found):
            note_line(f"not read, side-cars without a scene: {shown(unused)}")
        map_groups(
            outcome,
            found,
            checkpoint,
            **ancillary_options(ancillary),
            units=units,
            bands=band_numbers(bands),
            denoise=denoise,
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
            precision=precision,
            any_spacing=any_spacing,
            min_area_ha=min_area_ha,
            threshold=threshold,
            overwrite=overwrite,
        )
