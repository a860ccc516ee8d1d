"""Which files of a folder are tiles: a GeoTIFF with its exchange record beside it; and which scene each belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.products.chips import META_SUFFIX
from drshym_pipeline.products.tiles import tile_id
from drshym_pipeline.records import (
    DrShymRecord,
    PixelWindow,
    TiledScene,
    counted,
    describe_validation,
    read_drshym_record,
)
from drshym_pipeline.sar.scene_files import is_scene_name
from drshym_pipeline.tiling import TileGrid

CUT_AGAIN: Final = "Cut the scene again with `drshym tile`"


@dataclass(frozen=True)
class TileFile:
    """One tile on the disk.

    Args:
        path: Its GeoTIFF.
        record: The record beside it.
    """

    path: Path
    record: DrShymRecord


@dataclass(frozen=True)
class TiledFolder:
    """The chips of one scene in a folder.

    Args:
        meta_path: The record of the scene.
        scene: What it says.
        chips: The GeoTIFF of each tile that the folder holds, by the number of the tile.
    """

    meta_path: Path
    scene: TiledScene
    chips: Mapping[int, Path]

    @property
    def grid(self) -> TileGrid:
        """The tiles of the scene."""
        return grid_of(self.scene)

    @property
    def missing(self) -> list[str]:
        """The names of the tiles that the folder does not hold, in the order of the grid."""
        return [tile_id(self.scene.scene_id, index) for index in range(len(self.grid)) if index not in self.chips]


def grid_of(scene: TiledScene) -> TileGrid:
    """Return the grid of the tiles of a scene."""
    return TileGrid(scene.height, scene.width, scene.grid.tile, scene.grid.overlap)


def read_tile(path: Path) -> TileFile | None:
    """Return a GeoTIFF with the tile record beside it; None when no JSON of its name is beside it that is one.

    Raises:
        InputError: The JSON names a tile (`image_id`) and is not a valid record.
    """
    beside = path.with_suffix(".json")
    try:
        value = json.loads(beside.read_text("utf-8"))
    except (OSError, ValueError):  # ValueError: no JSON, or no text
        return None
    if not isinstance(value, dict) or "image_id" not in value:
        return None
    return TileFile(path, read_drshym_record(value, str(beside)))


def tiles_among(rasters: Sequence[Path]) -> list[TileFile]:
    """Return the tiles of a folder; an empty list when it has none, and so holds scenes.

    Args:
        rasters: All GeoTIFFs and products of the folder.

    Raises:
        InputError: Some of them are tiles and others are not: what the folder is cannot be decided.
    """
    tiles = [read_tile(path) for path in rasters]
    found = [tile for tile in tiles if tile is not None]
    if found and len(found) < len(rasters):
        other = next(path for path, tile in zip(rasters, tiles, strict=True) if tile is None)
        raise InputError(
            other,
            f"has no tile record beside it ({other.with_suffix('.json').name}), but "
            f"{counted(len(found), 'other file')} of the folder {'has' if len(found) == 1 else 'have'} one",
            "Give a folder with scenes only, or with tiles only",
        )
    return found


def read_tiled_scene(path: Path) -> TiledScene:
    """Read the record of a scene that was cut into chips.

    Raises:
        InputError: The file cannot be read, or is not such a record.
    """
    try:
        scene = TiledScene.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Give the _meta.json of `drshym tile`") from error
    except ValidationError as error:
        raise InputError(path, describe_validation(error), CUT_AGAIN) from error
    if len(grid_of(scene)) != scene.grid.count:
        raise InputError(path, f"its grid has {len(grid_of(scene))} tiles, not {scene.grid.count}", CUT_AGAIN)
    return scene


def tiled_scenes(folder: Path) -> dict[Path, TiledScene]:
    """Return the records of the scenes whose chips are directly in a folder; other JSON files are left out.

    Raises:
        InputError: A record is damaged.
    """
    found = {}
    for path in sorted(folder.glob(f"*{META_SUFFIX}")):
        try:
            value = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(path, f"cannot be read as JSON ({one_line(error)})", CUT_AGAIN) from error
        if isinstance(value, dict) and {"scene_id", "grid"} <= value.keys():
            found[path] = read_tiled_scene(path)
    return found


def chips_by_scene(tiles: Iterable[TileFile], scenes: Mapping[Path, TiledScene]) -> list[TiledFolder]:
    """Return the chips of each scene of one folder; scenes without any chip there are left out.

    Args:
        tiles: The tiles of the folder.
        scenes: The records of its scenes.

    Raises:
        InputError: A tile is there twice, belongs to no scene, or has another window than the grid says.
    """
    place = {
        tile_id(scene.scene_id, index): (path, index)
        for path, scene in scenes.items()
        for index in range(scene.grid.count)
    }
    chips: dict[Path, dict[int, Path]] = {path: {} for path in scenes}
    for tile in tiles:
        name = tile.record.image_id
        if name not in place:
            raise InputError(
                tile.path,
                f"its tile {name} is of no scene whose record (<scene>{META_SUFFIX}) is beside it",
                f"Copy the record of the scene beside its tiles, or: {CUT_AGAIN}",
            )
        path, index = place[name]
        check_window(tile, scenes[path], index)
        first = chips[path].setdefault(index, tile.path)
        if first != tile.path:
            raise InputError(tile.path, f"holds tile {name} a second time (also {first.name})", "Remove one of them")
    return [TiledFolder(path, scene, chips[path]) for path, scene in scenes.items() if chips[path]]


def check_window(tile: TileFile, scene: TiledScene, index: int) -> None:
    """Check that a tile is where the grid of its scene has it.

    Raises:
        InputError: It is not: the scene was cut again with another grid.
    """
    window = grid_of(scene).window(index)
    expected = PixelWindow(row=window.row, col=window.col, height=window.height, width=window.width)
    if tile.record.window != expected:
        raise InputError(
            tile.path,
            f"is not of the grid of its scene (tiles of {scene.grid.tile} pixels, overlap {scene.grid.overlap})",
            "Cut the scene again with `drshym tile`, and predict these tiles",
        )


def folder_tiles(folder: Path) -> list[TileFile]:
    """Return the tiles that are directly in a folder; other rasters are left out.

    Raises:
        InputError: A record is damaged.
    """
    rasters = sorted(path for path in folder.iterdir() if is_scene_name(path.name) and path.is_file())
    return [tile for tile in map(read_tile, rasters) if tile is not None]
