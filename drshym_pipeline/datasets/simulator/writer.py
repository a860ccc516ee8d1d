"""Simulated scenes on the disk: single scenes, and whole data sets in Sen1Floods11's layout.

Every file gets its name in one rename, and the done marker of a data set is written last, so an interrupted run can be
continued where it stopped. The pixels are computed in `scene`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER, HAND_SPLITS, split_file
from drshym_pipeline.datasets.simulator.conditions import Conditions, SceneKind, draw_conditions, vary
from drshym_pipeline.datasets.simulator.scene import SimulatedScene, generator, simulate_scene
from drshym_pipeline.errors import InputError
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.settings import SimulatedData
from drshym_pipeline.storage import atomic_path, read_json, remove_abandoned, sha256_json, write_json, write_text
from drshym_pipeline.worker_threads import WorkerThreads

_log = logging.getLogger(__name__)

# Part of a data set's identity: increase it when the same settings would give other pixels.
SIMULATOR_VERSION = 6
STARTED_MARKER = "simulation.started.json"
DONE_MARKER = "simulation.json"
_CHIPS_PER_EVENT = 3
_SPLIT_CODES: dict[str, int] = {"train": 1, "valid": 2, "test": 3, "hard": 4, "wind": 5}
_KINDS: dict[str, SceneKind] = {"hard": "hard", "wind": "wind"}
_CHIPS_PER_ROW = 16
_FIRST_CORNER = (300_000.0, 2_900_000.0)
_SPACING = 10.0
_WRITERS = 4


@dataclass(frozen=True)
class _Layer:
    """One raster of a scene: pixels (bands, h, w), band names, nodata."""

    pixels: NDArray[Any]
    names: tuple[str, ...]
    nodata: float | None


def _layers(scene: SimulatedScene) -> dict[str, _Layer]:
    """Return all rasters of a scene by their folder in the layout; the label is last."""
    return {
        "S1Hand": _Layer(scene.db, ("VV", "VH"), float("nan")),
        "DEMSim": _Layer(scene.dem[None], ("elevation",), None),
        "LandCoverSim": _Layer(scene.landcover[None], ("landcover",), 0),
        "PermanentWaterSim": _Layer(scene.permanent_water[None].astype(np.uint8), ("permanent_water",), 255),
        "S1PreSim": _Layer(scene.pre_event_db, ("VV", "VH"), float("nan")),
        "LabelHand": _Layer(scene.label[None].astype(np.int16), ("label",), -1),
    }


def _write_layer(path: Path, layer: _Layer, scene: SimulatedScene) -> None:
    import rasterio

    with atomic_path(path) as temporary:
        profile = {
            "driver": "GTiff",
            "dtype": layer.pixels.dtype.name,
            "count": layer.pixels.shape[0],
            "height": layer.pixels.shape[1],
            "width": layer.pixels.shape[2],
            "crs": scene.crs,
            "transform": scene.transform,
            "nodata": layer.nodata,
            "compress": "deflate",
            "predictor": 3 if layer.pixels.dtype.kind == "f" else 2,
            "zlevel": 3,
        }
        with rasterio.Env(GDAL_PAM_ENABLED="NO"), rasterio.open(temporary, "w", **profile) as dataset:
            dataset.write(layer.pixels)
            dataset.descriptions = layer.names


def write_scene(directory: Path, name: str, scene: SimulatedScene) -> Path:
    """Write one scene as GeoTIFFs.

    Args:
        directory: Folder to write to; created when missing.
        name: File name without suffix: `<name>.tif` holds VV and VH, the other rasters are `<name>_<kind>.tif` with the
            kinds label, dem, landcover, permanent_water and pre_event.
        scene: The scene to write.

    Returns:
        The path of the VV and VH raster (float32 dB, NaN not observed); it is written last.
    """
    kinds = {
        "DEMSim": "dem",
        "LandCoverSim": "landcover",
        "PermanentWaterSim": "permanent_water",
        "S1PreSim": "pre_event",
        "LabelHand": "label",
    }
    layers = _layers(scene)
    for folder, kind in kinds.items():
        _write_layer(directory / f"{name}_{kind}.tif", layers[folder], scene)
    image = directory / f"{name}.tif"
    _write_layer(image, layers["S1Hand"], scene)
    return image


@dataclass(frozen=True)
class _ChipPlan:
    """A chip to be simulated: its name, its split, its number within the split and its number within the set."""

    chip_id: str
    split: str
    index: int
    number: int


def _plan(config: SimulatedData) -> list[_ChipPlan]:
    """Plan all chips of a set.

    The pixels of a split's chips do not depend on the sizes of the other splits; only the numbers in their names do.
    """
    plans: list[_ChipPlan] = []
    events = 0
    for split, count in (
        ("train", config.train),
        ("valid", config.valid),
        ("test", config.test),
        ("hard", config.hard),
        ("wind", config.wind),
    ):
        for index in range(count):
            event = events + index // _CHIPS_PER_EVENT
            number = len(plans)
            plans.append(_ChipPlan(f"Sim-{event:03d}_{number:05d}", split, index, number))
        events += -(-count // _CHIPS_PER_EVENT)
    return plans


def _conditions(config: SimulatedData, plan: _ChipPlan) -> tuple[Conditions, int]:
    """Draw the conditions of a chip, which differ a little from those of its event, and the seed of its scene."""
    code = _SPLIT_CODES[plan.split]
    rank, place = divmod(plan.index, _CHIPS_PER_EVENT)
    kind = _KINDS.get(plan.split, "standard")
    event = draw_conditions(generator(config.seed, code, rank), kind, rank + 7 * code)
    chip = generator(config.seed, code, rank, place)
    return vary(chip, event), int(chip.integers(2**62))


def _simulate(config: SimulatedData, plan: _ChipPlan) -> SimulatedScene:
    conditions, seed = _conditions(config, plan)
    row, col = divmod(plan.number, _CHIPS_PER_ROW)
    side = config.size * _SPACING
    origin = (_FIRST_CORNER[0] + col * side, _FIRST_CORNER[1] - row * side)
    return simulate_scene(
        seed,
        config.size,
        config.size,
        kind=conditions.kind,
        origin=origin,
        pixel_spacing=_SPACING,
        conditions=conditions,
    )


def settings_record(config: SimulatedData) -> dict[str, Any]:
    """Return the record that identifies a simulated set: its settings and the simulator's version."""
    return {"simulator": SIMULATOR_VERSION, **config.model_dump(mode="json")}


