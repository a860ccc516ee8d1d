"""A simulated scene comes with the tiles of the global layers that it is on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.warp import Resampling, reproject

from drshym_pipeline.ancillary.folder import AncillaryFolder
from drshym_pipeline.ancillary.layers import ELEVATION, LAND_COVER, OCCURRENCE, SEASONALITY, Cell
from drshym_pipeline.cli import main
from drshym_pipeline.datasets.simulator.ancillary_tiles import write_ancillary_tiles
from drshym_pipeline.datasets.simulator.scene import SimulatedScene, simulate_scene

LAYERS = {OCCURRENCE: Cell(80, 20), SEASONALITY: Cell(80, 20), LAND_COVER: Cell(81, 24), ELEVATION: Cell(81, 26)}


@pytest.fixture(scope="module")
def scene() -> SimulatedScene:
    return simulate_scene(4, 200, 260)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, scene) -> Path:
    path = tmp_path_factory.mktemp("tiles")
    assert len(write_ancillary_tiles(path, scene)) == len(LAYERS)
    return path


def on_scene(path: Path, scene: SimulatedScene) -> np.ndarray:
    """Return a tile on the grid of the scene, without the readers of this program."""
    out = np.full(scene.label.shape, np.nan, np.float32)
    with rasterio.open(path) as source:
        reproject(
            rasterio.band(source, 1), out, dst_transform=scene.transform, dst_crs=scene.crs, dst_nodata=np.nan,
            resampling=Resampling.nearest,
        )  # fmt: skip
    return out


def test_the_tiles_have_their_official_names_and_sizes(folder):
    found = AncillaryFolder(folder)
    sizes = {OCCURRENCE: 40_000, SEASONALITY: 40_000, LAND_COVER: 36_000, ELEVATION: 3_600}
    for layer, cell in LAYERS.items():
        with rasterio.open(found.tile(layer, cell).path) as source:
            assert source.shape == (sizes[layer],) * 2 and source.crs == "EPSG:4326"
            assert source.bounds == pytest.approx(
                (cell.west, cell.south, cell.west + layer.side, cell.south + layer.side)
            )


def test_the_tiles_show_the_permanent_water_the_land_cover_and_the_ground(folder, scene):
    found = {layer.name: on_scene(folder / layer.place(cell).name, scene) for layer, cell in LAYERS.items()}
    assert scene.permanent_water.any()
    cover = found["worldcover"]
    assert (cover == scene.landcover).mean() > 0.9
    assert ((cover == 80) == scene.permanent_water).mean() > 0.97
    assert ((found["jrc_occurrence"] >= 50) == scene.permanent_water).mean() > 0.95
    assert ((found["jrc_seasonality"] >= 6) == scene.permanent_water).mean() > 0.95
    assert np.nanmedian(np.abs(found["elevation"] - scene.dem)) < 0.5


def test_a_second_scene_completes_the_tiles_of_the_first(tmp_path, scene):
    write_ancillary_tiles(tmp_path, scene)
    path = tmp_path / ELEVATION.place(LAYERS[ELEVATION]).name
    first = on_scene(path, scene)
    other = simulate_scene(6, 64, 64, origin=(510_000.0, 2_890_000.0))
    write_ancillary_tiles(tmp_path, other)
    np.testing.assert_array_equal(on_scene(path, scene), first)
    assert np.nanmedian(np.abs(on_scene(path, other) - other.dem)) < 0.5


def test_the_command_writes_the_tiles_of_one_scene_only(tmp_path, capsys):
    options = ["simulate", "--out", str(tmp_path / "out"), "--size", "64", "--ancillary", str(tmp_path / "anc")]
    assert main(options) == 0
    assert set(capsys.readouterr().out.split()) >= {str(path) for path in (tmp_path / "anc").iterdir()}
    assert main([*options, "--kind", "chips"]) == 2
    assert "--ancillary: is only for one scene" in " ".join(capsys.readouterr().err.split())


def test_tiles_are_not_written_to_an_address(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "--out", "out", "--size", "64", "--ancillary", "s3://bucket/layers"]) == 2
    assert "--ancillary: is an address, but tiles are written to a folder. Give a folder." in capsys.readouterr().err
    assert not [*tmp_path.iterdir()]
