"""Which addresses the service opens, and which requests have its token."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import SecretStr

from drshym_pipeline.errors import InputError
from drshym_pipeline.service.access import (
    ForbiddenError,
    MissingSceneError,
    check_token,
    is_loopback,
    resolve_uri,
)
from tests.examples import examples


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `scenes` that may be read, and a folder `secret` beside it."""
    top = tmp_path_factory.mktemp("machine").resolve()
    for name in ("scenes/S1_x.tif", "scenes/sub/S1 ü#1%20.tif", "secret/key.tif", "scenes-2/other.tif"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"x")
    (top / "scenes" / "link.tif").symlink_to(top / "secret" / "key.tif")
    (top / "scenes" / "folder_link").symlink_to(top / "secret")
    (top / "scenes" / "broken_link.tif").symlink_to(top / "secret" / "missing.tif")
    (top / "scenes" / "loop").symlink_to(top / "scenes" / "loop")
    (top / "scenes" / "inner_link.tif").symlink_to("sub/../S1_x.tif")
    (top / "alias").symlink_to(top / "scenes")
    return top


def answer(tree: Path, uri: str, root: str = "scenes") -> str:
    with pytest.raises(ForbiddenError) as refused:
        resolve_uri(uri, [tree / root])
    return str(refused.value)


@pytest.mark.parametrize("form", ["{path}", "file://{path}", "file://localhost{path}", "file:{path}", "FILE://{path}"])
def test_a_scene_below_the_folder_is_found(tree: Path, form: str):
    path = tree / "scenes" / "S1_x.tif"
    assert resolve_uri(form.format(path=path), [tree / "scenes"]) == path


def test_special_characters_are_percent_encoded_in_an_address_but_not_in_a_path(tree: Path):
    path = tree / "scenes" / "sub" / "S1 ü#1%20.tif"
    assert resolve_uri(path.as_uri(), [tree / "scenes"]) == path
    assert resolve_uri(str(path), [tree / "scenes"]) == path
    # Decoded once only: %2520 is the text %20, not a space.
    with pytest.raises(MissingSceneError):
        resolve_uri(f"file://{tree}/scenes/S1%2520x.tif", [tree / "scenes"])


def test_links_and_dots_within_the_folders_are_resolved(tree: Path):
    path = tree / "scenes" / "S1_x.tif"
    assert resolve_uri(f"{tree}/scenes/inner_link.tif", [tree / "scenes"]) == path
    assert resolve_uri(f"{tree}/scenes/sub/../S1_x.tif", [tree / "scenes"]) == path
    # A folder may be configured by a link, and an address may use a link to it.
    assert resolve_uri(f"{tree}/alias/S1_x.tif", [tree / "scenes"]) == path
    assert resolve_uri(f"{tree}/scenes/S1_x.tif", [tree / "alias"]) == path


@pytest.mark.parametrize(
    "address",
    [
        "{tree}/secret/key.tif",
        "{tree}/secret/missing.tif",
        "file://{tree}/secret/key.tif",
        "{tree}/scenes/../secret/key.tif",
        "file://{tree}/scenes/%2e%2e/secret/key.tif",
        "file://{tree}/scenes/..%2Fsecret%2Fkey.tif",
        "{tree}/scenes/link.tif",
        "{tree}/scenes/broken_link.tif",
        "{tree}/scenes/folder_link/key.tif",
        "{tree}/scenes/folder_link/missing.tif",
        "{tree}/scenes-2/other.tif",
        "{tree}/scenes/sub/../../scenes-2/other.tif",
        "{tree}/scenes/S1_x.tif\0",
        "file://{tree}/scenes/S1_x.tif%00.png",
        "{tree}/scenes/S1_x.tif\nok",
        "/{tree}/scenes/S1_x.tif",
        "file:////{tree}/scenes/S1_x.tif",
        "file://example.org{tree}/scenes/S1_x.tif",
        "file://127.0.0.1{tree}/scenes/S1_x.tif",
        "file://user@localhost{tree}/scenes/S1_x.tif",
        "file://localhost:80{tree}/scenes/S1_x.tif",
        "file://{tree}/scenes/S1_x.tif?x=1",
        "file://{tree}/scenes/S1_x.tif#x",
        "file://{tree}/scenes/%ff.tif",
        "file://",
        "file:",
        "file:S1_x.tif",
        "S1_x.tif",
        "scenes/S1_x.tif",
        "",
        "~/S1_x.tif",
        "http://127.0.0.1/S1_x.tif",
        "https://example.org/S1_x.tif",
        "s3://bucket/S1_x.tif",
        "ftp://example.org/S1_x.tif",
        "data:image/tiff;base64,SUkq",
        "/vsicurl/http://127.0.0.1/S1_x.tif",
        "/vsizip/{tree}/scenes/x.zip",
        "/vsimem/x.tif",
        "GTIFF_RAW:{tree}/secret/key.tif",
        "<VRTDataset/>",
        "\\\\host\\share\\S1_x.tif",
        "C:\\S1_x.tif",
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/root{tree}/secret/key.tif",
        "/" + "a" * 300,
        "/" + "a/" * 3000,
        "\udcff{tree}/scenes/S1_x.tif",
        "/\ud800{tree}/scenes",
    ],
)
def test_every_other_address_gets_the_same_answer(tree: Path, address: str):
    assert answer(tree, address.format(tree=tree)) == str(ForbiddenError())


