"""The whole graph, compared with a fixed list, and what loading the code location imports."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetsDefinition, AssetSpec, job, op

from assets.external import external_assets
from assets.graph import inference_assets, inference_checks, training_assets, training_checks
from definitions import build_defs
from drshym_pipeline.settings import PipelineSettings
from resources.bucket import SceneBucket
from resources.store import ArtefactStore

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "mlflow", "rasterio", "lightning", "matplotlib", "geopandas", "segmentation_models_pytorch")

ASSETS = {
    "labelled_tiles": ("training", set()),
    "trained_checkpoint": ("training", {"labelled_tiles"}),
    "calibration_temperature": ("training", {"trained_checkpoint", "labelled_tiles"}),
    "slice_reports": ("training", {"calibration_temperature", "labelled_tiles"}),
    "candidate_model": ("training", {"slice_reports"}),
    "flood_model": ("training", {"candidate_model"}),
    "raw_scenes": ("inference", set()),
    "tiles": ("inference", {"raw_scenes"}),
    "tile_probabilities": ("inference", {"tiles", "flood_model"}),
    "stitched_scenes": (
        "inference",
        {"tile_probabilities", "flood_model", "elevation", "reference_water", "land_cover"},
    ),
    "scene_reports": ("inference", {"stitched_scenes"}),
}
CHECKS = {
    ("raw_scenes", "scene_is_readable_and_georeferenced", True),
    ("tiles", "tiles_cover_the_scene", True),
    ("tile_probabilities", "probabilities_fit_the_scene", True),
    ("tile_probabilities", "scene_is_like_the_training_chips", False),
    ("stitched_scenes", "mask_agrees_with_probability", True),
    ("stitched_scenes", "model_is_current", False),
    ("stitched_scenes", "reference_is_known", False),
    ("calibration_temperature", "log_loss_does_not_rise", True),
    ("calibration_temperature", "calibration_error_does_not_rise", False),
    ("candidate_model", "candidate_is_not_broken", True),
}
JOBS = {
    "train_model": {name for name, (group, _) in ASSETS.items() if group == "training"},
    "map_scene": {name for name, (group, _) in ASSETS.items() if group == "inference"},
    "renew_maps": {"stitched_scenes", "scene_reports"},
    "put_in_service": {"flood_model"},
    "old_probabilities": set(),
}
EXTERNAL = {"elevation", "reference_water", "land_cover"}
SENSORS = {
    "new_scenes": True,
    "changed_references": True,
    "reviewed_models": True,
    "failed_runs": True,
    "terminated_runs": True,
}


def names(keys: Any) -> set[str]:
    return {key.to_user_string() for key in keys}


def test_the_graph_is_exactly_the_designed_one():
    repository = build_defs().get_repository_def()
    graph = repository.asset_graph
    found = {
        key.to_user_string(): (graph.get(key).group_name, names(graph.get(key).parent_keys))
        for key in graph.materializable_asset_keys
    }
    assert found == ASSETS
    assert names(graph.external_asset_keys) == EXTERNAL
    checks = {(key.asset_key.to_user_string(), key.name, graph.get(key).blocking) for key in graph.asset_check_keys}
    assert checks == CHECKS
    jobs = {
        job.name: names(job.asset_layer.executable_asset_keys)
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    assert jobs == JOBS
    assert {sensor.name: sensor.default_status.value == "RUNNING" for sensor in repository.sensor_defs} == SENSORS
    assert {
        (
            schedule.name,
            schedule.job_name,
            schedule.cron_schedule,
            schedule.execution_timezone,
            schedule.default_status.value,
        )
        for schedule in repository.schedule_defs
    } == {
        ("weekly_training", "train_model", "0 2 * * 0", "UTC", "STOPPED"),
        ("old_probabilities_daily", "old_probabilities", "17 3 * * *", "UTC", "RUNNING"),
    }


def test_every_blocking_check_says_why_it_stops_a_run():
    """Dagster's own blocking checks fail with their name only: ours are made by a function that adds the reason."""
    blocking = {name for _, name, stops in CHECKS if stops}
    made_here = {
        next(iter(check.check_keys)).name
        for check in [*training_checks, *inference_checks]
        if inspect.isgeneratorfunction(check.node_def.compute_fn.decorated_fn)
    }
    assert made_here == blocking


