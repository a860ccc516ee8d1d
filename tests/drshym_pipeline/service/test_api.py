"""The API with a real server and a real worker, from the request to the files of the map."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import rasterio

from drshym_pipeline.service.settings import ServiceSettings
from tests.http_service import ExplicitSettings, await_job, file_part, problem_of, served
from tests.small_scenes import write_lake_scene

SMALL = {"tile": 64, "overlap": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("service")


@pytest.fixture(scope="module")
def settings(folder, random_bundle) -> ServiceSettings:
    for name in ("scenes", "outside", "root"):
        (folder / name).mkdir()
    return ExplicitSettings(
        root=folder / "root",
        input_roots=(folder / "scenes",),
        checkpoint=Path(random_bundle.save(folder / "bundle")),
        workers=1,
        at_once_pixels=200 * 300,
        at_once_seconds=600.0,
        scene_pixels=400 * 400,
        upload_bytes=1 << 20,
        rate="100000/minute",
    )


@pytest.fixture(scope="module")
def client(settings) -> Iterator[httpx.Client]:
    with served(settings) as client:
        yield client


@pytest.fixture(scope="module")
def scene(folder) -> Path:
    return write_lake_scene(folder / "scenes" / "S1_scene_001.tif", shape=(100, 120))


def ask(client: httpx.Client, uri: object, **more: object) -> httpx.Response:
    return client.post("/v1/segment", json={"domain": "flood_sar", "image_uri": uri, "options": SMALL, **more})


@pytest.fixture(scope="module")
def answer(client, scene) -> dict:
    return ask(client, scene.as_uri()).raise_for_status().json()


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
        "/v1/segment/upload", files=[file_part(scene)], data={"options": json.dumps(SMALL), "name": "uploaded"}
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
        "/v1/segment/upload", files=[file_part(vh), file_part(vv)], data={"options": json.dumps(SMALL)}
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
        data={"options": json.dumps(SMALL)},
    ).raise_for_status()
    assert sent.json()["water_separated"] is True
    assert sent.json()["outputs"]["flood_proba_uri"].endswith("_flood_proba.tif")


def test_the_uploaded_files_are_deleted_when_the_job_has_ended(client, settings, answer, scene):
    client.post("/v1/segment/upload", files=[file_part(scene)], data={"options": json.dumps(SMALL)})
    assert list((settings.root / "uploads").iterdir()) == []


def test_a_chosen_threshold_is_used_and_the_answer_says_so(client, folder):
    other = write_lake_scene(folder / "scenes" / "chosen.tif", shape=(64, 64))
    found = ask(client, str(other), options={**SMALL, "threshold": 0.9}).raise_for_status().json()
    assert found["provenance"]["threshold"] == 0.9
    assert "chosen by the user" in found["provenance"]["threshold_note"]


def test_a_large_scene_becomes_a_job_with_an_address(client, folder):
    large = write_lake_scene(folder / "scenes" / "large.tif", shape=(240, 300))
    sent = ask(client, str(large))
    assert sent.status_code == 202
    assert sent.headers["location"] == f"/v1/jobs/{sent.json()['id']}"
    ended = await_job(client, sent.headers["location"])
    assert ended["state"] == "done"
    assert ended["result"]["scene_id"] == "large"
    assert ended["id"] in [job["id"] for job in client.get("/v1/jobs").json()["jobs"]]


def test_with_wait_false_the_answer_is_a_job(client, folder):
    small = write_lake_scene(folder / "scenes" / "patient.tif", shape=(64, 64))
    sent = ask(client, str(small), wait=False)
    assert sent.status_code == 202
    assert await_job(client, sent.headers["location"])["state"] == "done"


def test_a_waiting_job_can_be_cancelled_and_a_finished_one_not(client, folder):
    slow = write_lake_scene(folder / "scenes" / "slow.tif", shape=(390, 400))
    first = ask(client, str(slow), wait=False)
    second = ask(client, str(slow), wait=False)
    cancelled = client.delete(second.headers["location"])
    assert cancelled.status_code == 200
    assert cancelled.json()["state"] == "cancelled"
    assert cancelled.json()["problem"]["code"] == "cancelled"
    done = await_job(client, first.headers["location"])
    assert done["state"] == "done"
    problem_of(client.delete(first.headers["location"]), 409, "job_ended")


def test_the_list_of_scenes_has_pages(client, answer):
    first = client.get("/v1/scenes", params={"limit": 1}).json()
    assert first["total"] >= 2
    assert len(first["scenes"]) == 1
    second = client.get(first["next"]).json()
    assert second["scenes"][0]["id"] != first["scenes"][0]["id"]
    assert client.get("/v1/scenes", params={"offset": first["total"]}).json()["next"] is None


def test_a_scene_has_its_place_its_areas_and_its_files(client, answer):
    found = client.get("/v1/scenes/S1_scene_001").raise_for_status().json()
    west, south, east, north = found["summary"]["bounds"]
    assert 80.9 < west < east < 81.1
    assert 18.0 < south < north < 18.2
    assert found["shape"] == [100, 120]
    assert found["crs"] == "EPSG:32644"
    assert set(found["areas"]) == {"dry", "flooded", "permanent", "excluded", "not_observed"}
    assert {"mask", "proba", "flood", "report", "record", "backscatter"} <= found["files"].keys()
    assert found["areas"]["flooded"] == answer["flooded"]["km2"]


@pytest.mark.parametrize(
    ("kind", "content_type", "disposition"),
    [
        ("mask", "image/tiff; application=geotiff; profile=cloud-optimized", "attachment"),
        ("flood", "application/geo+json", "attachment"),
        ("overlay", "image/png", "inline"),
        ("report", "text/html; charset=utf-8", "inline"),
        ("caption", "text/plain; charset=utf-8", "inline"),
        ("style", "application/xml", "attachment"),
    ],
)
def test_files_have_their_type_and_name(client, answer, kind, content_type, disposition):
    path = answer["outputs"]["links"][kind]
    for response in (client.get(path), client.head(path)):
        assert response.headers["content-type"] == content_type
        assert response.headers["content-disposition"] == f'{disposition}; filename="{path.rpartition("/")[2]}"'
        assert int(response.headers["content-length"]) > 0


def test_files_are_read_in_parts_and_not_twice(client, answer):
    path = answer["outputs"]["links"]["mask"]
    whole = client.get(path)
    part = client.get(path, headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, whole.content[4:10])
    assert part.headers["content-range"] == f"bytes 4-9/{len(whole.content)}"
    assert client.get(path, headers={"Range": "bytes=-5"}).content == whole.content[-5:]
    known = client.get(path, headers={"If-None-Match": whole.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")
    assert known.headers["etag"] == whole.headers["etag"]
    changed = {"Range": "bytes=4-9", "If-Range": '"another"'}
    assert client.get(path, headers=changed).content == whole.content


def test_a_range_outside_the_file_is_a_problem_and_a_strange_one_is_ignored(client, answer):
    path = answer["outputs"]["links"]["mask"]
    size = len(client.get(path).content)
    outside = client.get(path, headers={"Range": f"bytes={size}-"})
    problem_of(outside, 416, "range_not_satisfiable")
    assert outside.headers["content-range"] == f"bytes */{size}"
    for header in ("lines=1-2", "bytes=9-4", "bytes=x-y", "bytes"):
        assert client.get(path, headers={"Range": header}).status_code == 200


def test_all_files_come_in_one_zip(client, answer):
    sent = client.get("/v1/scenes/S1_scene_001/archive.zip").raise_for_status()
    with zipfile.ZipFile(io.BytesIO(sent.content)) as archive:
        assert archive.testzip() is None
        assert "S1_scene_001_mask.tif" in archive.namelist()
        mask = archive.read("S1_scene_001_mask.tif")
    assert mask == client.get(answer["outputs"]["links"]["mask"]).content


def test_the_thumbnail_is_a_picture(client, answer):
    sent = client.get("/v1/scenes/S1_scene_001/thumbnail.png").raise_for_status()
    assert sent.content.startswith(b"\x89PNG")


def test_a_deleted_scene_is_gone_with_its_files(client, folder):
    gone = write_lake_scene(folder / "scenes" / "gone.tif", shape=(64, 64))
    found = ask(client, str(gone)).raise_for_status().json()
    assert client.delete("/v1/scenes/gone").status_code == 204
    problem_of(client.get("/v1/scenes/gone"), 404, "unknown_scene")
    problem_of(client.get(found["outputs"]["links"]["mask"]), 404, "unknown_scene")
    assert not Path(found["outputs"]["mask_uri"].removeprefix("file://")).exists()
    problem_of(client.delete("/v1/scenes/gone"), 404, "unknown_scene")


def test_the_page_of_metrics_counts_requests_jobs_and_stages(client, answer):
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert 'drshym_requests_total{method="POST",route="/v1/segment",status="200"}' in page.text
    for name in ("drshym_jobs_ended_total{how=", "drshym_workers 1.0", "drshym_queue_length 0.0", "drshym_disk_bytes"):
        assert name in page.text, name
    assert 'drshym_stage_seconds_total{stage="predict"}' in page.text


def test_the_model_is_named(client, random_bundle):
    assert client.get("/v1/model").json()["sha256"] == random_bundle.sha256


# --- inputs that cannot be used ---------------------------------------------------------------------------------------

BAD_BODIES = {
    "another domain": ({"domain": "crops", "image_uri": "x"}, "the domain 'crops' is not known"),
    "an unknown key": ({"domain": "flood_sar", "image_uri": "x", "image_url": "y"}, "unknown key 'image_url'"),
    "an unknown option": (
        {"domain": "flood_sar", "image_uri": "x", "options": {"tiel": 5}},
        "unknown key 'options.tiel'. Did you mean 'tile'?",
    ),
    "no image": ({"domain": "flood_sar"}, "the key 'image_uri' is missing"),
    "three images": ({"domain": "flood_sar", "image_uri": ["a", "b", "c"]}, "image_uri"),
    "a number as image": ({"domain": "flood_sar", "image_uri": 1}, "image_uri"),
    "a small tile": ({"domain": "flood_sar", "image_uri": "x", "options": {"tile": 8}}, "options.tile"),
    "a tile as text": ({"domain": "flood_sar", "image_uri": "x", "options": {"tile": "big"}}, "options.tile"),
    "a threshold of 1": ({"domain": "flood_sar", "image_uri": "x", "options": {"threshold": 1}}, "options.threshold"),
    "an odd minimum area": (
        {"domain": "flood_sar", "image_uri": "x", "options": {"min_area_ha": 0.55}},
        "options.min_area_ha",
    ),
    "a list": ([], "dictionary"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_with_a_fault_is_refused_with_the_name_of_the_key(client, name):
    body, said = BAD_BODIES[name]
    assert said in problem_of(client.post("/v1/segment", json=body), 422, "invalid_request")


def test_a_body_that_is_no_json_is_refused(client):
    sent = client.post("/v1/segment", content=b'{"domain":', headers={"Content-Type": "application/json"})
    assert "not valid JSON" in problem_of(sent, 422, "invalid_request")
    nan = b'{"domain": "flood_sar", "image_uri": "x", "options": {"threshold": NaN}}'
    sent = client.post("/v1/segment", content=nan, headers={"Content-Type": "application/json"})
    problem_of(sent, 422, "invalid_request")


def test_a_body_of_another_type_is_refused(client):
    problem_of(client.post("/v1/segment", data={"domain": "flood_sar"}), 415, "unsupported_media_type")
    problem_of(client.post("/v1/segment/upload", json={}), 415, "unsupported_media_type")


def test_a_large_body_is_refused(client):
    body = json.dumps({"domain": "flood_sar", "image_uri": "x" * (2 << 20)}).encode()
    for content in (body, iter([body])):
        sent = client.post("/v1/segment", content=content, headers={"Content-Type": "application/json"})
        problem_of(sent, 413, "too_large")


def test_an_unknown_parameter_is_refused_by_name(client):
    said = problem_of(client.get("/v1/scenes", params={"limitt": 3}), 422, "invalid_request")
    assert "'limitt'" in said
    assert "'limit'" in said
    problem_of(client.get("/health", params={"x": 1}), 422, "invalid_request")


@pytest.mark.parametrize(
    "uri",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "/etc/there_is_no_such_file",
        "../../etc/passwd",
        "etc/passwd",
        "http://127.0.0.1/scene.tif",
        "s3://bucket/scene.tif",
        "/vsicurl/http://127.0.0.1/scene.tif",
        "file://other-host/scene.tif",
        "\x00",
        "{scenes}/../outside/secret.tif",
        "{scenes}/link_out.tif",
        "{scenes}/link_folder/secret.tif",
        "file://{scenes}/%2e%2e/outside/secret.tif",
    ],
)
def test_an_address_outside_the_folders_gets_one_answer_whether_a_file_is_there_or_not(client, folder, uri):
    scenes, secret = folder / "scenes", folder / "outside" / "secret.tif"
    secret.write_bytes(b"II*\0secret")
    for link, target in (("link_out.tif", secret), ("link_folder", secret.parent)):
        if not (scenes / link).is_symlink():
            (scenes / link).symlink_to(target)
    text = uri.replace("{scenes}", str(scenes))
    refused = problem_of(ask(client, text), 403, "forbidden_address")
    assert refused == problem_of(ask(client, "/etc/there_is_no_such_file"), 403, "forbidden_address")
    assert problem_of(ask(client, str(folder / "scenes" / "none.tif"), pre_image_uri=text), 422, "scene_refused")
    here = write_lake_scene(scenes / "here.tif", shape=(64, 64))
    assert problem_of(ask(client, str(here), pre_image_uri=text), 403, "forbidden_address") == refused


def test_a_missing_file_below_the_folders_is_named(client, folder):
    said = problem_of(ask(client, str(folder / "scenes" / "none.tif")), 422, "scene_refused")
    assert said == f"{folder / 'scenes' / 'none.tif'}: the file does not exist. Check the address."


def test_the_sentence_about_a_bad_scene_is_that_of_the_command(client, folder, capsys, settings):
    from drshym_pipeline.cli import main

    bad = folder / "scenes" / "text.tif"
    bad.write_text("this is no raster")
    said = problem_of(ask(client, str(bad)), 422, "scene_refused")
    assert main(["segment", str(bad), "--out", str(folder / "maps"), "--checkpoint", str(settings.checkpoint)]) == 2
    assert f"error: {said}\n" in capsys.readouterr().err


def test_a_scene_that_fails_in_the_worker_gets_the_sentence_of_the_command(client, folder, capsys, settings):
    from drshym_pipeline.cli import main

    bad = write_lake_scene(folder / "scenes" / "no_vv.tif", shape=(64, 64), bands=("VH",))
    said = problem_of(ask(client, str(bad)), 422, "scene_refused")
    assert main(["segment", str(bad), "--out", str(folder / "maps"), "--checkpoint", str(settings.checkpoint)]) == 2
    assert f"error: {said}\n" in capsys.readouterr().err


def test_an_overlap_that_does_not_fit_the_tile_is_refused(client, scene):
    refused = ask(client, str(scene), options={"tile": 64, "overlap": 64})
    assert "overlap" in problem_of(refused, 422, "scene_refused")


def test_a_scene_with_too_many_pixels_is_refused(client, folder):
    huge = write_lake_scene(folder / "scenes" / "huge.tif", shape=(420, 420))
    said = problem_of(ask(client, str(huge)), 413, "scene_too_large")
    assert "176400 pixels" in said


@pytest.mark.parametrize(
    "path",
    [
        "/v1/scenes/{id}/files/..%2F..%2Fjobs.sqlite",
        "/v1/scenes/{id}/files/%2Fetc%2Fpasswd",
        "/v1/scenes/{id}/files/%2E%2E",
        "/v1/scenes/{id}/files/none.tif",
        "/v1/scenes/{id}/files/%00",
        "/v1/scenes/..%2F..%2Fuploads",
        "/v1/scenes/%2E%2E",
        "/v1/scenes/%00",
        "/v1/scenes/%ff",
        "/v1/scenes/lineage.",
        "/v1/scenes/lineage...%2Fx",
        "/v1/jobs/..%2Fx",
        "/v1/jobs/%00",
        "/static/..%2Fapp.py",
        "/static/../app.py",
        "/static/%2Fetc%2Fpasswd",
        "/nothing",
        "/docs",
    ],
)
def test_no_path_leads_out_of_a_folder(client, answer, path):
    response = client.get(path.replace("{id}", "S1_scene_001"))
    assert response.status_code == 404
    assert response.json()["code"] in ("unknown_scene", "unknown_file", "unknown_job", "not_found")
    assert "Traceback" not in response.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET", "OPTIONS", "TRACE"])
def test_other_methods_are_refused_with_those_that_are_allowed(client, method):
    response = client.request(method, "/v1/segment")
    problem_of(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_every_answer_has_the_security_headers(client, answer):
    for path in ("/", "/health", "/v1/scenes", "/nothing", answer["outputs"]["links"]["report"]):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers
    assert "sandbox" in client.get(answer["outputs"]["links"]["report"]).headers["content-security-policy"]
    policy = client.get("/").headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "http" not in policy


def test_a_request_for_another_host_is_refused(client):
    problem_of(client.get("/health", headers={"Host": "evil.example"}), 400, "unknown_host")
    assert client.get("/health", headers={"Host": "localhost:99"}).status_code == 200
    assert client.get("/health", headers={"Host": "[::1]:99"}).status_code == 200


def test_a_page_of_another_site_cannot_change_anything(client, scene):
    for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}):
        problem_of(client.delete("/v1/scenes/S1_scene_001", headers=headers), 403, "foreign_origin")
        problem_of(client.post("/v1/segment", json={}, headers=headers), 403, "foreign_origin")
    own = {"Origin": str(client.base_url).rstrip("/")}
    problem_of(client.post("/v1/segment", json={}, headers=own), 422, "invalid_request")


def test_a_file_that_was_deleted_by_hand_is_a_problem_of_that_file_alone(client, answer):
    mask = Path(answer["outputs"]["mask_uri"].removeprefix("file://"))
    aside = mask.rename(mask.with_name("aside.tif"))
    try:
        problem_of(client.get(answer["outputs"]["links"]["mask"]), 404, "unknown_file")
        assert "mask" not in client.get("/v1/scenes/S1_scene_001").json()["files"]
        assert client.get("/v1/scenes/S1_scene_001/archive.zip").status_code == 200
    finally:
        aside.rename(mask)


def test_layers_have_tiles_pictures_and_values(client, answer):
    found = client.get("/v1/scenes/S1_scene_001").json()
    assert found["web_map"] is True
    for layer in found["layers"]:
        assert client.get(layer["image"]).raise_for_status().content.startswith(b"\x89PNG"), layer
        described = client.get(layer["tilejson"]).raise_for_status().json()
        assert described["tiles"][0].endswith("/{z}/{x}/{y}.png")
        tile = client.get(described["tiles"][0].format(z=0, x=0, y=0)).raise_for_status()
        assert tile.headers["content-type"] == "image/png"
    west, south, east, north = found["summary"]["bounds"]
    value = client.get("/v1/scenes/S1_scene_001/point", params={"lon": (west + east) / 2, "lat": (south + north) / 2})
    by_place = client.get("/v1/scenes/S1_scene_001/point", params={"row": value.json()["row"], "column": 60}).json()
    assert by_place["mask"] in (0, 1)
    assert by_place["vv_db"] is not None


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("tiles/none.json", 404, "unknown_layer"),
        ("tiles/none/0/0/0.png", 404, "unknown_layer"),
        ("tiles/mask/0/1/0.png", 404, "unknown_tile"),
        ("tiles/mask/99/0/0.png", 422, "invalid_request"),
        ("tiles/mask/x/0/0.png", 422, "invalid_request"),
        ("images/none.png", 404, "unknown_layer"),
        ("images/..%2Fmask.png", 404, "not_found"),
        ("point", 422, "invalid_request"),
        ("point?lon=1", 422, "invalid_request"),
        ("point?lon=1&lat=2&row=3&column=4", 422, "invalid_request"),
        ("point?lon=nan&lat=2", 422, "invalid_request"),
        ("point?lon=181&lat=2", 422, "invalid_request"),
        ("point?lon=1&lat=2", 404, "outside_scene"),
        ("point?row=100&column=0", 404, "outside_scene"),
        ("point?row=-1&column=0", 422, "invalid_request"),
    ],
)
def test_a_picture_or_point_that_does_not_exist_is_a_problem(client, answer, path, status, code):
    problem_of(client.get(f"/v1/scenes/S1_scene_001/{path}"), status, code)
