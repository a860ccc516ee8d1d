"""The evaluation on real labelled chips: the scored pixels and the scores of the classical baselines."""

from __future__ import annotations

import pytest
import torch

from drshym_pipeline.assessment.metrics import with_figures
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.evaluation.baselines import BASELINES
from drshym_pipeline.evaluation.evaluate import Evaluation, evaluate
from drshym_pipeline.evaluation.report import write_report
from drshym_pipeline.evaluation.samples import PARTIAL, open_samples
from drshym_pipeline.evaluation.slices import INTENSITY, LAND_COVER, SLOPE, UNKNOWN
from drshym_pipeline.evaluation.suite import run_suite
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.network import build_network
from drshym_pipeline.records import Calibration, ModelCard
from drshym_pipeline.settings import EvaluationConfig, NetworkConfig

pytestmark = [pytest.mark.real, pytest.mark.system]


def untrained(seed: int) -> ModelBundle:
    """Return a model with random weights; tests with it check which pixels are used, not the quality of the figures."""
    torch.manual_seed(seed)
    network = NetworkConfig(encoder="resnet18", decoder_channels=(8, 8, 8, 8, 8))
    card = ModelCard(
        name="untrained", version="1", architecture="unet", encoder="resnet18", parameters=1, bands="vv_vh",
        training_data="none", training_sha256="0" * 64, scores={}, intended_use="tests", limits=(),
    )  # fmt: skip
    return ModelBundle.create(
        name="untrained", version="1", network=network, state=build_network(network).state_dict(),
        calibration={"vv_vh": Calibration(), "vv": Calibration()}, area_errors={}, card=card,
        training_sha256="0" * 64,
    )  # fmt: skip


@pytest.fixture(scope="module")
def evaluation(real_data) -> Evaluation:
    refs = Sen1Floods11(real_data / "sen1floods11").chips("test", present_only=True)
    return evaluate(untrained(42), refs, config=EvaluationConfig(bootstrap=200))


def test_only_labelled_and_observed_pixels_of_real_chips_are_scored(evaluation) -> None:
    assert evaluation.unscored == {
        "Ghana_83483": "no observed pixel has a known label",
        "Paraguay_34417": "no pixel was observed",
    }
    assert set(evaluation.counts.index) == {"Ghana_53713", "Mekong_333434", "Spain_7370579", "Sri-Lanka_534068"}
    spain = evaluation.counts.loc["Spain_7370579"]
    assert 0 <= 70_035 + 192_010 - spain[["tp", "fp", "fn", "tn"]].sum() < 2622
    assert evaluation.finite


def test_baselines_find_calm_water_and_only_vh_finds_wind_roughened_water(evaluation) -> None:
    """The flood in Spain is dark in both bands; in Sri Lanka wind raises VV almost to the level of land."""
    iou = {name: with_figures(counts)["iou"] for name, counts in evaluation.baselines.items()}
    ceilings = {name: with_figures(counts)["iou"] for name, counts in evaluation.ceilings.items()}
    assert tuple(iou) == BASELINES
    for band in ("vv", "vh"):
        for method in ("otsu", "fixed"):
            assert 0.5 < iou[f"{method}_{band}"]["Spain_7370579"] < 0.7
        for method in ("otsu", "kittler", "fixed"):
            wet = iou[f"{method}_{band}"].drop("Ghana_53713")
            assert (wet <= ceilings[f"oracle_{band}"][wet.index]).all()
    assert iou["fixed_vh"]["Sri-Lanka_534068"] > 0.95
    assert iou["fixed_vv"]["Sri-Lanka_534068"] < 0.1
    assert not evaluation.baselines["fixed_vh"].loc["Ghana_53713", ["tp", "fp"]].any()


def test_real_chips_without_additional_rasters_are_sliced_by_backscatter_alone(evaluation) -> None:
    table = evaluation.slices.set_index("slicing")
    assert table.loc[[LAND_COVER], "slice"].tolist() == [UNKNOWN]
    assert table.loc[[SLOPE], "slice"].tolist() == [UNKNOWN]
    assert len(table.loc[[INTENSITY]]) >= 5


def test_the_card_of_a_benchmark_on_both_real_sets_says_that_they_are_partial(real_data, tmp_path) -> None:
    bundle = untrained(7)
    folders = [real_data / "sen1floods11", real_data / "stac_overflow"]
    samples = open_samples(folders, ["test"], present_only=True)
    parts = run_suite(samples, [bundle], modes=["vv_vh"], config=EvaluationConfig(bootstrap=100))
    assert [(part.sample.data, part.bands, len(part.first.counts)) for part in parts] == [
        ("Sen1Floods11 (6 of 90 chips)", "VV+VH", 4),
        ("STAC-Overflow (4 images)", "VV+VH", 4),
    ]
    assert not any(part.first.flood for part in parts), "permanent water is not known of these chips"
    paths = write_report(parts, bundle, tmp_path)
    text = paths["card.md"].read_text()
    assert text.count(PARTIAL) == len(parts)
    assert "6.7 % of the 90 chips of the official list test" in text
    assert "no observed pixel has a known label" in text
    assert sum(path.stat().st_size for path in tmp_path.glob("*.png")) < 1_000_000
