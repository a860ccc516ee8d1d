"""The state of the release before opens and goes on; nothing is lost or mapped again by upgrading alone."""

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from deploy.local import open_instance, prepare_home
from drshym_pipeline.cli import main
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.model.service_record import model_in_service
from drshym_pipeline.scene_folder import MapFolder
from drshym_pipeline.scene_store import SceneStore
from resources.build import build_resources
from tests.lineage import CHECKOUT, Lineage
from tests.releases.state import unpack

FIRST, SECOND, BROKEN = "S1_20210111_first", "S1_20210112_second", "broken"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack("0.1.0", tmp_path_factory.mktemp("release") / "home")


@pytest.fixture
def home(unpacked: Path, tmp_path: Path) -> Path:
    from tests.releases.state import relocate

    copy = Path(shutil.copytree(unpacked, tmp_path / "home"))
    relocate(copy, str(unpacked), str(copy))
    return copy


def lineage_of(home: Path) -> Lineage:
    """The lineage on the kept state, with the cursor its daemon had."""
    lineage = Lineage(home, {"tile": 128, "overlap": 16})
    prepare_home(home)
    with open_instance(home) as instance:
        (state,) = [state for state in instance.all_instigator_state() if state.instigator_name == "new_scenes"]
        lineage.cursor = state.instigator_data.cursor
        lineage.instance.add_dynamic_partitions("scenes", list(instance.get_dynamic_partitions("scenes")))
    return lineage


def content(found: MapFolder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in found.products.iterdir()}


def test_scenes_maps_and_failures_are_found(home: Path):
    store = SceneStore(home / "store")
    assert {name: store.status(name).state for name in store.names()} == {
        FIRST: "mapped",
        SECOND: "mapped",
        BROKEN: "failed",
    }
    assert "broken.tif" in store.status(BROKEN).reason
    for name in (FIRST, SECOND):
        (found,) = store.finished_maps(name)
        assert found == store.current(name)
        assert found.is_complete()
        assert found.record().scene_id == name
        assert found.record().flooded is not None


def test_the_records_of_its_maps_fit_the_published_schema_of_today(home: Path):
    schema = json.loads((CHECKOUT / "docs" / "schemas" / "map_record-0.1.json").read_text())
    for name in (FIRST, SECOND):
        found = SceneStore(home / "store").current(name)
        assert found is not None
        jsonschema.validate(json.loads(found.product("record").read_text()), schema)
        assert found.record().separation is None


