"""Calm water whose noise was subtracted: its pixels say nothing about the units of a scene."""

from __future__ import annotations

import numpy as np
import pytest

from drshym_pipeline.datasets.simulator.artefacts import detect
from drshym_pipeline.datasets.simulator.conditions import SceneKind
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Polarisation, Units
from drshym_pipeline.sar.ingest import describe_scene
from drshym_pipeline.sar.unit_evidence import BandSample, Claims
from drshym_pipeline.sar.units import find_units
from tests.units import from_db

NAMED = Claims("float32", named=True)
LAND = [0.0, 0.2, 0.6]  # share of the scene
WATER_DB = [-20.0, -24.0, -27.0]
WRONG = {
    "20 log10 of power": lambda db: 2 * db,
    "bel": lambda db: db / 10,
    "ln of amplitude": lambda db: db * np.log(10) / 20,
    "dB without sign": lambda db: -db,
    "dB x 100": lambda db: np.round(100 * db),
    "power x 10,000": lambda db: np.round(1e4 * 10 ** (db / 10)),
}


def calm_water(land: float, water_db: float) -> np.ndarray:
    """Return VV and VH in dB, (2, 160, 160): even land on the left, and water below the noise that was subtracted."""
    mean = np.full((160, 160), water_db, np.float32)
    mean[:, : round(160 * land)] = -10.5
    rng = np.random.default_rng(7)
    return np.stack([
        detect(rng, mean - less, looks=4.8, psf=(0.6, 0.6), noise_db=-25.0, noise_removed=1.0,
               noise_pattern=np.ones_like(mean))
        for less in (np.float32(0.0), np.float32(6.5))
    ])  # fmt: skip


def samples(values: np.ndarray, bands: int = 2) -> list[BandSample]:
    """Return samples of the bands, (2, h, w) with NaN where not observed."""
    usable = np.isfinite(values).all(axis=0)
    names: tuple[Polarisation, ...] = ("VV", "VH")
    return [
        BandSample(name, band[usable].astype(float), (band.astype(float),))
        for name, band in zip(names[:bands], values, strict=False)
    ]


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize("water_db", WATER_DB)
@pytest.mark.parametrize("land", LAND)
def test_right_units_of_calm_water_are_read_and_wrong_ones_are_refused(land, water_db, bands):
    db = calm_water(land, water_db)
    assert np.percentile(db[0], 1) < -35.0 or land > 0.5 or water_db == -20.0
    assert find_units(samples(db, bands), NAMED, subject="x.tif").units == "db"
    for name, change in WRONG.items():
        claims = Claims("uint16" if "x" in name else "float32", named=True)
        try:
            found = find_units(samples(change(db), bands), claims, subject="x.tif")
        except InputError:
            continue
        # The level alone is left as evidence: neither land nor VH is there.
        assert (name, land, bands) == ("bel", 0.0, 1), f"{name} was read"
        assert found.warnings


@pytest.mark.parametrize("units", ["power", "amplitude"])
@pytest.mark.parametrize("water_db", WATER_DB)
@pytest.mark.parametrize("land", LAND)
def test_amplitude_of_calm_water_is_never_read_as_power(land, water_db, units: Units):
    raw = from_db(calm_water(land, water_db), units)
    for bands in (1, 2):
        try:
            assert find_units(samples(raw, bands), NAMED, subject="x.tif").units == units
        except InputError:
            # Water alone may be too dark to distinguish amplitude from power or from normalised values.
            assert units == "amplitude"


@pytest.mark.parametrize("kind", ["standard", "hard", "wind"])
def test_simulated_scenes_are_read_as_db_alone(kind: SceneKind):
    for seed in range(8):
        scene = simulate_scene(seed, 160, 160, kind=kind)
        db = scene.db
        for bands in (1, 2):
            assert find_units(samples(db, bands), NAMED, subject=f"seed {seed}").units == "db"
            if scene.conditions.product == "multilook":
                continue  # it is too smooth to recognise the factor
            with pytest.raises(InputError):
                find_units(samples(2 * db, bands), NAMED, subject=f"seed {seed}")


@pytest.mark.parametrize(("seed", "size"), [(44, 1024), (42, 400), (79, 256)])
def test_a_scene_of_mostly_calm_water_is_described(tmp_path, seed, size):
    image = write_scene(tmp_path, "flood", simulate_scene(seed, size, size))
    assert describe_scene([image]).units == "db"
