"""The area of a map whose model has an interval by signs: the signs are those of the whole scene."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline import stages
from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.scene_signs import SignCounts, used_bands
from drshym_pipeline.assessment.sign_interval import SignInterval
from drshym_pipeline.console import notes
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.records import MapRecord
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.tiling import Window

INTERVAL = SignInterval(
    expected=(0.9, 0.5, 0.7), spread=(0.8, 0.1, 0.3, 0.2), factor=1.5, empty_high=0.01, level=0.9, chips=120, events=40
)


def with_interval(base: ModelBundle, name: str, interval: SignInterval) -> ModelBundle:
    """Return the same network as another model, with this area interval."""
    errors = AreaErrorModel(floor=0.01, quantile=0.3, chips=120, signs=interval)
    return ModelBundle.create(
        name=name,
        version="1",
        network=base.network,
        state=base.state(),
        calibration=base.calibration,
        area_errors={"vv": errors, "vv_vh": errors},
        card=base.card,
        training_sha256="0" * 64,
    )


@pytest.fixture(scope="module")
def bundle(random_bundle: ModelBundle) -> ModelBundle:
    return with_interval(random_bundle, "signs", INTERVAL)


@pytest.mark.parametrize("bands", [("VV", "VH"), ("VV",)])
def test_the_interval_is_that_of_the_signs_of_the_whole_scene(bands, bundle, scene_file, tmp_path) -> None:
    source = scene_file(tmp_path / "S1_20210111_T1234.tif", shape=(203, 301), bands=bands)
    folder = stages.stage([source], tmp_path / "store")
    tiles = stages.write_tiles(folder, tile=96, overlap=25)
    found = stages.report(stages.stitch(stages.predict(tiles, bundle, bundle.reference("checkpoint"))))
    record = found.record()
    meta = folder.meta()
    mode = "vv_vh" if len(bands) == 2 else "vv"
    with BackscatterReader(meta, folder.directory) as reader:
        codes = reader.read(Window(0, 0, meta.height, meta.width), used_bands(mode))
    with rasterio.open(found.product("proba")) as opened:
        stored = opened.read(1)
    counts = SignCounts()
    counts.add(stored, codes)
    share = INTERVAL.estimate(counts.signs(record.calibration.threshold))
    area = record.flooded
    assert [area.low_km2, area.expected_km2, area.high_km2] == pytest.approx(
        [record.observed_km2 * value for value in (share.low, share.expected, share.high)], rel=1e-9
    )
    assert area.method == "conformal, area errors by signs of the scene, of 120 validation chips of 40 events"
    _is_printed_everywhere(found.products, record)


def test_a_mapped_area_outside_its_interval_is_said_wherever_warnings_are(bundle, scene_file, tmp_path) -> None:
    below = with_interval(
        bundle, "below", INTERVAL.model_copy(update={"expected": (0.01, 0.01, 0.01), "factor": 0.001})
    )
    source = scene_file(tmp_path / "S1_20210111_T1234.tif", shape=(96, 96))
    record = map_scene([source], tmp_path / "out", below, below.reference("checkpoint"), tile=96, overlap=16)
    warning = record.flooded.warning()
    assert record.flooded.km2 > record.flooded.high_km2
    assert warning in record.warnings
    assert warning in record.caption
    assert notes([record]).count(f"note: {warning}") == 1
    page = (tmp_path / "out" / record.files["report"]).read_text()
    assert page.count(warning) == 2, "in the caption and in the list of warnings"
    written = json.loads((tmp_path / "out" / record.files["flood"]).read_text())["metadata"]
    assert written["map_area_warning"] == warning


def _is_printed_everywhere(products: Path, record: MapRecord) -> None:
    text = record.flooded.text()
    assert " mapped; likely " in text
    interval = text[text.index("(90 % interval") : -1]
    assert interval in record.caption
    assert interval in (products / f"{record.scene_id}_caption.txt").read_text()
    assert text in (products / f"{record.scene_id}_report.html").read_text()
    assert text in json.loads((products / f"{record.scene_id}_flood.geojson").read_text())["metadata"].values()
    written = json.loads((products / f"{record.scene_id}_report.json").read_text())["flooded"]
    assert written["expected_km2"] == record.flooded.expected_km2


def test_nothing_observed_has_no_area(bundle, scene_file, tmp_path) -> None:
    source = scene_file(tmp_path / "S1_20210111_T1234.tif", shape=(64, 64), observed=False)
    tiles = stages.write_tiles(stages.stage([source], tmp_path / "store"), tile=64, overlap=16)
    found = stages.report(stages.stitch(stages.predict(tiles, bundle, bundle.reference("checkpoint"))))
    assert found.record().flooded is None


def test_a_bundle_with_signs_is_read_back_as_it_was_written(bundle, tmp_path) -> None:
    bundle.save(tmp_path / "model")
    loaded = ModelBundle.load(tmp_path / "model")
    assert loaded.area_errors == bundle.area_errors
    assert loaded.sha256 == bundle.sha256
    assert np.isclose(loaded.area_errors["vv"].signs.factor, 1.5)