@pytest.mark.parametrize("asset", [*training_assets, *inference_assets], ids=lambda asset: asset.key.to_user_string())
def test_every_asset_is_described_and_versioned(asset: AssetsDefinition):
    spec = next(iter(asset.specs))
    assert spec.description
    assert spec.code_version
    assert spec.kinds
    assert spec.owners == ["team:flood-mapping"]
    assert spec.tags["domain"] == "flood_sar"
    assert spec.tags["holds"] in {"data", "model", "map"}


@pytest.mark.parametrize("asset", [*training_assets, *inference_assets], ids=lambda asset: asset.key.to_user_string())
def test_every_asset_has_a_section_in_the_page_of_the_lineage(asset: AssetsDefinition):
    spec = next(iter(asset.specs))
    page = Path(str(spec.metadata["described in"].value))
    headings = re.findall(r"^### `(\w+)`$", page.read_text("utf-8"), re.MULTILINE)
    assert spec.metadata["section"] == spec.key.to_user_string()
    assert spec.metadata["section"] in headings


@pytest.mark.parametrize("spec", external_assets, ids=lambda spec: spec.key.to_user_string())
def test_every_external_asset_is_described_like_the_others(spec: AssetSpec):
    assert spec.description
    assert spec.kinds
    assert spec.owners == ["team:flood-mapping"]
    assert spec.tags["holds"] == "data"
    page = Path(str(spec.metadata["described in"].value))
    assert f"### {spec.metadata['section']}" in page.read_text("utf-8").splitlines()


def test_the_inference_assets_share_the_scenes_partitions():
    for asset in inference_assets:
        assert asset.partitions_def is not None
        assert asset.partitions_def.name == "scenes"
    assert all(asset.partitions_def is None for asset in training_assets)


def test_every_job_runs_in_one_process():
    repository = build_defs().get_repository_def()
    assert {repository.get_job(name).executor_def.name for name in JOBS} == {"in_process"}


def test_overrides_come_in_by_the_same_door(tmp_path: Path):
    ours, other = tmp_path / "home", str(tmp_path / "other")
    defs = build_defs({"store": ArtefactStore(root=other)}, PipelineSettings(home=ours))
    seen = []

    @op
    def look(store: ArtefactStore, bucket: SceneBucket) -> None:
        seen.extend([store.root, bucket.root])

    @job(resource_defs=dict(defs.resources or {}))
    def looking() -> None:
        look()

    assert looking.execute_in_process().success
    assert seen == [other, str(ours / "inbox")]


