"""A scene unlike the training chips, from the bundle to the caption; and models without figures of their chips."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline import stages
from drshym_pipeline.assessment.novelty import NO_FIGURES, RESAMPLED, NoveltyModel, fit_novelty
from drshym_pipeline.assessment.tile_measures import tile_measures
from drshym_pipeline.inference import predict_scene
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.records import MapRecord
from drshym_pipeline.sar.codes import encode_db
from drshym_pipeline.sar.scene import open_backscatter
from drshym_pipeline.tiling import TileGrid
from drshym_pipeline.training.familiar_chips import fit_novelty_models
from tests.novelty_samples import with_novelty

TILE = {"tile": 96, "overlap": 24}


def model_of(files: list[Path], bands: int) -> NoveltyModel:
    """Return a model that knows only the tiles of these scenes."""
    rows = []
    for path in files:
        with rasterio.open(path) as dataset:
            db = dataset.read()[:bands]
        places = [(row, col) for row in (0, 50, 104) for col in (20, 80, 140, 204)]
        found = [tile_measures(encode_db(db[:, row : row + 96, col : col + 96])) for row, col in places]
        rows += [measures for measures in found if measures is not None]
    fitted = fit_novelty("vv" if bands == 1 else "vv_vh", np.stack(rows[::2]), np.stack(rows[1::2]))
    assert fitted is not None
    return fitted


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, scene_file, random_bundle) -> ModelBundle:
    folder = tmp_path_factory.mktemp("known")
    files = [scene_file(folder / f"S1_{seed}.tif", seed=seed) for seed in range(6)]
    return with_novelty(random_bundle, {"vv_vh": model_of(files, 2), "vv": model_of(files, 1)})


@pytest.fixture(scope="module")
def sources(tmp_path_factory, scene_file) -> dict[str, Path]:
    """A scene like those that the model knows, and one with strong stripes."""
    folder = tmp_path_factory.mktemp("in")
    usual = scene_file(folder / "S1_usual.tif", seed=77)
    with rasterio.open(usual) as dataset:
        profile, values = dataset.profile, dataset.read()
    striped = folder / "S1_striped.tif"
    with rasterio.open(striped, "w", **profile) as target:
        stripes = 6 * np.sin(np.arange(values.shape[1]) / 2)
        target.write(values + stripes[:, np.newaxis].astype(values.dtype))
        target.descriptions = ("VV", "VH")
    return {"usual": usual, "striped": striped}


@pytest.fixture(scope="module")
def records(tmp_path_factory, sources, bundle) -> dict[str, tuple[Path, MapRecord]]:
    reference = bundle.reference("checkpoint")
    found = {}
    for name, source in sources.items():
        out = tmp_path_factory.mktemp("out")
        found[name] = out, map_scene([source], out, bundle, reference, **TILE)
    return found


def test_a_scene_of_the_usual_kind_has_a_score_and_no_warning(records):
    out, record = records["usual"]
    assert record.novelty is not None
    assert record.novelty.tiles > 5
    assert record.novelty.score < 1.0
    assert not record.novelty.is_unusual
    assert "unlike" not in record.caption
    assert not any("unlike" in warning for warning in record.warnings)
    assert record.novelty.text() in (out / record.files["report"]).read_text("utf-8")


def test_a_scene_of_another_kind_is_named_in_record_caption_and_page(records):
    out, record = records["striped"]
    assert record.novelty is not None
    assert record.novelty.is_unusual
    assert record.novelty.unlike == record.novelty.tiles
    sentence = record.novelty.warning()
    assert record.caption.endswith(f" {sentence}")
    assert "(100 % of its tiles)" in sentence
    assert sentence in record.warnings
    assert (out / record.files["caption"]).read_text("utf-8").strip() == record.caption
    assert record.novelty.text() in (out / record.files["report"]).read_text("utf-8")
    saved = json.loads((out / record.files["record"]).read_text("utf-8"))
    assert MapRecord.model_validate(saved).novelty == record.novelty
    # Records of earlier versions do not have the field.
    del saved["novelty"]
    assert MapRecord.model_validate(saved).novelty is None


def test_the_stages_find_the_same_scores_and_keep_those_of_every_tile(records, sources, bundle, tmp_path):
    for name, source in sources.items():
        folder = stages.stage([source], tmp_path / name)
        predicted = stages.predict(stages.write_tiles(folder, **TILE), bundle, bundle.reference("checkpoint"))
        finished = stages.report(stages.stitch(predicted))
        out, record = records[name]
        assert finished.record().novelty == record.novelty == predicted.read().summary.novelty
        assert finished.product("caption").read_bytes() == (out / record.files["caption"]).read_bytes()
        overview = predicted.read().overview
        assert overview is not None
        scores = overview.tile_novelty
        assert len(scores) == predicted.tiles.summary().count
        assert sum(score is not None for score in scores) == record.novelty.tiles
        assert sum((score or 0.0) > 1.0 for score in scores) == record.novelty.unlike


def test_scores_do_not_depend_on_the_number_of_tiles_in_a_pass(sources, bundle, tmp_path, monkeypatch):
    folder = stages.stage([sources["usual"]], tmp_path / "store")
    meta = folder.meta()
    grid = TileGrid(meta.height, meta.width, **TILE)
    found = []
    for batch in (1, 3):
        monkeypatch.setattr("drshym_pipeline.model.compute.TileNetwork.batch_of", lambda _, wanted, size=batch: size)
        with open_backscatter(meta, folder.directory) as reader:
            summary = predict_scene(
                reader, grid, bundle, "vv_vh", tmp_path / f"{batch}.zarr", reference=bundle.reference("checkpoint")
            )
        found.append(summary.novelty)
    assert found[0] == found[1]
    assert found[0] is not None
    assert found[0].tiles > 5


def test_a_model_without_figures_of_its_chips_gives_no_score(sources, random_bundle, tmp_path):
    reference = random_bundle.reference("checkpoint")
    record = map_scene([sources["striped"]], tmp_path / "out", random_bundle, reference, **TILE)
    assert record.novelty is not None
    assert (record.novelty.score, record.novelty.reason) == (None, NO_FIGURES)
    assert "unlike" not in record.caption
    assert f"not known: {NO_FIGURES}" in (tmp_path / "out" / record.files["report"]).read_text("utf-8")


def test_resampled_pixels_get_no_score(scene_file, bundle, tmp_path):
    coarse = scene_file(tmp_path / "S1_coarse.tif", shape=(60, 70), spacing=20.0)
    record = map_scene([coarse], tmp_path / "out", bundle, bundle.reference("checkpoint"), **TILE)
    assert record.novelty is not None
    assert (record.novelty.score, record.novelty.reason) == (None, RESAMPLED)


def test_vv_alone_has_its_own_figures(scene_file, bundle, tmp_path):
    alone = scene_file(tmp_path / "S1_vv.tif", bands=("VV",), seed=78)
    record = map_scene([alone], tmp_path / "out", bundle, bundle.reference("checkpoint"), **TILE)
    assert record.novelty is not None
    assert record.novelty.tiles > 5
    assert record.novelty.chips == bundle.novelty["vv"].chips


def test_a_bundle_keeps_its_figures_and_an_older_one_has_none(bundle, random_bundle, tmp_path):
    assert ModelBundle.load(bundle.save(tmp_path / "new")).novelty == bundle.novelty
    folder = random_bundle.save(tmp_path / "old")
    assert ModelBundle.load(folder).novelty == {}
    assert bundle.sha256 != random_bundle.sha256


def test_figures_are_fitted_only_from_enough_chips(tmp_path):
    from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
    from drshym_pipeline.datasets.simulator.writer import write_dataset
    from drshym_pipeline.settings import SimulatedData

    root = write_dataset(tmp_path, SimulatedData(train=24, valid=21, test=1, hard=0, size=64))
    data = Sen1Floods11(root)
    training, validation = data.chips("train"), data.chips("valid")
    assert set(fit_novelty_models(training, validation, ["vv", "vv_vh"])) == {"vv", "vv_vh"}
    assert fit_novelty_models(training, validation[:19], ["vv"]) == {}
