"""Simulated chips compared with real scenes: the measures, the refusal of labelled chips and the whole comparison."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER
from drshym_pipeline.datasets.simulator.speckle import speckle
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import SimulatedData
from drshym_pipeline.storage import read_json
from experiments import scene_statistics
from experiments.scene_measures import (
    WAVELENGTHS,
    autocorrelation,
    block_deviation,
    local_deviation,
    local_mean,
    measure,
    measure_scene,
    ring_spectrum,
)
from experiments.scene_statistics import place, spread
from experiments.unlabelled_scenes import SITES, real_scenes, simulated_scenes
from tests.examples import examples

pytestmark = pytest.mark.system  # many simulated scenes

fields = hnp.arrays(np.float32, (12, 14), elements=st.floats(-40, 5, width=32))


def speckled(seed, level=(-10.0, -17.0), side=96):
    rng = np.random.default_rng(seed)
    return np.stack([db + 10 * np.log10(speckle(rng, (side, side), 5.0, (0.55, 0.55))) for db in level])


@given(fields)
@examples(25)
def test_local_statistics_are_those_of_the_window(values):
    window = values[3:8, 4:9].astype(np.float64)
    assert local_mean(values, 5)[5, 6] == pytest.approx(window.mean(), abs=1e-4)
    assert local_deviation(values, 5)[5, 6] == pytest.approx(window.std(), abs=2e-2)


def test_a_window_with_a_missing_pixel_has_no_mean():
    values = np.zeros((15, 15), np.float32)
    values[7, 7] = np.nan
    mean = local_mean(values, 5)
    assert np.isnan(mean[5:10, 5:10]).all()
    assert np.isfinite(mean[0:5]).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_the_autocorrelation_agrees_with_numpy(axis):
    values = np.random.default_rng(1).normal(size=(60, 70)).cumsum(axis=axis).astype(np.float32)
    turned = np.moveaxis(values, axis, 0)
    for lag in (1, 3):
        expected = np.corrcoef(turned[:-lag].ravel(), turned[lag:].ravel())[0, 1]
        assert autocorrelation(values, lag, axis) == pytest.approx(expected, abs=1e-6)


def test_the_block_deviation_is_that_of_the_block_means():
    values = np.kron(np.array([[0.0, 2.0], [4.0, 6.0]]), np.ones((4, 4))).astype(np.float32)
    assert block_deviation(values, 4) == pytest.approx(np.std([0, 2, 4, 6]))
    assert np.isnan(block_deviation(values, 8))


@pytest.mark.parametrize("wavelength", [45, 11, 3])
def test_the_spectrum_peaks_at_the_wavelength_of_a_wave(wavelength):
    wave = np.sin(2 * np.pi * np.arange(256) / wavelength)[None, :] * np.ones((256, 1))
    ring = int(np.argmax(ring_spectrum(wave.astype(np.float32))))
    assert WAVELENGTHS[ring + 1] < wavelength <= WAVELENGTHS[ring]


def test_only_the_observed_part_of_a_scene_is_measured():
    db = speckled(2)
    cut = db.copy()
    cut[:, :20] = np.nan
    whole, part = measure(db), measure(cut)
    assert part["VV 50 %"] == pytest.approx(whole["VV 50 %"], abs=0.2)
    assert part["VH 5 x 5 deviation 50 %"] == pytest.approx(whole["VH 5 x 5 deviation 50 %"], abs=0.1)
    assert measure_scene(np.full((2, 64, 64), np.nan, np.float32)) is None


def test_the_measures_show_sharper_speckle():
    rng = np.random.default_rng(3)
    rough = np.stack([10 * np.log10(speckle(rng, (96, 96), 2.0, (0.3, 0.3))) for _ in range(2)])
    smooth, sharp = measure(speckled(3)), measure(rough)
    assert sharp["VV 5 x 5 deviation 50 %"] > smooth["VV 5 x 5 deviation 50 %"]
    assert sharp["VV power at 4-2 px"] > smooth["VV power at 4-2 px"]
    assert sharp["VV residual correlation along rows, lag 1"] < smooth["VV residual correlation along rows, lag 1"]


def test_a_value_is_compared_with_the_middle_of_the_chips():
    of = spread([float(value) for value in range(101)])
    assert of == {"5 %": 5.0, "50 %": 50.0, "95 %": 95.0}
    assert [place(value, of) for value in (4.0, 5.0, 95.0, 96.0, float("nan"))] == [
        "below",
        "inside",
        "inside",
        "above",
        "unknown",
    ]
    assert spread([float("nan")]) is None
    assert place(1.0, None) == "unknown"


def write_raster(path: Path, pixels) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "dtype": pixels.dtype.name, "count": len(pixels), "height": 96, "width": 96}
    grid = {"crs": "EPSG:32644", "transform": Affine(10.0, 0.0, 0.0, 0.0, -10.0, 0.0)}
    with rasterio.open(path, "w", **profile, **grid) as dataset:
        dataset.write(pixels)


@pytest.fixture(scope="module")
def real_root(tmp_path_factory):
    """Write a folder with the layout of the real data, with labelled chips that must not be read."""
    root = tmp_path_factory.mktemp("real")
    for seed, site in enumerate(SITES):
        write_raster(root / "terramind" / "S1RTC" / f"{site}.tif", speckled(seed).astype(np.float64))
        write_raster(root / "terramind" / "LULC" / f"{site}.tif", np.full((1, 96, 96), 4, np.uint8))
    for band, pixels in zip(("vv", "vh"), speckled(8).astype(np.float32), strict=True):
        write_raster(root / "stac_overflow" / f"ayt12_{band}.tif", pixels[None])
    chips = root / "sen1floods11" / "v1.1" / HAND_FOLDER / "S1Hand"
    for seed, chip in enumerate(("Ghana_124834", "India_80221")):
        write_raster(chips / f"{chip}_S1Hand.tif", speckled(seed + 20).astype(np.float32))
    (chips / "Spain_7370579_S1Hand.tif").write_bytes(b"not to be read")
    (root / "stac_overflow" / "awc00_vv.tif").write_bytes(b"not to be read")
    return root


@pytest.fixture(scope="module")
def simulated_root(tmp_path_factory):
    return write_dataset(
        tmp_path_factory.mktemp("sim") / "set", SimulatedData(seed=42, train=4, valid=1, test=1, hard=0, size=96)
    )


def test_only_scenes_without_a_flood_label_are_read(real_root):
    names = [scene.name for scene in real_scenes(real_root)]
    assert names == [*SITES, "ayt12", "Ghana_124834", "India_80221"]


def test_a_missing_scene_is_named(tmp_path):
    with pytest.raises(InputError, match=r"282D_485L_3_3\.tif: the scene is missing"):
        list(real_scenes(tmp_path))


def test_real_chips_are_refused_as_simulated(simulated_root, tmp_path):
    splits = tmp_path / "splits" / "flood_handlabeled"
    splits.mkdir(parents=True)
    (splits / "flood_train_data.csv").write_text("Spain_7370579_S1Hand.tif,Spain_7370579_LabelHand.tif\n")
    for kind in ("S1Hand", "LabelHand"):
        source = next((simulated_root / HAND_FOLDER / kind).glob("*.tif"))
        target = tmp_path / HAND_FOLDER / kind / f"Spain_7370579_{kind}.tif"
        target.parent.mkdir(parents=True)
        target.write_bytes(source.read_bytes())
    with pytest.raises(InputError, match="'Spain_7370579' is not a simulated chip"):
        list(simulated_scenes(tmp_path, 5))


def test_the_comparison_writes_its_figures_and_pictures(real_root, simulated_root, tmp_path, capsys):
    picture, examples = tmp_path / "statistics.png", tmp_path / "examples.png"
    scene_statistics.main(
        [f"--data={real_root}", f"--simulated={simulated_root}", f"--out={picture}", f"--examples={examples}"]
    )
    for file in (picture, examples):
        assert file.read_bytes().startswith(b"\x89PNG")
    figures = read_json(picture.with_suffix(".json"))
    assert figures["chips"] == 4
    row = figures["measures"]["VV 50 %"]
    assert set(row["real"]) == {*SITES, "ayt12", "Ghana_124834", "India_80221"}
    assert row["simulated"]["5 %"] <= row["simulated"]["50 %"] <= row["simulated"]["95 %"]
    assert figures["land_cover_medians_db"]["crops"]["VV"]["real"]["282D_485L_3_3"] == pytest.approx(-10.4, abs=0.5)
    assert "of the real scenes' values are within" in capsys.readouterr().out
