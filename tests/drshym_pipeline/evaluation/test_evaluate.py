from __future__ import annotations

import json
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from PIL import Image
from sklearn.metrics import jaccard_score, log_loss

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.sign_interval import SignInterval
from drshym_pipeline.datasets.chips import ChipRef, read_chip
from drshym_pipeline.datasets.prepare import prepare
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.baselines import BASELINES, TITLES, baseline_masks
from drshym_pipeline.evaluation.card import markdown
from drshym_pipeline.evaluation.comparison import compare_all
from drshym_pipeline.evaluation.evaluate import Evaluation, evaluate
from drshym_pipeline.evaluation.files import write_evaluation
from drshym_pipeline.evaluation.plots import (
    chip_scores,
    precision_recall,
    reliability_of,
    slice_bars,
    training_curves,
)
from drshym_pipeline.evaluation.slices import SLICINGS
from drshym_pipeline.evaluation.verdict import verdict
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.model.network import build_network
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.records import Calibration, ModelCard
from drshym_pipeline.settings import DataConfig, EvaluationConfig, Floors, NetworkConfig, SimulatedData

QUICK = EvaluationConfig(bootstrap=200)
NETWORK = NetworkConfig(encoder="resnet18", decoder_channels=(8, 8, 8, 8, 8))
CALIBRATION = {"vv": Calibration(T=2.0, threshold=0.48), "vv_vh": Calibration(T=0.5, bias=0.1, threshold=0.52)}


def make_bundle(network: NetworkConfig = NETWORK, fault: float | None = None) -> ModelBundle:
    torch.manual_seed(42)
    state = build_network(network).state_dict()
    if fault is not None:
        state["segmentation_head.0.bias"].fill_(fault)
    modes = CALIBRATION if network.bands == "vv_vh" else {"vv": CALIBRATION["vv"]}
    card = ModelCard(
        name="tiny", version="1", architecture="unet", encoder="resnet18", parameters=1, bands=network.bands,
        training_data="none", training_sha256="0" * 64, scores={}, intended_use="tests", limits=(),
    )  # fmt: skip
    return ModelBundle.create(
        name="tiny", version="1", network=network, state=state, calibration=modes,
        area_errors={"vv_vh": AreaErrorModel(quantile=0.5, floor=0.01, chips=20)}, card=card,
        training_sha256="0" * 64, weights_dtype="float32",
    )  # fmt: skip


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return make_bundle()


@pytest.fixture(scope="module")
def refs(tmp_path_factory: pytest.TempPathFactory) -> list[ChipRef]:
    sizes = SimulatedData(train=1, valid=1, test=5, hard=0, size=64)
    return prepare(DataConfig(simulated=sizes), tmp_path_factory.mktemp("set")).chips("test")


@pytest.fixture(scope="module")
def evaluation(bundle: ModelBundle, refs: list[ChipRef]) -> Evaluation:
    return evaluate(bundle, refs, config=QUICK)


def scored_pixels(bundle: ModelBundle, refs: list[ChipRef]) -> pd.DataFrame:
    """Return every scored pixel, computed without any of the accumulators."""
    network, calibration = bundle.build(), bundle.calibration["vv_vh"]
    parts = []
    for ref in refs:
        chip = read_chip(ref)
        logits = predict_logits(network, network_input(chip.db, "vv_vh")[None], precision="fp32")[0].astype(float)
        scored = np.isfinite(chip.db).all(axis=0) & (chip.label >= 0)
        p = 1 / (1 + np.exp(-(logits / calibration.T + calibration.bias)))
        part = {"chip": ref.chip_id, "p": p[scored], "raw": 1 / (1 + np.exp(-logits[scored])), "y": chip.label[scored]}
        part |= {name: mask[scored] for name, mask in baseline_masks(chip.db).items()}
        parts.append(pd.DataFrame(part))
    return pd.concat(parts)


def test_scores_agree_with_scores_of_all_pixels_in_one_table(bundle, refs, evaluation) -> None:
    pixels = scored_pixels(bundle, refs)
    water = np.rint(pixels["p"] * 10_000) >= 5200
    assert 0 < water.sum() < len(water)
    assert evaluation.pooled.pixels == len(pixels)
    assert evaluation.scores["iou"].value == pytest.approx(jaccard_score(pixels["y"], water), abs=2e-4)
    for name in BASELINES:
        iou = evaluation.score(evaluation.baselines[name])["iou"].value
        assert iou == pytest.approx(jaccard_score(pixels["y"], pixels[name]))
    for chip_id, part in pixels.groupby("chip"):
        counts = evaluation.counts.loc[chip_id]
        assert counts[["tp", "fn"]].sum() == (part["y"] == 1).sum()
    report = evaluation.calibration()["vv_vh"]
    assert report["pixels"] == len(pixels)
    assert report["before"]["log_loss"] == pytest.approx(log_loss(pixels["y"], pixels["raw"]), abs=0.005)
    assert report["after"]["log_loss"] == pytest.approx(log_loss(pixels["y"], pixels["p"]), abs=0.01)


