"""The commands that map: `segment` named scenes, `predict-folder` all scenes of a folder.

Parse, call, print. One process maps all of them with a model that is loaded once; what becomes of the scenes is
collected and shown by `commands.outcome`. Nothing heavy is imported before a scene is at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from drshym_pipeline.storage import TEMPORARY_PREFIX
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

_SUFFIXES = (".tif", ".tiff")
# Rasters this program writes beside a map's record: a folder that was mapped into itself must not map its own maps.
_PRODUCTS = ("_mask", "_proba")

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
    from drshym_pipeline.sar.products import pair_key

    if vv is None and vh is not None:
        raise InputError("--vh", "is given without --vv", "Give the VV file too; VH alone cannot be mapped")
    groups: dict[tuple[str, ...], dict[str, Path]] = {}
    for place, scene in enumerate(scenes):
        name, polarisation = pair_key(scene.name)
        key = (str(scene.parent), name) if polarisation else (str(scene.parent), name, str(place))
        if (polarisation or "VV") in groups.get(key, {}):
            key = (*key, str(place))
        groups.setdefault(key, {})[polarisation or "VV"] = scene
    found = [[files[name] for name in ("VV", "VH") if name in files] for files in groups.values()]
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


def scene_files(folder: Path, but_not: Path) -> Iterator[Path]:
    """The GeoTIFFs of a folder and its subfolders, in the order of their paths, without products and hidden files.

    Args:
        folder: Where to look.
        but_not: The folder of the results: left out where it lies inside.
    """
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if path.suffix.lower() not in _SUFFIXES or not path.is_file():
            continue
        if path.is_relative_to(but_not) and not folder.is_relative_to(but_not):
            continue
        if any(part.startswith((".", "~", TEMPORARY_PREFIX)) for part in parts):
            continue
        product = next((end for end in _PRODUCTS if path.stem.endswith(end)), None)
        if product and path.with_name(f"{path.stem.removesuffix(product)}_report.json").is_file():
            continue
        yield path


def folder_groups(folder: Path, out: Path) -> list[tuple[list[Path], Path]]:
    """The files of each scene of a folder, and the folder of its products: the subfolders are kept.

    Raises:
        InputError: It is no folder, or holds no scene.
    """
    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "Give the folder that holds the scenes")
    folder = folder.resolve()
    files = list(scene_files(folder, out.resolve()))
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
