"""Finished maps over HTTP: lists, files, pictures, values, metrics."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from tests.http_service import ask_for, problem_of
from tests.small_scenes import write_lake_scene


def test_the_list_of_scenes_has_pages(client, answer, folder):
    ask_for(client, str(write_lake_scene(folder / "scenes" / "second.tif", shape=(64, 64)))).raise_for_status()
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
    for header in ("lines=1-2", "bytes=9-4", "bytes=x-y", "bytes", "bytes=", "bytes=-", "bytes=1-2,x"):
        assert client.get(path, headers={"Range": header}).status_code == 200


@pytest.mark.parametrize("header", [f"bytes={'9' * 5000}-", f"bytes={'9' * 30}-{'9' * 40}", "bytes=-0"])
def test_a_range_beyond_any_file_is_a_problem(client, answer, header):
    sent = client.get(answer["outputs"]["links"]["mask"], headers={"Range": header})
    problem_of(sent, 416, "range_not_satisfiable")


def test_of_several_ranges_those_inside_the_file_are_sent(client, answer):
    path = answer["outputs"]["links"]["mask"]
    whole = client.get(path).content
    for header in ("bytes=0-9,999999999-", f"bytes={'9' * 5000}-,0-9", "bytes=-0,0-9"):
        part = client.get(path, headers={"Range": header})
        assert (part.status_code, part.content) == (206, whole[:10])
    long = client.get(path, headers={"Range": f"bytes=-{'9' * 5000}"})
    assert (long.status_code, long.content) == (206, whole)
    several = client.get(path, headers={"Range": "bytes=0-9,20-29,999999999-"})
    assert several.status_code == 206
    assert several.headers["content-type"].startswith("multipart/byteranges")
    assert whole[:10] in several.content
    assert whole[20:30] in several.content


def test_every_address_that_can_be_read_answers_head(client, answer):
    links = ("files/S1_scene_001_mask.tif", "thumbnail.png", "archive.zip", "images/mask.png", "tiles/mask.json")
    scene = [f"/v1/scenes/S1_scene_001/{link}" for link in (*links, "tiles/mask/0/0/0.png", "point?row=1&column=1")]
    for path in ("/health", "/ready", "/metrics", "/v1/model", "/v1/jobs", "/v1/scenes", "/", *scene):
        sent, whole = client.head(path), client.get(path)
        assert (sent.status_code, sent.content) == (200, b""), path
        assert sent.headers["content-type"] == whole.headers["content-type"]
    problem = client.head("/v1/scenes/none")
    assert (problem.status_code, problem.content) == (404, b"")
    assert client.head("/health", params={"x": 1}).status_code == 422


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
    found = ask_for(client, str(gone)).raise_for_status().json()
    assert client.delete("/v1/scenes/gone").status_code == 204
    problem_of(client.get("/v1/scenes/gone"), 404, "unknown_scene")
    problem_of(client.get(found["outputs"]["links"]["mask"]), 404, "unknown_scene")
    assert not Path(found["outputs"]["mask_uri"].removeprefix("file://")).exists()
    problem_of(client.delete("/v1/scenes/gone"), 404, "unknown_scene")


def test_the_page_of_metrics_counts_requests_jobs_and_stages(client, answer):
    client.get("/static/main.js").raise_for_status()
    page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    assert 'drshym_requests_total{method="POST",route="/v1/segment",status="200"}' in page.text
    assert 'drshym_requests_total{method="GET",route="/static/",status="200"}' in page.text
    for name in ("drshym_jobs_ended_total{how=", "drshym_workers 1.0", "drshym_queue_length 0.0", "drshym_disk_bytes"):
        assert name in page.text, name
    assert 'drshym_stage_seconds_total{stage="predict"}' in page.text


def test_the_model_is_named(client, random_bundle):
    assert client.get("/v1/model").json()["sha256"] == random_bundle.sha256


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
