"""From a file in the watched folder to its flood map: real ticks, run requests and jobs, with a model in service."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from dagster import AssetKey, DagsterEventType, ExecuteInProcessResult
from rasterio.transform import from_origin

from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.records import now
from drshym_pipeline.scene_store import RunFailure
from drshym_pipeline.storage import read_json
from resources.run_limits import LONGEST_TAG, MAPPING_TAG, NEW_SCENE
from sensors.deadline import scene_deadline
from sensors.new_scenes import SEEN
from sensors.plan import PARTNER_TICKS
from tests.lineage import Lineage

INFERENCE = ["raw_scenes", "tiles", "tile_probabilities", "stitched_scenes", "scene_reports"]
CHECKS = {
    "scene_is_readable_and_georeferenced": True,
    "tiles_cover_the_scene": True,
    "probabilities_fit_the_scene": True,
    "scene_is_like_the_training_chips": True,
    "mask_agrees_with_probability": True,
    "model_is_current": True,
    "reference_is_known": False,  # nothing to compare with
}


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("simulated"), "S1_small", simulate_scene(3, 130, 170))


@pytest.fixture
def lineage(tmp_path: Path, random_bundle: ModelBundle) -> Lineage:
    lineage = Lineage(tmp_path, {"tile": 128, "overlap": 16})
    lineage.serve(random_bundle)
    return lineage


def band_file(path: Path, source: Path, band: int) -> Path:
    with rasterio.open(source) as dataset:
        profile = {**dataset.profile, "count": 1}
        values = dataset.read(band)
    with rasterio.open(path, "w", **profile) as target:
        target.write(values, 1)
    return path


def checks(result: ExecuteInProcessResult) -> dict[str, bool]:
    return {check.check_name: check.passed for check in result.get_asset_check_evaluations()}


def materialised(lineage: Lineage, partition: str) -> list[str]:
    return [name for name in INFERENCE if partition in lineage.instance.get_materialized_partitions(AssetKey(name))]


def failure(result: ExecuteInProcessResult) -> tuple[str, str, bool]:
    event = next(event for event in result.all_events if event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    retries = any(event.event_type == DagsterEventType.STEP_UP_FOR_RETRY for event in result.all_events)
    return str(event.step_key), str(data.description), retries


def test_a_scene_in_the_folder_becomes_a_map_with_all_its_files_and_checks(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file)
    result = lineage.map_all()["S1_small"]
    assert result.success
    assert materialised(lineage, "S1_small") == INFERENCE
    assert checks(result) == CHECKS
    assert {check.partition for check in result.get_asset_check_evaluations()} == {"S1_small"}
    folder = lineage.store.scenes.current("S1_small")
    assert folder is not None
    assert folder.is_complete()
    with rasterio.open(scene_file) as source, rasterio.open(folder.product("mask")) as mask:
        assert (mask.crs, mask.transform, mask.shape) == (source.crs, source.transform, source.shape)
    for key in INFERENCE:
        event = lineage.instance.get_latest_materialization_event(AssetKey(key))
        metadata = event.asset_materialization.metadata
        assert any("data:image/jpeg;base64," in str(entry.value) for entry in metadata.values()), key


def test_the_same_file_is_mapped_once_and_a_changed_one_again_as_a_new_version(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file)
    assert list(lineage.map_all(ticks=4)) == ["S1_small"]
    first = lineage.store.scenes.current("S1_small")
    changed = lineage.drop(scene_file)
    with rasterio.open(changed, "r+") as dataset:
        dataset.write(dataset.read(1) - 1.0, 1)
    assert lineage.map_all(ticks=4)["S1_small"].success
    second = lineage.store.scenes.current("S1_small")
    assert first is not None
    assert second is not None
    assert first.scene.directory != second.scene.directory
    assert first.is_complete()
    assert second.is_complete()


def test_the_run_of_a_new_scene_has_the_tags_of_its_kind_and_its_longest_time(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file)
    lineage.tick()
    (request,) = lineage.tick()
    assert request.tags[MAPPING_TAG] == NEW_SCENE
    assert request.tags[LONGEST_TAG] == str(scene_deadline(scene_file.stat().st_size))


def test_the_longest_time_of_a_scene_depends_on_both_of_its_files(lineage: Lineage):
    sizes = {"S1_two_vv.tif": 3_000_000, "S1_two_vh.tif": 5_000_000}
    for name, size in sizes.items():
        (lineage.inbox / name).write_bytes(bytes(size))
    requests = [request for _ in range(3) for request in lineage.tick()]
    assert [request.tags[LONGEST_TAG] for request in requests] == [str(scene_deadline(8_000_000))]


def test_a_half_written_file_is_not_mapped(lineage: Lineage, scene_file: Path):
    content = scene_file.read_bytes()
    target = lineage.inbox / "growing.tif"
    for size in (1000, 2000, 3000):
        target.write_bytes(content[:size])
        assert lineage.tick() == []
        assert "still changing" in str(lineage.message)
    (lineage.inbox / "other.tif.part").write_bytes(content)
    target.write_bytes(content)
    assert [request.partition_key for _ in range(3) for request in lineage.tick()] == ["growing"]


def test_a_bad_file_fails_alone_with_its_reason_and_leaves_nothing(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file)
    (lineage.inbox / "bad.tif").write_bytes(b"this is no TIFF")
    results = lineage.map_all()
    assert results["S1_small"].success
    step, reason, retried = failure(results["bad"])
    assert step == "raw_scenes"
    assert "bad.tif" in reason
    assert "\n" not in reason
    assert not retried
    left = sorted(path.name for path in (lineage.store.scenes.folder / "bad").iterdir())
    assert left == ["sources.json"]
    assert materialised(lineage, "bad") == []
    assert lineage.map_all(ticks=3) == {}


def test_a_failed_scene_is_mapped_again_when_its_file_is_touched_and_not_before(lineage: Lineage):
    bad = lineage.inbox / "bad.tif"
    bad.write_bytes(b"this is no TIFF")
    lineage.tick()
    first = lineage.tick()
    assert [request.partition_key for request in first] == ["bad"]
    assert not lineage.run("map_scene", "bad").success
    assert [lineage.tick() for _ in range(3)] == [[], [], []]
    moment = bad.stat().st_mtime_ns + 1_000_000_000
    os.utime(bad, ns=(moment, moment))
    assert lineage.tick() == []
    again = lineage.tick()
    assert [request.partition_key for request in again] == ["bad"]
    assert again[0].run_key != first[0].run_key
    assert lineage.tick() == []


def test_a_link_to_outside_the_folder_is_never_mapped(lineage: Lineage, scene_file: Path):
    (lineage.inbox / "link.tif").symlink_to(scene_file)
    assert lineage.map_all(ticks=3) == {}


def test_a_corrected_file_is_mapped_under_the_same_partition(lineage: Lineage, scene_file: Path):
    (lineage.inbox / "S1_small.tif").write_bytes(scene_file.read_bytes()[:500])
    assert not lineage.map_all()["S1_small"].success
    lineage.store.scenes.write_failure("S1_small", RunFailure(reason="cut", at=now()))
    lineage.drop(scene_file)
    assert lineage.map_all()["S1_small"].success
    assert not (lineage.store.path / "failures" / "S1_small.json").exists()


def test_a_scene_without_georeference_is_refused(lineage: Lineage):
    with rasterio.open(
        lineage.inbox / "nowhere.tif", "w", driver="GTiff", width=40, height=40, count=1, dtype="float32"
    ) as target:
        target.write(np.full((1, 40, 40), -12.0, np.float32))
    step, reason, _ = failure(lineage.map_all()["nowhere"])
    assert step == "raw_scenes"
    assert "nowhere.tif" in reason


def test_vv_is_mapped_alone_after_some_ticks_and_again_as_a_pair(lineage: Lineage, scene_file: Path, tmp_path: Path):
    vv = band_file(tmp_path / "x_vv.tif", scene_file, 1)
    vh = band_file(tmp_path / "x_vh.tif", scene_file, 2)
    lineage.drop(vh)
    assert lineage.map_all(ticks=4) == {}
    (lineage.inbox / "x_vh.tif").unlink()
    lineage.drop(vv)
    assert lineage.map_all(ticks=PARTNER_TICKS + 1) == {}
    assert lineage.map_all(ticks=1)["x"].success
    alone = lineage.store.scenes.current("x")
    assert alone is not None
    assert alone.scene.meta().mode == "vv"
    lineage.drop(vh)
    assert lineage.map_all(ticks=2)["x"].success
    both = lineage.store.scenes.current("x")
    assert both is not None
    assert both.scene.meta().mode == "vv_vh"
    assert both.directory != alone.directory


def test_equal_names_in_two_folders_do_not_conflict(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file, "rome/S1.tif")
    lineage.drop(scene_file, "milan/S1.tif")
    lineage.tick()
    partitions = {request.partition_key for request in lineage.tick()}
    assert partitions == {"rome-S1", "milan-S1"}
    assert lineage.store.sources("rome-S1") == ["rome/S1.tif"]
    assert lineage.store.sources("milan-S1") == ["milan/S1.tif"]


def test_a_failed_listing_fails_the_tick_and_forgets_nothing(tmp_path: Path, scene_file: Path):
    inbox = tmp_path / "mount"
    lineage = Lineage(tmp_path / "home", {"inbox": inbox})
    lineage.drop(scene_file)
    lineage.tick()
    assert len(lineage.tick()) == 1
    cursor = lineage.cursor
    shutil.move(inbox, tmp_path / "unmounted")
    with pytest.raises(NotADirectoryError):
        lineage.tick()
    shutil.move(tmp_path / "unmounted", inbox)
    lineage.cursor = cursor
    assert [lineage.tick(), lineage.tick()] == [[], []]


def test_the_tick_after_a_killed_one_requests_the_same_runs_again(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file)
    lineage.tick()
    committed = lineage.cursor
    first = lineage.tick()
    lineage.cursor = committed
    again = lineage.tick()
    assert [request.run_key for request in first] == [request.run_key for request in again]


def test_the_cursor_is_a_digest_however_many_scenes_there_are(lineage: Lineage):
    for number in range(40):
        (lineage.inbox / f"{number}.tif").write_bytes(b"x")
    lineage.tick()
    assert len(str(lineage.cursor)) == 64
    assert len(read_json(lineage.store.path / "objects" / SEEN / f"{lineage.cursor}.json")) == 40


def test_a_backfill_from_the_ui_needs_nothing_but_the_partition(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file)
    lineage.map_all()
    assert lineage.run("map_scene", "S1_small").success


def test_a_map_of_a_scene_without_observation_says_so(lineage: Lineage):
    profile = {"driver": "GTiff", "width": 60, "height": 50, "count": 2, "dtype": "float32", "crs": "EPSG:32644"}
    transform = from_origin(500_000, 2_900_000, 10, 10)
    with rasterio.open(lineage.inbox / "S1_empty_dB.tif", "w", **profile, transform=transform) as target:
        target.write(np.full((2, 50, 60), np.nan, np.float32))
    result = lineage.map_all()["S1_empty_dB"]
    assert result.success
    assert checks(result) == CHECKS
    folder = lineage.store.scenes.current("S1_empty_dB")
    assert folder is not None
    assert folder.record().flooded is None
    assert "not observed" in folder.record().caption.lower() or "no pixel" in folder.record().caption.lower()