def test_all_methods_and_slicings_are_scored_on_the_same_pixels(evaluation) -> None:
    for counts in evaluation.baselines.values():
        assert list(counts.index) == list(evaluation.counts.index)
        for pair in (["tp", "fn"], ["fp", "tn"]):
            assert (counts[pair].sum(axis=1) == evaluation.counts[pair].sum(axis=1)).all()
    by_slicing = evaluation.slices.groupby("slicing")["pixels"].sum()
    assert set(by_slicing.index) == set(SLICINGS)
    assert (by_slicing == evaluation.pooled.pixels).all()
    assert set(compare_all(evaluation)) == {TITLES[name] for name in BASELINES}


def test_batches_do_not_change_a_figure(bundle, refs, evaluation) -> None:
    one = evaluate(bundle, refs, batch_size=1, config=QUICK)
    assert one.to_dict() == evaluation.to_dict()


def test_modes_use_their_own_bands_and_calibration_on_the_same_pixels(bundle, refs, evaluation) -> None:
    alone = evaluate(bundle, refs, mode="vv", config=QUICK)
    assert set(alone.counts["mode"]) == {"vv"}
    assert set(alone.calibration()) == {"vv"}
    assert alone.calibrations["vv"] == CALIBRATION["vv"]
    assert alone.pooled.pixels == evaluation.pooled.pixels
    assert alone.histograms["vv"].to_dict() != evaluation.histograms["vv_vh"].to_dict()
    assert verdict(evaluation.counts, alone.counts, Floors()).difference.chips == len(refs)


def rewrite(ref: ChipRef, folder: Path, name: str, *, bands: list[int] | None = None, label: int | None = None,
            value: float | None = None) -> ChipRef:  # fmt: skip
    """Write a copy of a chip with fewer bands, one label everywhere, or one value everywhere."""
    copied = {}
    for kind, source in (("image", ref.image), ("label", ref.label)):
        with rasterio.open(source) as dataset:
            chosen = bands if kind == "image" and bands else list(dataset.indexes)
            values, profile = dataset.read(chosen), {**dataset.profile, "count": len(chosen)}
        if kind == "label" and label is not None:
            values[:] = label
        if kind == "image" and value is not None:
            values[:] = value
        copied[kind] = folder / f"{name}_{kind}.tif"
        with rasterio.open(copied[kind], "w", **profile) as dataset:
            dataset.write(values)
    return replace(ref, chip_id=name, **copied)


def test_chips_without_a_scored_pixel_are_listed_and_do_not_change_the_figures(
    bundle, refs, evaluation, tmp_path
) -> None:
    extra = [
        replace(refs[0], chip_id="Sim_nolabel", label=None),
        rewrite(refs[1], tmp_path, "Sim_unknown", label=-1),
        rewrite(refs[2], tmp_path, "Sim_blind", value=float("nan")),
    ]
    found = evaluate(bundle, [extra[0], *refs, *extra[1:]], config=QUICK)
    assert found.unscored == {
        "Sim_nolabel": "it has no label",
        "Sim_unknown": "no observed pixel has a known label",
        "Sim_blind": "no pixel was observed",
    }
    pd.testing.assert_frame_equal(found.counts, evaluation.counts)
    assert found.scores == evaluation.scores
    assert "Sim_blind" in markdown(found)


def test_a_chip_with_vv_alone_is_mapped_in_that_mode_and_the_vh_baselines_are_left_out(bundle, refs, tmp_path) -> None:
    single = rewrite(refs[0], tmp_path, "Sim_single", bands=[1])
    found = evaluate(bundle, [single, *refs[1:]], config=QUICK)
    assert found.counts.loc["Sim_single", "mode"] == "vv"
    assert set(found.calibration()) == {"vv", "vv_vh"}
    assert set(found.baselines) == {"otsu_vv", "kittler_vv", "fixed_vv", "pixel_vv"}
    assert set(found.ceilings) == {"oracle_vv"}
    assert "VH < -23.5 dB" in found.notes[0]
    with pytest.raises(InputError, match="has no VH band"):
        evaluate(bundle, [single], mode="vv_vh", config=QUICK)


def test_an_evaluation_without_scored_pixels_has_no_figures_and_is_broken(bundle, refs, tmp_path) -> None:
    found = evaluate(bundle, [replace(refs[0], label=None)], config=QUICK)
    assert found.scores["iou"].value is None
    assert found.mean_chip_iou.value is None
    assert verdict(found.counts, found.counts, Floors(), finite=found.finite).word == "broken"
    write_evaluation(found, tmp_path)
    assert "not defined" in (tmp_path / "evaluation.md").read_text()
    assert json.loads((tmp_path / "evaluation.json").read_text())["pooled"]["iou"]["value"] is None
    for picture in (
        precision_recall(found),
        chip_scores(found),
        slice_bars(found, "slope"),
    ):
        assert Image.open(BytesIO(picture)).width <= 640


