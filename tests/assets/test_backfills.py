"""Many scenes in one run: a failed scene does not affect the others."""

from pathlib import Path
from threading import Event

import numpy as np
import pytest
import rasterio
from dagster import AssetCheckKey, AssetKey, AssetObservation, DagsterEventType, DagsterRun, EventRecordsFilter
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from assets.scene_runs import chain_from, wanted_checks
from assets.scene_stages import STAGES
from assets.scene_steps import SceneTools
from assets.scene_work import Abandoned, Checked, Ended, Made, SceneWork, until_left
from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.prefetch import Prefetched
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.storage import read_json
from resources.build import build_resources
from tests.lineage import CHECKOUT, Lineage

NAMES = ["a", "b", "bad", "c"]


@pytest.fixture(scope="module")
def scene_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("simulated")
    return {name: write_scene(folder, name, simulate_scene(seed, 96, 100)) for seed, name in enumerate("abc")}


@pytest.fixture
def lineage(tmp_path: Path, random_bundle: ModelBundle, scene_files: dict[str, Path]) -> Lineage:
    """Four scenes waiting, one of them no TIFF, and a model in service."""
    lineage = Lineage(tmp_path, {"tile": 64, "overlap": 8})
    lineage.serve(random_bundle)
    for file in scene_files.values():
        lineage.drop(file)
    (lineage.inbox / "bad.tif").write_bytes(b"this is no TIFF")
    for _ in range(2):
        lineage.tick()
    return lineage


def versions(lineage: Lineage, name: str) -> dict[str, str]:
    """The data version of each partition's newest materialisation."""
    records = lineage.instance.get_event_records(
        EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION, AssetKey(name)), ascending=True
    )
    found = [record.asset_materialization for record in records]
    return {str(event.partition): str((event.tags or {})["dagster/data_version"]) for event in found if event}


def test_a_backfill_is_one_run_in_which_a_bad_scene_stops_nothing_but_itself(lineage: Lineage):
    result = lineage.backfill(NAMES)
    assert not result.success
    failure = next(event for event in result.all_events if event.is_step_failure)
    shown = str(failure.step_failure_data.user_failure_data.description)
    assert "1 of 4 scenes failed, all others are done: bad: " in shown
    assert "bad.tif" in shown
    assert not any(event.event_type == DagsterEventType.STEP_UP_FOR_RETRY for event in result.all_events)
    for name in STAGES:
        assert lineage.instance.get_materialized_partitions(AssetKey(name)) == {"a", "b", "c"}, name
    for partition in "abc":
        folder = lineage.store.scenes.current(partition)
        assert folder is not None
        assert folder.is_complete()
    assert lineage.store.scenes.current("bad") is None
    reason = read_json(lineage.store.path / "failures" / "bad.json")
    assert (reason["step"], reason["partition"]) == ("raw_scenes", "bad")
    assert "bad.tif" in reason["reason"]


def test_every_scene_of_a_backfill_has_its_own_data_version_and_checks(lineage: Lineage):
    result = lineage.backfill(["a", "b"])
    assert result.success
    for name in STAGES:
        found = versions(lineage, name)
        assert set(found) == {"a", "b"}
        assert found["a"] != found["b"], name
    current = lineage.store.scenes.current("a")
    assert current is not None
    meta = current.scene.meta()
    assert versions(lineage, "raw_scenes")["a"] == meta.sha256
    checks = {(check.check_name, check.partition, check.passed) for check in result.get_asset_check_evaluations()}
    assert checks == {
        (name, partition, passed)
        for name, passed in {
            "scene_is_readable_and_georeferenced": True,
            "tiles_cover_the_scene": True,
            "probabilities_fit_the_scene": True,
            "scene_is_like_the_training_chips": True,
            "mask_agrees_with_probability": True,
            "model_is_current": True,
            "reference_is_known": False,  # their names have no dates
        }.items()
        for partition in "ab"
    }


def test_a_scene_mapped_alone_and_in_a_backfill_is_the_same_scene(lineage: Lineage):
    assert lineage.run("map_scene", "a").success
    alone = versions(lineage, "stitched_scenes")["a"]
    assert lineage.backfill(["a", "b"]).success
    assert versions(lineage, "stitched_scenes")["a"] == alone


def newest_tags(lineage: Lineage, name: str, partition: str) -> dict[str, str]:
    """The tags of the newest materialisation of a scene, without those that depend on the time."""
    wanted = EventRecordsFilter(DagsterEventType.ASSET_MATERIALIZATION, AssetKey(name), asset_partitions=[partition])
    records = lineage.instance.get_event_records(wanted, limit=1)
    tags = dict(records[0].asset_materialization.tags or {})
    # The record of a map holds the seconds it took, so its own version is of the moment too.
    of_the_moment = {"dagster/data_version"} if name == "scene_reports" else set()
    return {key: value for key, value in tags.items() if "pointer" not in key and key not in of_the_moment}


def test_dagster_gets_the_same_events_for_a_scene_alone_and_in_a_backfill(lineage: Lineage):
    assert lineage.run("map_scene", "a").success
    alone = {name: newest_tags(lineage, name, "a") for name in STAGES}
    assert lineage.backfill(["a", "b"]).success
    assert {name: newest_tags(lineage, name, "a") for name in STAGES} == alone


