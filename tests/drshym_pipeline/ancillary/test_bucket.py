"""Tiles in a bucket are found as in a folder, and a bucket that cannot be asked is never an empty one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from obstore.store import LocalStore, MemoryStore

from drshym_pipeline.ancillary import bucket_address, bucket_client
from drshym_pipeline.ancillary.bucket import AncillaryBucket
from drshym_pipeline.ancillary.bucket_address import open_bucket
from drshym_pipeline.ancillary.bucket_client import BucketClient
from drshym_pipeline.ancillary.folder import AncillaryFolder
from drshym_pipeline.ancillary.layers import ELEVATION, LAND_COVER, OCCURRENCE, Cell
from drshym_pipeline.ancillary.places import open_tiles
from drshym_pipeline.ancillary.tile_cache import TileCache
from drshym_pipeline.ancillary.tile_store import Tile
from drshym_pipeline.errors import InputError, UnavailableError
from drshym_pipeline.settings import PipelineSettings
from drshym_pipeline.storage import sha256_file

ADDRESS = "s3://tiles/world"
HERE = Cell(6, 0)
PLACE = LAND_COVER.place(HERE)


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path) -> None:
    """No AWS_ variable of the user, and a cache of its own."""
    import os

    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DRSHYM_ANCILLARY_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def nothing_remembered(monkeypatch) -> None:
    """Every answer is asked for again, so that a test need not wait half a minute to see a change."""
    monkeypatch.setattr(bucket_client, "_REMEMBERED_SECONDS", 0.0)


def bucket(store: MemoryStore | LocalStore, tmp_path: Path, client: BucketClient | None = None) -> AncillaryBucket:
    return AncillaryBucket(client or BucketClient(ADDRESS, store), TileCache(tmp_path / "cache", 1 << 20))


def found(tiles: AncillaryBucket | AncillaryFolder, cell: Cell = HERE) -> Tile:
    tile = tiles.tile(LAND_COVER, cell)
    assert tile is not None
    return tile


@pytest.mark.parametrize("start", range(5))
def test_a_tile_is_found_flat_and_in_the_folders_of_its_bucket(tmp_path, start) -> None:
    store, key = MemoryStore(), "/".join(PLACE.parts[start:])
    store.put(key, b"the tile")
    tiles = bucket(store, tmp_path)
    tile = found(tiles)
    assert tile.name == f"{ADDRESS}/{key}"
    assert tile.path.read_bytes() == b"the tile"
    assert tile.path.name.endswith(PLACE.name)
    assert tile.record().uri == tile.name
    assert tile.record().sha256 == sha256_file(tile.path)
    assert tiles.tile(LAND_COVER, Cell(9, 0)) is None


def test_a_bucket_finds_the_same_of_several_tiles_as_a_folder(tmp_path) -> None:
    folder = tmp_path / "folder"
    for start in (4, 0, 2):
        path = folder.joinpath(*PLACE.parts[start:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(str(start).encode())
    both = found(AncillaryFolder(folder)), found(bucket(LocalStore(folder), tmp_path))
    assert [tile.path.read_bytes() for tile in both] == [b"4", b"4"]
    assert both[0].record().sha256 == both[1].record().sha256


def test_a_square_without_a_name_in_the_list_of_the_bucket_is_sea(tmp_path) -> None:
    store = MemoryStore()
    store.put("copernicus-dem-30m/tileList.txt", b"Copernicus_DSM_COG_10_N01_00_E002_00_DEM/\n")
    tiles = bucket(store, tmp_path)
    assert tiles.is_sea(ELEVATION, Cell(3, 1))
    assert not tiles.is_sea(ELEVATION, Cell(2, 1))
    assert not tiles.is_sea(OCCURRENCE, Cell(0, 0))


def test_a_tile_that_is_replaced_added_or_removed_is_seen(tmp_path, nothing_remembered) -> None:
    store = MemoryStore()
    store.put(PLACE.name, b"first")
    client = BucketClient(ADDRESS, store)
    before = bucket(store, tmp_path, client)
    first, prints = found(before), [before.fingerprint()]
    hashes = [first.record().sha256]
    for change in (
        lambda: store.put(PLACE.name, b"other"),
        lambda: store.put(LAND_COVER.place(Cell(9, 0)).name, b"new"),
        lambda: store.delete(LAND_COVER.place(Cell(9, 0)).name),
    ):
        change()
        client._listed = None
        prints.append(bucket(store, tmp_path, client).fingerprint())
    assert len({str(one) for one in prints[:3]}) == 3
    assert prints[3] == prints[1]
    second = found(bucket(store, tmp_path, client))
    hashes.append(second.record().sha256)
    assert hashes[0] != hashes[1]
    assert (first.path.read_bytes(), second.path.read_bytes()) == (b"first", b"other")
    # One map uses one state of the bucket, also when a tile is replaced while it is made.
    assert found(before).record().sha256 == hashes[0]


def test_a_process_asks_for_a_tile_once_in_half_a_minute(tmp_path) -> None:
    store = MemoryStore()
    store.put(PLACE.name, b"first")
    client = BucketClient(ADDRESS, store)
    first = found(bucket(store, tmp_path, client)).record()
    store.put(PLACE.name, b"other")
    assert found(bucket(store, tmp_path, client)).record() == first
    client.list()  # what is found from now on is not older than the listing
    assert found(bucket(store, tmp_path, client)).record() != first


@pytest.mark.parametrize("change", ["replaced", "removed"])
def test_a_tile_that_changes_before_it_is_read_is_an_error_and_not_a_missing_tile(tmp_path, change) -> None:
    store = MemoryStore()
    store.put(PLACE.name, b"first")
    store.put("other", b"x")
    tile = found(bucket(store, tmp_path))
    if change == "replaced":
        store.put(PLACE.name, b"much longer")
    else:
        store.delete(PLACE.name)
    with pytest.raises(UnavailableError, match=rf"{ADDRESS}/{PLACE.name}: was changed or removed while it was read"):
        tile.record()


def test_a_bucket_without_objects_is_refused(tmp_path) -> None:
    with pytest.raises(InputError, match=rf"^{ADDRESS}: has no objects\. Correct the address"):
        bucket(MemoryStore(), tmp_path)


def test_an_object_too_large_for_a_tile_and_too_many_objects_are_refused(tmp_path, monkeypatch) -> None:
    # The real limits are 2 GiB and 200,000 objects: too large for a test.
    monkeypatch.setattr("drshym_pipeline.ancillary.bucket._MOST_TILE_BYTES", 10)
    monkeypatch.setattr(bucket_client, "_MOST_LISTED", 2)
    store = MemoryStore()
    store.put(PLACE.name, b"x" * 11)
    with pytest.raises(InputError, match=r"has 11 bytes, but a tile has at most 10"):
        bucket(store, tmp_path).tile(LAND_COVER, HERE)
    for number in range(2):
        store.put(f"{number}", b"x")
    with pytest.raises(InputError, match=r"has more than 2 objects, too many to look for changed tiles"):
        bucket(store, tmp_path).fingerprint()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("gs://tiles", "only s3:// can"),
        ("https://tiles.example/x", "only s3:// can"),
        ("S3://tiles", "only s3:// can"),
        ("s3://", "has no name of a bucket"),
        ("s3:///x", "has no name of a bucket"),
        ("s3://a b", "has no name of a bucket"),
        ("s3://tiles/a//b", "has a prefix with an empty part"),
        ("s3://tiles/../b", "has a prefix with an empty part or dots"),
    ],
)
def test_an_address_that_is_none_of_a_bucket_is_refused(address, reason) -> None:
    with pytest.raises(InputError, match=reason):
        open_tiles(address)


def test_a_secret_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(InputError, match="with a user or secret in it") as caught:
        open_tiles("s3://me:hidden@tiles/x")
    assert "hidden" not in str(caught.value)


def test_an_address_that_lost_a_slash_as_a_path_is_refused(tmp_path, monkeypatch) -> None:
    with pytest.raises(InputError, match="with two slashes as text, not as a Path: s3://tiles/x"):
        open_tiles(Path("s3://tiles/x"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "tiles").mkdir(parents=True)
    assert isinstance(open_tiles(Path("s3://tiles")), AncillaryFolder)


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"AWS_ACCESS_KEY_ID": "key"}, "AWS_SECRET_ACCESS_KEY: is not set, but AWS_ACCESS_KEY_ID is"),
        ({"AWS_SECRET_ACCESS_KEY": "key"}, "AWS_ACCESS_KEY_ID: is not set, but AWS_SECRET_ACCESS_KEY is"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Set AWS_ALLOW_HTTP=true to allow it"),
    ],
)
def test_variables_that_do_not_go_together_are_named(monkeypatch, variables, reason) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=reason):
        open_tiles(ADDRESS)


def test_the_setting_keeps_an_address_and_normalises_a_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    for given, kept in ((f"{ADDRESS}/", f"{ADDRESS}/"), ("a//b/", f"{tmp_path}/a/b")):
        monkeypatch.setenv("DRSHYM_ANCILLARY", given)
        assert PipelineSettings.from_environment().ancillary_place == kept
    monkeypatch.setenv("DRSHYM_ANCILLARY", "")
    with pytest.raises(InputError, match="DRSHYM_ANCILLARY: must not be empty"):
        PipelineSettings.from_environment()


def test_copies_are_in_the_home_folder_or_in_the_cache_of_the_user(monkeypatch, tmp_path) -> None:
    def place() -> Path:
        return PipelineSettings.from_environment().ancillary_cache_path

    assert place() == tmp_path / "cache"
    monkeypatch.delenv("DRSHYM_ANCILLARY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache/me")
    assert place() == Path("/var/cache/me/drshym/ancillary")
    monkeypatch.setenv("DAGSTER_HOME", "/srv/dagster")
    assert place() == Path("/srv/dagster/ancillary-cache")


@contextmanager
def server(answer: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """A server that sends given bytes for each request and closes the connection; it says nothing for None."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        open_ones: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                open_ones.append(connection)
                request = b""
                while b"\r\n\r\n" not in request and (part := connection.recv(65536)):
                    request += part
                if (reply := answer(request)) is not None:
                    connection.sendall(reply)
                    connection.shutdown(socket.SHUT_RDWR)
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in open_ones:
                connection.close()


