"""The training job for real on a tiny recipe, with MLflow on SQLite: from chips to the model in service.

Training is done once for the module, by the fixture `trained`; what one test changes of it, no other depends on.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from dagster import AssetCheckKey, AssetKey, ExecuteInProcessResult, build_run_status_sensor_context

from assets.training.judgement import Judgement
from assets.training.training_state import TrainingState
from drshym_pipeline.datasets.prepare import prepare
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.model import bundle as bundle_module
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.service_record import in_service_record
from drshym_pipeline.settings import DataConfig, SimulatedData
from drshym_pipeline.storage import read_json
from resources.build import build_resources
from resources.registry import CHAMPION, ModelRegistry, RegisteredVersion
from sensors.failures import failed_runs
from tests.lineage import Lineage

TRAINING = [
    "labelled_tiles",
    "trained_checkpoint",
    "calibration_temperature",
    "slice_reports",
    "candidate_model",
    "flood_model",
]


def recipe(name: str, **evaluation: object) -> dict[str, object]:
    return {
        "name": name,
        "data": {"simulated": {"train": 6, "valid": 3, "test": 3, "hard": 2, "size": 64}},
        "network": {"stem": "half", "decoder_channels": [16, 8, 8]},
        "training": {
            "crop": 64,
            "batch_size": 2,
            "max_steps": 2,
            "validate_every": 2,
            "warmup_steps": 1,
            "precision": "fp32",
        },
        "evaluation": {"bootstrap": 100, **evaluation},
    }


@pytest.fixture(scope="module")
def lineage(tmp_path_factory: pytest.TempPathFactory, random_bundle: ModelBundle) -> Lineage:
    """A store whose shipped model is random, so that the tiny candidate is nowhere worse by chance alone."""
    home = tmp_path_factory.mktemp("training")
    shipped = random_bundle.save(home / "shipped")
    patch = pytest.MonkeyPatch()
    patch.setattr(bundle_module, "shipped_path", lambda: shipped)
    (home / "recipe.yaml").write_text(yaml.safe_dump(recipe("tiny")), "utf-8")
    yield Lineage(home, {"train_config": home / "recipe.yaml", "tile": 128, "overlap": 16})
    patch.undo()


@pytest.fixture(scope="module")
def trained(lineage: Lineage) -> ExecuteInProcessResult:
    return lineage.run("train_model")


@pytest.fixture(scope="module")
def registry(lineage: Lineage) -> ModelRegistry:
    return build_resources(lineage.settings, Path())["registry"]


@pytest.fixture(scope="module")
def rival(
    lineage: Lineage,
    trained: ExecuteInProcessResult,
    registry: ModelRegistry,
    tmp_path_factory: pytest.TempPathFactory,
) -> RegisteredVersion:
    """The candidate, after a scene was mapped by the shipped checkpoint."""
    assert trained.success
    lineage.drop(write_scene(tmp_path_factory.mktemp("before"), "S1_before", simulate_scene(4, 130, 130)))
    assert lineage.map_all()["S1_before"].success
    candidate = registry.candidate()
    assert candidate is not None
    return candidate


@pytest.fixture
def recipe_file(lineage: Lineage) -> Iterator[Path]:
    """The recipe, to be rewritten by a test; it is put back afterwards."""
    path = lineage.settings.train_config
    assert path is not None
    before = path.read_text("utf-8")
    yield path
    path.write_text(before, "utf-8")
    assert lineage.run("train_model", asset_selection=[AssetKey("labelled_tiles")]).success


def state_of(lineage: Lineage, asset: str) -> TrainingState:
    """The newest training state that an asset handed over."""
    record = lineage.store.find_record(asset)
    assert record is not None
    return TrainingState(**record)


def latest(lineage: Lineage) -> TrainingState:
    """The training that was trained last."""
    return state_of(lineage, "trained_checkpoint")


def judgement_of(lineage: Lineage) -> Judgement:
    """The judgement of the candidate that was judged last."""
    return Judgement.load(state_of(lineage, "slice_reports").judged_in(lineage.store))


def test_the_candidate_is_judged_with_vv_and_vh_and_with_vv_alone(lineage: Lineage, trained: ExecuteInProcessResult):
    assert trained.success
    judgement = judgement_of(lineage)
    judged = [row for row in judgement.comparisons if row["against"].startswith("in service")]
    assert [(row["split"], row["bands"]) for row in judged][:2] == [("test", "VV and VH"), ("test", "VV alone")]
    for row in judged[:2]:
        assert f"with {row['bands']}: {row['verdict']}" in judgement.reason
    assert judgement.reason.count(". ") == 0, "one sentence"
    assert {"test_iou", "test_vv_iou"} <= judgement.metrics.keys()
    folder = state_of(lineage, "slice_reports").judged_in(lineage.store)
    alone = read_json(folder / "test_vv_alone" / "evaluation.json")
    assert {chip["mode"] for chip in alone["chips"]} == {"vv"}
    assert alone["interval"]["over"] in ("events and their chips", "the chips of one event")


def kept_failure(lineage: Lineage, result: ExecuteInProcessResult) -> dict[str, str]:
    """What the failure sensor keeps of a failed run."""
    run = lineage.instance.get_run_by_id(result.run_id)
    event = next(event for event in result.all_events if event.is_run_failure)
    context = build_run_status_sensor_context(
        sensor_name="failed_runs", dagster_instance=lineage.instance, dagster_run=run, dagster_event=event
    ).for_run_failure()
    failed_runs(context, store=lineage.store)
    return read_json(lineage.store.path / "failures" / f"{run.job_name}.json")


def metadata(lineage: Lineage, key: str) -> dict[str, object]:
    event = lineage.instance.get_latest_materialization_event(AssetKey(key))
    return {name: entry.value for name, entry in event.asset_materialization.metadata.items()}


def test_the_job_materialises_all_six_assets_with_something_to_look_at(
    lineage: Lineage, trained: ExecuteInProcessResult
):
    assert trained.success
    for key in TRAINING:
        assert metadata(lineage, key), key
    for key in TRAINING[:4]:
        assert any("data:image/" in str(value) for value in metadata(lineage, key).values()), key
    passed = {check.check_name: check.passed for check in trained.get_asset_check_evaluations()}
    # The calibration error may rise: it is not what the temperature minimises.
    assert set(passed) == {"log_loss_does_not_rise", "calibration_error_does_not_rise", "candidate_is_not_broken"}
    assert passed["log_loss_does_not_rise"]
    assert passed["candidate_is_not_broken"]


@pytest.mark.usefixtures("trained")
def test_dagster_and_mlflow_runs_link_to_each_other(lineage: Lineage, registry: ModelRegistry):
    newest = lineage.run("train_model")
    state = latest(lineage)
    run = registry._client().get_run(state.mlflow_run)
    assert run.data.tags["dagster.run_id"] == newest.run_id
    assert run.data.tags["dagster.url"].endswith(f"/runs/{newest.run_id}")
    assert state.mlflow_run in str(metadata(lineage, "trained_checkpoint")["MLflow run"])
    assert run.info.status == "FINISHED"


@pytest.mark.usefixtures("trained")
def test_the_mlflow_run_has_parameters_curves_example_maps_plots_and_cards(lineage: Lineage, registry: ModelRegistry):
    state = latest(lineage)
    client = registry._client()
    run = client.get_run(state.mlflow_run)
    assert run.data.params["training.max_steps"] == "2"
    assert run.data.params["data_sha256"] == state.data_sha256
    assert len(client.get_metric_history(state.mlflow_run, "valid_iou")) == 1
    assert "test_iou" in run.data.metrics
    files = {
        file.path
        for folder in ("plots", "reports", "reports/test", "examples/step_000002")
        for file in client.list_artifacts(run.info.run_id, folder)
    }
    examples = {file for file in files if file.startswith("examples/")}
    assert examples
    assert all(file.endswith(".png") for file in examples)
    assert {"plots/training_curves.png", "reports/thresholds.json", "reports/test/evaluation.md"} <= files


@pytest.mark.usefixtures("trained")
def test_the_shipped_checkpoint_is_the_champion_and_the_first_candidate_waits(
    lineage: Lineage, registry: ModelRegistry, random_bundle: ModelBundle
):
    state = latest(lineage)
    sealed = ModelBundle.load(lineage.store.training(state.id) / "bundle")
    served, champion, candidate = in_service_record(lineage.store.path), registry.champion(), registry.candidate()
    assert served is not None
    assert champion is not None
    assert candidate is not None
    assert (champion.version, champion.source) == ("1", "shipped")
    assert served.reference.sha256 == random_bundle.sha256 == champion.sha256
    assert served.reference.source == "shipped"
    assert (lineage.store.path / "models" / random_bundle.sha256 / "model.json").is_file()
    assert (candidate.version, candidate.sha256, candidate.source) == ("2", sealed.sha256, "training")
    shown = metadata(lineage, "flood_model")
    assert shown["candidate waits for review"] is True
    assert "version 1, the shipped checkpoint, has the alias champion" in str(shown["reason"])


@pytest.mark.usefixtures("trained")
def test_every_registered_version_has_its_cards(lineage: Lineage, registry: ModelRegistry):
    client = registry._client()
    for version in registry.versions():
        description = client.get_model_version(registry.model_name, version.version).description
        assert description.startswith("#")
        assert "Not for life-safety decisions without review" in description
        files = {file.path for file in client.list_artifacts(version.run_id, "cards")}
        assert files == {"cards/MODEL_CARD.md", "cards/DATASET_CARD.md"}
    newest = client.get_model_version(registry.model_name, registry.versions()[0].version).description
    assert f"Verdict: {judgement_of(lineage).verdict}." in newest
    assert "installed from its checkout" in newest


@pytest.mark.usefixtures("trained")
def test_the_registered_model_predicts_by_itself_what_the_bundle_predicts(lineage: Lineage, registry: ModelRegistry):
    import mlflow

    registry._client()
    db = np.full((1, 2, 64, 64), -12.0, np.float32)
    db[0, :, :8] = np.nan
    loaded = mlflow.pyfunc.load_model(f"models:/{registry.model_name}@{CHAMPION}")
    probability = loaded.predict(db)
    assert probability.shape == (1, 64, 64)
    assert np.isnan(probability[0, :8]).all()
    assert ((probability[0, 8:] >= 0) & (probability[0, 8:] <= 1)).all()
    assert loaded.metadata.signature is not None


def test_progress_was_written_for_those_who_watch(lineage: Lineage, trained: ExecuteInProcessResult):
    written = read_json(lineage.store.progress_path(trained.run_id))
    assert set(written) == {"stage", "done", "total", "started", "updated"}


@pytest.mark.usefixtures("trained")
def test_training_again_repeats_nothing_and_registers_nothing_twice(lineage: Lineage, registry: ModelRegistry):
    assert lineage.run("train_model").success  # after whatever recipe was trained last
    state, versions = latest(lineage), registry.versions()
    assert lineage.run("train_model").success
    assert latest(lineage) == state
    assert [item.version for item in registry.versions()] == [item.version for item in versions]


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("asset", ["calibration_temperature", "slice_reports", "candidate_model"])
def test_a_stage_that_fails_closes_the_mlflow_run_as_failed(lineage: Lineage, registry: ModelRegistry, asset: str):
    state = latest(lineage)
    path = lineage.store.training(state.id) / "bundle" / "model.json"
    content = path.read_bytes()
    registry.reopen_run(state.mlflow_run)
    path.write_bytes(b"cut")
    result = lineage.run("train_model", asset_selection=[AssetKey(asset)])
    path.write_bytes(content)
    assert not result.success
    assert registry._client().get_run(state.mlflow_run).info.status == "FAILED"
    registry.end_run(state.mlflow_run)


def test_a_later_candidate_waits_until_a_reviewer_sets_the_alias(
    lineage: Lineage, registry: ModelRegistry, rival: RegisteredVersion
):
    registry.set_alias(CHAMPION, "1")
    assert lineage.run("put_in_service").success
    assert lineage.run("map_scene", "S1_before").success
    first = in_service_record(lineage.store.path)
    assert first is not None
    assert first.reference.sha256 != rival.sha256
    assert lineage.run("put_in_service").success
    assert in_service_record(lineage.store.path) == first
    assert metadata(lineage, "flood_model")["candidate waits for review"] is True

    assert lineage.tick("reviewed_models") == []
    registry.set_alias(CHAMPION, rival.version)
    assert len(lineage.tick("reviewed_models")) == 1
    assert lineage.tick("reviewed_models") == []
    assert lineage.run("put_in_service").success
    served = in_service_record(lineage.store.path)
    assert served is not None
    assert served.reference.sha256 == rival.sha256
    assert metadata(lineage, "flood_model")["maps by another model"] == 1
    assert lineage.tick("reviewed_models") == []
    registry.set_alias(CHAMPION, "1")
    assert len(lineage.tick("reviewed_models")) == 1


def test_a_new_champion_turns_the_check_of_older_maps_red(
    lineage: Lineage, registry: ModelRegistry, rival: RegisteredVersion
):
    registry.set_alias(CHAMPION, "1")
    assert lineage.run("put_in_service").success
    assert lineage.run("map_scene", "S1_before").success
    registry.set_alias(CHAMPION, rival.version)
    assert lineage.run("put_in_service").success
    key = AssetCheckKey(AssetKey("stitched_scenes"), "model_is_current")
    summary = lineage.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    evaluation = summary.event.dagster_event.asset_check_evaluation_data
    assert not evaluation.passed
    assert evaluation.partition == "S1_before"
    assert lineage.run("map_scene", "S1_before").success
    summary = lineage.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    assert summary.event.dagster_event.asset_check_evaluation_data.passed


@pytest.fixture
def broken(
    lineage: Lineage, trained: ExecuteInProcessResult, registry: ModelRegistry, recipe_file: Path
) -> Iterator[ExecuteInProcessResult]:
    """A run whose candidate is below the floors of its recipe; its changes in the registry are undone afterwards."""
    assert trained.success
    version = registry.versions()[0].version
    verdict = registry.versions()[0].verdict
    recipe_file.write_text(yaml.safe_dump(recipe("tiny", floors={"simulated": {"iou": 0.999, "f1": 0.999}})), "utf-8")
    yield lineage.run("train_model")
    registry._client().set_model_version_tag(registry.model_name, version, "verdict", verdict)
    registry.set_alias(CHAMPION, "1")


def test_a_broken_candidate_is_registered_with_its_verdict_and_stops_the_run_before_the_model_in_service(
    lineage: Lineage, registry: ModelRegistry, broken: ExecuteInProcessResult
):
    served = in_service_record(lineage.store.path)
    assert not broken.success
    assert judgement_of(lineage).verdict == "broken"
    candidate = registry.candidate()
    assert candidate is not None
    assert candidate.verdict == "broken"
    assert candidate.sha256 == judgement_of(lineage).sha256
    assert registry._client().get_run(candidate.run_id).info.status == "FAILED"
    made = {event.step_key for event in broken.all_events if event.is_step_success}
    assert {"slice_reports", "candidate_model"} <= made
    assert "flood_model" not in made
    assert in_service_record(lineage.store.path) == served


def test_the_sentence_of_a_broken_candidate_is_the_reason_of_the_failed_run(
    lineage: Lineage, broken: ExecuteInProcessResult
):
    sentence = "candidate_is_not_broken failed: The pooled IoU "
    event = next(event for event in broken.all_events if event.is_step_failure)
    assert event.step_failure_data.user_failure_data.description.startswith(sentence)
    failure = next(event for event in broken.all_events if event.is_run_failure)
    assert sentence in str(failure.job_failure_data.first_step_failure_event.step_failure_data.error)
    evaluation = next(
        found for found in broken.get_asset_check_evaluations() if found.check_name == "candidate_is_not_broken"
    )
    assert not evaluation.passed
    assert str(evaluation.asset_key.to_user_string()) == "candidate_model"
    assert "is below the floor 0.999. Version 2 is registered as broken" in str(evaluation.description)
    kept = kept_failure(lineage, broken)
    assert kept["step"] == "candidate_model_candidate_is_not_broken"
    assert kept["reason"].startswith(sentence)
    assert "\n" not in kept["reason"]


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("policy", ["review", "better"])
def test_a_broken_candidate_is_not_served_by_a_run_of_its_own_either(
    lineage: Lineage, registry: ModelRegistry, recipe_file: Path, policy: str, random_bundle: ModelBundle
):
    registry.set_alias(CHAMPION, "1")
    recipe_file.write_text(yaml.safe_dump({**recipe("tiny"), "promote": policy}), "utf-8")
    assert lineage.run("put_in_service").success
    assert "version 2 is broken: never served" in str(metadata(lineage, "flood_model")["reason"])
    registry.set_alias(CHAMPION, "2")
    assert lineage.run("put_in_service").success
    assert "has the alias champion but is broken: not served" in str(metadata(lineage, "flood_model")["reason"])
    served = in_service_record(lineage.store.path)
    assert served is not None
    assert served.reference.sha256 == random_bundle.sha256


@pytest.mark.usefixtures("trained")
def test_a_broken_champion_is_not_served_even_when_a_reviewer_asks(lineage: Lineage, registry: ModelRegistry):
    served = in_service_record(lineage.store.path)
    registry._client().set_model_version_tag(registry.model_name, "1", "verdict", "broken")
    registry.set_alias(CHAMPION, "1")
    assert lineage.run("put_in_service").success
    assert in_service_record(lineage.store.path) == served
    assert "broken" in str(metadata(lineage, "flood_model")["reason"])
    registry._client().set_model_version_tag(registry.model_name, "1", "verdict", "not judged")


def refusal(lineage: Lineage) -> str:
    result = lineage.run("train_model")
    event = next(event for event in result.all_events if event.is_step_failure)
    assert event.step_key == "labelled_tiles"
    return str(event.step_failure_data.user_failure_data.description)


def test_a_recipe_with_an_unknown_key_fails_in_one_line(lineage: Lineage, recipe_file: Path):
    recipe_file.write_text("nmae: tiny\n", "utf-8")
    reason = refusal(lineage)
    assert "nmae" in reason
    assert "name" in reason
    assert "\n" not in reason


def test_a_recipe_that_cannot_be_trained_is_refused_before_anything_is_simulated(lineage: Lineage, recipe_file: Path):
    values = recipe("odd")
    values["data"] = {"simulated": {"seed": 7, "train": 6, "valid": 3, "test": 3, "hard": 2, "size": 64}}
    values["training"] = {"crop": 100}
    recipe_file.write_text(yaml.safe_dump(values), "utf-8")
    cache = lineage.store.path / "training" / "data"
    before = sorted(cache.glob("*"))
    assert "training.crop" in refusal(lineage)
    assert sorted(cache.glob("*")) == before


def test_chips_that_no_stage_reads_may_be_missing(lineage: Lineage, recipe_file: Path, tmp_path: Path):
    sizes = SimulatedData(train=2, valid=1, test=1, hard=0, size=64)
    data = prepare(DataConfig(root=tmp_path / "set", simulated=sizes), tmp_path)
    (data.root / "splits" / "flood_handlabeled" / "flood_bolivia_data.csv").write_text(
        "Bolivia_1_S1Hand.tif,Bolivia_1_LabelHand.tif\n", "utf-8"
    )
    values = recipe("partial")
    values["data"] = {"kind": "sen1floods11", "root": str(data.root)}
    recipe_file.write_text(yaml.safe_dump(values), "utf-8")
    assert lineage.run("train_model", asset_selection=[AssetKey("labelled_tiles")]).success
    assert metadata(lineage, "labelled_tiles")["chips"] == 4
