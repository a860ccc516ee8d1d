"""A part of a raw image beside the tables of the whole product is refused: its gain and noise would be of other pixels.

`test_product_messages` makes sure that every message has a case.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.product_tables import OTHER_IMAGE_REMEDY
from drshym_pipeline.sar.scene import SceneReader, describe_scene
from drshym_pipeline.tiling import Window
from tests.look_alikes import backscatter_db
from tests.products.safe_product import (
    SafeOptions,
    calibration_xml,
    control_points,
    cut_out,
    noise_xml,
    write_image,
    write_safe,
)

OPTIONS = SafeOptions()
TRUTH = backscatter_db()
SIZE = (160, 160)  # the vectors of the tables are 40 lines and pixels apart
PARTS = {
    "middle": Window(40, 40, 80, 80),
    "left": Window(0, 0, 160, 80),
    "right": Window(0, 80, 160, 80),
    "upper": Window(0, 0, 80, 160),
    "lower": Window(80, 0, 80, 160),
}
SMALL_SHIFTS = {"rows": Window(10, 0, 150, 160), "columns": Window(0, 10, 160, 150)}
TABLES = [("calibration",), ("noise",), ("calibration", "noise")]


@pytest.fixture(scope="module")
def safe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_safe(tmp_path_factory.mktemp("whole"), TRUTH, OPTIONS)


def files(first: Path) -> list[Path]:
    return [first.with_name(f"{OPTIONS.stem(index)}.tiff") for index in range(2)]


def read(first: Path, *, denoise: bool = True) -> np.ndarray:
    meta = describe_scene(files(first), denoise=denoise)
    with SceneReader(meta, Path()) as reader:
        return reader.read(Window(0, 0, *meta.shape))


def share_right(db: np.ndarray, window: Window, tolerance: float = 0.5) -> float:
    return float(np.mean(np.abs(db - TRUTH[: len(db), window.rows, window.cols]) < tolerance))


def refusal(first: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read(first)
    assert caught.value.remedy == OTHER_IMAGE_REMEDY
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("annotation", [True, False])
@pytest.mark.parametrize("kinds", TABLES)
@pytest.mark.parametrize("part", PARTS)
def test_a_part_with_the_tables_of_the_whole_image_is_refused(safe, tmp_path, part, kinds, annotation):
    copied = (*kinds, "annotation") if annotation else kinds
    error = refusal(cut_out(safe, tmp_path, PARTS[part], copied))
    if annotation:
        assert Path(error.subject).name == f"{OPTIONS.stem(0)}.xml"
        assert "is of an image of 160 x 160 pixels, this one has" in str(error)
    else:
        assert Path(error.subject).name == f"{kinds[0]}-{OPTIONS.stem(0)}.xml"
        assert "is of a larger image: it covers 160 x 160 pixels of" in str(error)


@pytest.mark.parametrize("annotation", [True, False])
def test_a_resampled_image_with_the_tables_of_the_original_is_refused(safe, tmp_path, annotation):
    copied = ("calibration", "annotation") if annotation else ("calibration",)
    refusal(cut_out(safe, tmp_path, Window(0, 0, *SIZE), copied, step=2))


@pytest.mark.parametrize("part", SMALL_SHIFTS)
def test_a_part_that_is_less_than_one_vector_smaller_is_known_by_its_control_points(safe, tmp_path, part):
    error = refusal(cut_out(safe, tmp_path, SMALL_SHIFTS[part], ("calibration",)))
    assert f"the control points of this one begin at {part.removesuffix('s')} -10" in str(error)


@pytest.mark.parametrize("window", [Window(0, 0, 150, 160), Window(0, 0, 160, 150), Window(1, 1, 159, 159)])
def test_tables_at_the_right_place_are_used_if_less_than_one_vector_is_missing(tmp_path, window):
    options = SafeOptions(removed=True, noise=False)
    safe = write_safe(tmp_path, TRUTH, options)
    first = cut_out(safe, tmp_path / "cut", window, ("calibration",), options)
    assert share_right(read(first), window) > 0.95


@pytest.mark.parametrize("part", PARTS)
def test_a_part_with_tables_of_its_own_is_read(safe, tmp_path, part):
    window = PARTS[part]
    shape = window.height, window.width
    first = cut_out(safe, tmp_path, window, ())
    for index, polarisation in enumerate(OPTIONS.polarisations):
        table = calibration_xml(OPTIONS, polarisation, shape)
        (tmp_path / f"calibration-{OPTIONS.stem(index)}.xml").write_text(table)
    meta = describe_scene(files(first))
    assert "calibrate:sigma-nought-table" in meta.processing


def test_a_part_inside_the_folder_of_the_product_is_refused(tmp_path):
    safe = write_safe(tmp_path, TRUTH, OPTIONS)
    cut_out(safe, tmp_path / "cut", PARTS["right"], ())
    for image in (safe / "measurement").iterdir():
        image.write_bytes((tmp_path / "cut" / image.name).read_bytes())
    refusal(safe / "measurement" / f"{OPTIONS.stem(0)}.tiff")


def test_every_remedy_gives_the_right_map(safe, tmp_path):
    window = PARTS["right"]
    first = cut_out(safe, tmp_path / "cut", window, ("calibration", "noise", "annotation"))
    for word in ("whole image", "calibrate it before you cut", "remove the tables to use a nominal constant"):
        assert word in refusal(first).remedy
    assert share_right(read(safe / "measurement" / first.name), Window(0, 0, *SIZE)) > 0.95
    points = [
        rasterio.control.GroundControlPoint(point.row - window.row, point.col - window.col, point.x, point.y)
        for point in control_points(SIZE)
    ]
    for index, path in enumerate(files(tmp_path / "calibrated" / f"{OPTIONS.stem(0)}.tiff")):
        power = 10.0 ** (TRUTH[index, window.rows, window.cols] / 10.0)
        write_image(path, power.astype(np.float32), points)
    assert share_right(read(tmp_path / "calibrated" / first.name), window, 0.01) == 1.0
    for table in first.parent.glob("*.xml"):
        table.unlink()
    meta = describe_scene(files(first))
    assert any("approximate radiometry" in warning for warning in meta.warnings)
    assert share_right(read(first), window, 4.0) > 0.9


@pytest.mark.parametrize(("lines", "accepted"), [(160, True), (170, True), (199, True), (241, False)])
def test_the_lines_of_a_table_may_end_less_than_one_vector_after_the_image(safe, tmp_path, lines, accepted):
    first = cut_out(safe, tmp_path, Window(0, 0, *SIZE), ())
    for index, polarisation in enumerate(OPTIONS.polarisations):
        for kind, make in (("calibration", calibration_xml), ("noise", noise_xml)):
            (tmp_path / f"{kind}-{OPTIONS.stem(index)}.xml").write_text(make(OPTIONS, polarisation, (lines, 160)))
    if accepted:
        assert share_right(read(first), Window(0, 0, *SIZE)) > 0.8
    else:
        refusal(first)


@pytest.mark.parametrize("old", ["160</numberOfLines>", "160</numberOfSamples>"])
def test_an_annotation_that_states_no_size_decides_nothing(tmp_path, old):
    safe = write_safe(tmp_path, TRUTH, OPTIONS)
    for path in safe.glob("annotation/*.xml"):
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, old[3:]))
    assert share_right(read(safe / "measurement" / f"{OPTIONS.stem(0)}.tiff"), Window(0, 0, *SIZE)) > 0.95
