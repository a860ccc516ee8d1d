"""The functions for other programs, and the unchanged examples of the documentation."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

import drshym_pipeline
from drshym_pipeline import load_model, map_scene
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import shipped_bundle
from drshym_pipeline.model.choice import choose_model
from drshym_pipeline.model.service_record import write_in_service
from drshym_pipeline.records import MapRecord

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"tile": 64, "overlap": 8}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, random_bundle) -> Path:
    return Path(random_bundle.save(tmp_path_factory.mktemp("model") / "bundle"))


@pytest.fixture
def pair(tmp_path, scene_file) -> tuple[Path, Path]:
    return (
        scene_file(tmp_path / "x_vv.tif", bands=("VV",), shape=(64, 64)),
        scene_file(tmp_path / "x_vh.tif", bands=("VH",), shape=(64, 64)),
    )


def pixels(folder: Path, record: MapRecord) -> np.ndarray:
    with rasterio.open(folder / record.files["mask"]) as mask:
        return mask.read(1)


def test_paths_may_be_strings_and_the_record_is_the_one_that_is_written(tmp_path, scene_file, checkpoint):
    scene = scene_file(tmp_path / "good.tif", shape=(64, 80))
    out = tmp_path / "out"
    record = map_scene(str(scene), str(out), str(checkpoint), **SMALL)
    assert isinstance(record, MapRecord)
    assert MapRecord.model_validate_json((out / record.files["record"]).read_text()) == record
    assert all((out / name).is_file() for name in record.files.values())
    again = map_scene(scene, tmp_path / "again", checkpoint, **SMALL)
    np.testing.assert_array_equal(pixels(out, record), pixels(tmp_path / "again", again))


def test_a_pair_is_one_scene_in_either_order(tmp_path, pair, checkpoint):
    vv, vh = pair
    record = map_scene((vv, str(vh)), tmp_path / "out", checkpoint, **SMALL)
    assert (record.scene_id, record.modality) == ("x", "sentinel1_sar_vv_vh")
    turned = map_scene([vh, vv], tmp_path / "turned", checkpoint, **SMALL)
    assert turned.modality == record.modality
    np.testing.assert_array_equal(pixels(tmp_path / "out", record), pixels(tmp_path / "turned", turned))


def test_the_model_is_the_given_one_or_the_one_in_service_or_the_shipped_one(
    tmp_path, home, pair, checkpoint, random_bundle
):
    def mapped_by(name, model=None):
        return map_scene(pair, tmp_path / name, model, **SMALL).model

    assert load_model().sha256 == shipped_bundle().sha256
    assert mapped_by("shipped").source == "shipped"
    assert choose_model(load_model()).reference == choose_model().reference
    assert mapped_by("given", load_model(checkpoint)) == choose_model(checkpoint).reference
    assert choose_model(checkpoint).reference.source == "checkpoint"

    write_in_service(home / "store", checkpoint, random_bundle.reference("registry"), "reviewed")
    assert load_model().sha256 == random_bundle.sha256
    assert mapped_by("served").source == "registry"
    assert choose_model(load_model()).reference == choose_model().reference


@pytest.mark.parametrize("files", [[], ["x_vv.tif", "x_vh.tif", "x_vv.tif"], ["gone.tif"]])
def test_an_input_that_is_not_a_scene_is_refused_and_nothing_is_left(tmp_path, pair, checkpoint, files):
    with pytest.raises(InputError) as refused:
        map_scene([tmp_path / name for name in files], tmp_path / "out", checkpoint)
    assert refused.value.remedy
    assert not (tmp_path / "out").exists()


def test_a_missing_model_is_refused(tmp_path, pair):
    for load in (lambda: load_model(tmp_path / "gone"), lambda: map_scene(pair, tmp_path / "out", tmp_path / "gone")):
        with pytest.raises(InputError, match="no such model bundle"):
            load()
    assert not (tmp_path / "out").exists()


def test_the_package_has_these_public_names_and_no_others():
    assert {"load_model", "map_scene", "segment"} <= set(dir(drshym_pipeline))
    assert all(getattr(drshym_pipeline, name) for name in drshym_pipeline.__all__)
    with pytest.raises(AttributeError, match="no attribute 'map_scenes'"):
        drshym_pipeline.map_scenes  # noqa: B018


def examples(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text("utf-8"), re.DOTALL)


@pytest.mark.system
@pytest.mark.parametrize(
    ("document", "lines", "written"), [("README.md", 4, "mask.tif"), ("docs/python.md", 6, "maps/scene_mask.tif")]
)
def test_the_printed_example_works_unchanged(tmp_path, scene_file, document, lines, written):
    (example,) = examples(document)
    assert sum(bool(line.strip()) for line in example.splitlines()) == lines
    scene_file(tmp_path / "scene.tif", shape=(64, 80))
    scene_file(tmp_path / "scene_VV.tif", bands=("VV",), shape=(64, 80))
    scene_file(tmp_path / "scene_VH.tif", bands=("VH",), shape=(64, 80))
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "90 % interval" in done.stdout
    assert (tmp_path / written).is_file()


@pytest.mark.parametrize("name", ["load_model", "map_scene", "segment"])
def test_a_type_checker_sees_the_functions(name):
    # `make lint` checks the package; this checks that the lazy names are visible to users of the package.
    tree = ast.parse((ROOT / "drshym_pipeline" / "__init__.py").read_text("utf-8"))
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    assert name in {alias.name for line in guarded.body for alias in line.names}
    signature = inspect.signature(getattr(drshym_pipeline, name))
    assert signature.return_annotation in {"ModelBundle", "MapRecord", "xr.Dataset"}
    assert all(parameter.annotation is not parameter.empty for parameter in signature.parameters.values())


SNIPPET = """
from pathlib import Path

import rioxarray
import xarray as xr

from drshym_pipeline import load_model, segment

model = load_model()
array = rioxarray.open_rasterio("scene.tif")
assert isinstance(array, xr.DataArray)
flood: xr.Dataset = segment(array, Path("before.tif"), model=model, units="db", threshold=0.4)
mask: xr.DataArray = segment("scene.tif").mask
reveal_type(segment(("vv.tif", "vh.tif")))
"""


@pytest.mark.system
@pytest.mark.parametrize(
    ("more", "fault"),
    [("", ""), ("segment(3)", '"int"; expected'), ('segment("x.tif", units="decibel")', "expected \"Literal['db'")],
)
def test_a_strict_type_checker_accepts_a_program_of_a_user_and_finds_its_mistakes(tmp_path, more, fault):
    program = tmp_path / "program.py"
    program.write_text(SNIPPET + more + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), str(program)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert 'Revealed type is "xarray.core.dataset.Dataset"' in done.stdout
    assert (done.returncode == 0) == (not fault), done.stdout
    assert fault in done.stdout


def test_the_wheel_says_that_it_is_typed(tmp_path):
    from hatchling.builders.wheel import WheelBuilder

    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    names = zipfile.ZipFile(wheel).namelist()
    assert "drshym_pipeline/py.typed" in names
    assert "drshym_pipeline/__main__.py" in names
