"""Every message about a product or a table of one: it is raised here, and each of its remedies gives the right map."""

from __future__ import annotations

import ast
import importlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar import product_tables
from drshym_pipeline.sar.scene import SceneReader, describe_scene
from drshym_pipeline.sar.source_files import open_sources
from drshym_pipeline.tiling import Window
from tests.look_alikes import backscatter_db
from tests.products.safe_product import SafeOptions, calibration_xml, cut_out, noise_xml, write_safe, zip_safe
from tests.products.test_safe_products import BAD_ZIPS, WRONG

MODULES = ("archives", "safe_product", "product_tables", "calibration", "noise", "scene_tables", "source_files")
# Messages that need a user without rights (tested with a patch), or bytes that the zip module refuses before.
ELSEWHERE = {
    ("safe_product", "cannot be read"): "test_safe_products",
    ("source_files", "cannot be read"): "test_safe_products",
    ("archives", "is larger than the zip says"): "zipfile never returns more bytes",
    ("archives", "compressed in an unusual way"): "test_safe_products",
    ("archives", "in it is not a folder"): "below",
    ("archives", "InputError(str(name), "): "test_packed_sizes",
}
SIZE = (160, 160)
TRUTH = backscatter_db()

Change = Callable[[str], str]


def swap(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return change


# What is done to the text of the table of VV, for both kinds of tables.
BOTH_KINDS: dict[str, Change] = {
    "not XML": lambda _: "no xml",
    "document type": swap("<adsHeader>", "<!DOCTYPE a><adsHeader>"),
    "polarisation": swap("<polarisation>VV", "<polarisation>VH"),
    "not finite": swap("<line>40</line>", "<line>inf</line>"),
    "no number": swap("<line>40</line>", "<line>many</line>"),
    "no line": swap("<line>40</line>", ""),
    "lines": swap("<line>40</line>", "<line>0</line>"),
    "pixels": swap(">0 ", ">5 "),
}
CALIBRATION: dict[str, Change] = {
    **BOTH_KINDS,
    "one vector": lambda _: calibration_xml(SafeOptions(), "VV", (1, 160)),
    "size": lambda _: calibration_xml(SafeOptions(), "VV", (160, 90)),
    "height": lambda _: calibration_xml(SafeOptions(), "VV", (90, 160)),
    "counts": swap(">0 40 80 120 159<", ">0 40 80 159<"),
    "negative": swap(">335 ", ">-335 "),
}
NOISE: dict[str, Change] = {
    **BOTH_KINDS,
    "pixels": swap(">0 1 2 ", ">0 2 1 "),
    "counts": swap(">0 1 2 ", ">0 2 "),
    "one vector": lambda _: noise_xml(SafeOptions(), "VV", (1, 160)),
    "size": lambda _: noise_xml(SafeOptions(), "VV", (160, 90)),
    "height": lambda _: noise_xml(SafeOptions(), "VV", (90, 160)),
    "negative": lambda _: noise_xml(SafeOptions(level=-265.0), "VV", SIZE),
    "negative factor": swap("1.2</noise", "-1.2</noise"),
    "block counts": swap("0 159</line>", "0</line>"),
    "block lines": swap("0 159</line>", "159 0</line>"),
    "overlap": swap("<firstRangeSample>53", "<firstRangeSample>20"),
    "many blocks": swap("</noiseAzimuthVectorList>", "<noiseAzimuthVector/>" * 10_001 + "</noiseAzimuthVectorList>"),
}
TABLES = [(kind, name) for kind, changes in (("calibration", CALIBRATION), ("noise", NOISE)) for name in changes]


def read(path: Path, *, denoise: bool = True) -> np.ndarray:
    with open_sources([path], path.parent) as found:
        meta = describe_scene(found.files, denoise=denoise)
        with SceneReader(meta, Path()) as reader:
            return reader.read(Window(0, 0, *meta.shape))


def is_right(db: np.ndarray, tolerance: float = 0.5) -> bool:
    return bool(np.mean(np.abs(db - TRUTH) < tolerance) > 0.95)


def refusal(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    return caught.value


def broken_table(safe: Path, kind: str, name: str) -> Path:
    path = next(safe.glob(f"annotation/calibration/{kind}-*-vv-*"))
    path.write_text((CALIBRATION if kind == "calibration" else NOISE)[name](path.read_text()))
    return path


@pytest.mark.parametrize(("kind", "name"), TABLES)
def test_the_remedies_of_a_wrong_table_give_the_right_map(tmp_path: Path, kind: str, name: str):
    safe = write_safe(tmp_path, TRUTH)
    kept = Path(shutil.copytree(safe, tmp_path / "kept.SAFE"))
    path = broken_table(safe, kind, name)
    error = refusal(safe)
    assert error.subject == str(path)
    if kind == "noise":
        assert error.remedy == "Take the file from the product again, or give --no-denoise"
        # The noise that stays adds up to 3 dB in VV and raises the lake of VH to the level of the noise.
        assert np.mean(np.abs(read(safe, denoise=False)[0] - TRUTH[0]) < 3.0) > 0.95
    else:
        assert error.remedy == "Take the file from the product again, or remove it to use a nominal constant"
        for table in safe.glob("annotation/calibration/calibration-*"):
            table.unlink()
        assert is_right(read(safe), 1.5), "the nominal constant is within 1 dB"
    shutil.copy(kept / path.relative_to(safe), path)
    for table in kept.glob("annotation/calibration/calibration-*"):
        shutil.copy(table, safe / table.relative_to(kept))
    assert is_right(read(safe))


def test_a_file_with_the_name_of_the_folder_is_no_product(tmp_path: Path):
    import zipfile

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("S1.SAFE", b"x")
    assert "is not a folder" in str(refusal(path))


def messages() -> Iterator[tuple[str, int, int, str]]:
    """Yield every statement that raises an `InputError`: module, first and last line, and its text."""
    for module in MODULES:
        path = Path(str(importlib.import_module(f"drshym_pipeline.sar.{module}").__file__))
        text = path.read_text("utf-8")
        for node in ast.walk(ast.parse(text)):
            source = ast.get_source_segment(text, node) or "" if isinstance(node, ast.Raise) else ""
            if source.startswith("raise InputError"):
                yield module, node.lineno, int(node.end_lineno or node.lineno), source


def place(error: InputError) -> tuple[str, int]:
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return Path(trace.tb_frame.f_code.co_filename).stem, trace.tb_lineno


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_every_message_is_raised_by_a_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen = set()
    for number, (make, *_) in enumerate(WRONG):
        seen.add(place(refusal(make(tmp_path / f"wrong{number}"))))
    for name, (change, _) in BAD_ZIPS.items():
        path = zip_safe(write_safe(tmp_path / name, TRUTH))
        with monkeypatch.context() as patch:
            change(path, patch)
            seen.add(place(refusal(path)))
    for kind, name in TABLES:
        safe = write_safe(tmp_path / f"{kind} {name}", TRUTH)
        broken_table(safe, kind, name)
        seen.add(place(refusal(safe)))
    safe = write_safe(tmp_path / "parts", TRUTH)
    for number, (window, kinds) in enumerate(
        [
            (Window(0, 80, 160, 80), ("calibration", "annotation")),
            (Window(0, 80, 160, 80), ("calibration",)),
            (Window(10, 0, 150, 160), ("calibration",)),
        ]
    ):
        seen.add(place(refusal(cut_out(safe, tmp_path / f"part{number}", window, kinds))))
    safe = write_safe(tmp_path / "alone", TRUTH)
    with monkeypatch.context() as patch:
        patch.setattr(product_tables, "MAX_XML_BYTES", 100)
        seen.add(place(refusal(safe)))
    next(safe.glob("annotation/calibration/noise-*-vh-*")).unlink()
    seen.add(place(refusal(safe)))
    missing = [
        f"{module}: {source}"
        for module, first, last, source in messages()
        if not any(where == module and first <= line <= last for where, line in seen)
        and not any(module == where and words in source for where, words in ELSEWHERE)
    ]
    assert not missing
