"""The files of the page: in the wheel, complete, from no other host, and with Leaflet as it was published."""

from __future__ import annotations

import hashlib
import re
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from drshym_pipeline.scene_folder import PRODUCT_KINDS, product_name
from drshym_pipeline.service.page_routes import add_page, page_files

ROOT = Path(__file__).resolve().parents[2]
LEAFLET = page_files() / "vendor" / "leaflet"
# Of the files in the npm package `leaflet` 1.9.4.
LEAFLET_SHA256 = {
    "leaflet.js": "db49d009c841f5ca34a888c96511ae936fd9f5533e90d8b2c4d57596f4e5641a",
    "leaflet.css": "a7837102824184820dfa198d1ebcd109ff6d0ff9a2672a074b9a1b4d147d04c6",
}
MODULES = sorted(page_files().glob("*.js"))


class Document(HTMLParser):
    """The addresses that a document loads, and what it has inside that a strict policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []
        self.labelled: list[str] = []
        self._script = False

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self._script = tag == "script"
        if tag in ("script", "link", "img"):
            self.addresses += [given[name] for name in ("src", "href") if name in given]
        if tag == "style" or "style" in given or any(name.startswith("on") for name in given):
            self.inline.append(self.get_starttag_text())
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "label":
            self.labelled.append(given["for"])

    def handle_data(self, data):
        if self._script and data.strip():
            self.inline.append(data)

    def handle_endtag(self, tag):
        self._script = False


def document() -> Document:
    parser = Document()
    parser.feed((page_files() / "index.html").read_text("utf-8"))
    return parser


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    add_page(app)
    return TestClient(app)


def test_the_wheel_has_every_file_of_the_page_and_the_licence_of_leaflet(tmp_path: Path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    folder = "drshym_pipeline/service/page/"
    here = {str(path.relative_to(page_files())) for path in page_files().rglob("*") if path.is_file()}
    assert {name.removeprefix(folder) for name in names if name.startswith(folder)} == here
    assert any(name.endswith(f".dist-info/licenses/{folder}vendor/leaflet/LICENSE") for name in names)


def test_leaflet_is_the_published_release_and_its_note_says_so():
    note = (LEAFLET / "README.md").read_text("utf-8")
    assert "Leaflet 1.9.4" in note
    for name, expected in LEAFLET_SHA256.items():
        assert hashlib.sha256((LEAFLET / name).read_bytes()).hexdigest() == expected
        assert expected in note
    assert (LEAFLET / "leaflet.js").read_text("utf-8").startswith("/* @preserve\n * Leaflet 1.9.4,")


def test_the_document_loads_only_files_of_the_page_and_has_no_script_or_style_inside(client: TestClient):
    found = document()
    assert found.inline == []
    assert found.addresses
    for name in found.addresses:
        assert client.get(f"/{name}").status_code == 200, name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_module_imports_files_that_exist_and_reads_no_text_as_html(path: Path, client: TestClient):
    text = path.read_text("utf-8")
    for name in re.findall(r'from "\./([^"]+)"', text):
        assert client.get(f"/static/{name}").headers["content-type"].startswith("text/javascript"), name
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "http://", "https://"):
        assert forbidden not in text


def test_ids_are_unique_and_every_label_has_its_field():
    found = document()
    assert len(found.ids) == len(set(found.ids))
    assert set(found.labelled) <= set(found.ids)


def test_every_id_that_a_module_looks_up_is_in_the_document():
    wanted = {id for path in MODULES for id in re.findall(r'byId\("([^"]+)"\)', path.read_text("utf-8"))}
    assert wanted
    assert wanted <= set(document().ids)


def test_the_document_answers_get_and_head_and_nothing_outside_the_folder(client: TestClient):
    assert client.get("/").text == (page_files() / "index.html").read_text("utf-8")
    assert client.head("/").status_code == 200
    for path in ("/static/../page_routes.py", "/static/%2e%2e/page_routes.py", "/static/"):
        assert client.get(path).status_code == 404, path


def test_the_page_has_a_title_for_every_file_of_a_map() -> None:
    table = (page_files() / "texts.js").read_text("utf-8").partition("const FILES = [")[2].partition("];")[0]
    ends = re.findall(r'^\s*\["([^"]+)", "[^"]+"\],$', table, re.MULTILINE)
    names = [product_name("", kind) for kind in PRODUCT_KINDS]
    assert sorted(ends) == sorted(names)
    # The page uses the first end that fits, and `_flood_proba.tif` also ends with `_proba.tif`.
    for name in names:
        assert next(end for end in ends if name.endswith(end)) == name