def test_no_scene_of_a_backfill_is_stale_until_its_own_input_changes(lineage: Lineage):
    def status(name: str, partition: str) -> StaleStatus:
        loading = LoadingContextForTest(lineage.instance)
        resolver = CachingStaleStatusResolver(lineage.instance, lineage.repository.asset_graph, loading)
        return resolver.get_status(AssetKey(name), partition)

    assert lineage.backfill(["a", "b"]).success
    assert {status(name, partition) for name in STAGES for partition in "ab"} == {StaleStatus.FRESH}
    with rasterio.open(lineage.inbox / "a.tif", "r+") as dataset:
        dataset.write(dataset.read(1) - np.float32(1), 1)
    assert lineage.run("map_scene", "a", asset_selection=[AssetKey("raw_scenes")]).success
    assert status("tiles", "a") == StaleStatus.STALE
    assert status("tiles", "b") == StaleStatus.FRESH
    # The layers of others make no map stale, whether somebody reports a version of them or not.
    observed = AssetObservation("reference_water", tags={"dagster/data_version": "2021"})
    lineage.instance.report_runless_asset_event(observed)
    assert status("stitched_scenes", "b") == StaleStatus.FRESH


def test_part_of_the_chain_can_be_run_again_for_many_scenes(lineage: Lineage):
    assert lineage.backfill(["a", "b"]).success
    before = len(lineage.instance.fetch_materializations(AssetKey("raw_scenes"), limit=100).records)
    result = lineage.backfill(["a", "b"], ["stitched_scenes", "scene_reports"])
    assert result.success
    assert len(lineage.instance.fetch_materializations(AssetKey("raw_scenes"), limit=100).records) == before
    assert len(lineage.instance.fetch_materializations(AssetKey("scene_reports"), limit=100).records) == 4


def test_the_network_is_made_ready_once_for_all_scenes(lineage: Lineage, monkeypatch: pytest.MonkeyPatch):
    from drshym_pipeline.model import compute

    made = []
    original = compute.TileNetwork

    def counted(*arguments: object) -> compute.TileNetwork:
        made.append(arguments)
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(compute, "_READY", {})
    monkeypatch.setattr(compute, "TileNetwork", counted)
    assert lineage.backfill(["a", "b"]).success
    assert len(made) == 1


@pytest.mark.parametrize(
    ("name", "selected", "chain"),
    [
        ("raw_scenes", list(STAGES), list(STAGES)),
        ("tile_probabilities", ["scene_reports", "tile_probabilities", "stitched_scenes"], list(STAGES)[2:]),
        ("raw_scenes", ["raw_scenes", "scene_reports"], ["raw_scenes"]),
        ("scene_reports", ["raw_scenes", "scene_reports"], ["scene_reports"]),
    ],
)
def test_a_run_goes_on_as_far_as_what_was_asked_for_hangs_together(name, selected, chain):
    assert chain_from(name, selected) == chain


def scene_tools(lineage: Lineage, progress: Progress) -> SceneTools:
    resources = build_resources(lineage.settings, CHECKOUT)
    return SceneTools(resources["bucket"], resources["store"], resources["engine"], progress, "a run")


def test_a_run_that_is_stopped_does_not_wait_for_the_scene_in_hand_and_leaves_no_half_of_it(lineage: Lineage):
    left, shown = Event(), []

    def listen(stage: str, done: int, total: int) -> None:
        shown.append(stage)
        if stage == "tile_probabilities":
            assert left.wait(30), "nobody said that the run was stopped"

    tools = scene_tools(lineage, until_left(listen, left))
    seen = []
    for event in Prefetched(SceneWork(tools, list(STAGES), ["a", "b"]), 1, left):
        seen.append(event)
        if isinstance(event, Made) and event.name == "tiles":
            break
    assert not any(isinstance(event, Ended) for event in seen)
    (folder,) = lineage.store.scenes.versions("a")
    assert folder.predictions() == []
    assert not list(folder.directory.rglob(".partial-*"))
    assert lineage.store.scenes.current("a") is None


def test_a_stopped_run_is_no_failure_of_its_scene(lineage: Lineage):
    left = Event()
    left.set()
    tools = scene_tools(lineage, until_left(silent, left))
    with pytest.raises(Abandoned):
        list(SceneWork(tools, list(STAGES), ["a"]))


def test_a_run_of_many_scenes_evaluates_only_the_checks_it_was_asked_for(lineage: Lineage):
    tools = scene_tools(lineage, silent)

    def evaluated(wanted: set[AssetCheckKey] | None) -> set[str]:
        run = DagsterRun("map_scene", asset_selection=frozenset(), asset_check_selection=wanted)
        work = SceneWork(tools, list(STAGES), ["a"], wanted_checks(run))
        return {event.check.name for event in work if isinstance(event, Checked)}

    tiles = AssetCheckKey(AssetKey("tiles"), "tiles_cover_the_scene")
    assert evaluated(None) == {check.name for stage in STAGES.values() for check in stage.checks}
    assert evaluated({tiles}) == {"tiles_cover_the_scene"}
    assert evaluated(set()) == set()
