"""Tiles of layers in a bucket of a real S3 server: the maps are those of a folder, and each fault is one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from obstore.store import S3Store

from drshym_pipeline.ancillary import bucket_client
from drshym_pipeline.ancillary.layers import ELEVATION, LAND_COVER, OCCURRENCE, Cell, Layer
from drshym_pipeline.ancillary.places import open_tiles
from drshym_pipeline.cli import main
from drshym_pipeline.errors import UnavailableError
from drshym_pipeline.model.bundle import shipped_bundle
from tests.ancillary_tiles import everywhere, write_tile
from tests.lineage import Lineage
from tests.small_scenes import write_lake_scene
from tests.system.s3_server import S3Server

pytestmark = pytest.mark.system

SCENE = "S1_20210111T170000"
CELLS = {OCCURRENCE: Cell(80, 10), LAND_COVER: Cell(81, 18), ELEVATION: Cell(81, 18)}
PREFIX = "layers/2026"
ADDRESS = f"s3://tiles/{PREFIX}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, system_tool: Callable[[str], str]) -> Iterator[S3Server]:
    running = S3Server(tmp_path_factory.mktemp("s3"), system_tool)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_lake_scene(tmp_path_factory.mktemp("scene") / f"{SCENE}.tif", shape=(120, 140))


def write_tiles(folder: Path, occurrence: float = 100) -> None:
    """Write one tile of each layer, some flat and some in the folders of their official buckets."""
    write_tile(folder, OCCURRENCE, CELLS[OCCURRENCE], everywhere(occurrence), nodata=255)
    write_tile(folder, LAND_COVER, CELLS[LAND_COVER], everywhere(30), nodata=0, flat=False)
    write_tile(folder, ELEVATION, CELLS[ELEVATION], lambda lon, lat: (lat - 18) * 20_000, dtype="float32", flat=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tiles(tmp_path / "folder")
    return tmp_path / "folder"


@pytest.fixture
def bucket(server: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> S3Store:
    """The bucket with the tiles of the folder; each answer is asked for again, so that tests see a change at once."""
    for name, value in server.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(bucket_client, "_REMEMBERED_SECONDS", 0.0)
    monkeypatch.setattr(bucket_client, "_LISTING_SHARE", 0.0)
    store = server.bucket("tiles")
    for chunk in store.list():
        store.delete([entry["path"] for entry in chunk])
    upload(store, folder)
    return store


def upload(store: S3Store, folder: Path) -> None:
    for path in folder.rglob("*.tif"):
        store.put(f"{PREFIX}/{path.relative_to(folder).as_posix()}", path)


def key(folder: Path, layer: Layer) -> str:
    (path,) = folder.rglob(layer.place(CELLS[layer]).name)
    return f"{PREFIX}/{path.relative_to(folder).as_posix()}"


def segment(scene: Path, out: Path, ancillary: Path | str) -> int:
    options = ["--tile", "96", "--overlap", "24", "--overwrite"]
    return main(["segment", str(scene), "--out", str(out), "--ancillary", str(ancillary), *options])


def record(out: Path) -> dict[str, Any]:
    (path,) = out.glob("*_report.json")
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def of_tiles(found: dict[str, Any], part: str) -> list[str]:
    layers = [*found["separation"]["layers"], *found["exclusion"]["layers"]]
    return [tile[part] for layer in layers for tile in layer["tiles"]]


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line of the error."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(lines) == 1, lines
    return lines[0]


def test_maps_with_a_bucket_are_those_with_a_folder_and_a_replaced_tile_is_seen(
    bucket: S3Store, scene: Path, folder: Path, tmp_path: Path
) -> None:
    local, remote = tmp_path / "local", tmp_path / "remote"
    assert segment(scene, local, folder) == 0
    assert segment(scene, remote, ADDRESS) == 0
    names = sorted(path.name for path in local.iterdir())
    assert names == sorted(path.name for path in remote.iterdir())
    first, second = record(local), record(remote)
    assert of_tiles(first, "sha256") == of_tiles(second, "sha256")
    assert of_tiles(second, "uri") == [f"s3://tiles/{key(folder, layer)}" for layer in CELLS]
    for name in names:
        if name.endswith(("_report.json", "_report.html")):  # the addresses of tiles, times and seconds
            continue
        assert (local / name).read_bytes() == (remote / name).read_bytes(), name
    assert first["map_version"] == second["map_version"]
    assert first["pixels"] == second["pixels"]
    assert first["pixels"]["permanent"] > 0
    copies = sorted((tmp_path / "home" / "ancillary-cache").glob("*.tif"))
    assert len(copies) == len(CELLS)

    write_tiles(folder, occurrence=0)
    upload(bucket, folder)
    assert segment(scene, remote, ADDRESS) == 0
    third = record(remote)
    assert third["map_version"] != second["map_version"]
    assert third["pixels"]["permanent"] == 0

    bucket.delete(key(folder, LAND_COVER))
    assert segment(scene, remote, f"{ADDRESS}/") == 0
    cover = next(layer for layer in record(remote)["separation"]["layers"] if layer["name"] == "worldcover")
    assert (cover["tiles"], len(cover["missing"])) == ([], 1)


def test_a_wrong_secret_is_one_sentence(
    server: S3Server, bucket: S3Store, scene: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert segment(scene, tmp_path / "out", ADDRESS) == 1
    sentence = said(capsys)
    assert f"{ADDRESS}: cannot be listed now: its server answers 403 Forbidden (SignatureDoesNotMatch)" in sentence
    assert "Check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" in sentence
    assert not (tmp_path / "out").exists()


def test_a_bucket_or_prefix_that_does_not_exist_is_one_sentence(bucket, scene: Path, tmp_path: Path, capsys) -> None:
    for address, reason in (
        ("s3://no-such-bucket", "answers 404 Not Found (NoSuchBucket). Correct the address"),
        ("s3://tiles/layers/2027", "has no objects. Correct the address"),
    ):
        assert segment(scene, tmp_path / "out", address) == 2
        sentence = said(capsys)
        assert address in sentence
        assert reason in sentence
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["deleted", "cut"])
def test_a_tile_that_changes_between_both_requests_is_an_error(bucket: S3Store, folder: Path, change: str) -> None:
    tile = open_tiles(ADDRESS).tile(OCCURRENCE, CELLS[OCCURRENCE])
    assert tile is not None
    place = key(folder, OCCURRENCE)
    if change == "deleted":
        bucket.delete(place)
    else:
        bucket.put(place, bytes(bucket.get(place).bytes())[:1000])
    with pytest.raises(UnavailableError, match=f"s3://tiles/{place}: was changed or removed while it was read"):
        tile.record()


def test_a_tile_that_was_cut_before_is_unknown_there_as_in_a_folder(
    bucket: S3Store, folder: Path, scene: Path, tmp_path: Path
) -> None:
    place = key(folder, OCCURRENCE)
    bucket.put(place, bytes(bucket.get(place).bytes())[:1000])
    assert segment(scene, tmp_path / "out", ADDRESS) == 0
    assert any(
        text.startswith(f"s3://tiles/{place}: cut short") and text.endswith("The layer is not known there.")
        for text in record(tmp_path / "out")["warnings"]
    )


def test_the_watched_folder_uses_a_bucket_and_sees_its_changes_and_its_loss(
    server: S3Server, bucket: S3Store, folder: Path, scene: Path, tmp_path: Path, capsys
) -> None:
    lineage = Lineage(tmp_path / "lineage", {"tile": 96, "overlap": 24, "ancillary": ADDRESS})
    lineage.serve(shipped_bundle())
    lineage.drop(scene)
    (result,) = lineage.map_all().values()
    assert result.success
    current = lineage.store.scenes.current(SCENE)
    assert current is not None
    separation = current.record().separation
    assert separation is not None
    assert [tile.uri for layer in separation.layers for tile in layer.tiles] == [
        f"s3://tiles/{key(folder, layer)}" for layer in (OCCURRENCE, LAND_COVER)
    ]
    assert lineage.tick("changed_references") == []

    write_tiles(folder, occurrence=0)
    upload(bucket, folder)
    (request,) = lineage.tick("changed_references")
    assert request.partition_key == SCENE
    server.stop()
    try:
        result = lineage.run("renew_maps", SCENE, tags=request.tags)
        assert not result.success
        (event,) = [event for event in result.all_events if event.is_step_failure]
        failure = event.step_failure_data.user_failure_data
        assert failure.description.startswith(f"{ADDRESS}: cannot be listed now: its server refuses the connection.")
        assert lineage.tick("changed_references") == []
        assert f"{ADDRESS}: cannot be listed now" in str(lineage.message)
        capsys.readouterr()
        assert segment(scene, tmp_path / "out", ADDRESS) == 1
        assert f"{ADDRESS}: cannot be listed now: its server refuses the connection" in said(capsys)
        assert not (tmp_path / "out").exists()
    finally:
        server.start()
    assert lineage.run("renew_maps", SCENE).success
    newest = lineage.store.scenes.current(SCENE)
    assert newest is not None
    assert newest.version != current.version
    assert newest.record().pixels["permanent"] == 0
    assert lineage.tick("changed_references") == []
