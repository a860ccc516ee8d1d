"""Follow the remedy of every message about a raster: the result is the right map or another refusal, never a wrong map.

The last test compares the messages that were seen here with those in the source: a new message needs a case.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import Units
from drshym_pipeline.sar.scene import SceneReader, describe_scene
from drshym_pipeline.tiling import Window
from tests.remedy_cases import CASES, Case, Request

MODULES = (
    "band_order",
    "bands",
    "completeness",
    "file_facts",
    "georeference",
    "ground_control",
    "ingest",
    "plausibility",
    "raster_band",
    "reader",
    "safe_open",
    "scene_groups",
    "scene_tables",
    "unit_evidence",
    "units",
)
# Messages that no raster of this page can give, and the tests that have them.
ELSEWHERE = {
    ("scene_tables", "_check_points"): "products/test_parts_of_products",
    ("safe_open", "cannot be read"): "needs a user without rights",
    ("safe_open", "no raster band inside"): "GDAL writes no such file",
    ("safe_open", "open_raster"): "opens a file that open_scene_file has opened before",
    ("reader", "not the file the scene was described from"): "about a staged scene",
}


def read(request: Request) -> np.ndarray:
    """Return the dB of a scene."""
    meta = describe_scene(request.paths, units=request.units, scene_id=request.scene_id, bands=request.bands)
    with SceneReader(meta, Path()) as reader:
        return reader.read(Window(0, 0, meta.height, meta.width))


def is_right(db: np.ndarray, expected: np.ndarray) -> bool:
    """Return whether dB are the expected ones in 98 % of the pixels; whole digital numbers are exact to 0.5 dB."""
    return bool(np.mean(np.abs(db - expected[: len(db)]) < 0.5) > 0.98)


def _refusal(case: Case) -> InputError:
    """Return the error of a request that must be refused."""
    with pytest.raises(InputError) as caught:
        read(case.refused)
    return caught.value


def _place(error: InputError) -> tuple[str, int]:
    """Return the module and the line that raised an error."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return Path(trace.tb_frame.f_code.co_filename).stem, trace.tb_lineno


def _messages() -> Iterator[tuple[str, int, int, str]]:
    """Yield every statement that raises an `InputError`: module, first and last line, its text and its function."""
    for module in MODULES:
        path = Path(str(importlib.import_module(f"drshym_pipeline.sar.{module}").__file__))
        text = path.read_text("utf-8")
        for function in ast.walk(ast.parse(text)):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                source = ast.get_source_segment(text, node) or "" if isinstance(node, ast.Raise) else ""
                if source.startswith(("raise InputError", "raise damaged")):
                    yield module, node.lineno, int(node.end_lineno or node.lineno), f"{function.name}: {source}"


@pytest.mark.parametrize("name", CASES)
def test_following_a_remedy_gives_the_right_map(write_tiff, monkeypatch, name):
    case = CASES[name](write_tiff, monkeypatch)
    error = _refusal(case)
    assert case.remedy in error.remedy
    assert "\n" not in str(error)
    for request in case.followed:
        assert is_right(read(request), case.expected), request


@pytest.mark.parametrize("name", CASES)
def test_no_unit_that_a_remedy_names_makes_a_wrong_map(write_tiff, monkeypatch, name):
    case = CASES[name](write_tiff, monkeypatch)
    remedy = _refusal(case).remedy
    for units in re.findall(rf"--units ({'|'.join(get_args(Units))})", remedy):
        try:
            db = read(replace(case.refused, units=units))
        except InputError:
            continue
        # A remedy may name units that are wrong only if it says how the user finds out which one is right.
        asked = remedy.startswith("If ") or (case.truth and remedy.startswith("Look up in the product's documentation"))
        assert is_right(db, case.expected) if units == case.truth else asked, units


def test_every_message_has_a_case(write_tiff, monkeypatch):
    seen = set()
    for name, make in CASES.items():

        def write(values: np.ndarray, file: str, *more: Any, folder: str = name, **options: Any) -> Path:
            path: Path = write_tiff(values, f"{folder}/{file}", *more, **options)
            return path

        with monkeypatch.context() as patch:
            seen.add(_place(_refusal(make(write, patch))))
    missing = [
        f"{module}: {source}"
        for module, first, last, source in _messages()
        if not any(place == module and first <= line <= last for place, line in seen)
        and not any(module == where and words in source for where, words in ELSEWHERE)
    ]
    assert not missing
