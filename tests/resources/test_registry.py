"""The registry with a real MLflow store in SQLite: runs reopened by id, versions, aliases, downloaded bundles."""

from pathlib import Path

import pytest

from drshym_pipeline.model.bundle import ModelBundle
from resources.mlflow_runs import flatten
from resources.registry import ModelRegistry


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the store: MLflow takes seconds to make its tables."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def registry(home: Path, request: pytest.FixtureRequest) -> ModelRegistry:
    """A registry in which no test has registered anything yet: each has a model of its own."""
    return ModelRegistry(
        tracking_uri=f"sqlite:///{home / 'store' / 'mlflow.db'}",
        artifact_root=str(home / "artifacts"),
        ui="http://127.0.0.1:5000",
        model_name=request.node.name,
    )


@pytest.fixture
def run_id(registry: ModelRegistry) -> str:
    return registry.start_run("training-1", {"dagster.run_id": "abc"})


def test_an_empty_registry_has_no_champion_and_creates_no_database(tmp_path: Path):
    database = tmp_path / "none.db"
    registry = ModelRegistry(tracking_uri=f"sqlite:///{database}", artifact_root=str(tmp_path), ui="")
    assert registry.champion() is None
    assert not database.exists()


def test_stages_write_to_one_run_by_its_id(registry: ModelRegistry, run_id: str, tmp_path: Path):
    registry.log_params(run_id, {"training": {"max_steps": 4}, "seed": 42})
    registry.log_params(run_id, {"training": {"max_steps": 4}, "seed": 42})
    registry.log_curves(run_id, [{"step": 1, "iou": 0.1}, {"step": 2, "iou": 0.2, "loss": float("nan")}])
    (tmp_path / "card.md").write_text("card")
    registry.log_files(run_id, [tmp_path / "card.md"], "reports")
    client = registry._client()
    run = client.get_run(run_id)
    assert run.data.params == {"training.max_steps": "4", "seed": "42"}
    assert [(metric.step, metric.value) for metric in client.get_metric_history(run_id, "iou")] == [(1, 0.1), (2, 0.2)]
    assert "loss" not in run.data.metrics
    assert [file.path for file in client.list_artifacts(run_id, "reports")] == ["reports/card.md"]
    assert run.info.status == "RUNNING"
    assert run_id in registry.run_url(run_id)


def test_artefacts_stay_in_the_folder_that_was_named(registry: ModelRegistry, run_id: str, tmp_path: Path):
    (tmp_path / "card.md").write_text("card")
    registry.log_files(run_id, [tmp_path / "card.md"], "reports")
    assert any(path.name == "card.md" for path in Path(registry.artifact_root).rglob("*"))
    assert not Path("mlruns").exists()


def test_a_bundle_is_registered_once_and_comes_back_as_it_was(
    registry: ModelRegistry, run_id: str, random_bundle: ModelBundle, tmp_path: Path
):
    folder = random_bundle.save(tmp_path / "sealed")
    options = {"sha256": random_bundle.sha256, "card": "# Card", "tags": {"from": "test"}}
    first = registry.register(run_id, folder, verdict="better", **options)
    again = registry.register(run_id, folder, verdict="worse", **options)
    assert first.version == again.version == "1"
    assert registry.versions()[0].verdict == "worse"
    fetched = registry.download_bundle("1", tmp_path / "models" / random_bundle.sha256)
    assert ModelBundle.load(fetched).sha256 == random_bundle.sha256
    assert registry._client().get_run(run_id).info.status == "RUNNING"
    assert registry._client().get_model_version(registry.model_name, "1").description == "# Card"


def test_aliases_decide_and_the_absence_of_one_is_not_an_error(
    registry: ModelRegistry, run_id: str, random_bundle: ModelBundle, tmp_path: Path
):
    assert registry.champion() is None
    assert registry.candidate() is None
    folder = random_bundle.save(tmp_path / "sealed")
    registry.register(run_id, folder, sha256=random_bundle.sha256, verdict="better", card="# Card", tags={})
    registry.set_alias("candidate", "1")
    candidate = registry.candidate()
    assert candidate is not None
    assert (candidate.version, candidate.considered) == ("1", False)
    registry.mark_considered("1")
    candidate = registry.candidate()
    assert candidate is not None
    assert candidate.considered
    assert registry.champion() is None


def test_a_run_is_closed_as_failed_when_its_stage_raises(registry: ModelRegistry, run_id: str):
    with pytest.raises(RuntimeError), registry.failing(run_id):
        raise RuntimeError("stop")
    assert registry._client().get_run(run_id).info.status == "FAILED"
    registry.reopen_run(run_id)
    assert registry._client().get_run(run_id).info.status == "RUNNING"
    registry.end_run(run_id)
    assert registry._client().get_run(run_id).info.status == "FINISHED"


def test_an_unknown_or_deleted_run_does_not_exist(registry: ModelRegistry, run_id: str):
    assert registry.has_run(run_id)
    assert not registry.has_run("0" * 32)
    registry._client().delete_run(run_id)
    assert not registry.has_run(run_id)


def test_nested_values_become_dotted_names():
    assert dict(flatten({"a": {"b": 1, "c": {"d": 2}}, "e": 3})) == {"a.b": 1, "a.c.d": 2, "e": 3}
