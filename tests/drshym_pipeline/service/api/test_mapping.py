"""From a request to a map or a job, with a real server and a real worker."""

from __future__ import annotations

import json
from pathlib import Path

import rasterio

from tests.http_service import SMALL_TILES, ask_for, await_job, file_part, problem_of
from tests.small_scenes import write_lake_scene


def test_the_answer_has_the_form_that_clients_of_the_original_system_expect(answer):
    assert answer["scene_id"] == "S1_scene_001"
    outputs = answer["outputs"]
    for key, name in (("mask_uri", "mask.tif"), ("proba_uri", "proba.tif"), ("overlay_png", "overlay.png")):
        assert outputs[key].startswith("file:///")
        assert outputs[key].endswith(f"/S1_scene_001_{name}")
    assert isinstance(answer["caption"], str)
    assert {"model", "threshold", "calibration"} <= answer["provenance"].keys()
    assert answer["provenance"]["calibration"].startswith("temperature=")
    assert answer["policy"] == {"crs_kept": True, "geojson_exported": True}


def test_the_files_of_the_answer_are_those_that_the_links_serve(client, answer):
    path = Path(answer["outputs"]["mask_uri"].removeprefix("file://"))
    assert client.get(answer["outputs"]["links"]["mask"]).content == path.read_bytes()


def test_an_upload_gives_the_same_map_as_an_address(client, answer, scene):
    sent = client.post(
        "/v1/segment/upload", files=[file_part(scene)], data={"options": json.dumps(SMALL_TILES), "name": "uploaded"}
    )
    uploaded = sent.raise_for_status().json()
    assert uploaded["scene_id"] == "uploaded"
    paths = [Path(found["outputs"]["proba_uri"].removeprefix("file://")) for found in (uploaded, answer)]
    with rasterio.open(paths[0]) as one, rasterio.open(paths[1]) as other:
        assert (one.read() == other.read()).all()


def test_two_uploaded_files_are_one_scene_whatever_their_order(client, folder):
    vv = write_lake_scene(folder / "pair" / "x_vv.tif", shape=(64, 64), bands=("VV",))
    vh = write_lake_scene(folder / "pair" / "x_vh.tif", shape=(64, 64), bands=("VH",))
    sent = client.post(
        "/v1/segment/upload", files=[file_part(vh), file_part(vv)], data={"options": json.dumps(SMALL_TILES)}
    ).raise_for_status()
    assert sent.json()["scene_id"] == "x"
    record = client.get(sent.json()["outputs"]["links"]["record"]).json()
    assert record["modality"] == "sentinel1_sar_vv_vh"


def test_a_scene_from_before_separates_flood(client, folder):
    now = write_lake_scene(folder / "now.tif", shape=(64, 64))
    before = write_lake_scene(folder / "before.tif", shape=(64, 64), lake=0.1, seed=3)
    sent = client.post(
        "/v1/segment/upload",
        files=[file_part(now), file_part(before, field="pre_file")],
        data={"options": json.dumps(SMALL_TILES)},
    ).raise_for_status()
    assert sent.json()["water_separated"] is True
    assert sent.json()["outputs"]["flood_proba_uri"].endswith("_flood_proba.tif")


def test_the_uploaded_files_are_deleted_when_the_job_has_ended(client, settings, answer, scene):
    client.post("/v1/segment/upload", files=[file_part(scene)], data={"options": json.dumps(SMALL_TILES)})
    assert list((settings.root / "uploads").iterdir()) == []


def test_a_chosen_threshold_is_used_and_the_answer_says_so(client, folder):
    other = write_lake_scene(folder / "scenes" / "chosen.tif", shape=(64, 64))
    found = ask_for(client, str(other), options={**SMALL_TILES, "threshold": 0.9}).raise_for_status().json()
    assert found["provenance"]["threshold"] == 0.9
    assert "chosen by the user" in found["provenance"]["threshold_note"]


def test_a_large_scene_becomes_a_job_with_an_address(client, folder):
    large = write_lake_scene(folder / "scenes" / "large.tif", shape=(240, 300))
    sent = ask_for(client, str(large))
    assert sent.status_code == 202
    assert sent.headers["location"] == f"/v1/jobs/{sent.json()['id']}"
    ended = await_job(client, sent.headers["location"])
    assert ended["state"] == "done"
    assert ended["result"]["scene_id"] == "large"
    assert ended["id"] in [job["id"] for job in client.get("/v1/jobs").json()["jobs"]]


def test_with_wait_false_the_answer_is_a_job(client, folder):
    small = write_lake_scene(folder / "scenes" / "patient.tif", shape=(64, 64))
    sent = ask_for(client, str(small), wait=False)
    assert sent.status_code == 202
    assert await_job(client, sent.headers["location"])["state"] == "done"


def test_a_waiting_job_can_be_cancelled_and_a_finished_one_not(client, folder):
    slow = write_lake_scene(folder / "scenes" / "slow.tif", shape=(390, 400))
    first = ask_for(client, str(slow), wait=False)
    second = ask_for(client, str(slow), wait=False)
    cancelled = client.delete(second.headers["location"])
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["problem"]["code"] == "cancelled"
    done = await_job(client, first.headers["location"])
    assert done["state"] == "done"
    problem_of(client.delete(first.headers["location"]), 409, "job_ended")


def test_a_map_of_an_upload_names_the_files_of_the_user(client, folder):
    now = write_lake_scene(folder / "named" / "now.tif", shape=(64, 64))
    before = write_lake_scene(folder / "named" / "before.tif", shape=(64, 64), lake=0.1, seed=3)
    sent = client.post(
        "/v1/segment/upload",
        files=[file_part(now, "my flood.tif"), file_part(before, field="pre_file")],
        data={"options": json.dumps(SMALL_TILES), "name": "named"},
    )
    found = sent.raise_for_status().json()
    record = client.get(found["outputs"]["links"]["record"]).json()
    assert record["source_uris"] == ["upload:my%20flood.tif"]
    with rasterio.open(found["outputs"]["mask_uri"].removeprefix("file://")) as mask:
        tags = mask.tags()
    assert tags["DRSHYM_SOURCE"] == "upload:my%20flood.tif"
    assert tags["DRSHYM_PRE_EVENT_SOURCE"] == "upload:before.tif"
    report = client.get(found["outputs"]["links"]["report"]).text
    assert "/uploads/" not in json.dumps(record) + str(tags) + report


def test_a_refused_scene_leaves_its_id_to_others(client, settings, folder):
    bad = folder / "scenes" / "taken.tif"
    with rasterio.open(write_lake_scene(folder / "whole.tif", shape=(64, 64))) as whole:
        values, profile = whole.read(1), {**whole.profile, "count": 1, "crs": None}
    with rasterio.open(bad, "w", **profile) as target:
        target.write(values, 1)
    problem_of(ask_for(client, str(bad)), 422, "scene_refused")
    assert not (settings.root / "scenes" / "taken").exists()


def test_a_finished_job_says_when_its_map_was_replaced_or_deleted(client, folder):
    scene = write_lake_scene(folder / "scenes" / "again.tif", shape=(64, 64))
    first, second = (ask_for(client, str(scene), wait=False).headers["location"] for _ in range(2))
    assert await_job(client, second)["result"]["scene_id"] == "again"
    replaced = client.get(first).json()
    assert (replaced["state"], replaced["result"]) == ("done", None)
    assert replaced["note"].endswith("/v1/scenes/again")
    client.delete("/v1/scenes/again").raise_for_status()
    assert client.get(second).json()["note"].startswith("The map was deleted.")