def test_without_a_configured_folder_nothing_is_opened(tree: Path):
    with pytest.raises(ForbiddenError):
        resolve_uri(f"{tree}/scenes/S1_x.tif", [])


@pytest.mark.parametrize("name", ["missing.tif", "loop", "loop/x.tif", "S1_x.tif/x.tif", "a" * 300, "a/" * 3000 + "x"])
def test_a_missing_file_below_the_folder_is_named(tree: Path, name: str):
    with pytest.raises((MissingSceneError, InputError)) as missing:
        resolve_uri(f"{tree}/scenes/{name}", [tree / "scenes"])
    assert "scenes" in str(missing.value)


def test_a_device_is_refused_instead_of_opened(tree: Path):
    # Opening a named pipe without a writer would never return.
    pipe = tree / "scenes" / "pipe.tif"
    os.mkfifo(pipe)
    try:
        with pytest.raises(InputError, match="neither a file nor a folder"):
            resolve_uri(str(pipe), [tree / "scenes"])
    finally:
        pipe.unlink()


def test_a_product_folder_with_a_link_to_the_outside_is_refused(tree: Path, tmp_path: Path):
    product = tmp_path / "S1A_x.SAFE"
    (product / "annotation").mkdir(parents=True)
    (product / "annotation" / "inner.xml").symlink_to(product / "manifest.safe")
    assert resolve_uri(str(product), [tmp_path]) == product.resolve()
    (product / "measurement").symlink_to(tree / "secret")
    with pytest.raises(ForbiddenError):
        resolve_uri(str(product), [tmp_path])


def test_a_folder_with_very_many_files_is_no_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("drshym_pipeline.service.access._MOST_ENTRIES", 3)
    for number in range(4):
        (tmp_path / f"{number}.tif").touch()
    with pytest.raises(InputError, match="more than 3 files"):
        resolve_uri(str(tmp_path), [tmp_path])


PARTS = st.sampled_from(
    ["..", ".", "", "scenes", "secret", "sub", "link.tif", "folder_link", "key.tif", "S1_x.tif", "%2e%2e", "%2f", "%00",
     "%252e", "loop", "alias", "scenes-2", "~", "\\..", "ü", "\0", "..;", "....", "%c0%ae%c0%ae"]
)  # fmt: skip


@examples(300, more=4)
@given(
    st.lists(st.one_of(PARTS, PARTS.map(quote), st.text(max_size=5)), max_size=8),
    st.sampled_from(["", "file://", "file:", "file://localhost", "/", "//", "file:///", "http://"]),
    st.booleans(),
)
@example(["sub", "..", "..", "secret", "key.tif"], "file://", True)
def test_no_address_leads_out_of_the_folder(tree: Path, parts: list[str], scheme: str, begun: bool):
    uri = f"{scheme}{f'{tree}/scenes/' if begun else ''}{'/'.join(parts)}"
    try:
        found = resolve_uri(uri, [tree / "scenes"])
    except (ForbiddenError, InputError) as error:
        # An error about a file below the folder names that folder; every other text is the fixed one.
        assert isinstance(error, ForbiddenError) or error.subject.startswith(f"{tree}/scenes")
        assert isinstance(error, InputError) or str(error) == str(ForbiddenError())
    else:
        assert Path(os.path.realpath(found)).is_relative_to(tree / "scenes")
        assert found == Path(os.path.realpath(found))


TOKEN = SecretStr("s3cret-tökén")


@pytest.mark.parametrize(
    ("header", "right"),
    [
        ("Bearer s3cret-tökén", False),  # as Latin-1; the token is compared as UTF-8
        ("Bearer " + "s3cret-tökén".encode().decode("latin-1"), True),
        ("bearer  " + "s3cret-tökén".encode().decode("latin-1") + " ", True),
        ("Basic " + "s3cret-tökén".encode().decode("latin-1"), False),
        ("s3cret-tökén".encode().decode("latin-1"), False),
        ("Bearer", False),
        ("Bearer ", False),
        ("", False),
        (None, False),
        ("Bearer s3cret", False),
        ("Bearer \u20ac", False),
    ],
)
def test_only_the_whole_token_is_right(header: str | None, right: bool):
    assert check_token(header, TOKEN) is right


def test_without_a_token_every_request_is_answered():
    assert check_token(None, None)
    assert check_token("Bearer x", None)


def test_an_empty_token_lets_nobody_in():
    assert not check_token("Bearer ", SecretStr(""))
    assert not check_token(None, SecretStr(""))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_loopback_addresses(host: str):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.5", "example.org", "localhost.example.org", "10.0.0.1"]
)
def test_other_addresses_are_not_loopback(host: str):
    assert not is_loopback(host)
