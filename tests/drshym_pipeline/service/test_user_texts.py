"""No sentence of the science names an option of the command or a place of the machine to a user of the service."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from drshym_pipeline.arrays.array_errors import in_python
from drshym_pipeline.service.jobs import JobSpec
from drshym_pipeline.service.user_texts import for_user, in_request_words, with_shown_names

PACKAGE = Path(__file__).resolve().parents[3] / "drshym_pipeline"
# What a worker runs for a map. Training, evaluation, folders of tiles and arrays are for other users.
MAPPING = (
    "ancillary", "change", "event_scene", "exclusion", "inference", "map_threshold", "mapping", "observation",
    "pre_event", "prediction", "probabilities", "products", "progress", "reference", "reference_layers",
    "reprojection", "sar", "states", "stitching", "storage", "tile_work", "tiling",
)  # fmt: skip
_OPTION = re.compile(r"(?<![\w-])--[a-z]")
# Programs that users have on their own machine.
_OTHER_PROGRAMS = re.compile(r"(?:rio edit-info|gdal_translate)(?: --\S+ \S+)+")


def texts() -> Iterator[tuple[str, str]]:
    """Yield every text in the source of the mapping that has an option, with the place where it is."""
    for name in MAPPING:
        found = PACKAGE / f"{name}.py"
        for path in [found] if found.is_file() else sorted((PACKAGE / name).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
            for node in ast.walk(tree):
                text = ""
                if isinstance(node, ast.JoinedStr):
                    text = "".join(str(part.value) if isinstance(part, ast.Constant) else "1" for part in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                    text = node.value
                if _OPTION.search(text) and "\n" not in text:  # a docstring with options has several lines
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", text


def test_no_sentence_about_a_map_names_an_option_of_the_command():
    found = dict(texts())
    assert len(found) >= 15
    left = {
        place: words
        for place, text in found.items()
        if _OPTION.search(_OTHER_PROGRAMS.sub("", words := in_request_words(text)))
    }
    assert not left


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pass --units power or --units amplitude", 'give the option "units": "power" or "units": "amplitude"'),
        ("Leave --units out, or correct the side-car.", 'Leave the option "units" out.'),
        (
            'Give a file of one date, or choose with --bands 1,2 (VV first), or with "bands": [1,2] in the side-car',
            "Give a file of one date, or give its bands 1,2 as two files with VV and VH in their names, or VV alone",
        ),
        ("Take the file from the product again, or give --no-denoise", "Take the file from the product again"),
        ("run: rio edit-info --nodata 0 x.tif", "run: rio edit-info --nodata 0 x.tif"),
    ],
)
def test_options_are_keys_of_the_request(text: str, said: str):
    assert in_request_words(text) == said


def test_a_stored_file_has_the_name_that_its_user_gave():
    shown = {"/root/uploads/1/file/x.png.tif": "x.png", "/root/uploads/1/file/a_b.tif": "a?b.tif"}
    for text, said in (
        ("/root/uploads/1/file/x.png.tif: not a TIFF", "x.png: not a TIFF"),
        ("file:///root/uploads/1/file/a_b.tif and x.png.tif", "a?b.tif and x.png"),
        ("data_a_b.tif, a_b.tiff and a_b.tif.", "data_a_b.tif, a_b.tiff and a?b.tif."),
        ("a?b.tif and x.png stay", "a?b.tif and x.png stay"),
    ):
        assert with_shown_names(text, shown) == said


def test_the_sentence_about_a_job_has_no_folder_of_the_service():
    spec = JobSpec(
        scene_name="s",
        sources=(Path("/root/uploads/1/file/a_b.tif"),),
        identity="0",
        out=Path("/root/scenes/s/2"),
        uploads=(Path("/root/uploads/1"),),
        shown_names={"/root/uploads/1/file/a_b.tif": "a?b.tif"},
    )
    assert for_user("/root/uploads/1/file/a_b.tif: bad. Leave --units out, or correct the side-car.", spec) == (
        'a?b.tif: bad. Leave the option "units" out.'
    )
    assert for_user("/root/scenes/s/2/x.SAFE/measurement/y.tiff: bad.", spec) == "x.SAFE/measurement/y.tiff: bad."


def test_the_same_advice_has_the_words_of_python():
    assert in_python("Leave --units out, or correct the side-car", []) == "Leave units out, or correct the side-car"
    assert in_python("pass --units power", []) == 'pass units="power"'
