"""Several training runs on one store: each keeps to its own recipe, training, judgement and version.

Runs are executed event by event in this process, so that the order of their steps is the test's choice.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import AssetKey, DagsterEvent, DagsterRun
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import create_execution_plan, execute_run_iterator

from assets.training.judgement import Judgement
from assets.training.training_state import TrainingState
from drshym_pipeline.errors import InputError
from drshym_pipeline.locking import alone_in
from drshym_pipeline.model import bundle as bundle_module
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.storage import read_json, write_json
from resources.build import build_resources
from resources.registry import ModelRegistry
from tests.lineage import Lineage

pytestmark = pytest.mark.system  # several whole trainings

CHAIN = ["labelled_tiles", "trained_checkpoint", "calibration_temperature", "slice_reports", "candidate_model"]


def recipe(name: str, floor: float = 0.0) -> dict[str, Any]:
    return {
        "name": name,
        "data": {"simulated": {"train": 2, "valid": 3, "test": 2, "hard": 0, "size": 64}},
        "network": {"stem": "half", "decoder_channels": [16, 8, 8]},
        "training": {
            "crop": 64, "batch_size": 2, "max_steps": 1, "validate_every": 1, "warmup_steps": 0, "precision": "fp32",
        },
        "evaluation": {"bootstrap": 100, "floors": {"simulated": {"iou": floor}}},
    }  # fmt: skip


class Run:
    """A run of `train_model` that stops after the asset that is named.

    Args:
        lineage: Where.
        selection: The assets; all of the job by default.
        retried: The run that this is the next attempt of, and the steps to execute again.
    """

    def __init__(
        self, lineage: Lineage, selection: list[str] | None = None, retried: tuple[DagsterRun, list[str]] | None = None
    ) -> None:
        job = lineage.repository.get_job("train_model")
        keys = {AssetKey(name) for name in selection} if selection else None
        plan = create_execution_plan(job, step_keys_to_execute=retried[1]) if retried else None
        parent = retried[0].run_id if retried else None
        self.run = lineage.instance.create_run_for_job(
            job, execution_plan=plan, asset_selection=keys, parent_run_id=parent, root_run_id=parent
        )
        self.lineage = lineage
        self.failures: list[str] = []
        self._events: Iterator[DagsterEvent] = execute_run_iterator(InMemoryJob(job), self.run, lineage.instance)

    def until(self, step: str | None = None) -> "Run":
        """Execute up to the end of a step, or to the end of the run."""
        for event in self._events:
            if event.is_step_failure:
                failed = event.step_failure_data
                self.failures.append(failed.user_failure_data.description if failed.user_failure_data else str(failed))
            if event.step_key == step and (event.is_step_success or event.is_step_failure):
                break
        return self

    @property
    def note(self) -> dict[str, Any]:
        """What the assets handed over in this run."""
        path = self.lineage.store.path / "training" / "runs" / f"{self.run.root_run_id or self.run.run_id}.json"
        return dict(read_json(path))

    def state(self, asset: str = "candidate_model") -> TrainingState:
        """The state that an asset handed over in this run."""
        return TrainingState(**self.note[asset])


@pytest.fixture
def lineage(tmp_path: Path, random_bundle: ModelBundle, monkeypatch: pytest.MonkeyPatch) -> Lineage:
    shipped = random_bundle.save(tmp_path / "shipped")
    monkeypatch.setattr(bundle_module, "shipped_path", lambda: shipped)
    return Lineage(tmp_path, {"train_config": tmp_path / "recipe.yaml"})


def write_recipe(lineage: Lineage, values: dict[str, Any]) -> None:
    assert lineage.settings.train_config is not None
    lineage.settings.train_config.write_text(yaml.safe_dump(values), "utf-8")


def registry_of(lineage: Lineage) -> ModelRegistry:
    registry: ModelRegistry = build_resources(lineage.settings, Path())["registry"]
    return registry


def test_two_trainings_step_by_step_in_turn_each_seal_judge_and_register_their_own(lineage: Lineage):
    runs = {}
    for name in ("first", "second"):
        write_recipe(lineage, recipe(name, floor=0.999 if name == "second" else 0.0))
        runs[name] = Run(lineage).until("labelled_tiles")
    for step in CHAIN[1:]:
        for run in runs.values():
            run.until(step)
    # To the end in the other order: the first finds the newest pointers and the alias to be the second's.
    for name in ("second", "first"):
        runs[name].until()

    registered = {found.version: found for found in registry_of(lineage).versions()}
    verdicts = {}
    for name, run in runs.items():
        state = run.state()
        bundle = ModelBundle.load(state.folder(lineage.store) / "bundle")
        judgement = Judgement.load(state.judged_in(lineage.store))
        assert bundle.name == state.recipe.name == name
        assert judgement.sha256 == bundle.sha256 == registered[state.version].sha256
        assert registered[state.version].verdict == judgement.verdict
        assert registered[state.version].run_id == state.mlflow_run
        verdicts[name] = judgement.verdict
    assert verdicts["second"] == "broken" != verdicts["first"]
    assert runs["first"].failures == []
    assert [reason.split(":")[0] for reason in runs["second"].failures] == ["candidate_is_not_broken failed"]
    event = lineage.instance.get_latest_materialization_event(AssetKey("flood_model"))
    assert event.run_id == runs["first"].run.run_id
    shown = event.asset_materialization.metadata["candidate"].value
    assert shown == f"version {runs['first'].state().version}: {verdicts['first']}"


def test_a_retried_run_goes_on_with_its_own_training_although_another_was_trained_meanwhile(lineage: Lineage):
    write_recipe(lineage, recipe("first"))
    cut = Run(lineage).until("trained_checkpoint")
    cut._events.close()  # what becomes of a run whose process dies
    write_recipe(lineage, recipe("second"))
    other = Run(lineage, CHAIN[:3]).until()
    assert other.state("calibration_temperature").recipe.name == "second"
    steps = ["calibration_temperature", "slice_reports"]
    again = Run(lineage, retried=(cut.run, steps)).until()
    assert again.failures == []
    assert again.run.run_id != cut.run.run_id
    assert again.state("slice_reports").recipe.name == "first"
    assert again.state("slice_reports").id == cut.state("trained_checkpoint").id


def test_a_run_that_begins_in_the_middle_takes_the_last_that_is_finished_and_keeps_to_it(lineage: Lineage):
    write_recipe(lineage, recipe("first"))
    Run(lineage, CHAIN[:3]).until()
    write_recipe(lineage, recipe("second"))
    second = Run(lineage, CHAIN[:3]).until("trained_checkpoint")
    # Trained and not sealed: the last bundle is still the first's.
    middle = Run(lineage, ["slice_reports", "candidate_model"]).until("slice_reports")
    second.until()
    middle.until()
    assert middle.failures == []
    assert middle.state("calibration_temperature").recipe.name == "first"
    assert middle.state().recipe.name == "first"
    # Now the second is sealed.
    assert Run(lineage, ["slice_reports"]).until().state("slice_reports").recipe.name == "second"


def test_a_store_of_an_earlier_release_goes_on_where_it_was(lineage: Lineage):
    write_recipe(lineage, recipe("first"))
    done = Run(lineage, CHAIN[:4]).until()
    state, store = done.state("slice_reports"), lineage.store
    # As the release before this one left it: one record for all stages, one judgement in the training's own folder.
    for file in state.judged_in(store).iterdir():
        shutil.move(file, state.folder(store) / file.name)
    for asset in CHAIN[1:4]:
        (store.path / "records" / f"{asset}.json").unlink()
    shutil.rmtree(store.path / "training" / "runs")
    fields = ("id", "mlflow_run", "mlflow_url", "config", "data_root", "data_sha256")
    earlier = {field: getattr(state, field) for field in fields}
    write_json(store.path / "records" / "training.json", earlier)
    verdict = read_json(state.folder(store) / "verdict.json")
    verdict.pop("finite")
    write_json(state.folder(store) / "verdict.json", verdict)

    assert Run(lineage, ["candidate_model"]).until().failures == []
    assert registry_of(lineage).candidate().sha256 == verdict["sha256"]
    assert Run(lineage, ["slice_reports"]).until().failures == []


@pytest.mark.parametrize("asset", CHAIN[1:])
def test_an_asset_without_the_one_before_it_says_which(lineage: Lineage, asset: str):
    before = CHAIN[CHAIN.index(asset) - 1]
    [reason] = Run(lineage, [asset]).until().failures[:1]
    assert reason == f"{before}: was never materialised in this store. Materialise {before} first."


def test_a_second_run_of_a_training_that_is_in_work_is_refused_and_takes_nothing_from_the_first(lineage: Lineage):
    write_recipe(lineage, recipe("first"))
    first = Run(lineage, CHAIN).until("trained_checkpoint")
    state = first.state("trained_checkpoint")
    with alone_in(state.folder(lineage.store), f"run {first.run.run_id}"):
        [reason] = Run(lineage, CHAIN[:2]).until().failures
        assert reason == (
            f"{state.folder(lineage.store)}: run {first.run.run_id} works in it now. "
            "Wait until that has ended, then start again."
        )
        for asset in ("calibration_temperature", "slice_reports", "candidate_model"):
            lineage.store.write_record(CHAIN[CHAIN.index(asset) - 1], first.note["trained_checkpoint"])
            assert "works in it now" in Run(lineage, [asset]).until().failures[0]
    # The MLflow run belongs to both: one that was refused has not ended it.
    assert registry_of(lineage)._client().get_run(state.mlflow_run).info.status == "RUNNING"
    assert first.until().failures == []


def test_a_folder_is_free_again_when_its_holder_has_gone(tmp_path: Path):
    with alone_in(tmp_path, "run 1"), pytest.raises(InputError, match="run 1 works in it now"), alone_in(tmp_path, "2"):
        pass
    with alone_in(tmp_path, "run 3"):
        pass
