"""Uploads: good ones, and every kind of bad one, with a real server."""

from __future__ import annotations

import io
import json
import socket
import struct
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.service.upload_form import base_name, stored_name
from tests.http_service import SMALL_TILES, ask_for, await_job, file_part, problem_of
from tests.small_scenes import write_lake_scene

_PRODUCT = "S1A_IW_GRDH_1SDV_20210111T123400_20210111T123425_036089_043B28_1234.SAFE"


def upload(client, parts, **data):
    return client.post("/v1/segment/upload", files=parts, data={"options": json.dumps(SMALL_TILES), **data})


def nothing_is_left(settings) -> bool:
    """Return whether no file of an upload is left; a broken connection is noticed after a moment."""
    last = time.monotonic() + 60
    while any((settings.root / "uploads").iterdir()):
        if time.monotonic() > last:
            return False
        time.sleep(0.05)
    return True


def zip_of(**entries: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return target.getvalue()


def claiming(content: bytes, size: int) -> bytes:
    """Return a zip whose list of entries says that its first file has so many bytes when it is unpacked."""
    place = content.index(b"PK\1\2") + 24
    return content[:place] + size.to_bytes(4, "little") + content[place + 4 :]


_ZEROS = zip_of(**{f"{_PRODUCT}/measurement/s1a-iw-grd-vv-x-001.tiff": bytes(8 << 20)})
BAD_FILES = {
    "zero bytes": ("scene.tif", b"", "scene.tif: the file is empty"),
    "HTML": ("scene.tif", b"<!doctype html><title>Login</title>", "scene.tif: not a TIFF"),
    "HTML as a zip": ("product.zip", b"<!doctype html><title>Login</title>", "product.zip: is not a zip"),
    "a picture": ("scene.png", b"\x89PNG\r\n\x1a\n" + bytes(64), "scene.png: not a TIFF"),
    "a name with signs": ("a?b<c>.tif", b"no TIFF", "a?b<c>.tif: not a TIFF"),
    "only the header of a TIFF": ("scene.tif", b"II*\0", "scene.tif: damaged or cut short"),
    "a zip of something else": ("data.zip", zip_of(**{"readme.txt": b"hello"}), "data.zip: does not contain one .SAFE"),
    "a zip of two products": (
        "two.zip",
        zip_of(**{f"{_PRODUCT}/manifest.safe": b"x", f"{_PRODUCT.replace('1234.', '9999.')}/manifest.safe": b"x"}),
        "two.zip: contains more than one product",
    ),
    "a product without an image": (
        "empty.zip",
        zip_of(**{f"{_PRODUCT}/manifest.safe": b"x"}),
        "empty.zip: contains no image",
    ),
    "a zip with a path that leads out": (
        "evil.zip",
        zip_of(**{f"{_PRODUCT}/../../evil.tiff": b"x"}),
        "evil.zip: contains a path that leads out",
    ),
    "a zip of zeros": ("zeros.zip", _ZEROS, f"{_PRODUCT}/measurement/s1a-iw-grd-vv-x-001.tiff: not a TIFF"),
    "a zip bomb": ("bomb.zip", claiming(_ZEROS, 0xF0000000), "bomb.zip: "),
    "a zip with nothing in it": ("empty.zip", zip_of(), "empty.zip: contains no .SAFE folder. Give a zip"),
    "a product whose image has another name": (
        "product.zip",
        zip_of(**{f"{_PRODUCT}/measurement/image.tiff": b"II*\0"}),
        "product.zip: no image of VV was found in measurement/ (there is image.tiff).",
    ),
    "a zip in a zip": (
        "nested.zip",
        zip_of(**{f"{_PRODUCT}.zip": zip_of(**{f"{_PRODUCT}/manifest.safe": b"x"})}),
        "nested.zip: does not contain one .SAFE",
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_no_scene_is_refused_by_the_name_that_the_user_gave(client, settings, kind):
    name, content, said = BAD_FILES[kind]
    detail = problem_of(upload(client, [("file", (name, content))]), 422, "scene_refused")
    assert detail.startswith(said)
    assert str(settings.root) not in detail
    assert nothing_is_left(settings)


def test_a_zip_has_the_size_of_its_images_and_not_of_its_bytes(client, settings):
    directory = struct.pack("<HHHIIHHII", 2, 256, 4, 1, 500, 257, 4, 1, 400)
    image = b"II*\0" + struct.pack("<I", 8) + directory + bytes(100)
    large = zip_of(**{f"{_PRODUCT}/measurement/s1a-iw-grd-vv-x-001.tiff": image})
    assert len(large) < 1000
    said = problem_of(upload(client, [("file", ("large.zip", large))]), 413, "scene_too_large")
    assert said == f"large.zip: has 200000 pixels, more than the limit of {settings.scene_pixels}. Cut it into parts."
    assert nothing_is_left(settings)


def test_a_failure_in_the_worker_names_the_file_as_the_user_does(client, settings, tmp_path):
    path = write_lake_scene(tmp_path / "no_vv.tif", shape=(64, 64), bands=("VH",))
    for name in ("scene?1.tif", "scene.png", "no vv (1).tif"):
        said = problem_of(upload(client, [file_part(path, name)]), 422, "scene_refused")
        assert said.startswith(f"{name}: it contains only VH")
        job = upload(client, [file_part(path, name)], wait="false").headers["location"]
        assert await_job(client, job)["problem"]["detail"] == said


def test_files_whose_names_differ_in_signs_only_are_two_files(client, settings, tmp_path):
    bands = [write_lake_scene(tmp_path / f"{band}.tif", shape=(64, 64), bands=(band,)) for band in ("VV", "VH")]
    parts = [file_part(path, name) for path, name in zip(bands, ("a?b.tif", "a*b.tif"), strict=True)]
    answer = upload(client, parts).raise_for_status().json()
    assert client.get(answer["outputs"]["links"]["record"]).json()["modality"] == "sentinel1_sar_vv_vh"
    other = write_lake_scene(tmp_path / "other.tif", shape=(32, 64), bands=("VH",))
    said = problem_of(upload(client, [parts[0], file_part(other, "a*b.tif")]), 422, "scene_refused")
    assert "a?b.tif" in said
    assert "a*b.tif" in said
    assert "a_b" not in said


@pytest.mark.parametrize(("name", "status"), [("x" * 200, 200), ("x" * 201, 422), ("ü" * 101, 422)])
def test_the_name_of_a_scene_may_be_as_long_as_described(client, scene, name, status):
    form = client.get("/openapi.json").json()["paths"]["/v1/segment/upload"]["post"]["requestBody"]
    described = form["content"]["multipart/form-data"]["schema"]["properties"]["name"]
    assert described["maxLength"] == 200
    assert "at most 200 bytes" in described["description"]
    sent = upload(client, [file_part(scene)], name=name)
    assert sent.status_code == status
    if status == 422:
        assert "at most 200 bytes" in problem_of(sent, 422, "invalid_request")


def test_a_scene_that_is_cut_short_is_refused(client, settings, scene):
    whole = scene.read_bytes()
    detail = problem_of(upload(client, [("file", ("cut.tif", whole[: len(whole) // 2]))]), 422, "scene_refused")
    assert detail.startswith("cut.tif: ")
    assert str(settings.root) not in detail
    assert nothing_is_left(settings)


def test_a_small_file_that_claims_to_be_a_huge_raster_is_refused(client, settings, tmp_path):
    bomb = tmp_path / "bomb.tif"
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "width": 60_000, "height": 60_000, "tiled": True}
    with rasterio.open(bomb, "w", SPARSE_OK=True, BIGTIFF="YES", **profile):
        pass
    assert bomb.stat().st_size < 1 << 20
    detail = problem_of(upload(client, [file_part(bomb)]), 422, "scene_refused")
    assert "claim to be" in detail
    assert nothing_is_left(settings)


def test_a_raster_that_points_to_other_files_is_refused(client, settings, tmp_path):
    source = write_lake_scene(tmp_path / "points.tif", shape=(64, 64))
    with rasterio.open(source, "r+") as raster:
        raster.update_tags(ns="OVERVIEWS", OVERVIEW_FILE="/etc/passwd")
    assert "points.tif: its metadata points to another file" in problem_of(
        upload(client, [file_part(source)]), 422, "scene_refused"
    )
    vrt = b"<VRTDataset rasterXSize='1' rasterYSize='1'></VRTDataset>"
    problem_of(upload(client, [("file", ("scene.vrt", vrt))]), 422, "scene_refused")
    assert nothing_is_left(settings)


@pytest.mark.parametrize("with_length", [True, False], ids=["announced", "not announced"])
def test_an_upload_that_is_too_large_is_refused_and_leaves_nothing(client, settings, with_length):
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.tif"\r\n\r\n'
        + bytes(settings.upload_bytes + (2 << 20))
        + b"\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    content = body if with_length else (body[start : start + 65536] for start in range(0, len(body), 65536))
    detail = problem_of(client.post("/v1/segment/upload", content=content, headers=headers), 413, "too_large")
    assert str(settings.upload_bytes) in detail
    assert nothing_is_left(settings)


def raw(client, head: str, body: bytes, *, close: bool = True) -> bytes:
    """Send bytes as they are, and return what comes back before the connection is closed."""
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        host = f"{client.base_url.host}:{client.base_url.port}"
        connection.sendall(f"POST /v1/segment/upload HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode() + body)
        if close:
            return b""
        received = b""
        while block := connection.recv(65536):
            received += block
        return received


_FORM = "Content-Type: multipart/form-data; boundary=b"
_FILE = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.tif"\r\n\r\n'


@pytest.mark.parametrize("head", [f"{_FORM}\r\nContent-Length: 500000", f"{_FORM}\r\nTransfer-Encoding: chunked"])
def test_an_upload_that_stops_in_the_middle_leaves_nothing(client, settings, head):
    body = _FILE + bytes(100_000)
    if "chunked" in head:
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    raw(client, head, body)
    assert nothing_is_left(settings)
    assert client.get("/health").status_code == 200


def test_an_upload_that_is_longer_than_it_says_is_refused(client, settings):
    body = _FILE + bytes(100_000) + b"\r\n--b--\r\n"
    received = raw(client, f"{_FORM}\r\nContent-Length: 5000", body, close=False)
    # Either the form is not whole, or what follows it is not a request.
    assert received.startswith(b"HTTP/1.1 400")
    assert nothing_is_left(settings)


def test_an_upload_that_is_shorter_than_it_says_leaves_nothing(client, settings):
    body = _FILE + bytes(1000) + b"\r\n--b--\r\n"
    raw(client, f"{_FORM}\r\nContent-Length: 50000", body)
    assert nothing_is_left(settings)


def test_an_upload_that_says_it_is_huge_is_refused_before_it_arrives(client, settings):
    # The uploads of other tests, whose connections are closed, may not have ended yet.
    while (received := raw(client, f"{_FORM}\r\nContent-Length: {1 << 50}", b"", close=False)).startswith(
        b"HTTP/1.1 429"
    ):
        time.sleep(0.05)
    assert received.startswith(b"HTTP/1.1 413")
    assert nothing_is_left(settings)


BAD_FORMS = {
    "no boundary": ("multipart/form-data", b"x", 400, "malformed_request"),
    "a boundary that is too long": (f"multipart/form-data; boundary={'b' * 500}", b"x", 400, "malformed_request"),
    "no form": ("multipart/form-data; boundary=b", b"hello", 400, "malformed_request"),
    "nothing": ("multipart/form-data; boundary=b", b"", 400, "malformed_request"),
    "an empty form": ("multipart/form-data; boundary=b", b"--b--\r\n", 422, "invalid_request"),
    "no end": ("multipart/form-data; boundary=b", _FILE + b"xx", 400, "malformed_request"),
    "a part without a name": (
        "multipart/form-data; boundary=b",
        b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n",
        422,
        "invalid_request",
    ),
    "a file without a name": (
        "multipart/form-data; boundary=b",
        b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n',
        422,
        "invalid_request",
    ),
    "another type": ("application/x-www-form-urlencoded", b"file=x", 415, "unsupported_media_type"),
    "no type": ("", b"file=x", 415, "unsupported_media_type"),
}


@pytest.mark.parametrize("kind", BAD_FORMS)
def test_a_body_that_is_no_whole_form_is_refused(client, settings, kind):
    content_type, body, status, code = BAD_FORMS[kind]
    problem_of(client.post("/v1/segment/upload", content=body, headers={"Content-Type": content_type}), status, code)
    assert nothing_is_left(settings)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"domain": "crops"}, "the domain 'crops' is not known"),
        ({"options": "{"}, "form: options"),
        ({"options": '{"tiel": 4}'}, "unknown key 'tiel'. Did you mean 'tile'?"),
        ({"options": '{"threshold": 2}'}, "threshold"),
        ({"options": "[]"}, "form: options"),
        ({"wait": "perhaps"}, "wait"),
        ({"name": "../x"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 300}, "name"),
        ({"image_uri": "/etc/passwd"}, "unknown field 'image_uri'"),
    ],
)
def test_a_field_with_a_fault_is_refused_by_name(client, settings, scene, data, said):
    response = upload(client, [file_part(scene)], **data)
    assert said in problem_of(response, 422, "invalid_request")
    assert nothing_is_left(settings)


def test_more_than_two_files_and_two_files_of_one_name_are_refused(client, settings, scene):
    three = [file_part(scene, f"{name}.tif") for name in "abc"]
    assert "3 times" in problem_of(upload(client, three), 422, "invalid_request")
    assert "the name" in problem_of(upload(client, [file_part(scene), file_part(scene)]), 422, "invalid_request")
    assert "'file' is missing" in problem_of(
        upload(client, [file_part(scene, field="pre_file")]), 422, "invalid_request"
    )
    assert nothing_is_left(settings)


HOSTILE_NAMES = (
    "../../../etc/passwd.tif",
    "..\\..\\windows\\x.tif",
    "/etc/absolute.tif",
    "C:\\temp\\drive.tif",
    "....//....//up.tif",
    ".hidden.tif",
    "scene.drshym.json",
    "a\x00b.tif",
    "new\r\nline.tif",
    "<script>alert(1)</script>.tif",
    "name with spaces.tif",
    "\u202ename.tif",
    "Überschwemmung_VV.tif",
    "x" * 300 + ".tif",
    "..",
    "...tif",
)


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_the_name_of_a_file_never_leads_out_of_the_folder_of_its_upload(name):
    kept = stored_name(base_name(name))
    assert Path(kept).name == kept
    assert kept not in ("", ".", "..")
    assert not kept.startswith(".")
    assert Path(kept).suffix in (".tif", ".tiff", ".zip")
    assert len(kept.encode()) <= 255
    assert kept.isprintable()


@pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if base_name(name) not in ("", "..")])
def test_a_file_with_any_name_is_mapped_inside_the_service(client, settings, scene, name):
    before = set(settings.root.parent.iterdir())
    answer = upload(client, [("file", (name, scene.read_bytes()))]).raise_for_status().json()
    mask = Path(answer["outputs"]["mask_uri"].removeprefix("file://"))
    assert (settings.root / "scenes").resolve() in mask.resolve().parents or "%" in mask.name
    assert set(settings.root.parent.iterdir()) == before
    assert client.get(answer["outputs"]["links"]["mask"]).status_code == 200
    assert nothing_is_left(settings)
    assert client.delete(answer["outputs"]["links"]["scene"]).status_code == 204


def test_when_the_queue_is_full_the_next_request_is_told_when_to_come_back(client, settings, folder):
    slow = write_lake_scene(folder / "scenes" / "long.tif", shape=(390, 400))
    small = write_lake_scene(folder / "scenes" / "queued.tif", shape=(64, 64))
    first = ask_for(client, str(slow), wait=False)
    waiting = [ask_for(client, str(small), wait=False) for _ in range(settings.queue_limit)]
    refused = [ask_for(client, str(small), wait=False) for _ in range(2)]
    for response in refused[1:]:
        problem_of(response, 429, "queue_full")
        assert int(response.headers["retry-after"]) >= 1
    folders = [path for path in (settings.root / "scenes" / "queued").iterdir() if path.is_dir()]
    for response in (*waiting, *refused):
        if response.status_code == 202:
            client.delete(response.headers["location"])
    assert await_job(client, first.headers["location"])["state"] == "done"
    assert len(folders) <= settings.queue_limit + 1


def test_so_many_uploads_at_once_and_no_more(client, settings):
    head = f"{_FORM}\r\nContent-Length: 100000"
    host = f"{client.base_url.host}:{client.base_url.port}"
    connections = []
    try:
        for _ in range(settings.uploads_at_once):
            connection = socket.create_connection((client.base_url.host, client.base_url.port))
            connections.append(connection)
            connection.sendall(f"POST /v1/segment/upload HTTP/1.1\r\nHost: {host}\r\n{head}\r\n\r\n".encode() + _FILE)
        last = time.monotonic() + 60
        while len(list((settings.root / "uploads").iterdir())) < settings.uploads_at_once:
            assert time.monotonic() < last
            time.sleep(0.05)
        refused = client.post("/v1/segment/upload", content=b"", headers={"Content-Type": "multipart/form-data"})
        problem_of(refused, 429, "too_many_uploads")
        assert int(refused.headers["retry-after"]) >= 1
    finally:
        for connection in connections:
            connection.close()
    assert nothing_is_left(settings)


def test_an_upload_with_strange_values_is_not_observed_and_not_a_fault(client, settings, tmp_path):
    source = write_lake_scene(tmp_path / "strange.tif", shape=(64, 64))
    with rasterio.open(source, "r+") as raster:
        values = raster.read()
        values[:, :10] = np.inf
        values[:, 10:20] = -np.inf
        raster.write(values)
    answer = upload(client, [file_part(source)])
    assert answer.status_code in (200, 422)
    assert "Traceback" not in answer.text
    assert nothing_is_left(settings)
