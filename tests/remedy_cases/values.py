"""Cases about values: their units, and rasters that are not backscatter."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from tests.look_alikes import NOT_BACKSCATTER, backscatter_db
from tests.remedy_cases.case import CLEAN, COUNTS, Case, Request, Write, case, original, smooth, whole
from tests.units import from_db


@case
def _scale_of_zero(write: Write, patch: pytest.MonkeyPatch) -> Case:
    paths = [write(np.round(CLEAN * 100).astype(np.int16), f"S1_{name}.tif") for name in "ab"]
    for path, scale in zip(paths, (0.0, 0.01), strict=True):
        with rasterio.open(path, "r+") as dataset:
            dataset.scales = (scale, scale)
    return Case(Request(paths[:1]), "Correct the tags of the file", [Request(paths[1:])])


@case
def _one_value(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], np.full_like(CLEAN[0], 38.0)]), "S1_a.tif")
    return Case(
        Request([path]), "with VV, or with VV and VH", [Request([write(CLEAN[0], "S1_a_VV.tif")]), whole(write)]
    )


@case
def _swapped_bands(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN[::-1].copy(), "S1_a.tif", descriptions=("VV", "VH"))
    return Case(Request([path]), "choose with --bands 2,1 (VV first)", [Request([path], bands=(2, 1)), whole(write)])


@case
def _swapped_choice(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], bands=(2, 1)), "choose with --bands 1,2", [Request([path], bands=(1, 2))])


@case
def _swapped_names(write: Write, patch: pytest.MonkeyPatch) -> Case:
    wrong = [write(CLEAN[1], "S1_a_VV.tif"), write(CLEAN[0], "S1_a_VH.tif")]
    right = [write(CLEAN[1], "S1_b_VH.tif"), write(CLEAN[0], "S1_b_VV.tif")]
    return Case(Request(wrong), "If they are, exchange the names of the two files;", [Request(right), whole(write)])


@case
def _swapped_names_and_descriptions(write: Write, patch: pytest.MonkeyPatch) -> Case:
    wrong = [write(CLEAN[place], f"S1_a_{name}.tif", descriptions=(name,)) for place, name in ((1, "VV"), (0, "VH"))]
    right = [write(CLEAN[place], f"S1_b_{name}.tif", descriptions=(name,)) for place, name in ((0, "VV"), (1, "VH"))]
    return Case(
        Request(wrong),
        "exchange the names of the two files and exchange the descriptions of their bands;",
        [Request(right)],
    )


@case
def _swapped_order_of_files(write: Write, patch: pytest.MonkeyPatch) -> Case:
    paths = [write(CLEAN[1], "S1_a.tif"), write(CLEAN[0], "S1_b.tif")]
    return Case(
        Request(paths, scene_id="s"), "give the two files in the other order", [Request(paths[::-1], scene_id="s")]
    )


@case
def _swapped_power(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(CLEAN[::-1], "power").astype(np.float32), "S1_a.tif", descriptions=("VV", "VH"))
    return Case(Request([path]), "choose with --bands 2,1 (VV first)", [Request([path], bands=(2, 1))])


@case
def _two_dates(write: Write, patch: pytest.MonkeyPatch) -> Case:
    dates = np.stack([CLEAN[0], backscatter_db(seed=3)[0].astype(np.float32)])
    path = write(dates, "S1_a.tif")
    named = Request([write(CLEAN, "S1_b.tif", descriptions=("VV", "VH"))])
    return Case(
        Request([path]), "name the bands in their descriptions, or choose", [named, Request([path], bands=(1,))]
    )


@case
def _names_of_two_units(write: Write, patch: pytest.MonkeyPatch) -> Case:
    vv = write(from_db(CLEAN[0], "power").astype(np.float32), "S1_a_VV_power.tif")
    vh = write(from_db(CLEAN[1], "amplitude").astype(np.float32), "S1_a_VH_amplitude.tif")
    same = write(from_db(CLEAN[1], "power").astype(np.float32), "S1_a_VH_power.tif")
    return Case(Request([vv, vh]), "Give both in the same units", [Request([vv, same])])


@case
def _vh_is_empty(write: Write, patch: pytest.MonkeyPatch) -> Case:
    values = CLEAN.copy()
    values[1] = np.nan
    paths = [write(values[0], "S1_a_VV.tif"), write(values[1], "S1_a_VH.tif")]
    again = [paths[0], write(CLEAN[1], "S1_b_VH.tif")]
    return Case(Request(paths), "or use VV alone", [Request(again), Request(paths[:1])])


@case
def _bands_of_two_units(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], from_db(CLEAN[1], "power")]).astype(np.float32), "S1_a.tif")
    return Case(Request([path]), "Write both bands in the same units", [whole(write)])


@case
def _only_fill(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.round(CLEAN * 100).astype(np.int16), "S1_a.tif"))


@case
def _picture(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.clip((CLEAN + 30) * 8, 1, 255).astype(np.uint8), "S1_a.tif"))


@case
def _index(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(NOT_BACKSCATTER["index"][0](1).astype(np.float32), "S1_VV.tif"))


@case
def _depths(write: Write, patch: pytest.MonkeyPatch) -> Case:
    depths = -100.0 + 40.0 * NOT_BACKSCATTER["index"][0](1).astype(np.float32)
    return original(write, write(depths, "S1_VV.tif"))


@case
def _no_unit(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(
        write, write(np.random.default_rng(1).uniform(2.5, 4.5, (160, 160)).astype(np.float32), "S1_VV.tif")
    )


@case
def _db_times_two_as_whole_numbers(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.round(CLEAN).astype(np.int16), "S1_a.tif"))


@case
def _name_says_db(write: Write, patch: pytest.MonkeyPatch) -> Case:
    power = from_db(CLEAN, "power").astype(np.float32)
    return Case(
        Request([write(power, "S1_a_dB.tif")]),
        "Correct the name",
        [Request([write(power, "S1_a_power.tif")]), whole(write)],
        truth="power",
    )


@case
def _power_or_amplitude(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(smooth(CLEAN[:1] + 6.0, 3), "amplitude").astype(np.float32), "S1_VV.tif")
    return Case(
        Request([path]),
        "--units power or --units amplitude",
        [Request([path], "amplitude")],
        "amplitude",
        smooth(CLEAN[:1] + 6.0, 3),
    )


@case
def _counts_without_a_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(COUNTS, "a.tif")
    return Case(Request([path]), "pass --units dn", [Request([path], "dn"), whole(write)], truth="dn")


@case
def _squares_without_a_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(CLEAN, "intensity").astype(np.float32), "a.tif")
    return Case(Request([path]), "--units intensity", [Request([path], "intensity")], truth="intensity")


@case
def _power_without_its_scale(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.round(from_db(CLEAN, "power") * 1e4).astype(np.uint16), "S1_a.tif"))


@case
def _stated_units_of_another_family(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], "power"), "Leave --units out", [Request([path])], truth="db")


@case
def _stated_amplitude(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(CLEAN, "power").astype(np.float32), "S1_a.tif")
    return Case(Request([path], "amplitude"), "pass --units power", [Request([path], "power")], truth="power")


@case
def _stated_counts(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(from_db(CLEAN, "intensity").astype(np.float32), "S1_a.tif")
    return Case(
        Request([path], "dn"), "pass --units intensity", [Request([path], "intensity"), whole(write)], truth="intensity"
    )


@case
def _amplitude_without_its_scale(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write((100.0 * from_db(CLEAN, "amplitude")).astype(np.float32), "S1_a_amplitude.tif")
    return Case(Request([path]), "If they are the digital numbers", [whole(write)])


@case
def _copied_band(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], CLEAN[0]]), "S1_a.tif", descriptions=("VV", "VH"))
    return Case(
        Request([path]), "with VV, or with VV and VH", [Request([write(CLEAN[0], "S1_a_VV.tif")]), whole(write)]
    )


@case
def _computed_band(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], CLEAN[0] - 7.0]), "S1_a.tif", descriptions=("VV", "VH"))
    return Case(
        Request([path]), "with VV, or with VV and VH", [Request([write(CLEAN[0], "S1_a_VV.tif")]), whole(write)]
    )


@case
def _db_without_sign(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(-CLEAN, "a.tif")
    return Case(Request([path], "dn"), "multiply them by -1", [Request([write(CLEAN, "S1_b.tif")]), whole(write)])


@case
def _scattered_counts(write: Write, patch: pytest.MonkeyPatch) -> Case:
    holes = np.random.default_rng(1).random(CLEAN.shape[1:]) < 0.8
    return original(write, write(np.where(holes, 0, COUNTS).astype(np.uint16), "S1_a.tif"))


@case
def _normalised(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(NOT_BACKSCATTER["normalised dB"][0](1).astype(np.float32), "S1_VV.tif"))


@case
def _impossible_level(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(20 * COUNTS, "S1_a.tif"))


@case
def _no_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(
        Request([write(CLEAN[0], "a.tif")]),
        "say so in the file's name (scene_VV.tif) or in the band's description",
        [Request([write(CLEAN[0], "scene_VV.tif")]), Request([write(CLEAN[0], "b.tif", descriptions=("VV",))])],
    )


@case
def _no_speckle(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(np.round(smooth(CLEAN, 41) / 4) * 4, "S1_a.tif"))


@case
def _twenty_log_of_power(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(
        Request([write(2.0 * (CLEAN + 8.0), "S1_a.tif")]),
        "write half of each value",
        [Request([write(CLEAN, "S1_b.tif")])],
    )


@case
def _ten_log_of_amplitude(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(
        Request([write(CLEAN / 2, "S1_a.tif")]), "write twice each value", [Request([write(CLEAN, "S1_b.tif")])]
    )


@case
def _heights_as_counts(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(NOT_BACKSCATTER["elevation"][0](1).astype(np.int16), "S1_VV.tif"))


@case
def _smooth_without_a_name(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(smooth(CLEAN, 9), "a.tif", descriptions=("one", "two")))


@case
def _smooth_at_an_unusual_level(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return original(write, write(smooth(CLEAN, 9) + 8.0, "S1_a.tif"))
