"""The graph, pinned in one place, and how light the code location is."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dagster import AssetKey, AssetsDefinition

from assets.graph import inference_assets, training_assets
from definitions import build_defs
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
    "stitched_scenes": ("inference", {"tile_probabilities", "flood_model"}),
    "scene_reports": ("inference", {"stitched_scenes"}),
}
CHECKS = {
    ("raw_scenes", "scene_is_readable_and_georeferenced", True),
    ("tiles", "tiles_cover_the_scene", True),
    ("tile_probabilities", "probabilities_fit_the_scene", True),
    ("stitched_scenes", "mask_agrees_with_probability", True),
    ("stitched_scenes", "model_is_current", False),
    ("calibration_temperature", "log_loss_does_not_rise", True),
    ("calibration_temperature", "calibration_error_does_not_rise", False),
    ("slice_reports", "candidate_is_not_broken", True),
}
JOBS = {
    "train_model": {name for name, (group, _) in ASSETS.items() if group == "training"},
    "map_scene": {name for name, (group, _) in ASSETS.items() if group == "inference"},
    "put_in_service": {"flood_model"},
}
SENSORS = {"new_scenes": True, "reviewed_models": True, "failed_runs": True, "old_probabilities": True}


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
    } == {("weekly_training", "train_model", "0 2 * * 0", "UTC", "STOPPED")}


@pytest.mark.parametrize("asset", [*training_assets, *inference_assets], ids=lambda asset: asset.key.to_user_string())
def test_every_asset_is_described_and_versioned(asset: AssetsDefinition):
    spec = next(iter(asset.specs))
    assert spec.description
    assert spec.code_version
    assert spec.kinds


def test_the_inference_assets_share_the_scenes_partitions():
    for asset in inference_assets:
        assert asset.partitions_def is not None
        assert asset.partitions_def.name == "scenes"
    assert all(asset.partitions_def is None for asset in training_assets)


def test_every_job_runs_in_one_process():
    for job in build_defs().get_repository_def().get_all_jobs():
        if not job.name.startswith("__"):
            assert job.executor_def.name == "in_process"


def test_overrides_come_in_by_the_same_door(tmp_path: Path):
    store = ArtefactStore(root=str(tmp_path))
    resources = build_defs({"store": store}).get_repository_def().get_top_level_resources()
    assert resources["store"].configurable_resource_cls is ArtefactStore


def test_loading_the_code_location_imports_nothing_heavy():
    code = f"import definitions, sys; print([name for name in {HEAVY} if name in sys.modules])"
    environment = {"PATH": "/usr/bin:/bin"}  # without any of our variables set
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_instance_limits_runs_watches_them_and_calls_nobody():
    import yaml

    values = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))
    assert values["run_queue"]["max_concurrent_runs"] <= 2
    assert values["run_monitoring"]["enabled"] is True
    assert values["telemetry"]["enabled"] is False
    assert values["nux"]["enabled"] is False
    assert values["run_retries"]["retry_on_asset_or_op_failure"] is False


def test_training_runs_go_one_at_a_time():
    import yaml

    limits = yaml.safe_load((ROOT / "dagster.yaml").read_text("utf-8"))["run_queue"]["tag_concurrency_limits"]
    limited = {limit["key"] for limit in limits if limit["limit"] == 1}
    repository = build_defs().get_repository_def()
    assert all(limited & set(repository.get_job(name).tags) for name in ("train_model", "put_in_service"))
    assert AssetKey("flood_model") in repository.get_job("put_in_service").asset_layer.executable_asset_keys
