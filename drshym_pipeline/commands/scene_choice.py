"""Which scenes a command works on: those that the user names, or all of a folder; and what they are called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from drshym_pipeline.commands.outcome import SceneToMap
from drshym_pipeline.errors import InputError

if TYPE_CHECKING:
    from drshym_pipeline.sar.scene_groups import Companion

_SHOWN = 10  # side rasters that are named in one line


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
            "is empty, or is the current folder, which is not a Sentinel-1 product",
            "Give a GeoTIFF, a .SAFE folder or a zip of it from before the event, or leave --pre out",
        )
    found = group_sources(paths, None, None)
    if len(found) > 1:
        raise InputError("--pre", f"names {len(found)} scenes", "Give one scene, or the VV and VH file of one scene")
    return found[0]


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
            problem = f"contains no scene, only side rasters: {named(companions)}"
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
    """Return the rasters in the SAFE folders of a folder that are not images of their product."""
    from drshym_pipeline.sar.scene_files import stray_rasters

    folder = folder.resolve()
    return [path.relative_to(folder).as_posix() for path in stray_rasters(folder, out.resolve())]


def named(companions: Sequence[Companion]) -> str:
    """Return companions as text, at most ten of them."""
    return shown([companion.text for companion in companions])


def shown(texts: Sequence[str]) -> str:
    """Return texts in one line, at most ten of them."""
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return ", ".join(texts[:_SHOWN]) + more
