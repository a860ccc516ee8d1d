"""The commands that map scenes: `segment` maps named scenes, `predict-folder` all scenes of a folder.

One process maps all scenes with a model that is loaded once. `commands.outcome` collects and shows the results. Heavy
libraries are imported only when there is a scene to map.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

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
    TileOption,
    UnitsOption,
    VHOption,
    VVOption,
    band_numbers,
)
from drshym_pipeline.commands.outcome import SceneToMap, map_groups, shown_outcome
from drshym_pipeline.commands.tiles import predict_tile_folder, tiles_of
from drshym_pipeline.console import note_line
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import PrecisionOption
from drshym_pipeline.tiling import DEFAULT_OVERLAP, DEFAULT_TILE

if TYPE_CHECKING:
    from drshym_pipeline.sar.scene_groups import Companion

_SHOWN = 10  # side rasters that are named in one line
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


def group_sources(scenes: Sequence[Path], vv: Path | None, vh: Path | None) -> list[list[Path]]:
    """Return the files of each scene that the user has named, VV first.

    Files in one folder whose names differ only by polarisation are one scene. A file that is given twice is one scene.

    Args:
        scenes: The files given by the user.
        vv: The VV file of one more scene.
        vh: The VH file of that scene.

    Raises:
        InputError: No file is given, or VH without VV.
    """
    from drshym_pipeline.sar.scene_groups import pair_files

    if vv is None and vh is not None:
        raise InputError("--vh", "is given without --vv", "Give the VV file too; VH alone cannot be mapped")
    files: dict[str, Path] = {}
    for scene in scenes:
        files.setdefault(_absolute(scene), scene)
    found = [[files[key] for key in group.ordered] for group in pair_files(files)]
    if vv is not None:
        pair = [vv] if vh is None else [vv, vh]
        if list(map(_absolute, pair)) not in [list(map(_absolute, sources)) for sources in found]:
            found.append(pair)
    if not found:
        raise InputError(
            "SCENE", "no scene is given", "Give a GeoTIFF, a .SAFE folder or a zip of it, or --vv and --vh"
        )
    return found


def named_scenes(found: Sequence[Sequence[Path]], out: Path) -> list[SceneToMap]:
    """Return scenes with different names, for one folder of products.

    Args:
        found: The files of each scene, VV first.
        out: The folder for the products.
    """
    from drshym_pipeline.sar.scene_names import unique_names

    paths = [[_absolute(path) for path in sources] for sources in found]
    names = unique_names([(PurePath(keys[0]), "|".join(keys)) for keys in paths])
    return [SceneToMap(sources, out, name) for sources, name in zip(found, names, strict=True)]


def _absolute(path: Path) -> str:
    """Return one text for all ways to write the path of a file; a link is another file than its target."""
    return Path(os.path.realpath(path.parent), path.name).as_posix()  # `resolve` fails on links that form a loop


def pre_event_sources(paths: Sequence[Path]) -> list[Path]:
    """Return the files of the scene from before the event, VV first; an empty list when none is given.

    Raises:
        InputError: The files are of several scenes, or the option is empty.
    """
    from drshym_pipeline.sar.safe_product import product_folder

    if not paths:
        return []
    if Path() in paths and product_folder(Path().absolute()) is None:  # an empty text is the current folder too
        raise InputError(
            "--pre",
            "is empty, or is the current folder, which is no Sentinel-1 product",
            "Give a GeoTIFF, a .SAFE folder or a zip of it from before the event, or leave --pre out",
        )
    found = group_sources(paths, None, None)
    if len(found) > 1:
        raise InputError("--pre", f"names {len(found)} scenes", "Give one scene, or the VV and VH file of one scene")
    return found[0]


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
            overwrite=overwrite,
        )


def folder_scenes(folder: Path, out: Path) -> tuple[list[SceneToMap], list[Companion]]:
    """Return the scenes of a folder, and the companions of scenes in it, which are not mapped.

    The products of a scene are in the same subfolder of `out`. The names in one folder are all different. A SAFE
    folder, or the `measurement` folder in it, is the one scene of its product.

    Raises:
        InputError: It is not a folder, or contains no scene.
    """
    from drshym_pipeline.sar.safe_product import product_around
    from drshym_pipeline.sar.scene_files import scene_paths
    from drshym_pipeline.sar.scene_groups import group_files

    if not folder.is_dir():
        raise InputError(folder, "is not a folder", "Give the folder that contains the scenes")
    folder = folder.resolve()
    if (product := product_around(folder)) is not None:
        return named_scenes([[product]], out), []
    try:
        files = scene_paths(folder, out.resolve())
    except OSError as error:
        raise InputError(
            error.filename or folder, f"cannot be read ({error.strerror})", "Give read permission for it"
        ) from error
    groups, companions = group_files([path.relative_to(folder).as_posix() for path in files])
    if not groups:
        problem = "contains no GeoTIFF (.tif, .tiff) and no Sentinel-1 product (.SAFE, .zip)"
        if companions:
            problem = f"contains no scene, only side rasters: {_named(companions)}"
        raise InputError(folder, problem, "Give the folder that contains the scenes")
    here: dict[Path, list[list[Path]]] = {}
    for group in groups:
        here.setdefault(out / PurePath(group.ordered[0]).parent, []).append([folder / key for key in group.ordered])
    return [scene for place, found in here.items() for scene in named_scenes(found, place)], companions


def folder_sidecars(folder: Path, out: Path, scenes: Sequence[SceneToMap]) -> list[str]:
    """Return the side-cars of a folder that none of its scenes uses, each with the name that it should have.

    Args:
        folder: The folder that the scenes were found in.
        out: The folder of the results.
        scenes: Its scenes, as `folder_scenes` returns them.
    """
    from drshym_pipeline.sar.scene_files import sidecar_paths
    from drshym_pipeline.sar.sidecar import unused_sidecars

    folder = folder.resolve()
    firsts = [scene.sources[0] for scene in scenes if folder in scene.sources[0].parents]
    sidecars = sidecar_paths(folder, out.resolve())
    return unused_sidecars(*([path.relative_to(folder).as_posix() for path in paths] for paths in (sidecars, firsts)))


def folder_strays(folder: Path, out: Path) -> list[str]:
    """Return the rasters in the SAFE folders of a folder that are no images of their product."""
    from drshym_pipeline.sar.scene_files import stray_rasters

    folder = folder.resolve()
    return [path.relative_to(folder).as_posix() for path in stray_rasters(folder, out.resolve())]


def _named(companions: Sequence[Companion]) -> str:
    return _shown([companion.text for companion in companions])


def _shown(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more


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
            note_line(f"not mapped, side rasters of scenes: {_named(companions)}")
        if strays := folder_strays(folder, out):
            note_line(f"not mapped, inside a product and none of its images: {_shown(strays)}")
        if unused := folder_sidecars(folder, out, found):
            note_line(f"not read, side-cars without a scene: {_shown(unused)}")
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
            overwrite=overwrite,
        )
