from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.transform import Affine

from drshym_pipeline.assessment.metrics import ConfusionCounts, confusion
from drshym_pipeline.datasets.chips import ChipRef, LabelledChip
from drshym_pipeline.errors import InputError
from drshym_pipeline.evaluation.slices import (
    INTENSITY,
    LAND_COVER,
    SLICINGS,
    SLOPE,
    UNKNOWN,
    SliceScores,
    by_edges,
    by_land_cover,
    confusion_by_class,
    pixel_size_metres,
    slice_chip,
    slope_degrees,
)

SHAPE = (12, 16)
TRANSFORM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 2_000_000.0)


def chip(name: str = "Sim_1", ancillary: dict[str, Path] | None = None, seed: int = 1) -> LabelledChip:
    rng = np.random.default_rng(seed)
    db = rng.uniform(-25, -3, (2, *SHAPE)).astype(np.float32)
    db[:, 0] = np.nan
    label = rng.integers(-1, 2, SHAPE).astype(np.int8)
    label[0] = -1
    ref = ChipRef(name, "Sim", "test", Path("image.tif"), Path("label.tif"), ancillary or {})
    return LabelledChip(ref, db, label, "EPSG:32644", TRANSFORM)


def write(path: Path, values: np.ndarray, nodata: float | None = None) -> Path:
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
        crs="EPSG:32644", transform=TRANSFORM, nodata=nodata,
    ) as dataset:  # fmt: skip
        dataset.write(values, 1)
    return path


@pytest.mark.parametrize("degrees", [0.0, 3.0, 30.0])
def test_the_slope_of_a_plane_is_correct_in_any_direction(degrees) -> None:
    rows, cols = np.mgrid[0:9, 0:11]
    rise = np.tan(np.deg2rad(degrees))
    for x, y in ((1.0, 0.0), (0.0, 1.0), (0.6, -0.8)):
        plane = rise * (x * cols * 20.0 + y * rows * 10.0)
        assert slope_degrees(plane, (20.0, 10.0)) == pytest.approx(degrees, abs=1e-9)


def test_a_strip_one_pixel_wide_has_a_slope() -> None:
    assert slope_degrees(np.arange(5.0)[:, None] * 10, (10.0, 10.0)) == pytest.approx(45.0)


def test_pixels_in_degrees_are_narrower_in_the_north() -> None:
    x, y = pixel_size_metres("EPSG:4326", Affine(0.0001, 0, 10.0, 0, -0.0001, 60.0), 100)
    assert y == pytest.approx(11.132)
    assert x == pytest.approx(y / 2, rel=1e-3)
    assert pixel_size_metres("EPSG:32644", TRANSFORM, 10) == (10.0, 10.0)
    assert pixel_size_metres("EPSG:2263", TRANSFORM, 10)[0] == pytest.approx(3.048, rel=1e-4)  # US survey feet


def test_edges_belong_to_the_class_above_and_nan_to_unknown() -> None:
    slicing = by_edges(np.array([[-1.0, 2.0, 7.0, np.nan]]), (2.0, 5.0), "degrees")
    assert slicing.names == ("< 2 degrees", "2 to 5 degrees", ">= 5 degrees", UNKNOWN)
    assert slicing.codes.tolist() == [[0, 1, 2, 3]]


def test_land_cover_classes_have_names_and_other_codes_are_unknown() -> None:
    slicing = by_land_cover(np.array([[10.0, 80.0, 7.0, np.nan]]), (1, 4))
    names = [slicing.names[code] for code in slicing.codes[0]]
    assert names == ["tree cover", "permanent water bodies", UNKNOWN, UNKNOWN]


def test_the_classes_of_every_slicing_add_up_to_the_whole_chip(tmp_path) -> None:
    rng = np.random.default_rng(3)
    cover = write(tmp_path / "cover.tif", rng.choice([10, 40, 80, 3], SHAPE).astype(np.uint8))
    dem = write(tmp_path / "dem.tif", rng.normal(100, 5, SHAPE).astype(np.float32), nodata=-9999)
    target = chip(ancillary={"landcover": cover, "dem": dem})
    observed = np.isfinite(target.db).all(axis=0)
    prediction = rng.random(SHAPE) < 0.4
    whole = confusion(prediction, target.label, observed)
    slicings = slice_chip(target)
    assert tuple(slicings) == SLICINGS
    for slicing in slicings.values():
        parts = confusion_by_class(prediction, target.label, observed, slicing)
        assert sum(parts.values(), ConfusionCounts()) == whole
        assert len(parts) > 1


def test_a_class_counts_exactly_its_own_pixels() -> None:
    target = chip()
    slicing = slice_chip(target)[INTENSITY]
    observed = np.isfinite(target.db).all(axis=0)
    prediction = target.db[1] < -14
    dark = np.nan_to_num(target.db[0], nan=0.0) < -22
    expected = confusion(prediction, target.label, observed & dark)
    assert confusion_by_class(prediction, target.label, observed, slicing)["< -22 dB"] == expected


def test_a_chip_without_a_raster_is_unknown_in_that_slicing_only(tmp_path) -> None:
    cover = write(tmp_path / "cover.tif", np.full(SHAPE, 40, np.uint8))
    scores = SliceScores()
    for target in (chip("Sim_1", {"landcover": cover}), chip("Sim_2", seed=2)):
        scores.add(target, slice_chip(target), target.db[0] < -14, np.isfinite(target.db).all(axis=0))
    table = scores.table(resamples=100).set_index(["slicing", "slice"])
    assert table.loc[(LAND_COVER, "cropland"), "chips"] == 1
    assert table.loc[(LAND_COVER, UNKNOWN), "chips"] == 1
    assert table.loc[(SLOPE, UNKNOWN), "chips"] == 2
    assert table.loc[INTENSITY]["pixels"].sum() == table.loc[(SLOPE, UNKNOWN), "pixels"]
    assert pd.isna(table.loc[(LAND_COVER, "cropland"), "iou_low"])
    assert 0.0 <= table.loc[(SLOPE, UNKNOWN), "iou_low"] <= table.loc[(SLOPE, UNKNOWN), "iou"]


def test_the_table_without_chips_is_empty_and_has_all_columns() -> None:
    table = SliceScores().table()
    assert table.empty
    assert {"slicing", "slice", "pixels", "iou", "iou_low", "false_water_high"} <= set(table.columns)


def test_a_raster_of_another_shape_is_refused_by_name(tmp_path) -> None:
    dem = write(tmp_path / "dem.tif", np.zeros((5, 5), np.float32))
    with pytest.raises(InputError, match=r"dem\.tif: has 5 x 5 pixels, its chip 12 x 16"):
        slice_chip(chip(ancillary={"dem": dem}))


def test_the_slope_is_unknown_where_the_dem_has_nodata(tmp_path) -> None:
    dem = np.zeros(SHAPE, np.float32)
    dem[6, 8] = -9999
    target = chip(ancillary={"dem": write(tmp_path / "dem.tif", dem, nodata=-9999)})
    slicing = slice_chip(target)[SLOPE]
    assert slicing.names[slicing.codes[6, 8]] == UNKNOWN
    assert slicing.names[slicing.codes[2, 2]] == "< 2 degrees"
