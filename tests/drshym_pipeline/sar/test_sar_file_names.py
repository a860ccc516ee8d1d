"""Facts that are read from file names."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drshym_pipeline.sar.file_names import is_horizontal, may_mean_vh, pair_key, parse_name, twin_key
from drshym_pipeline.sar.scene_names import is_scene_id, scene_id

GRD = "S1A_IW_GRDH_1SDV_20210111T123456_20210111T123521_036100_043B5E_1A2B.SAFE"
GRD_COG = "S1A_IW_GRDH_1SDV_20210111T123456_20210111T123521_036100_043B5E_9F00_COG.SAFE"
HYP3 = "S1B_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A_VV.tif"
OPERA = "OPERA_L2_RTC-S1_T035-073251-IW2_20230812T135200Z_20230813T010203Z_S1A_30_v1.0_VH.tif"


@pytest.mark.parametrize(
    ("name", "mission", "time", "polarisation", "units"),
    [
        (GRD, "S1A", datetime(2021, 1, 11, 12, 34, 56, tzinfo=UTC), None, None),
        (HYP3, "S1B", datetime(2018, 1, 28, 16, 12, 1, tzinfo=UTC), "VV", "power"),
        (HYP3.replace("gpuned", "gduned"), "S1B", datetime(2018, 1, 28, 16, 12, 1, tzinfo=UTC), "VV", "db"),
        (HYP3.replace("gpuned", "sauned"), "S1B", datetime(2018, 1, 28, 16, 12, 1, tzinfo=UTC), "VV", "amplitude"),
        (OPERA, "S1A", datetime(2023, 8, 12, 13, 52, 0, tzinfo=UTC), "VH", "power"),
        ("Spain_7370579_S1Hand.tif", None, None, None, "db"),
        ("pxs10_vv.tif", None, None, "VV", None),
        ("iw-vh.rtc.tiff", None, None, "VH", "power"),
        ("s1d-iw-grd-vv-20250711t123456-20250711t123521-000100-0000ab-001.tiff", "S1D",
         datetime(2025, 7, 11, 12, 34, 56, tzinfo=UTC), "VV", "dn"),
        ("S1_20210111_T1234.tif", None, datetime(2021, 1, 11, 12, 34, tzinfo=UTC), None, None),
        ("flood_20201231_VV_dB.tif", None, datetime(2020, 12, 31, tzinfo=UTC), "VV", "db"),
        ("scene_99999999_7370579.tif", None, None, None, None),
        ("savvy_adverse.tif", None, None, None, None),
    ],
)  # fmt: skip
def test_a_name_gives_mission_time_polarisation_and_units(name, mission, time, polarisation, units):
    facts = parse_name(name)
    assert (facts.mission, facts.acquired_at, facts.polarisation, facts.units) == (mission, time, polarisation, units)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("pxs10_vv.tif", ("pxs10", "VV")),
        ("pxs10_VH.TIF", ("pxs10", "VH")),
        ("Spain_7370579_S1Hand.tif", ("Spain_7370579_S1Hand", None)),
        ("VV_lake.tiff", ("lake", "VV")),
        ("lake-vh-2020.tif", ("lake-2020", "VH")),
        ("iw-vv.rtc.tiff", ("iw.rtc", "VV")),
        (HYP3, ("S1B_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A", "VV")),
        ("both_VV_VH.tif", ("both_VV_VH", None)),
        ("a_IW_VV+VH_VH_-_decibel.tiff", ("a_IW_VV+VH_-_decibel", "VH")),
        ("a_IW_VV+VH_VV_-_decibel.tiff", ("a_IW_VV+VH_-_decibel", "VV")),
        ("a_IW_VV+VH.tiff", ("a_IW_VV+VH", None)),
        ("_scene_VV.tif", ("_scene", "VV")),
        ("VH.tif", ("VV", "VH")),
    ],
)
def test_a_pair_has_a_common_part_in_its_names(name, key):
    assert pair_key(name) == key


def test_measurement_files_of_a_product_pair_although_they_are_numbered():
    vv = "s1a-iw-grd-vv-20210111t123456-20210111t123521-036100-043b5e-001.tiff"
    vh = "s1a-iw-grd-vh-20210111t123456-20210111t123521-036100-043b5e-002.tiff"
    assert pair_key(vv)[0] == pair_key(vh)[0]
    assert (pair_key(vv)[1], pair_key(vh)[1]) == ("VV", "VH")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a b/ç lake (1).tif", "....tif", ".tif", "x" * 300 + ".tif", "_vv.tif"]
)
def test_a_scene_id_is_safe_in_paths(name):
    assert is_scene_id(scene_id([name]))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("scene_HH.tif", True),
        ("scene-hv-001.tif", True),
        (GRD.replace("1SDV", "1SDH"), True),
        (GRD, False),
        ("scene.tif", False),
        ("scene_vv.tif", False),
    ],
)
def test_horizontal_products_are_recognised_by_name(name, expected):
    assert is_horizontal(name) is expected


@pytest.mark.parametrize(("word", "direction"), [("ASC", "ascending"), ("descending", "descending")])
def test_orbit_direction_in_a_name(word, direction):
    assert parse_name(f"lake_{word}_vv.tif").orbit_direction == direction
    assert parse_name("landscape_vv.tif").orbit_direction is None


CLOSE = (
    "S1_20210605_{}dB", "S1_sigma0{}", "Sigma0{}_db", "S1_{}10m", "{}20210605_S1", "S1A_Gamma0_{}2021", "intensity{}",
    "S1_{}Intensity", "sigma{}", "S1A{}_rome", "IW_VV+VH_{}10m", "rome.{}db", "洪水2021{}",
)  # fmt: skip


@pytest.mark.parametrize("lower", [False, True])
@pytest.mark.parametrize("name", CLOSE)
def test_a_polarisation_without_a_separator_is_read_and_the_scene_is_named_after_its_vv_file(name, lower):
    if lower and name in ("intensity{}", "S1_{}Intensity"):
        return  # without a change of case there is no border between two words
    vv, vh = (f"{name.format(word.lower() if lower else word)}.tif" for word in ("VV", "VH"))
    assert (parse_name(vv).polarisation, parse_name(vh).polarisation) == ("VV", "VH")
    assert pair_key(vv) == (vv[:-4], "VV")
    assert pair_key(vh) == (vv[:-4], "VH")
    assert twin_key(vh) == twin_key(vv) == vv[:-4]


@pytest.mark.parametrize(
    "name",
    [
        "savvy", "Savvy2021", "VVitebsk", "lakeVVitebsk", "2021VHolland", "revv2021", "NAVHIND_2021", "T32VVH", "32VVH",
        "S1A_IW_GRDH_1SDV_20210605T170525_20210605T170550_038207_04823B_7C4F", "S1A_IW_GRDH_1SVV_x", "S1_VVVH_2021",
        "S1_VV10m_VH10m", "IW_VV+VH", "intensityvv", "HHmm", "MARSHH", "Vv10m",
    ],
)  # fmt: skip
def test_letters_inside_words_and_product_names_are_no_polarisation(name):
    assert parse_name(f"{name}.tif").polarisation is None
    assert pair_key(f"{name}.tif")[1] is None
    assert not is_horizontal(f"{name}.tif")


def test_a_polarisation_between_separators_goes_before_one_without():
    assert pair_key("rome_VV_a3VH9.tif") == ("rome_a3VH9", "VV")
    assert is_horizontal("S1_HH10m.tif")
    assert not is_horizontal("S1_HH10m_VV10m.tif")


def test_a_name_that_contains_vh_in_any_way_may_mean_vh():
    assert [may_mean_vh(name) for name in ("a/intensityvh.tif", "S1_VVVH.tif", "vh/a.tif", "savvy.tif")] == [
        True, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("vh", "twin"),
    [
        ("pxs10_vh.tif", "pxs10_vv"),
        ("VH_lake.tiff", "VV_lake"),
        ("lake.VH.tif", "lake.VV"),
        ("lake.Vh.tif", "lake.Vv"),
        ("both_VV_VH.tif", "both_VV_VH"),
        ("lake.tif", "lake"),
        ("s1a-iw-grd-vh-20210111t123456-20210111t123521-036100-043b5e-002-cog.tiff",
         "s1a-iw-grd-vv-20210111t123456-20210111t123521-036100-043b5e-cog"),
    ],
)  # fmt: skip
def test_the_twin_of_a_name_has_place_separators_and_letter_case_of_the_polarisation(vh, twin):
    assert twin_key(vh) == twin