def test_status_lists_them(home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    assert main(["status"]) == 0
    out = capfd.readouterr().out
    assert "3 scenes, 1 outdated, 0 waiting, 1 failed" in out
    assert main(["status", FIRST]) == 0
    assert "1 finished map" in capfd.readouterr().out


def test_nothing_is_mapped_again_by_upgrading_alone(home: Path):
    lineage = lineage_of(home)
    assert lineage.cursor
    assert [lineage.tick() for _ in range(3)] == [[], [], []]
    assert lineage.message == "no new scenes"


def test_no_map_of_the_release_is_made_again_because_it_has_no_reference(home: Path):
    lineage = lineage_of(home)
    assert [lineage.tick("changed_references") for _ in range(3)] == [[], [], []]
    assert lineage.message == "no reference has changed"
    # A map that is made today can be made again, for instance when the earlier map is no longer there.
    assert lineage.run("map_scene", SECOND).success
    assert lineage.tick("changed_references") == []
    (lineage.store.scenes.folder / FIRST / "current.json").unlink()
    (request,) = lineage.tick("changed_references")
    assert request.partition_key == SECOND
    assert lineage.run("renew_maps", SECOND).success
    renewed = lineage.store.scenes.current(SECOND)
    assert renewed is not None
    assert renewed.record().separation is None
    assert lineage.tick("changed_references") == []


def test_a_changed_file_is_still_noticed(home: Path):
    lineage = lineage_of(home)
    (home / "inbox" / f"{BROKEN}.tif").write_bytes(b"another file")
    assert [request.partition_key for _ in range(2) for request in lineage.tick()] == [BROKEN]


def test_the_model_in_service_and_the_registry_open(home: Path):
    bundle, reference = model_in_service(home / "store")
    assert reference.source == "registry"
    lineage = Lineage(home)
    registry = build_resources(lineage.settings, CHECKOUT)["registry"]
    assert registry.champion().sha256 == registry.candidate().sha256 == bundle.sha256
    assert lineage.tick("reviewed_models") == []
    assert "is in service" in str(lineage.message)
    fetched = registry.download_bundle(registry.champion().version, home / "fetched")
    assert ModelBundle.load(fetched).sha256 == bundle.sha256


def test_the_checkpoint_of_the_package_enters_the_registry_as_a_candidate(home: Path):
    lineage = Lineage(home)
    registry = build_resources(lineage.settings, CHECKOUT)["registry"]
    before, versions = model_in_service(home / "store")[1], len(registry.versions())
    assert lineage.run("put_in_service").success
    candidate = registry.candidate()
    assert (candidate.sha256, candidate.source) == (shipped_bundle().sha256, "shipped")
    assert len(registry.versions()) == versions + 1
    assert model_in_service(home / "store")[1] == before, "an upgrade changed the model in service without a review"


def test_a_version_registered_by_the_release_predicts_through_mlflow(home: Path):
    """MLflow runs the copy of `resources/pyfunc_model.py` that the release kept with the version."""
    import mlflow

    registry = build_resources(Lineage(home).settings, CHECKOUT)["registry"]
    registry._client()
    loaded = mlflow.pyfunc.load_model(f"models:/{registry.model_name}/{registry.champion().version}")
    db = np.random.default_rng(42).uniform(-25.0, -5.0, (2, 2, 64, 64)).astype(np.float32)
    db[0, :, 3, 5] = np.nan
    water = loaded.predict(db)
    assert (water.dtype, water.shape) == (np.float32, (2, 64, 64))
    assert np.argwhere(np.isnan(water)).tolist() == [[0, 3, 5]]
    observed = water[np.isfinite(water)]
    assert observed.min() >= 0.0
    assert observed.max() <= 1.0
    assert observed.std() > 0.0


@pytest.mark.parametrize("scene", [FIRST, SECOND])
def test_a_scene_mapped_again_gets_a_new_map_beside_the_old_one(home: Path, scene: str):
    """The first scene was mapped by the shipped checkpoint of its day, the second by the model in service now."""
    lineage = lineage_of(home)
    before = lineage.store.scenes.current(scene)
    assert before is not None
    files = content(before)
    assert lineage.run("map_scene", scene).success
    after = lineage.store.scenes.current(scene)
    assert after is not None
    assert after.is_complete()
    # Scenes are read by other rules than in that release, so this is a new version of the scene.
    assert after.scene.directory != before.scene.directory
    assert before.is_complete()
    assert content(before) == files
    assert [found.version for found in lineage.store.scenes.finished_maps(scene)] == ["", after.version]
    old, new = before.record(), after.record()
    assert (old.model.source, new.model.source) == ({FIRST: "shipped", SECOND: "registry"}[scene], "registry")
    if scene == SECOND:
        assert new.model == old.model
        # Compared with the map that the release made of the scene of the day before; its water is the same.
        (earlier,) = new.separation.earlier_maps.maps
        assert (earlier.scene_id, earlier.map_version) == (FIRST, "")
        assert any("by another model" in warning for warning in new.warnings)
        assert new.pixels["flooded"] + new.pixels["permanent"] == old.pixels["flooded"]
        # That release measured one pixel per row; pixels are now exact to 1e-4 over the whole width.
        assert new.separation.water.text() == old.flooded.text()
        assert new.separation.water.km2 == pytest.approx(old.flooded.km2, rel=1e-4)
    else:
        assert new.separation is None


def test_a_stage_in_the_middle_says_what_has_to_be_made_first(home: Path):
    from dagster import AssetKey

    lineage = lineage_of(home)
    result = lineage.run("map_scene", SECOND, asset_selection=[AssetKey("stitched_scenes")])
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "tile_probabilities" in str(event.step_failure_data.user_failure_data.description)
    assert lineage.run(
        "map_scene", SECOND, asset_selection=[AssetKey(name) for name in ("tile_probabilities", "stitched_scenes")]
    ).success