LISTING = (
    b"<ListBucketResult><Name>tiles</Name><IsTruncated>false</IsTruncated><Contents><Key>world/a</Key>"
    b"<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>e</ETag><Size>1</Size></Contents></ListBucketResult>"
)
FACTS = b'Content-Length: 1000\r\nETag: "e"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n'


def s3(reply: Callable[[bytes], bytes | None]) -> Callable[[bytes], bytes | None]:
    """Answer a listing with an object, and all else with a reply."""

    def answer(request: bytes) -> bytes | None:
        if b"list-type" in request.partition(b"\r\n")[0]:
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(LISTING), LISTING)
        return reply(request)

    return answer


@pytest.fixture
def impatient(monkeypatch) -> None:
    """Few and short tries, so that a fault is seen soon."""
    monkeypatch.setattr(bucket_address, "_RETRIES", 1)
    monkeypatch.setattr(bucket_address, "_SILENT_SECONDS", 1)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")


def test_half_a_download_is_an_error_and_leaves_no_copy(monkeypatch, impatient, tmp_path) -> None:
    def half(request: bytes) -> bytes:
        body = b"" if request.startswith(b"HEAD") else b"x" * 500
        return b"HTTP/1.1 200 OK\r\n" + FACTS + body

    with server(s3(half)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        tile = found(open_tiles(ADDRESS))
        with pytest.raises(UnavailableError, match=rf"^{ADDRESS}/{PLACE.name}: c(annot be read now|ame without)"):
            tile.record()
    assert not list((tmp_path / "cache").glob("*.tif*"))


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", r"answers 403 Forbidden\. Check AWS_ACCESS_KEY_ID"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", r"answers 500 Internal Server Error\. Check the network"),
        (b"HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n", r"AWS_REGION"),
        (b"HTTP/1.1 200 OK\r\n", r"cannot be read now: "),
        (b"nonsense\r\n\r\n", r"cannot be read now: "),
        (None, r"does not answer in time\. Check the network"),
    ],
)
def test_a_bucket_that_cannot_be_asked_for_a_tile_is_an_error(monkeypatch, impatient, reply, reason) -> None:
    with server(s3(lambda request: reply)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        tiles = open_tiles(ADDRESS)
        with pytest.raises(UnavailableError, match=rf"^{ADDRESS}/{PLACE.name}: .*{reason}") as caught:
            tiles.tile(LAND_COVER, HERE)
    assert "\n" not in str(caught.value)
    assert "Debug source" not in str(caught.value)


def test_a_name_that_is_not_known_and_a_server_that_is_not_there_are_named(monkeypatch, impatient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    for endpoint, reason in (
        ("http://no-such-name.invalid", "the name of its server is not known"),
        (f"http://127.0.0.1:{port}", "its server refuses the connection"),
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(UnavailableError, match=rf"^{ADDRESS}: cannot be listed now: {reason}"):
            open_tiles(ADDRESS)


@pytest.mark.parametrize("signed", [True, False])
def test_requests_are_signed_only_with_credentials(monkeypatch, impatient, signed) -> None:
    seen: list[bytes] = []
    if signed:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    def missing(request: bytes) -> bytes:
        seen.append(request)
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"

    with server(s3(missing)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        assert open_tiles(ADDRESS).tile(LAND_COVER, HERE) is None
    assert len(seen) == len(PLACE.parts)
    assert all((b"authorization: AWS4-HMAC-SHA256" in request) == signed for request in seen)


def test_one_process_has_one_client_for_an_address(monkeypatch) -> None:
    first = open_bucket(ADDRESS)
    assert open_bucket(ADDRESS) is first
    assert first.address == open_bucket(f"{ADDRESS}/").address == ADDRESS
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert open_bucket(ADDRESS) is not first


def test_a_copy_is_not_taken_for_the_object_of_another_endpoint(tmp_path) -> None:
    copies = []
    for origin, content in (("https://a", b"one"), ("https://b", b"two")):
        store = MemoryStore()
        store.put(PLACE.name, content)
        copies.append(found(bucket(store, tmp_path, BucketClient(ADDRESS, store, origin))).path)
    assert [path.read_bytes() for path in copies] == [b"one", b"two"]
