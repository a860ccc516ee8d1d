"""Every request with a fault gets a problem with a stable code and a clear sentence, and nothing of the machine."""

from __future__ import annotations

import json

import pytest

from tests.http_service import SMALL_TILES, ask_for, await_job, problem_of
from tests.small_scenes import write_lake_scene


def _with_options(**options: object) -> dict[str, object]:
    return {"domain": "flood_sar", "image_uri": "x", "options": options}


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
    "a list": ([], "body: must be an object with keys, such as {"),
    "nothing": (None, "body: nothing was sent. Send a JSON object."),
    "a tile as digits": (_with_options(tile="512"), "options.tile: must be a number, got '512'"),
    "a tile as true": (_with_options(tile=True), "options.tile: must be a number, got true"),
    "half a tile": (_with_options(tile=512.5), "options.tile: must be a whole number, got 512.5"),
    "an overlap as false": (_with_options(overlap=False), "options.overlap: must be a number, got false"),
    "an overlap of null": (_with_options(overlap=None), "options.overlap: must be a number, got null"),
    "a threshold as text": (_with_options(threshold="0.5"), "options.threshold: must be a number, got '0.5'"),
    "a minimum area of true": (_with_options(min_area_ha=True), "options.min_area_ha: must be a number, got true"),
    "explain as text": (_with_options(explain="no"), "options.explain: must be true or false, got 'no'"),
    "explain as a number": (_with_options(explain=1), "options.explain: must be true or false, got 1"),
    "a unit that is not known": (_with_options(units="dB"), "options.units: must be 'db'"),
    "wait as text": ({"domain": "flood_sar", "image_uri": "x", "wait": "no"}, "wait: must be true or false, got 'no'"),
    "options as a list": ({"domain": "flood_sar", "image_uri": "x", "options": []}, "options: must be an object"),
    "three addresses": (
        {"domain": "flood_sar", "image_uri": ["a", "b", "c"]},
        "image_uri: must be an address of 1 to 2,048 characters, or a list of one or two such addresses, got [",
    ),
    "no address before": (
        {"domain": "flood_sar", "image_uri": "x", "pre_image_uri": []},
        "pre_image_uri: must be an address of 1 to 2,048 characters, or a list of one or two such addresses, got []",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_body_with_a_fault_is_refused_with_the_name_of_the_key(client, name):
    body, said = BAD_BODIES[name]
    content = b"" if body is None else json.dumps(body)
    sent = client.post("/v1/segment", content=content, headers={"Content-Type": "application/json"})
    detail = problem_of(sent, 422, "invalid_request")
    assert said in detail
    for word in ("input should", "dictionary", "field required", "None", "True", "False", "tuple", "string", "integer"):
        assert word not in detail


def test_a_whole_number_is_a_number(client, scene):
    sent = ask_for(client, str(scene), options={"tile": 64.0, "overlap": 16, "threshold": 0.5, "min_area_ha": 1})
    assert sent.raise_for_status().json()["provenance"]["threshold"] == 0.5


def test_a_body_that_is_no_json_is_refused(client):
    sent = client.post("/v1/segment", content=b'{"domain":', headers={"Content-Type": "application/json"})
    assert "body: not valid JSON" in problem_of(sent, 422, "invalid_request")
    nan = b'{"domain": "flood_sar", "image_uri": "x", "options": {"threshold": NaN}}'
    sent = client.post("/v1/segment", content=nan, headers={"Content-Type": "application/json"})
    assert "got NaN" in problem_of(sent, 422, "invalid_request")
    infinite = nan.replace(b"NaN", b"1e999")
    sent = client.post("/v1/segment", content=infinite, headers={"Content-Type": "application/json"})
    assert "got Infinity" in problem_of(sent, 422, "invalid_request")


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
    refused = problem_of(ask_for(client, text), 403, "forbidden_address")
    assert refused == problem_of(ask_for(client, "/etc/there_is_no_such_file"), 403, "forbidden_address")
    assert problem_of(ask_for(client, str(folder / "scenes" / "none.tif"), pre_image_uri=text), 422, "scene_refused")
    here = write_lake_scene(scenes / "here.tif", shape=(64, 64))
    assert problem_of(ask_for(client, str(here), pre_image_uri=text), 403, "forbidden_address") == refused


def test_a_missing_file_below_the_folders_is_named(client, folder):
    said = problem_of(ask_for(client, str(folder / "scenes" / "none.tif")), 422, "scene_refused")
    assert said == f"{folder / 'scenes' / 'none.tif'}: the file does not exist. Check the address."


def test_the_sentence_about_a_bad_scene_is_that_of_the_command(client, folder, capsys, settings):
    from drshym_pipeline.cli import main

    bad = folder / "scenes" / "text.tif"
    bad.write_text("this is no raster")
    said = problem_of(ask_for(client, str(bad)), 422, "scene_refused")
    assert main(["segment", str(bad), "--out", str(folder / "maps"), "--checkpoint", str(settings.checkpoint)]) == 2
    assert f"error: {said}\n" in capsys.readouterr().err


def test_a_scene_that_fails_in_the_worker_gets_the_sentence_of_the_command(client, folder, capsys, settings):
    from drshym_pipeline.cli import main

    bad = write_lake_scene(folder / "scenes" / "no_vv.tif", shape=(64, 64), bands=("VH",))
    said = problem_of(ask_for(client, str(bad)), 422, "scene_refused")
    assert main(["segment", str(bad), "--out", str(folder / "maps"), "--checkpoint", str(settings.checkpoint)]) == 2
    assert f"error: {said}\n" in capsys.readouterr().err


def test_a_remedy_names_keys_of_the_request_and_no_options_of_the_command(client, folder):
    scene = write_lake_scene(folder / "scenes" / "in_db.tif", shape=(64, 64))
    said = problem_of(ask_for(client, str(scene), pre_image_uri=str(scene)), 422, "scene_refused")
    assert "--" not in said
    assert said.endswith("as the scene from before, or leave it out.")
    said = problem_of(ask_for(client, str(scene), options={**SMALL_TILES, "units": "power"}), 422, "scene_refused")
    assert said.endswith('Leave the option "units" out.')
    assert ask_for(client, str(scene)).status_code == 200, "both remedies"
    first = ask_for(client, str(scene), pre_image_uri=str(scene), wait=False)
    job = await_job(client, first.headers["location"])
    assert "--" not in job["problem"]["detail"]


def test_a_link_to_itself_is_a_broken_link(client, folder):
    link = folder / "scenes" / "itself.tif"
    link.symlink_to(link)
    assert problem_of(ask_for(client, str(link)), 422, "scene_refused").startswith(f"{link}: is a broken link.")


def test_an_overlap_that_does_not_fit_the_tile_is_refused(client, scene):
    refused = ask_for(client, str(scene), options={"tile": 64, "overlap": 64})
    assert "overlap" in problem_of(refused, 422, "scene_refused")


def test_a_scene_with_too_many_pixels_is_refused(client, folder):
    huge = write_lake_scene(folder / "scenes" / "huge.tif", shape=(420, 420))
    said = problem_of(ask_for(client, str(huge)), 413, "scene_too_large")
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