def test_loading_the_code_location_imports_nothing_heavy():
    code = f"import definitions, sys; print([name for name in {HEAVY} if name in sys.modules])"
    environment = {"PATH": "/usr/bin:/bin"}  # without any of our variables set
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_bad_environment_variable_is_named_in_one_line():
    done = subprocess.run(
        [sys.executable, "-c", "import definitions"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "DRSHYM_TILE": "x"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert "InputError" in last
    assert "DRSHYM_TILE" in last


def instance_settings() -> dict[str, Any]:
    import yaml

    values: dict[str, Any] = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    return values


def test_the_instance_limits_runs_watches_them_and_calls_nobody():
    values = instance_settings()
    assert values["concurrency"]["runs"]["max_concurrent_runs"] == 4
    assert values["run_monitoring"]["enabled"] is True
    assert values["run_monitoring"]["poll_interval_seconds"] <= 15, "a dead run is to be tried again within a minute"
    assert values["run_monitoring"]["max_runtime_seconds"] == 48 * 3600
    assert values["telemetry"]["enabled"] is False
    assert values["nux"]["enabled"] is False
    retries = values["run_retries"]
    assert (retries["enabled"], retries["max_retries"], retries["retry_on_asset_or_op_failure"]) == (True, 3, False)


def test_the_instance_is_made_of_our_launcher_and_queue_with_these_limits(tmp_path: Path):
    from deploy.local import open_instance, prepare_home
    from resources.launcher import LocalRunLauncher
    from resources.run_queue import LimitedRunQueue

    prepare_home(tmp_path)
    with open_instance(tmp_path) as instance:
        assert isinstance(instance.run_launcher, LocalRunLauncher)
        assert isinstance(instance.run_coordinator, LimitedRunQueue)
        found = instance.get_concurrency_config()
        assert found.run_queue_config is not None
        assert found.run_queue_config.max_concurrent_runs == 4
        assert len(found.run_queue_config.tag_concurrency_limits) == 2
        assert found.run_queue_config.max_user_code_failure_retries == 10
        assert found.pool_config.pool_granularity is not None
        assert (found.pool_config.pool_granularity.value, found.pool_config.default_pool_limit) == ("run", 2)


def test_one_training_and_one_map_go_at_a_time_and_a_review_waits_for_neither():
    limits = instance_settings()["concurrency"]["runs"]["tag_concurrency_limits"]
    assert limits == [
        {"key": "drshym/training", "limit": 1},
        {"key": "drshym/mapping", "value": {"applyLimitPerUniqueValue": True}, "limit": 1},
    ]
    repository = build_defs().get_repository_def()
    limited = {limit["key"] for limit in limits}
    assert {name: limited & set(repository.get_job(name).tags) for name in JOBS} == {
        "train_model": {"drshym/training"},
        "map_scene": {"drshym/mapping"},
        "renew_maps": {"drshym/mapping"},
        "put_in_service": set(),
        "old_probabilities": set(),
    }


def test_every_asset_but_the_model_in_service_has_the_pool_of_its_group():
    groups = {"training": "training", "inference": "mapping"}
    for asset in [*training_assets, *inference_assets]:
        name = asset.key.to_user_string()
        expected = set() if name == "flood_model" else {groups[ASSETS[name][0]]}
        assert {pool for pool in [asset.op.pool] if pool} == expected, name


def test_a_new_scene_waits_for_another_new_scene_and_not_for_an_archive():
    from dagster import DagsterRun
    from dagster._utils.tags import TagConcurrencyLimitsCounter

    from resources.run_limits import ARCHIVE, MAPPING_TAG, NEW_SCENE

    limits = instance_settings()["concurrency"]["runs"]["tag_concurrency_limits"]

    def mapping(kind: str) -> DagsterRun:
        return DagsterRun("map_scene", tags={MAPPING_TAG: kind})

    busy = TagConcurrencyLimitsCounter(limits, [mapping(ARCHIVE)])
    assert busy.is_blocked(mapping(ARCHIVE))
    assert not busy.is_blocked(mapping(NEW_SCENE))
    assert TagConcurrencyLimitsCounter(limits, [mapping(NEW_SCENE)]).is_blocked(mapping(NEW_SCENE))
    assert build_defs().get_repository_def().get_job("map_scene").tags[MAPPING_TAG] == ARCHIVE


def test_no_run_holds_its_place_for_ever():
    from resources.run_limits import LONGEST_TAG

    repository = build_defs().get_repository_def()
    # Of a mapping it depends on how many scenes it maps: the run queue sets it (tests/resources/test_run_limits.py).
    assert {name: int(repository.get_job(name).tags.get(LONGEST_TAG, 0)) // 3600 for name in JOBS} == {
        "train_model": 24,
        "map_scene": 0,
        "renew_maps": 0,
        "put_in_service": 1,
        "old_probabilities": 1,
    }
