"""The commands that map: `segment` named scenes, `predict-folder` all scenes of a folder.

Parse, call, print. One process maps all of them with a model that is loaded once; what becomes of the scenes is
collected and shown by `commands.outcome`. Nothing heavy is imported before a scene is at hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

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
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

BatchOption = Annotated[int | None, typer.Option("--batch-size", help="Tiles in one forward pass on a GPU.")]
PrecisionOption = Annotated[
    Literal["auto", "fp32", "bf16"], typer.Option("--precision", help="Numbers the network computes in.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace another scene's files of the same names.")]


def group_sources(scenes: Sequence[Path], vv: Path | None, vh: Path | None) -> list[list[Path]]:
    """The files of each scene, VV first.

    Files of one folder whose names differ only by polarisation are one scene.

    Args:
        scenes: Files as given.
        vv: The VV file of one more scene.
        vh: Its VH file.

    Raises:
        InputError: Nothing is given, or VH without VV.
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
    scenes: Annotated[list[Path] | None, typer.Argument(metavar="[SCENE]...", help="Sentinel-1 GeoTIFFs.")] = None,
    vv: VVOption = None,
    vh: VHOption = None,
    units: UnitsOption = None,
    checkpoint: CheckpointOption = None,
    tile: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
    batch_size: BatchOption = None,
    precision: PrecisionOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Map scenes (Sentinel-1 GeoTIFFs): mask, probability, polygons, picture, caption and report of each."""
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
    """The files of each scene of a folder, and the folder of its products: the subfolders are kept.

    Raises:
        InputError: It is no folder, or holds no scene.
    """
    from drshym_pipeline.sar.scene_files import scene_paths

    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "Give the folder that holds the scenes")
    folder = folder.resolve()
    try:
        files = scene_paths(folder, out.resolve())
    except OSError as error:
        raise InputError(
            error.filename or folder, f"cannot be read ({error.strerror})", "Allow it to be read"
        ) from error
    if not files:
        raise InputError(folder, "holds no GeoTIFF (.tif, .tiff)", "Give the folder that holds the scenes")
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
            "--ckpt", "--checkpoint", help="A sealed model; by default the one in service, else the shipped one."
        ),
    ] = None,
    units: UnitsOption = None,
    tile: TileOption = DEFAULT_TILE,
    overlap: OverlapOption = DEFAULT_OVERLAP,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", "--batch_size", help="Tiles in one forward pass on a GPU.")
    ] = None,
    precision: PrecisionOption = "auto",
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Map every scene of a folder in one process; the results keep its subfolders, so equal names do not collide."""
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
