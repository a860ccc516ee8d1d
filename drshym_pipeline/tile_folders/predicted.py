"""The predicted tiles of a scene on the disk, checked against their list, their scene and how they were predicted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from drshym_pipeline.errors import InputError
from drshym_pipeline.probabilities import NOT_OBSERVED, PROBABILITY_STEPS
from drshym_pipeline.products.chips import SCENE_VERSION_TAG
from drshym_pipeline.products.file_lists import check_file
from drshym_pipeline.products.tiles import tile_id
from drshym_pipeline.records import TiledScene, counted
from drshym_pipeline.tile_folders.listing import PREDICT_AGAIN, check_list, checked_tile, grid_of
from drshym_pipeline.tile_folders.predicting import (
    KEY_TAG,
    PREDICTION_SUFFIX,
    PROBABILITY_SUFFIX,
    TilesPrediction,
    predicted_record,
)
from drshym_pipeline.tile_folders.rasters import check_place, open_tile
from drshym_pipeline.tiling import TileGrid

_MODEL_TAG: Final = "DRSHYM_MODEL_SHA256"


def check_scene(made: TilesPrediction, folder: Path, meta_path: Path, scene: TiledScene) -> None:
    """Check that tiles were predicted from the chips of a scene.

    Args:
        made: How the tiles were predicted.
        folder: The folder of the tiles.
        meta_path: The record of the scene.
        scene: What it says.

    Raises:
        InputError: They are of another version of the scene, another grid, or other chips.
    """
    if made.scene_version != scene.version:
        problem = f"({made.scene_version}) than {meta_path.name} ({scene.version})"
        raise InputError(folder, f"its tiles are of another version of the scene {problem}", PREDICT_AGAIN)
    if (made.tile, made.overlap) != (scene.grid.tile, scene.grid.overlap):
        raise InputError(
            folder,
            f"its tiles have another grid (tiles of {made.tile} pixels, overlap {made.overlap}) than "
            f"{meta_path.name} ({scene.grid.tile}, {scene.grid.overlap})",
            PREDICT_AGAIN,
        )
    if made.scene_meta_sha256 != scene.content_sha256:
        raise InputError(
            meta_path, f"is not the record of the chips that the tiles in {folder} were predicted from", PREDICT_AGAIN
        )
    check_list(folder / f"{made.scene_id}{PREDICTION_SUFFIX}", made.tiles, scene, PREDICT_AGAIN)


class PredictedTiles:
    """The predicted tiles of a scene as one array (tile, y, x) uint16; a tile that cannot be read is an error.

    Args:
        folder: Their folder.
        scene: The scene, which they are of.
        made: How they were predicted, and the list of them.
    """

    def __init__(self, folder: Path, scene: TiledScene, made: TilesPrediction) -> None:
        self._folder, self._scene, self._made = folder, scene, made
        self._grid = grid_of(scene)

    @property
    def grid(self) -> TileGrid:
        """The grid of the tiles."""
        return self._grid

    @property
    def shape(self) -> tuple[int, ...]:
        """Tiles, rows and columns."""
        return len(self.grid), self.grid.tile, self.grid.tile

    def __getitem__(self, key: slice) -> NDArray[np.uint16]:
        """Return some tiles, not observed past the end of the scene.

        Raises:
            InputError: A tile is damaged, or has values that are not probabilities.
        """
        indices = range(*key.indices(len(self.grid)))
        values = np.full((len(indices), self.grid.tile, self.grid.tile), NOT_OBSERVED, np.uint16)
        for tile, index in zip(values, indices, strict=True):
            window, path = self.grid.window(index), self._path(index)
            with open_tile(path, PREDICT_AGAIN) as dataset:
                stored = dataset.read(1)
            if wrong := int(np.count_nonzero((stored > PROBABILITY_STEPS) & (stored != NOT_OBSERVED))):
                raise InputError(
                    path,
                    f"{counted(wrong, 'pixel')} of it hold neither a probability (0 to {PROBABILITY_STEPS}) nor "
                    f"{NOT_OBSERVED} for not observed",
                    PREDICT_AGAIN,
                )
            tile[: window.height, : window.width] = stored
        return values

    def check(self) -> None:
        """Check the files of every tile.

        Raises:
            InputError: A tile is missing, damaged, changed since it was written, or at another place.
        """
        listed = {tile.image_id for tile in self._made.tiles}
        missing = [
            index
            for index in range(len(self.grid))
            if tile_id(self._scene.scene_id, index) not in listed or not self._path(index).is_file()
        ]
        if missing:
            raise InputError(
                self._path(missing[0]),
                f"the tile is missing, {counted(len(missing), 'tile')} of {len(self.grid)} in all",
                PREDICT_AGAIN,
            )
        for index in range(len(self.grid)):
            self._check_record(index)
            self._check_raster(index)

    def _path(self, index: int) -> Path:
        return self._folder / f"{tile_id(self._scene.scene_id, index)}{PROBABILITY_SUFFIX}"

    @property
    def _list_name(self) -> str:
        return f"{self._scene.scene_id}{PREDICTION_SUFFIX}"

    def _check_record(self, index: int) -> None:
        path = self._path(index)
        record = checked_tile(path, self._made.tiles[index], self._list_name).record
        expected = predicted_record(self._scene, index, self.grid, record.valid_fraction or 0.0, self._made.prediction)
        if record != expected:
            names = [name for name, value in expected if value != getattr(record, name)]
            raise InputError(
                path.with_suffix(".json"),
                f"does not describe this tile of the scene and its prediction (other values of {', '.join(names)})",
                PREDICT_AGAIN,
            )

    def _check_raster(self, index: int) -> None:
        path, window, reference = self._path(index), self.grid.window(index), self._made.prediction.summary.reference
        with open_tile(path, PREDICT_AGAIN) as dataset:
            tags: dict[str, str] = dataset.tags()
            if tags.get(SCENE_VERSION_TAG) != self._scene.version:
                raise InputError(path, "is a tile of another scene, or of another version of the scene", PREDICT_AGAIN)
            if tags.get(_MODEL_TAG) != reference.sha256:
                other = f"{tags.get('DRSHYM_MODEL')} {tags.get('DRSHYM_MODEL_VERSION')}"
                problem = f"was made by another model ({other}) than the prediction ({reference.label})"
                raise InputError(path, problem, PREDICT_AGAIN)
            if tags.get(KEY_TAG) != self._made.key:
                problem = "was predicted with other options than the other tiles of the scene"
                raise InputError(path, problem, PREDICT_AGAIN)
            check_file(path, self._made.tiles[index].raster_sha256, self._list_name, PREDICT_AGAIN)
            shape: Any = (dataset.count, dataset.height, dataset.width, dataset.dtypes[0])
            if shape != (1, window.height, window.width, "uint16"):
                raise InputError(path, "does not have the pixels of its record", PREDICT_AGAIN)
            check_place(dataset, path, self._scene, window, PREDICT_AGAIN)