def planned_chips(record: Any) -> frozenset[str]:
    """Return the names of the chips that a done marker describes; no names where the record is not a done marker.

    Args:
        record: The content of the marker, as `settings_record` returns it. Records of earlier simulators are accepted.
    """
    if not isinstance(record, dict) or not isinstance(record.get("simulator"), int):
        return frozenset()
    try:
        config = SimulatedData.model_validate({key: value for key, value in record.items() if key != "simulator"})
    except ValidationError:
        return frozenset()
    return frozenset(plan.chip_id for plan in _plan(config))


def settings_digest(config: SimulatedData) -> str:
    """Return twelve hex digits that differ between settings."""
    return sha256_json(settings_record(config))[:12]


def _refuse_other_content(root: Path, record: dict[str, Any]) -> None:
    for marker in (root / DONE_MARKER, root / STARTED_MARKER):
        if marker.is_file():
            if read_json(marker) != record:
                raise InputError(
                    root,
                    "holds a simulated set with other settings",
                    "Choose another folder, or delete this one to simulate it again",
                )
            return
    if root.exists() and any(root.iterdir()):
        raise InputError(root, "is not empty and holds no simulated set", "Choose an empty folder")


def _rows(plans: list[_ChipPlan], split: str) -> Iterator[str]:
    return (f"{plan.chip_id}_S1Hand.tif,{plan.chip_id}_LabelHand.tif\n" for plan in plans if plan.split == split)


def _write_chip(root: Path, config: SimulatedData, plan: _ChipPlan) -> None:
    # The label is written last: where it exists, the chip is complete.
    if (root / HAND_FOLDER / "LabelHand" / f"{plan.chip_id}_LabelHand.tif").is_file():
        return
    scene = _simulate(config, plan)
    for folder, layer in _layers(scene).items():
        _write_layer(root / HAND_FOLDER / folder / f"{plan.chip_id}_{folder}.tif", layer, scene)


def write_dataset(root: Path, config: SimulatedData, progress: Progress = silent) -> Path:
    """Write a simulated set of labelled chips in Sen1Floods11's layout.

    The chips of one event share the radiometry of one acquisition; no event is in two splits. Beside the images and
    labels there are the folders `DEMSim`, `LandCoverSim`, `PermanentWaterSim` and `S1PreSim`. The splits `hard`
    and `wind` are left out when they are empty.

    Args:
        root: An empty or missing folder, or a folder that holds exactly this set, finished or not.
        config: Number of chips, their size and the seed.
        progress: Called after every chip.

    Returns:
        `root`.

    Raises:
        InputError: The folder holds something else.
    """
    record = settings_record(config)
    _refuse_other_content(root, record)
    if (root / DONE_MARKER).is_file():
        return root
    for folder in (root, *(root / HAND_FOLDER).glob("*")):
        remove_abandoned(folder)
    write_json(root / STARTED_MARKER, record)
    plans = _plan(config)
    progress("simulate", 0, len(plans))
    # Half of the time is spent waiting for the disk, NumPy releases the interpreter lock, and chips do not depend on
    # each other, so several threads write chips at the same time.
    with WorkerThreads(_WRITERS, "chips") as pool:
        for done, _ in enumerate(pool.map(lambda plan: _write_chip(root, config, plan), plans), start=1):
            progress("simulate", done, len(plans))
    for split in dict.fromkeys(plan.split for plan in plans):
        write_text(root / HAND_SPLITS / split_file(split), "".join(_rows(plans, split)))
    write_json(root / DONE_MARKER, record)
    (root / STARTED_MARKER).unlink()
    _log.info("%s: %d simulated chips of %d x %d pixels", root, len(plans), config.size, config.size)
    return root
