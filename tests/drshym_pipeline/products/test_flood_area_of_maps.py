"""The flooded area of maps whose model has intervals of it, fitted on pairs of scenes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from drshym_pipeline import map_scene
from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.flood_interval import FloodErrors
from drshym_pipeline.assessment.pair_signs import pair_counts
from drshym_pipeline.change import flood_probability
from drshym_pipeline.console import notes
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products.caption import area_text
from drshym_pipeline.products.flood_bands import FloodBand, FloodStatistics, errors_of_pair
from drshym_pipeline.records import AreaEstimate, MapRecord, PreEventScene, ReferenceLayer, ReferenceSources
from drshym_pipeline.sar.pixel_area import PixelAreas
from drshym_pipeline.states import EXCLUDED
from tests.flood_errors import ERRORS, part, with_flood

TILE = {"tile": 96, "overlap": 24}
NOW, BEFORE = "S1_20210111_T1234.tif", "S1_20201230_T1234.tif"


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return with_flood(shipped_bundle(), ERRORS)


@pytest.fixture(scope="module")
def now(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("now") / NOW, shape=(160, 203))


@pytest.fixture(scope="module")
def before(tmp_path_factory, scene_file) -> Path:
    """The same place with a smaller lake."""
    return scene_file(tmp_path_factory.mktemp("before") / BEFORE, shape=(160, 203), lake=0.12, seed=7)


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, now, before, bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("mapped")
    return out, map_scene(now, out, bundle, pre=before, **TILE)


def raster(mapped: tuple[Path, MapRecord], kind: str) -> np.ndarray:
    out, record = mapped
    with rasterio.open(out / record.files[kind]) as source:
        return source.read(1)


def test_the_interval_follows_from_the_files_of_the_map(mapped):
    _, record = mapped
    layers = [raster(mapped, kind) for kind in ("proba", "reference", "flood_proba")]
    pair = pair_counts(*layers, record.calibration.threshold)
    assert pair.pixels == record.separation.pre_event.known_pixels
    areas = (
        (record.flooded, ERRORS.flooded, "flooded"),
        (record.separation.other_water, ERRORS.other_water, "other_water"),
    )
    for area, interval, name in areas:
        share = interval.estimate(pair.signs(name))
        # All observed pixels were compared, so their area is the observed one.
        assert [area.low_km2, area.expected_km2, area.high_km2] == pytest.approx(
            [value * record.observed_km2 for value in (share.low, share.expected, share.high)], rel=1e-3
        )
        assert 0.0 < area.low_km2 < area.expected_km2 < area.high_km2 < record.observed_km2
        assert area.method.endswith("by signs of the pair of scenes, of 120 validation pairs of 40 events")


def test_every_text_says_what_the_interval_is(mapped):
    out, record = mapped
    source = "from area errors of 120 validation pairs of simulated Sentinel-1 scenes"
    assert record.separation.interval_source.startswith(source)
    text = record.flooded.text()
    interval = text[text.index("(90 % interval") : -1]
    assert f"{interval}, {source}" in record.caption
    assert "upper end of that of all water" not in record.caption
    assert any(f"The interval of the flooded area is {source}" in warning for warning in record.warnings)
    assert not any("area errors of flood alone are not known" in warning for warning in record.warnings)
    page = (out / record.files["report"]).read_text()
    for words in (text, record.flooded.method, record.separation.other_water.text()):
        assert words in page
    assert json.loads((out / record.files["flood"]).read_text())["metadata"]["map_area"] == text


@pytest.mark.parametrize("kind", ["an earlier release", "another polarisation"])
def test_where_no_errors_are_known_the_interval_is_that_of_all_water_and_this_is_said(
    now, before, bundle, scene_file, tmp_path, kind
):
    if kind == "an earlier release":
        used, pre = with_flood(bundle, None), before
    else:
        used = bundle
        pre = scene_file(tmp_path / BEFORE, shape=(160, 203), lake=0.12, seed=7, bands=("VV",))
    record = map_scene(now, tmp_path / "out", used, pre=pre, **TILE)
    separation = record.separation
    assert separation.interval_source is None
    for area in (record.flooded, separation.other_water):
        assert (area.low_km2, area.high_km2, area.expected_km2) == (0.0, separation.water.high_km2, None)
        assert area.method.startswith("0 to the upper end of the interval of all water")
    assert record.caption.count("up to the upper end of that of all water") == 2
    assert any("area errors of flood alone are not known" in warning for warning in record.warnings)


def test_both_dates_with_vv_alone_have_the_interval_of_this_mode(bundle, scene_file, tmp_path):
    paths = [
        scene_file(tmp_path / name, shape=(96, 128), bands=("VV",), lake=lake, seed=seed)
        for name, lake, seed in ((NOW, 0.3, 1), (BEFORE, 0.1, 2))
    ]
    record = map_scene(paths[0], tmp_path / "out", bundle, pre=paths[1], **TILE)
    assert "pair of scenes" in record.flooded.method


def test_ground_without_a_reference_widens_the_upper_end_only(now, bundle, scene_file, tmp_path, mapped):
    # 100 columns to the east: its left half shows the right half of the event scene.
    east = scene_file(tmp_path / BEFORE, shape=(160, 203), lake=0.12, origin=(501_000.0, 2_000_000.0))
    record = map_scene(now, tmp_path / "out", bundle, pre=east, **TILE)
    separation = record.separation
    assert separation.water_unseparated_km2 > 0.1
    compared_km2 = separation.pre_event.known_pixels * 1e-4
    pair = pair_counts(
        *(raster((tmp_path / "out", record), kind) for kind in ("proba", "reference", "flood_proba")),
        record.calibration.threshold,
    )
    for area, interval, name in (
        (record.flooded, ERRORS.flooded, "flooded"),
        (separation.other_water, ERRORS.other_water, "other_water"),
    ):
        share = interval.estimate(pair.signs(name))
        assert area.low_km2 == pytest.approx(share.low * compared_km2, rel=5e-3, abs=1e-9)
        assert area.high_km2 >= share.high * compared_km2 * 0.995 + separation.water_unseparated_km2
        assert "could not be compared" in area.method
    clause = f", of which {area_text(separation.water_unseparated_km2)} could not be compared; likely about"
    assert f"are mapped as flooded, or water whose earlier state is not known{clause}" in record.caption
    assert record.caption.count("could not be compared") == 1


def outside(factor: float, expected: float) -> FloodErrors:
    return ERRORS.model_copy(update={"flooded": part(expected=expected, factor=factor)})


def test_a_mapped_area_outside_its_interval_is_a_warning_about_flood(now, before, bundle, tmp_path):
    used = with_flood(bundle, outside(factor=0.001, expected=0.1))
    record = map_scene(now, tmp_path / "out", used, pre=before, **TILE)
    assert record.flooded.km2 > record.flooded.high_km2
    warning = record.flooded.warning("flood", "pairs")
    assert "validation pairs with such probabilities had less flood than was mapped" in warning
    assert warning in record.warnings
    assert warning in record.caption
    assert notes([record]).count(f"note: {warning}") == 1
    written = json.loads((tmp_path / "out" / record.files["flood"]).read_text())["metadata"]
    assert written["map_area_warning"] == warning


@pytest.mark.parametrize(("lake", "flooded"), [(0.3, False), (0.0, True)])
def test_a_map_without_flood_and_one_with_nothing_else(bundle, scene_file, tmp_path, lake, flooded):
    now = scene_file(tmp_path / "now" / NOW, shape=(96, 128))
    pre = scene_file(tmp_path / "pre" / BEFORE, shape=(96, 128), lake=lake, seed=7)
    record = map_scene(now, tmp_path / "out", bundle, pre=pre, **TILE)
    most, least = record.flooded, record.separation.other_water
    if not flooded:
        most, least = least, most
    assert most.km2 > 0.1 > least.km2
    assert most.low_km2 > 0.0
    assert least.low_km2 == 0.0
    for area in (most, least):
        assert area.low_km2 <= area.expected_km2 <= area.high_km2 <= record.observed_km2


def test_nothing_observed_has_no_area_and_no_source(bundle, before, scene_file, tmp_path):
    now = scene_file(tmp_path / NOW, shape=(160, 203), observed=False)
    record = map_scene(now, tmp_path / "out", bundle, pre=before, **TILE)
    assert record.flooded is None
    assert (record.separation.other_water, record.separation.interval_source) == (None, None)


def test_a_bundle_with_intervals_of_flood_is_read_back_as_it_was_written(bundle, tmp_path):
    bundle.save(tmp_path / "model")
    loaded = ModelBundle.load(tmp_path / "model")
    assert loaded.area_errors["vv"].flood == ERRORS
    assert loaded.sha256 == bundle.sha256


SCENE = {
    "scene_id": "before",
    "scene_version": "1",
    "source_uris": ("before.tif",),
    "source_sha256": "0" * 64,
    "acquired_at": None,
    "orbit_direction": None,
    "crs": "EPSG:32644",
    "shape": (4, 100),
}
LAYER = ReferenceLayer(name="long_term", title="a map", tiles=(), known_pixels=10)


@pytest.mark.parametrize(
    ("known", "layers", "modality", "fitted"),
    [
        (400, (), "sentinel1_sar_vv_vh", True),
        (400, (LAYER,), "sentinel1_sar_vv_vh", True),
        (None, (LAYER,), "sentinel1_sar_vv_vh", False),
        (400, (), "sentinel1_sar_vv", False),
    ],
    ids=["a scene", "a layer that is not used", "a layer alone", "other bands"],
)
def test_the_fitted_intervals_are_for_pixels_that_were_compared_with_a_scene_of_the_same_bands(
    known, layers, modality, fitted
):
    scene = None if known is None else PreEventScene(**SCENE, known_pixels=known, modality=modality)
    sources = ReferenceSources(pre_event=scene, layers=layers)
    errors = errors_of_pair(AreaErrorModel(flood=ERRORS), "vv_vh", sources)
    statistics = FloodStatistics(PixelAreas.measure("EPSG:32644", Affine(10, 0, 5e5, 0, -10, 2e6), 4, 100), 0.4)
    stored = np.full((4, 100), 9_000, np.uint16)
    before, mask = np.zeros_like(stored), np.ones((4, 100), np.uint8)
    paired = np.full(stored.shape, known is not None)
    statistics.add(FloodBand(0, stored, mask, stored, before, flood_probability(stored, before), paired))
    water = AreaEstimate(km2=0.04, low_km2=0.03, high_km2=0.05, level=0.9, method="all")
    flooded, separation = statistics.finished(sources, 0.35, water, errors, "from pairs")
    assert flooded.km2 == pytest.approx(0.04, rel=1e-2)
    assert ("pair of scenes" in flooded.method) is fitted
    assert separation.interval_source == ("from pairs" if fitted else None)


@pytest.mark.parametrize("there_before", [0, 9_900], ids=["flood in the layer's part", "water in the layer's part"])
def test_water_that_only_a_layer_knows_widens_both_intervals_and_is_expected_as_the_mask_has_it(there_before):
    statistics = FloodStatistics(PixelAreas.measure("EPSG:32644", Affine(10, 0, 5e5, 0, -10, 2e6), 4, 100), 0.4)
    stored = np.full((4, 100), 9_000, np.uint16)
    before = np.zeros_like(stored)
    before[:, 75:] = there_before
    paired = np.arange(100) < np.full((4, 1), 75)
    flood = flood_probability(stored, before)
    mask = np.where(flood >= 3_500, 1, 2).astype(np.uint8)
    statistics.add(FloodBand(0, stored, mask, stored, before, flood, paired))
    scene = PreEventScene(**SCENE, known_pixels=300, modality="sentinel1_sar_vv_vh")
    water = AreaEstimate(km2=0.04, low_km2=0.03, high_km2=0.04, level=0.9, method="all", expected_km2=0.04)
    sources = ReferenceSources(pre_event=scene, layers=(LAYER,))
    flooded, separation = statistics.finished(sources, 0.35, water, ERRORS, "from pairs")
    other = separation.other_water
    shares = {
        name: fitted.estimate(pair_counts(stored[:, :75], before[:, :75], flood[:, :75], 0.4).signs(name))
        for name, fitted in (("flooded", ERRORS.flooded), ("other_water", ERRORS.other_water))
    }
    layer_km2 = 0.01
    for area, share in ((flooded, shares["flooded"]), (other, shares["other_water"])):
        assert area.low_km2 == pytest.approx(share.low * 0.03, rel=1e-2)
        assert area.high_km2 == pytest.approx(share.high * 0.03 + layer_km2, rel=1e-2)
    there = layer_km2 if there_before else 0.0
    assert flooded.expected_km2 == pytest.approx(shares["flooded"].expected * 0.03 + layer_km2 - there, rel=1e-2)
    assert other.expected_km2 == pytest.approx(shares["other_water"].expected * 0.03 + there, rel=1e-2, abs=1e-6)


def test_excluded_ground_has_no_area_of_flood():
    statistics = FloodStatistics(PixelAreas.measure("EPSG:32644", Affine(10, 0, 5e5, 0, -10, 2e6), 4, 100), 0.4)
    stored = np.full((4, 100), 9_000, np.uint16)
    before, mask = np.zeros_like(stored), np.ones((4, 100), np.uint8)
    mask[:, 50:] = EXCLUDED
    before[:, :20] = NOT_OBSERVED
    flood = flood_probability(stored, before)
    statistics.add(FloodBand(0, stored, mask, stored, before, flood, before != NOT_OBSERVED))
    sources = ReferenceSources(pre_event=PreEventScene(**SCENE, known_pixels=320, modality="sentinel1_sar_vv_vh"))
    water = AreaEstimate(km2=0.02, low_km2=0.01, high_km2=0.021, level=0.9, method="all")
    flooded, _ = statistics.finished(sources, 0.35, water, ERRORS, "from pairs")
    signs = pair_counts(stored[:, 20:50], before[:, 20:50], flood[:, 20:50], 0.4).signs("flooded")
    assert flooded.low_km2 == pytest.approx(ERRORS.flooded.estimate(signs).low * 0.012, rel=1e-2)
    # 80 of the 200 pixels that are not excluded were not compared; they hold at most their 0.008 km2.
    assert flooded.high_km2 == pytest.approx(0.012 + 0.008, rel=1e-2)
