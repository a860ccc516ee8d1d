"""Which files of a folder are tiles: a GeoTIFF with its exchange record beside it; and which scene each belongs to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from drshym_pipeline.errors import InputError, one_line
from drshym_pipeline.products.chips import META_SUFFIX
from drshym_pipeline.products.file_lists import check_content, check_file, pixel_window
from drshym_pipeline.products.tiles import tile_id
from drshym_pipeline.records import (
    DrShymRecord,
    ListedTile,
    TiledScene,
    counted,
    describe_validation,
    read_drshym_record,
)
from drshym_pipeline.storage import read_json
from drshym_pipeline.tiling import TileGrid

PROBABILITY_ENDING: Final = "_proba"
CUT_AGAIN: Final = "Cut the scene again with `drshym tile` into a new folder"
PREDICT_AGAIN: Final = "Predict the tiles of the scene again with `drshym predict-folder`"
_TILE_NAME = re.compile(rf".+_tile_\d{{5,}}(?:{PROBABILITY_ENDING})?")


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
        InputError: The JSON names a tile (`image_id`) and is not a valid record, or it cannot be read and the GeoTIFF
            has the name of a tile.
    """
    beside = path.with_suffix(".json")
    if not beside.exists():
        return None
    try:
        value = _json(path)
    except InputError:
        if _TILE_NAME.fullmatch(path.stem):
            raise
        return None
    return TileFile(path, _record(value, path)) if _names_a_tile(value) else None


def checked_tile(path: Path, listed: ListedTile, listed_in: str) -> TileFile:
    """Return a listed tile with the record beside it, which must be the listed one; the GeoTIFF is not read.

    Args:
        path: Its GeoTIFF.
        listed: The entry of the tile.
        listed_in: The name of the file with the list.

    Raises:
        InputError: The record is missing, damaged, or not the listed one.
    """
    value = _json(path)
    check_file(path.with_suffix(".json"), listed.record_sha256, listed_in, made_again(path))
    return TileFile(path, _record(value, path))


def made_again(path: Path) -> str:
    """Return how a tile is made again: by `predict-folder` when its name is that of a predicted one."""
    return PREDICT_AGAIN if path.stem.endswith(PROBABILITY_ENDING) else CUT_AGAIN


def _json(path: Path) -> Any:
    """Return the JSON value beside a GeoTIFF."""
    beside = path.with_suffix(".json")
    try:
        return json.loads(beside.read_text("utf-8"))
    except OSError as error:
        raise InputError(beside, f"the tile record cannot be read ({error.strerror})", made_again(path)) from error
    except ValueError as error:  # no JSON, or no text
        raise InputError(
            beside, f"the tile record cannot be read, it is damaged ({one_line(error)})", made_again(path)
        ) from error


def _names_a_tile(value: Any) -> bool:
    return isinstance(value, dict) and "image_id" in value


def _record(value: Any, path: Path) -> DrShymRecord:
    try:
        return read_drshym_record(value if isinstance(value, dict) else {})
    except InputError as error:
        raise InputError(path.with_suffix(".json"), error.problem, made_again(path)) from error


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
        beside = other.with_suffix(".json")
        if beside.exists():
            value = _json(other)  # raises an error if it is damaged
            if _TILE_NAME.fullmatch(other.stem):
                _record(value, other)  # raises an error: it is not a tile record, though the name is that of a tile
        raise InputError(
            other,
            f"has no tile record beside it ({beside.name}), but "
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
        value = read_json(
            path,
            remedy=f"Give the record that `drshym tile` wrote (<scene>{META_SUFFIX}). If it is damaged: {CUT_AGAIN}",
        )
        scene = TiledScene.model_validate(value)
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "Give the _meta.json of `drshym tile`") from error
    except ValidationError as error:
        raise InputError(path, describe_validation(error), CUT_AGAIN) from error
    check_content(path, value, CUT_AGAIN)
    grid = grid_of(scene)
    if len(grid) != scene.grid.count:
        raise InputError(path, f"its grid has {len(grid)} tiles, not {scene.grid.count}", CUT_AGAIN)
    check_list(path, scene.chips, scene, CUT_AGAIN)
    if len(scene.chips) != len(grid):
        raise InputError(path, f"lists {counted(len(scene.chips), 'chip')}, but its grid has {len(grid)}", CUT_AGAIN)
    return scene


def check_list(path: Path, listed: Sequence[ListedTile], scene: TiledScene, remedy: str) -> None:
    """Check that a list names tiles of a scene, each once, in the order and with the windows of its grid.

    Args:
        path: The file with the list.
        listed: The list. Tiles may be left out of it.
        scene: The scene.
        remedy: How the file is made again.

    Raises:
        InputError: It does not.
    """
    grid = grid_of(scene)
    windows = iter((tile_id(scene.scene_id, index), pixel_window(window)) for index, window in enumerate(grid))
    for tile in listed:
        if not any((tile.image_id, tile.window) == place for place in windows):  # continues after the tile before
            raise InputError(path, f"its tile {tile.image_id} is not of the grid of the scene, or not in order", remedy)


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
        InputError: A tile is there twice, belongs to no scene, has another window than the grid says, or its record is
            not the one that was written with it.
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
        _check_window(tile, scenes[path], index)
        check_file(
            tile.path.with_suffix(".json"), scenes[path].chips[index].record_sha256, path.name, made_again(tile.path)
        )
        first = chips[path].setdefault(index, tile.path)
        if first != tile.path:
            raise InputError(tile.path, f"holds tile {name} a second time (also {first.name})", "Remove one of them")
    return [TiledFolder(path, scene, chips[path]) for path, scene in scenes.items() if chips[path]]


def _check_window(tile: TileFile, scene: TiledScene, index: int) -> None:
    """Check that a tile is where the grid of its scene has it.

    Raises:
        InputError: It is not: the scene was cut again with another grid.
    """
    if tile.record.window != scene.chips[index].window:
        raise InputError(
            tile.path,
            f"is not of the grid of its scene (tiles of {scene.grid.tile} pixels, overlap {scene.grid.overlap})",
            f"{CUT_AGAIN}, and predict these tiles",
        )