def test_a_network_that_is_not_finite_is_found_and_broken(refs) -> None:
    found = evaluate(make_bundle(fault=float("nan")), refs[:2], config=QUICK)
    assert not found.weights_finite
    observed = sum(int(np.isfinite(read_chip(ref).db).all(axis=0).sum()) for ref in refs[:2])
    assert found.not_finite_pixels == observed
    assert verdict(found.counts, found.counts, Floors(), finite=found.finite).word == "broken"
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize(("case", "message"), [("twice", "named twice"), ("mode", "cannot serve 'vv_vh'")])
def test_wrong_requests_are_refused(case, message, refs) -> None:
    with pytest.raises(InputError, match=message):
        if case == "twice":
            evaluate(make_bundle(), [refs[0], refs[0]], config=QUICK)
        else:
            evaluate(make_bundle(NETWORK.model_copy(update={"bands": "vv"})), refs, mode="vv_vh", config=QUICK)


def test_written_tables_hold_the_counts_and_unrounded_figures(evaluation, tmp_path) -> None:
    paths = write_evaluation(evaluation, tmp_path / "slices")
    assert sorted(path.name for path in (tmp_path / "slices").iterdir()) == sorted(paths)
    chips = pd.read_csv(paths["chips.csv"], index_col="chip")
    assert chips["tp"].tolist() == evaluation.counts["tp"].tolist()
    document = json.loads(paths["evaluation.json"].read_text())
    assert document["pooled"]["iou"]["value"] == evaluation.scores["iou"].value
    assert document["chips"][0]["chip"] == evaluation.counts.index[0]
    assert 0.0 <= document["area_intervals"]["vv_vh"]["held"] <= 1.0
    assert sum(row["chips"] for row in document["area_intervals"]["vv_vh"]["by_width"]) == len(evaluation.counts)
    card = paths["evaluation.md"].read_text()
    assert f"{evaluation.scores['iou'].value:.3f} ({evaluation.scores['iou'].low:.3f} to" in card
    for title in ("Otsu on VV, per chip", "VH < -23.5 dB", "Brier", "cropland", "width of the interval"):
        assert title in card


def test_progress_reaches_the_number_of_chips(bundle, refs) -> None:
    calls: list[tuple[int, int]] = []
    evaluate(bundle, refs, config=QUICK, progress=lambda stage, done, total: calls.append((done, total)))
    assert calls[0] == (0, len(refs))
    assert calls[-1] == (len(refs), len(refs))


def reliability(evaluation: Evaluation) -> bytes:
    (mode, histogram), *_ = evaluation.histograms.items()
    return reliability_of(histogram, evaluation.calibrations[mode], "reliability")


def test_plots_are_small_pictures_that_differ_with_what_they_show(bundle, refs, evaluation) -> None:
    other = evaluate(bundle, refs[:3], mode="vv", config=QUICK)
    for draw in (reliability, precision_recall, chip_scores, lambda found: slice_bars(found, SLICINGS[0])):
        here = draw(evaluation)
        image = Image.open(BytesIO(here))
        assert image.format == "PNG"
        assert max(image.size) <= 640
        assert here == draw(evaluation)
        assert here != draw(other)


def test_a_reliability_diagram_without_pixels_is_drawn(evaluation) -> None:
    item = evaluation.calibrations["vv_vh"]
    empty = reliability_of(LogitHistogram(), item, "reliability")
    assert Image.open(BytesIO(empty)).width <= 640
    assert empty != reliability(evaluation)


def test_training_curves_show_all_recorded_validations() -> None:
    history = [{"step": 10, "train_loss": 0.9}, {"step": 20, "train_loss": 0.5, "valid_loss": 0.6, "valid_iou": 0.4}]
    assert training_curves(history) != training_curves(history[:1])
    assert training_curves([]) != training_curves(history)


def test_a_model_with_signs_is_judged_by_the_interval_of_the_signs(evaluation) -> None:
    assert set(evaluation.signs) == set(evaluation.counts.index)
    chip = str(evaluation.counts.index[0])
    counts = evaluation.counts.loc[chip]
    share = float(counts["tp"] + counts["fp"]) / float(counts[["tp", "fp", "fn", "tn"]].sum())
    assert evaluation.signs[chip].mapped == pytest.approx(share)
    wide = SignInterval(
        expected=(1, 1, 1), spread=(1, 1, 1, 1), factor=1e6, level=0.8, chips=60, events=3
    )  # fmt: skip
    errors = {"vv_vh": AreaErrorModel(quantile=0.0, floor=0.01, chips=60, signs=wide)}
    found = replace(evaluation, area_errors=errors).area_intervals()["vv_vh"]
    assert (found["level"], found["held"]) == (0.8, 1.0)
    assert found["method"] == errors["vv_vh"].sign_method
    uncounted = replace(evaluation, area_errors=errors, signs={}).area_intervals()["vv_vh"]
    assert (uncounted["level"], uncounted["method"]) == (0.9, errors["vv_vh"].method)
    assert uncounted["held"] < 1.0
