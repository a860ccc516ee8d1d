"""The option of a threshold for one map, from the command to the record."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import rasterio

from assets.scene_faults import map_faults
from drshym_pipeline import map_scene, stages
from drshym_pipeline.cli import main
from drshym_pipeline.errors import InputError
from drshym_pipeline.map_threshold import at_threshold, check_threshold
from drshym_pipeline.probabilities import open_probabilities, threshold_steps
from drshym_pipeline.products.draw import draw_map
from drshym_pipeline.records import AreaEstimate, MapRecord
from drshym_pipeline.sar.scene import open_backscatter
from drshym_pipeline.scene_folder import PRODUCT_KINDS
from drshym_pipeline.states import mask_of
from drshym_pipeline.storage import write_text
from tests.assets.test_exclusion_faults import terrain
from tests.map_samples import of, prediction

TILE = {"tile": 96, "overlap": 24}
CHOSEN = 0.61
NOW, BEFORE = "S1_20210111_T1234.tif", "S1_20201230_T1234.tif"


@pytest.fixture(scope="module")
def source(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("in") / NOW)


@pytest.fixture(scope="module")
def plain(tmp_path_factory, source, random_bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("plain")
    return out, map_scene(source, out, random_bundle, **TILE)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory, source, random_bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("chosen")
    return out, map_scene(source, out, random_bundle, threshold=CHOSEN, **TILE)


def raster(mapped: tuple[Path, MapRecord], kind: str) -> tuple[np.ndarray, dict[str, str]]:
    out, record = mapped
    with rasterio.open(out / record.files[kind]) as dataset:
        return dataset.read(1), dataset.tags()


def assert_whole(area: AreaEstimate | None, km2: float) -> None:
    assert area is not None
    assert (area.low_km2, area.expected_km2) == (0.0, None)
    assert area.high_km2 == pytest.approx(km2)
    assert "the whole observed area, because the model's interval was fitted for its own threshold" in area.method


def test_the_mask_is_the_stored_probability_compared_with_the_chosen_threshold(plain, chosen):
    (mask, tags), (stored, _) = raster(chosen, "mask"), raster(chosen, "proba")
    np.testing.assert_array_equal(mask, mask_of(stored, float(tags["DRSHYM_THRESHOLD"])))
    np.testing.assert_array_equal(stored, raster(plain, "proba")[0])
    assert tags["DRSHYM_THRESHOLD"] == f"{CHOSEN}"
    assert tags["DRSHYM_MODEL_THRESHOLD"] == "0.47"
    assert 0 < (mask == 1).sum() < (raster(plain, "mask")[0] == 1).sum()
    assert "DRSHYM_MODEL_THRESHOLD" not in raster(plain, "mask")[1]


def test_record_and_version_have_the_chosen_threshold(plain, chosen):
    record = chosen[1]
    assert (record.calibration.threshold, record.model_threshold) == (CHOSEN, 0.47)
    assert (plain[1].calibration.threshold, plain[1].model_threshold) == (0.47, None)
    assert record.map_version != plain[1].map_version
    assert plain[1].threshold_note is None
    assert MapRecord.model_validate_json((chosen[0] / record.files["record"]).read_text("utf-8")) == record


def test_the_area_has_the_whole_observed_area_as_its_interval_and_all_texts_say_why(chosen):
    out, record = chosen
    assert_whole(record.flooded, record.observed_km2)
    note = record.threshold_note
    assert note is not None
    assert "0.61 was chosen by the user; the model has 0.47" in note
    assert note in record.warnings
    assert "because the model's interval was fitted for its own threshold of 0.47, not for 0.61" in record.caption
    assert "threshold 0.61 (chosen by the user; the model has 0.47)" in record.caption
    page = (out / record.files["report"]).read_text("utf-8")
    assert "<td>0.61 (chosen by the user; the model has 0.47)</td>" in page
    written = json.loads((out / record.files["flood"]).read_text("utf-8"))
    assert written["metadata"]["threshold_note"] == note
    assert {feature["properties"]["threshold"] for feature in written["features"]} == {CHOSEN}
    assert all("threshold 0.61 (chosen" in feature["properties"]["caveat"] for feature in written["features"])
    assert not any("no fitted area errors" in warning for warning in record.warnings)


@pytest.mark.parametrize("threshold", [0.47, 0.469999999])
def test_the_threshold_of_the_model_changes_no_byte(tmp_path, source, random_bundle, plain, threshold):
    record = map_scene(source, tmp_path, random_bundle, threshold=threshold, **TILE)
    assert (record.map_version, record.model_threshold) == (plain[1].map_version, None)
    for kind in set(PRODUCT_KINDS) & set(record.files) - {"report", "record"}:
        assert (tmp_path / record.files[kind]).read_bytes() == (plain[0] / record.files[kind]).read_bytes(), kind


def test_flood_and_other_water_have_it_too(tmp_path, scene_file, source, random_bundle):
    before = scene_file(tmp_path / BEFORE, lake=0.12, seed=7)
    record = map_scene(source, tmp_path / "out", random_bundle, pre=before, threshold=0.2, **TILE)
    separation = record.separation
    assert separation is not None
    for area in (record.flooded, separation.water, separation.other_water):
        assert_whole(area, record.observed_km2)
    # Water on ground that was dry before is always flood.
    assert separation.threshold == 0.2
    assert separation.interval_source is None
    assert record.threshold_note in record.warnings
    assert not any("area errors of flood alone" in warning for warning in record.warnings)
    assert "not for 0.2" in record.caption


@pytest.mark.parametrize("with_terrain", [False, True])
def test_the_blocking_check_derives_the_mask_again(tmp_path, source, random_bundle, with_terrain):
    scene = stages.stage([source], tmp_path / "store")
    tiles = stages.write_tiles(scene, **TILE)
    predicted = stages.predict(tiles, random_bundle, random_bundle.reference("checkpoint"))
    drawn = scene.drawing("0123456789ab-work")
    drawn.directory.mkdir(parents=True)
    with open_backscatter(scene.meta(), scene.directory) as reader:
        stored = open_probabilities(predicted.path, tiles.grid())
        exclusion = terrain(tmp_path, scene.meta().map_grid) if with_terrain else None
        chosen = at_threshold(predicted.read(), CHOSEN)
        summary = draw_map(reader, stored, chosen, drawn.directory, exclusion=exclusion)
    write_text(drawn.stitched_path, summary.model_dump_json())
    assert map_faults(drawn) == []
    excluded = summary.exclusion.km2 if with_terrain else 0.0
    assert (excluded > 0) == with_terrain
    assert_whole(summary.flooded, summary.observed_km2 - excluded)
    other = summary.model_copy(update={"calibration": summary.calibration.model_copy(update={"threshold": 0.47})})
    write_text(drawn.stitched_path, other.model_dump_json())
    (fault,) = map_faults(scene.drawing("0123456789ab-work"))
    assert "from the probability compared with the threshold 0.47" in fault


@pytest.mark.parametrize("wrong", [0.0, 1.0, -0.1, 1.5, math.nan, math.inf])
def test_a_threshold_out_of_range_is_refused_before_the_scene_is_read(tmp_path, random_bundle, wrong):
    with pytest.raises(InputError, match="threshold: must be between 0 and 1") as refused:
        map_scene(tmp_path / "gone.tif", tmp_path / "out", random_bundle, threshold=wrong)
    assert "leave it out" in refused.value.remedy
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", ["0.4", True])
def test_a_threshold_that_is_no_number_is_refused_before_the_scene_is_read(tmp_path, random_bundle, wrong):
    with pytest.raises(InputError, match=f"threshold: cannot be {wrong!r}. Give a number."):
        map_scene(tmp_path / "gone.tif", tmp_path / "out", random_bundle, threshold=wrong)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "used"),
    [(None, None), (0.4, 0.4), (0.40001, 0.4001), (1e-9, 1e-4), (5e-324, 1e-4), (0.9999, 0.9999), (0.99995, 0.99995)],
)
def test_a_threshold_is_a_step_of_the_stored_probabilities(given, used):
    found = check_threshold(given)
    assert found == used
    if given is not None and given > 1e-8:
        assert threshold_steps(found) == threshold_steps(given)
        assert threshold_steps(float(f"{found:g}")) == threshold_steps(given), "the printed one gives the same mask"


def test_a_prediction_is_never_stored_with_a_chosen_threshold():
    changed = at_threshold(of(prediction()), 0.3).summary
    assert (changed.calibration.threshold, changed.model_threshold) == (0.3, 0.45)
    assert "model_threshold" not in changed.model_dump()


def test_a_map_without_an_area_says_nothing_about_its_interval(tmp_path, scene_file, random_bundle):
    empty = scene_file(tmp_path / NOW, observed=False, shape=(64, 64))
    record = map_scene(empty, tmp_path / "out", random_bundle, threshold=0.3, **TILE)
    assert record.flooded is None
    assert record.threshold_note == "The threshold 0.3 was chosen by the user; the model has 0.47."
    assert record.threshold_note in record.warnings


@pytest.mark.parametrize("command", ["segment", "predict-folder"])
def test_the_command_has_the_option(tmp_path, source, random_bundle, monkeypatch, capsys, command):
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))
    model = random_bundle.save(tmp_path / "model")
    scenes = [str(source)] if command == "segment" else ["--in", str(source.parent)]
    options = ["--out", str(tmp_path / "out"), "--checkpoint", str(model), "--tile", "96", "--overlap", "24", "--json"]
    assert main([command, *scenes, *options, "--threshold", "0.61"]) == 0
    (mapped,) = json.loads(capsys.readouterr().out)["maps"]
    assert (mapped["record"]["calibration"]["threshold"], mapped["record"]["model_threshold"]) == (CHOSEN, 0.47)
    assert main([command, *scenes, *options, "--threshold", "1"]) == 2
    (failure,) = json.loads(capsys.readouterr().out)["failures"]
    assert (failure["file"], failure["sources"]) == ("--threshold", [])
