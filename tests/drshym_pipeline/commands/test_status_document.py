"""`drshym status --json`: the state of a store for other programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import pytest

from docs.schemas.__main__ import schema
from drshym_pipeline import stages
from drshym_pipeline.ancillary.folder import AncillaryFolder
from drshym_pipeline.ancillary.layers import LAND_COVER, Cell
from drshym_pipeline.cli import main
from drshym_pipeline.model.service_record import write_in_service
from drshym_pipeline.records import MapRecord
from drshym_pipeline.references.layers_plan import LayersReference
from drshym_pipeline.references.reference_plan import ReferencePlan
from drshym_pipeline.scene_store import SceneStore
from tests.ancillary_tiles import everywhere, write_tile
from tests.releases.state import relocate, unpack

FIRST, SECOND, BROKEN = "S1_20210111_first", "S1_20210112_second", "broken"


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    return unpack("0.1.0", tmp_path_factory.mktemp("release") / "home")


@pytest.fixture
def store(unpacked, tmp_path, monkeypatch) -> SceneStore:
    """A store with two mapped scenes and a failed one, as the daemon writes it."""
    home = Path(shutil.copytree(unpacked, tmp_path / "used"))
    relocate(home, str(unpacked), str(home))
    monkeypatch.setenv("DRSHYM_HOME", str(home))
    return SceneStore(home / "store")


@pytest.fixture
def run(capfd):
    def run(*arguments):
        capfd.readouterr()
        code = main(["status", *arguments, "--json"])
        printed = capfd.readouterr()
        document = json.loads(printed.out)
        jsonschema.validate(document, schema("status_document-0.1.json"))
        assert document["exit_code"] == code
        return code, document, printed.err

    return run


def test_an_empty_store_has_no_scenes_and_the_shipped_model(run):
    code, document, err = run()
    assert (code, document["scenes"], err) == (0, [], "")
    assert document["model"]["choice"] == "shipped"


def test_mapped_waiting_and_failed_scenes_have_different_states(run, store):
    store.write_sources("S2_new", {"files": ("S2_new.tif",), "run_key": "S2_new:1:x"})
    code, document, err = run()
    assert (code, err) == (0, "")
    scenes = {scene["scene"]: scene for scene in document["scenes"]}
    assert {name: scene["state"] for name, scene in scenes.items()} == {
        FIRST: "mapped",
        SECOND: "mapped",
        BROKEN: "failed",
        "S2_new": "waiting",
    }
    assert "broken.tif" in scenes[BROKEN]["reason"]
    assert scenes["S2_new"]["files"] == ["S2_new.tif"]
    assert scenes[BROKEN]["maps"] == scenes["S2_new"]["maps"] == []
    assert document["model"]["choice"] == "in_service"
    (found,) = scenes[FIRST]["maps"]
    assert found["newest"]
    assert found["outdated"] == (found["record"]["model"]["sha256"] != document["model"]["sha256"])
    record = MapRecord.model_validate(found["record"])
    assert (Path(found["folder"]) / record.files["mask"]).is_file()


@pytest.mark.parametrize("scene", [(), ("S3_flood",)], ids=["all scenes", "one scene"])
def test_the_table_says_for_each_map_what_its_area_is(capfd, store, random_bundle, scene_file, tmp_path, scene):
    now = scene_file(tmp_path / "S3_20210111.tif", shape=(64, 80))
    folder = stages.stage([now], store.root / "scenes", scene_id="S3_flood")
    write_tile(tmp_path / "layers", LAND_COVER, Cell(81, 18), everywhere(80), nodata=0)
    layers = LayersReference(AncillaryFolder(tmp_path / "layers"), folder.meta().map_grid)
    model = random_bundle.reference("registry")
    predicted = stages.predict(stages.write_tiles(folder, tile=64, overlap=8), random_bundle, model)
    store.set_current("S3_flood", stages.report(stages.stitch(predicted, reference=ReferencePlan((layers,)))), None)
    capfd.readouterr()
    assert main(["status", *scene]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert sum("  flooded: " in line for line in lines) == 1
    assert sum("  open water, flood not separated: " in line for line in lines) == (0 if scene else 2)
    assert not any("open water  " in line for line in lines)


def test_a_map_by_another_model_is_outdated(run, store, checkpoint, random_bundle):
    def outdated() -> dict[str, bool]:
        return {scene["scene"]: found["outdated"] for scene in run()[1]["scenes"] for found in scene["maps"]}

    assert outdated() == {FIRST: True, SECOND: False}
    write_in_service(store.root, checkpoint, random_bundle.reference("registry"), "for a test")
    assert outdated() == {FIRST: True, SECOND: True}


def test_one_scene_has_all_its_maps_and_no_other_scene(run, store):
    _, document, _ = run(FIRST)
    (scene,) = document["scenes"]
    assert scene["scene"] == FIRST
    assert len(scene["maps"]) == len(store.finished_maps(FIRST)) == 1


def test_an_unknown_scene_is_a_failure_in_the_document(run, store):
    code, document, err = run("S1_20210111_frist")
    assert (code, document["scenes"], document["model"]) == (2, [], None)
    (failure,) = document["failures"]
    assert (failure["file"], failure["kind"]) == ("S1_20210111_frist", "input")
    assert failure["remedy"] == f"Did you mean '{FIRST}'?"
    assert err.count("id you mean") == 1
