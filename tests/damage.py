"""Ways to damage the stored results of a stage, by the check that must find the damage. The files are really broken.

Every check of the code location has its entry here: `tests/assets/test_every_check.py` says so.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from drshym_pipeline.scene_folder import MapFolder, PredictionFolder, SceneFolder, TilesFolder

# Receives the result of the stage: the folder of the scene, the tiles, the prediction or the map.
Damage = Callable[[Any], None]


def _change_meta(folder: SceneFolder, **values: Any) -> None:
    meta = json.loads(folder.meta_path.read_text("utf-8"))
    folder.meta_path.write_text(json.dumps({**meta, **values}), "utf-8")


def _cut_backscatter(folder: SceneFolder) -> None:
    os.truncate(folder.backscatter, folder.backscatter.stat().st_size - 1000)


def _foreign_backscatter(folder: SceneFolder) -> None:
    from drshym_pipeline.sar.backscatter import BackscatterWriter
    from drshym_pipeline.tiling import Window

    bands, height, width = len(folder.meta().bands), 40, 50
    with BackscatterWriter(folder.backscatter, bands) as writer:
        writer.open(height, width)
        writer.write(Window(0, 0, height, width), np.ones((bands, height, width), np.uint16))


def _unknown_crs(folder: SceneFolder) -> None:
    _change_meta(folder, crs="EPSG:999999")


def _flat_transform(folder: SceneFolder) -> None:
    _change_meta(folder, transform=[10.0, 0.0, 500_000.0, 0.0, 0.0, 2_000_000.0])


def _change_lines(folder: TilesFolder, change: Callable[[list[str]], list[str]]) -> None:
    lines = folder.jsonl.read_text("utf-8").splitlines()
    folder.jsonl.write_text("\n".join(change(lines)) + "\n", "utf-8")


def _tile_missing(folder: TilesFolder) -> None:
    _change_lines(folder, lambda lines: [lines[0], *lines[2:]])


def _tile_outside(folder: TilesFolder) -> None:
    record = json.loads(folder.jsonl.read_text("utf-8").splitlines()[-1])
    record["window"]["row"] += 1000
    _change_lines(folder, lambda lines: [*lines[:-1], json.dumps(record)])


def _tile_garbled(folder: TilesFolder) -> None:
    _change_lines(folder, lambda lines: [lines[0], lines[1][:40], *lines[2:]])


def _no_tile_records(folder: TilesFolder) -> None:
    folder.jsonl.unlink()


def _shard(folder: PredictionFolder) -> Path:
    """The stored file of the last row of tiles."""
    return max(path for path in (folder.path / "c").rglob("*") if path.is_file())


def _shard_missing(folder: PredictionFolder) -> None:
    _shard(folder).unlink()


def _shard_cut(folder: PredictionFolder) -> None:
    os.truncate(_shard(folder), _shard(folder).stat().st_size // 2)


def _shard_garbled(folder: PredictionFolder) -> None:
    content = bytearray(_shard(folder).read_bytes())
    content[:200] = bytes(255 - value for value in content[:200])
    _shard(folder).write_bytes(content)


def _write_probability(folder: PredictionFolder, value: int) -> None:
    """One observed pixel of the first tile gets another stored value."""
    import zarr

    from drshym_pipeline.probabilities import NOT_OBSERVED

    array = zarr.open_array(str(folder.path), mode="r+")
    tile = np.asarray(array[0])
    row, column = np.argwhere(tile != NOT_OBSERVED)[0]
    tile[row, column] = value
    array[0] = tile


def _probability_above_one(folder: PredictionFolder) -> None:
    _write_probability(folder, 10_001)


def _pixel_not_observed(folder: PredictionFolder) -> None:
    _write_probability(folder, 65_535)


def _array_of_another_grid(folder: PredictionFolder) -> None:
    import shutil

    import zarr

    attributes = dict(zarr.open_array(str(folder.path), mode="r").attrs)
    shutil.rmtree(folder.path)
    array = zarr.create_array(store=str(folder.path), shape=(1, 8, 8), dtype="uint16", fill_value=65_535)
    array.attrs.update(attributes)


def _rewrite_mask(folder: MapFolder, change: Callable[[np.ndarray], None] | None = None, **profile: Any) -> None:
    import rasterio

    path = folder.product("mask")
    with rasterio.open(path) as source:
        values, kept = source.read(1), {**source.profile, **profile}
    if change is not None:
        change(values)
    kept = {key: kept[key] for key in ("dtype", "nodata", "count", "height", "width", "crs", "transform")}
    with rasterio.open(path, "w", driver="GTiff", **kept) as target:
        target.write(values, 1)


def _mask_pixel_flipped(folder: MapFolder) -> None:
    def flip(mask: np.ndarray) -> None:
        row, column = np.argwhere(mask <= 1)[-1]
        mask[row, column] = 1 - mask[row, column]

    _rewrite_mask(folder, flip)


def add_water_pixel(folder: MapFolder) -> None:
    """Write one pixel of water into the mask, with only dry pixels around it."""

    def add(mask: np.ndarray) -> None:
        around = np.lib.stride_tricks.sliding_window_view(mask, (3, 3))
        row, column = np.argwhere((around == 0).all(axis=(2, 3)))[0]
        mask[row + 1, column + 1] = 1

    _rewrite_mask(folder, add)


def _mask_moved(folder: MapFolder) -> None:
    from rasterio.transform import from_origin

    _rewrite_mask(folder, transform=from_origin(0.0, 0.0, 10.0, 10.0))


def _mask_in_another_zone(folder: MapFolder) -> None:
    _rewrite_mask(folder, crs="EPSG:32601")


def _mask_cut(folder: MapFolder) -> None:
    os.truncate(folder.product("mask"), folder.product("mask").stat().st_size // 2)


def _mask_missing(folder: MapFolder) -> None:
    folder.product("mask").unlink()


# By asset, blocking check and damaged part: the damage, and words that the failure must contain.
BLOCKING_SCENE_CHECKS: Mapping[tuple[str, str], Mapping[str, tuple[Damage, str]]] = {
    ("raw_scenes", "scene_is_readable_and_georeferenced"): {
        "a cut file": (_cut_backscatter, "is not whole"),
        "another scene's file": (_foreign_backscatter, "not of the scene"),
        "an unknown CRS": (_unknown_crs, "EPSG:999999 is not known"),
        "a transform onto a line": (_flat_transform, "transform"),
    },
    ("tiles", "tiles_cover_the_scene"): {
        "a record missing": (_tile_missing, "records, the grid has"),
        "a tile outside": (_tile_outside, "not inside the scene"),
        "a garbled record": (_tile_garbled, "line 2"),
        "no records": (_no_tile_records, "tiles.jsonl"),
    },
    ("tile_probabilities", "probabilities_fit_the_scene"): {
        "a shard missing": (_shard_missing, "are missing"),
        "a shard cut": (_shard_cut, "cannot be read"),
        "a shard garbled": (_shard_garbled, "tile"),
        "a value above one": (_probability_above_one, "above 1"),
        "a pixel not observed": (_pixel_not_observed, "tile 0: 1 pixel observed"),
        "an array of another grid": (_array_of_another_grid, "of another grid"),
    },
    ("stitched_scenes", "mask_agrees_with_probability"): {
        "a pixel flipped": (_mask_pixel_flipped, "the mask differs in 1 pixel from"),
        "another place": (_mask_moved, "the mask is not on the scene's grid"),
        "another CRS": (_mask_in_another_zone, "the mask has another CRS"),
        "a cut file": (_mask_cut, "mask"),
        "no file": (_mask_missing, "_mask.tif"),
    },
}
