"""Scenes as tiles on the disk: run the commands, and seal an edited folder again as its writer would have."""

from __future__ import annotations

import json
from pathlib import Path

from drshym_pipeline.cli import main
from drshym_pipeline.products.file_lists import listed_tile, with_content_hash
from drshym_pipeline.records import ListedTile, TiledScene
from drshym_pipeline.tile_folders.predicting import TilesPrediction
from drshym_pipeline.tiling import Window

GRID = ["--tile", "64", "--overlap", "16"]


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def cut(scene: Path, out: Path, *more: object) -> Path:
    assert run("tile", scene, "--out", out, *GRID, *more) == 0
    return out


def export(made: Path, *more: object) -> int:
    return run(
        "export-stitched", "--proba-dir", made / "tiles", "--scene-meta", made / "chips", "--out", made / "maps", *more
    )


def _listed_again(tiles: tuple[ListedTile, ...], folder: Path, ending: str) -> tuple[ListedTile, ...]:
    windows = [Window(tile.window.row, tile.window.col, tile.window.height, tile.window.width) for tile in tiles]
    return tuple(
        listed_tile(tile.image_id, window, folder / f"{tile.image_id}{ending}.tif")
        for tile, window in zip(tiles, windows, strict=True)
    )


def seal_chips(made: Path, **changes: object) -> None:
    """Change fields of the record of the scene, and list the chips as they are now."""
    path = made / "chips" / "s_meta.json"
    scene = TiledScene.model_validate({**json.loads(path.read_text()), **changes})
    scene = scene.model_copy(update={"chips": _listed_again(scene.chips, path.parent, "")})
    path.write_text(with_content_hash(scene).model_dump_json())


def seal_tiles(made: Path) -> None:
    """List the predicted tiles and the record of the scene as they are now."""
    path = made / "tiles" / "s_prediction.json"
    record = TilesPrediction.model_validate_json(path.read_text())
    scene = TiledScene.model_validate_json((made / "chips" / "s_meta.json").read_text())
    record = record.model_copy(
        update={
            "tiles": _listed_again(record.tiles, path.parent, "_proba"),
            "scene_meta_sha256": scene.content_sha256,
        }
    )
    path.write_text(with_content_hash(record).model_dump_json())
