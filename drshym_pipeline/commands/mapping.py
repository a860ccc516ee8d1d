"""The commands that map scenes: `segment` maps named scenes, `predict-folder` all scenes of a folder.

One process maps all scenes with a model that is loaded once. `commands.outcome` collects and shows the results. Heavy
libraries are imported only when there is a scene to map.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from drshym_pipeline.commands.options import (
    CheckpointOption,
    JsonOption,
    OutOption,
    OverlapOption,
    TileOption,
    UnitsOption,
    VHOption,
    VVOption,
)
from drshym_pipeline.commands.outcome import map_groups, shown_outcome
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import PrecisionOption
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

BatchOption = Annotated[int | None, typer.Option("--batch-size", help="Tiles in one forward pass on a GPU.")]
PrecisionFlag = Annotated[PrecisionOption, typer.Option("--precision", help="Number format of the network.")]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Replace files of another scene that have the same names.")
]


def group_sources(scenes: Sequence[Path], vv: Path | None, vh: Path | None) -> list[list[Path]]:
    """Return the files of each scene, VV first.

    Files in one folder whose names differ only by polarisation are one scene.

    Args:
        scenes: The files given by the user.
        vv: The VV file of one more scene.
        vh: The VH file of that scene.

    Raises:
        InputError: No file is given, or VH without VV.
    """
    from drshym_pipeline.sar.scene_files import pair_files

    if vv is None and vh is not None:
        raise InputError("--vh", "is given without --vv", "Give the VV file too; VH alone cannot be mapped")
    files = {scene.as_posix(): scene for scene in scenes}
    keys = [scene.as_posix() for scene in scenes]
    found = [[files[key] for key in group.ordered] for group in pair_files(keys)]
    if vv is not None:
        found.append([vv] if vh is None else [vv, vh])
    if not found:
        raise InputError("SCENE", "no scene is given", "Give a GeoTIFF, or --vv and --vh")
    return found


def segment(
    *,
    out: OutOption,
    scenes: Annotated[
        list[Path] | None, typer.Argument(metavar="[SCENE]...", help="Sentinel-1 GeoTIFFs.", readable=False)
    ] = None,
    vv: VVOption = None,
    vh: VHOption = None,
    units: UnitsOption = None,
    checkpoint: CheckpointOption = None,
    tile: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
    batch_size: BatchOption = None,
    precision: PrecisionFlag = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Map scenes (Sentinel-1 GeoTIFFs): each gets a mask, probability, polygons, picture, caption and report."""
    with shown_outcome("segment", as_json=as_json) as outcome:
        map_groups(
            outcome,
            [(sources, out) for sources in group_sources(scenes or [], vv, vh)],
            checkpoint,
            units=units,
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
            precision=precision,
            overwrite=overwrite,
        )


def folder_groups(folder: Path, out: Path) -> list[tuple[list[Path], Path]]:
    """Return the files of each scene of a folder, and the folder for its products, in the same subfolder.

    Raises:
        InputError: It is not a folder, or contains no scene.
    """
    from drshym_pipeline.sar.scene_files import scene_paths

    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "Give the folder that contains the scenes")
    folder = folder.resolve()
    try:
        files = scene_paths(folder, out.resolve())
    except OSError as error:
        raise InputError(
            error.filename or folder, f"cannot be read ({error.strerror})", "Give read permission for it"
        ) from error
    if not files:
        raise InputError(folder, "contains no GeoTIFF (.tif, .tiff)", "Give the folder that contains the scenes")
    return [(sources, out / sources[0].parent.relative_to(folder)) for sources in group_sources(files, None, None)]


def predict_folder(
    *,
    folder: Annotated[
        Path, typer.Option("--in", "--in-dir", "--in_dir", "--scenes_dir", help="Folder of scenes, with subfolders.")
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", "--out-dir", "--out_dir", "--proba_dir", help="Folder for the results.")
    ],
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            "--ckpt",
            "--checkpoint",
            help="Folder of a sealed model; by default the model in service, or the shipped one if none is.",
        ),
    ] = None,
    units: UnitsOption = None,
    tile: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "--batch_size", help="Tiles in one forward pass on a GPU.")
    ] = None,
    precision: PrecisionFlag = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Map every scene of a folder in one process; the results keep its subfolders, so equal names do not conflict."""
    with shown_outcome("predict-folder", as_json=as_json) as outcome:
        map_groups(
            outcome,
            folder_groups(folder, out),
            checkpoint,
            units=units,
            tile=tile,
            overlap=overlap,
            batch_size=batch_size,
            precision=precision,
            overwrite=overwrite,
        )
