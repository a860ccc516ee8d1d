"""The thermal noise of a product is subtracted with the product's own table, as MPC-0392 says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar import product_tables
from drshym_pipeline.sar.noise import AzimuthBlock, NoiseTable, noise_was_removed, read_noise
from drshym_pipeline.sar.product_tables import VectorTable, find_table
from drshym_pipeline.sar.radiometry import power_of_counts, without_noise
from drshym_pipeline.sar.scene import SceneReader, describe_scene, stage_scene
from drshym_pipeline.tiling import Window
from tests.look_alikes import backscatter_db
from tests.products.safe_product import SafeOptions, digital_numbers, noise_power, noise_xml, write_safe

SHAPE = (160, 160)


def images(safe: Path) -> list[Path]:
    return [next(safe.glob(f"measurement/*-{name}-*")) for name in ("vv", "vh")]


def read_db(meta: SceneMeta, directory: Path) -> np.ndarray:
    with SceneReader(meta, directory) as reader:
        return reader.read(Window(0, 0, *meta.shape))


def described(safe: Path, **options) -> tuple[SceneMeta, np.ndarray]:
    meta = describe_scene(images(safe), **options)
    return meta, read_db(meta, safe)


@pytest.mark.parametrize("azimuth", [True, False])
def test_the_table_is_interpolated_in_range_and_multiplied_by_the_azimuth_factor(tmp_path, azimuth):
    options = SafeOptions(azimuth=azimuth)
    path = tmp_path / "noise-x.xml"
    path.write_text(noise_xml(options, "VV", SHAPE))
    table = read_noise(path, "VV", SHAPE)
    assert bool(table.blocks) == azimuth
    np.testing.assert_allclose(table.power(Window(0, 0, *SHAPE)), noise_power(SHAPE, options), rtol=1e-6)


def test_noise_between_vectors_is_bilinear_and_outside_of_blocks_the_factor_is_one():
    vectors = VectorTable(np.array([0.0, 10.0]), (np.array([0.0, 8.0]),) * 2, (np.array([100.0, 180.0]),) * 2)
    block = AzimuthBlock(2, 5, 4, 7, np.array([2.0, 4.0]), np.array([2.0, 3.0]))
    power = NoiseTable(vectors, (block,)).power(Window(0, 0, 11, 9))
    plain = 100.0 + 10.0 * np.arange(9)
    assert power[0] == pytest.approx(plain)
    assert power[3, :4] == pytest.approx(plain[:4])
    assert power[3, 4:8] == pytest.approx(2.5 * plain[4:8])
    assert power[5, 4:8] == pytest.approx(3.0 * plain[4:8])
    assert power[3, 8] == pytest.approx(plain[8])


@given(row=st.integers(0, 150), col=st.integers(0, 150), height=st.integers(1, 10), width=st.integers(1, 10))
def test_the_noise_of_a_window_is_that_of_the_whole_image(row, col, height, width):
    rng = np.random.default_rng(row)
    lines = np.array([0.0, 40.0, 159.0])
    pixels = tuple(np.array([0.0, *np.sort(rng.uniform(1, 158, 3)), 159.0]) for _ in lines)
    blocks = (
        AzimuthBlock(0, 79, 0, 80, np.array([0.0, 79.0]), np.array([0.5, 1.5])),
        AzimuthBlock(80, 159, 20, 159, np.array([100.0]), np.array([2.0])),
    )
    table = NoiseTable(VectorTable(lines, pixels, tuple(rng.uniform(100, 400, 5) for _ in lines)), blocks)
    whole = table.power(Window(0, 0, *SHAPE))
    part = table.power(Window(row, col, height, width))
    np.testing.assert_allclose(part, whole[row : row + height, col : col + width], rtol=1e-5)


def test_noise_is_subtracted_from_power_and_never_gives_less_than_zero():
    noise = np.array([9.0, 9.0, 100.0], np.float32)
    for values, units, expected in (([5, 3, 5], "dn", [4, 0, 0]), ([25, 9, 25], "intensity", [16, 0, 0])):
        power = power_of_counts(np.array(values, np.uint16), units)
        np.testing.assert_allclose(without_noise(power, noise, units), expected)
    assert power_of_counts(np.array([65_535], np.uint16), "dn") == pytest.approx(65_535**2)


@pytest.mark.parametrize("azimuth", [True, False])
def test_a_product_is_read_as_its_backscatter_without_noise(tmp_path, azimuth):
    truth = backscatter_db()
    safe = write_safe(tmp_path, truth, SafeOptions(azimuth=azimuth))
    meta, db = described(safe)
    assert "denoise:product-noise-table" in meta.processing
    assert "calibrate:sigma-nought-table" in meta.processing
    # The digital numbers are whole: half of one is the largest error. Low values are compared as power.
    error = np.abs(10.0 ** (db / 10.0) - 10.0 ** (truth / 10.0))
    counts = np.stack([digital_numbers(band, SafeOptions(azimuth=azimuth)) for band in truth])
    assert (error <= (counts + 0.5) / 270.0**2).all()
    off, raised = described(safe, denoise=False)
    assert "denoise:none:off" in off.processing
    assert not any(step.endswith("noise-table") for step in off.processing)
    assert off.version != meta.version
    assert np.median((raised - db)[1]) > 0.5, "VH is well above its true level with the noise"


def test_a_pixel_that_is_not_above_the_noise_is_at_the_floor_and_the_share_is_said(tmp_path):
    truth = backscatter_db()
    truth[1, 40:60, 40:60] = -90.0
    safe = write_safe(tmp_path, truth, SafeOptions())
    path = images(safe)[1]
    import rasterio

    with rasterio.open(path, "r+") as image:
        counts = image.read(1)
        counts[40:60, 40:60] = 12  # speckle below the mean noise
        image.write(counts, 1)
    meta, db = described(safe)
    assert (db[1, 40:60, 40:60] == -30.0).all()
    assert np.isfinite(db[0, 40:60, 40:60]).all()
    (note,) = [note for note in meta.warnings if "not above the thermal noise" in note]
    share = float(re.match(r"([\d.]+)%", note)[1])  # type: ignore[index]
    assert share == pytest.approx(100 * 400 / 160**2, abs=2.0)
    single = describe_scene([images(safe)[0]])
    assert single.observed_fraction == 1.0


def test_the_dark_border_of_an_old_product_keeps_its_warning(tmp_path):
    truth = backscatter_db()
    safe = write_safe(tmp_path, truth, SafeOptions())
    import rasterio

    for path in images(safe):
        with rasterio.open(path, "r+") as image:
            counts = image.read(1)
            counts[:, :4] = 4
            image.write(counts, 1)
    meta, _ = described(safe)
    assert any("far below the thermal noise" in note and "border of a product" in note for note in meta.warnings)


def test_noise_that_the_processor_removed_is_not_removed_again(tmp_path):
    truth = backscatter_db()
    safe = write_safe(tmp_path, truth, SafeOptions(removed=True))
    meta, db = described(safe)
    assert "denoise:none:removed-by-processor" in meta.processing
    assert np.median(np.abs(db - truth)) < 0.2
    assert meta.bands[0].noise is None


def test_a_product_without_noise_tables_is_read_as_before(tmp_path):
    safe = write_safe(tmp_path, None, SafeOptions(noise=False))
    meta, _ = described(safe)
    assert "denoise:none:no-table" in meta.processing
    assert meta.version == described(safe, denoise=False)[0].version


@pytest.mark.parametrize("level", [0.0, 0.001, 60_000.0])
def test_a_noise_that_the_instrument_cannot_have_is_not_subtracted(tmp_path, level):
    """Tables of the first processor versions are zero or have another scale."""
    safe = write_safe(tmp_path, None, SafeOptions(azimuth=False, level=265.0))
    for path in safe.glob("annotation/calibration/noise-*"):
        path.write_text(noise_xml(SafeOptions(azimuth=False, level=level), path.name.split("-")[4].upper(), SHAPE))
    meta, _ = described(safe)
    assert "denoise:none:table-not-usable" in meta.processing
    assert any("which the instrument cannot have: not subtracted" in note for note in meta.warnings)
    assert meta.version == described(safe, denoise=False)[0].version


def test_the_tables_are_staged_and_the_copies_are_read_as_the_same_scene(tmp_path):
    safe = write_safe(tmp_path / "in", None, SafeOptions())
    meta, directory = stage_scene(images(safe), tmp_path / "scenes")
    assert sorted(path.name.split("-")[0] for path in (directory / "source").iterdir()) == [
        "calibration", "calibration", "noise", "noise", "s1a", "s1a",
    ]  # fmt: skip
    direct, db = described(safe)
    np.testing.assert_allclose(read_db(meta, directory), db, atol=1e-4)
    again = describe_scene([directory / band.path for band in meta.bands])
    assert again.version == meta.version == direct.version


def test_a_noise_table_of_one_polarisation_is_refused_and_the_remedies_work(tmp_path):
    safe = write_safe(tmp_path, None, SafeOptions())
    path = next(safe.glob("annotation/calibration/noise-*-vh-*"))
    kept = path.read_text()
    path.unlink()
    with pytest.raises(InputError, match=r"has no noise table, while VV has one\. Copy both .* or give --no-denoise"):
        described(safe)
    assert described(safe, denoise=False)[0].processing
    path.write_text(kept)
    assert "denoise:product-noise-table" in described(safe)[0].processing


GOOD = noise_xml(SafeOptions(), "VV", SHAPE)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("no xml", "not XML"),
        (noise_xml(SafeOptions(), "VH", SHAPE), "is of VH, the image of VV"),
        (GOOD.replace("noiseRangeVector>", "noiseSomething>"), "has 0 vectors"),
        (GOOD.replace("noiseRangeLut", "noiseLut"), "a vector without <noiseRangeLut>"),
        (noise_xml(SafeOptions(), "VV", (160, 120)), "covers columns 0 to 119 of 160"),
        (noise_xml(SafeOptions(), "VV", (90, 160)), "covers lines 0 to 89 of 160"),
        (noise_xml(SafeOptions(level=-265.0), "VV", SHAPE), "negative noise"),
        (GOOD.replace("1.2</noise", "-1.2</noise"), "an azimuth vector has a negative value"),
        (GOOD.replace("0 159</line>", "0</line>"), "an azimuth vector has 1 lines and 2 values"),
        (GOOD.replace("0 159</line>", "159 0</line>"), "lines of an azimuth vector are not in order"),
        (GOOD.replace("<firstRangeSample>53", "<firstRangeSample>20"), "two azimuth vectors overlap"),
        (GOOD.replace("<firstRangeSample>53", "<firstRangeSample>nan"), "not finite"),
        (GOOD.replace("<noise>", "<!DOCTYPE noise><noise>", 1), "document type or entities"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_with_the_reason_and_a_remedy_that_works(tmp_path, text, problem):
    safe = write_safe(tmp_path, None, SafeOptions())
    path = next(safe.glob("annotation/calibration/noise-*-vv-*"))
    path.write_text(text)
    with pytest.raises(InputError, match=problem) as caught:
        described(safe)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith("Take the file from the product again, or give --no-denoise.")
    assert described(safe, denoise=False)[0].observed_fraction > 0.9


def test_a_table_that_ends_less_than_a_step_before_the_edge_is_used(tmp_path):
    path = tmp_path / "noise-x.xml"
    path.write_text(noise_xml(SafeOptions(azimuth=False), "VV", (150, 160)))
    power = read_noise(path, "VV", SHAPE).power(Window(149, 0, 11, 160))
    np.testing.assert_array_equal(power[0], power[-1])


def test_an_annotation_that_cannot_be_read_is_refused(tmp_path):
    safe = write_safe(tmp_path, None, SafeOptions())
    path = find_table(images(safe)[0], "annotation")
    assert path is not None
    assert not noise_was_removed(path)
    path.write_text("cut <product>")
    with pytest.raises(InputError, match="not XML"):
        described(safe)


def test_another_xml_file_with_the_name_of_the_image_is_not_read_without_noise_tables(tmp_path):
    safe = write_safe(tmp_path, None, SafeOptions(noise=False))
    path = find_table(images(safe)[0], "annotation")
    assert path is not None
    path.write_text("<!DOCTYPE html><p>notes</p>")
    assert "denoise:none:no-table" in described(safe)[0].processing


def test_a_table_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    safe = write_safe(tmp_path, None, SafeOptions())
    monkeypatch.setattr(product_tables, "MAX_XML_BYTES", 100)
    with pytest.raises(InputError, match="too many"):
        described(safe)
