"""The scenes of the demo: two simulated floods, each with a scene from before it and the tiles of global layers.

Everything is written into the demo's own folder; `demo` copies the scenes into the watched folder, as an analyst would.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from drshym_pipeline.records import MapGrid
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.sar.sidecar import SIDECAR_SUFFIX
from drshym_pipeline.storage import output_directory, write_json

FLOOD_SHARE = 0.12
# The scene from before covers this share of the columns. In the others the long-term map of water is the reference.
BEFORE_SHARE = 0.85


@dataclass(frozen=True)
class DemoScene:
    """A simulated flood: larger than a tile, and not used in training.

    Args:
        name: The name of the scene, with its date.
        before: The name of the scene from before, with its date.
        names_before: Whether a side-car of the scene names the scene from before. Otherwise it is found by its date.
        seed: Seed of the simulator.
        height: Rows.
        width: Columns.
        crs: The CRS.
        origin: x and y of the upper left corner.
    """

    name: str
    before: str
    names_before: bool
    seed: int
    height: int
    width: int
    crs: str
    origin: tuple[float, float]


SCENES = (
    # Calm water, which is easy to see; and water so roughened by wind that VV hardly shows it.
    DemoScene(
        "S1_20240718T003112_calm_valley",
        "S1_20240706T003112_calm_valley",
        names_before=True,
        seed=7035,
        height=1300,
        width=900,
        crs="EPSG:32644",
        origin=(460_000.0, 2_900_000.0),
    ),
    DemoScene(
        "S1_20240203T031245_windy_river",
        "S1_20240122T031245_windy_river",
        names_before=False,
        seed=7021,
        height=1100,
        width=1500,
        crs="EPSG:32737",
        origin=(520_000.0, 7_800_000.0),
    ),
)


def sidecar_path(scene: Path) -> Path:
    """Return the path of the side-car of a scene file."""
    return scene.with_name(f"{scene.stem}{SIDECAR_SUFFIX}")


def truth_path(folder: Path, scene: DemoScene) -> Path:
    """Return the file with the true areas of a simulated scene in the demo's folder; the pipeline does not read it."""
    return folder / f"{scene.name}_truth.json"


def simulate(folder: Path, layers: Path, scene: DemoScene) -> None:
    """Write a scene, the scene from before, the true areas, and the tiles of global layers.

    Args:
        folder: The demo's folder.
        layers: The folder of the tiles.
        scene: The scene.
    """
    from drshym_pipeline.datasets.simulator.ancillary_tiles import write_ancillary_tiles
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.datasets.simulator.writer import write_scene

    simulated = simulate_scene(
        scene.seed, scene.height, scene.width, crs=scene.crs, origin=scene.origin, flood_share=FLOOD_SHARE
    )
    written = write_scene(folder, scene.name, simulated)
    _write_part(written.with_name(f"{scene.name}_pre_event.tif"), folder / f"{scene.before}.tif")
    with output_directory(layers):
        write_ancillary_tiles(layers, simulated)
    if scene.names_before:
        write_json(sidecar_path(written), {"pre_event": scene.before, "date": f"{_day(scene)}"})
    water = simulated.label == 1
    a, b, c, d, e, f = simulated.transform[:6]
    grid = MapGrid(crs=scene.crs, transform=(a, b, c, d, e, f), height=scene.height, width=scene.width)
    areas = PixelAreas.measure(grid.crs, grid.affine, grid.height, grid.width)
    write_json(
        truth_path(folder, scene),
        {
            "flooded_km2": areas.total(0, water & simulated.flood),
            "other_water_km2": areas.total(0, water & ~simulated.flood),
        },
    )


def _day(scene: DemoScene) -> str:
    digits = scene.name.split("_")[1]
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:8]}"


def _write_part(source: Path, target: Path) -> None:
    """Copy the left part of a raster."""
    import rasterio

    with rasterio.open(source) as whole:
        width = round(whole.width * BEFORE_SHARE)
        profile: dict[str, Any] = {**whole.profile, "width": width}
        values: Any = whole.read(window=((0, whole.height), (0, width)))
        with rasterio.open(target, "w", **profile) as part:
            part.write(np.asarray(values))
            part.descriptions = whole.descriptions
