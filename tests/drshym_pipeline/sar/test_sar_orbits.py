"""The relative orbit in the name of a product."""

import pytest

from drshym_pipeline.sar.orbits import common_relative_orbit, relative_orbit

TIMES = "20210605T170525_20210605T170550"


@pytest.mark.parametrize(
    ("name", "orbit"),
    [
        ("S1A_IW_GRDH_1SDV_20210605T170525_20210605T170550_038206_04823D_1A2B.SAFE", (38206 - 73) % 175 + 1),
        ("S1B_IW_RAW__0SDV_20210810T044826_20210810T044859_028179_035C9B_6C5A.SAFE", (28179 - 27) % 175 + 1),
        # Their tracks are known from other programs: 110 and 73.
        ("S1C_IW_SLC__1SDV_20250331T060116_20250331T060143_001681_002CD9_6F8C.zip", 110),
        ("S1D_IW_SLC__1SDV_20260417T165000_20260417T165027_002389_003000_ABCD.SAFE", 73),
        # The last orbit of S1C before its track was moved, and the first one after it.
        (f"S1C_IW_GRDH_1SDV_{TIMES}_008018_00ABCD_1A2B", 147),
        (f"S1C_IW_GRDH_1SDV_{TIMES}_008019_00ABCD_1A2B", 46),
        # The first and the last orbit of a cycle.
        (f"S1A_IW_GRDH_1SDV_{TIMES}_000073_00ABCD_1A2B", 1),
        (f"S1A_IW_GRDH_1SDV_{TIMES}_000072_00ABCD_1A2B", 175),
        ("s1a-iw-grd-vv-20210605t170525-20210605t170550-038206-04823d-001.tiff", (38206 - 73) % 175 + 1),
        ("a/folder/s1a-iw-grd-vh-20210605t170525-20210605t170550-038206-04823d-002-cog.tiff", 159),
        ("S1A_IW_GRDH_1SDV_20210605T170525_20210605T170550_038206_04823D_rtc_vv.tif", 159),
    ],
)
def test_the_relative_orbit_follows_from_the_absolute_one(name, orbit):
    assert relative_orbit(name) == orbit


@pytest.mark.parametrize(
    "name",
    [
        "S1A_IW_20210605T170525_DVP_RTC30_G_gpunem_1A2B_VV.tif",
        "OPERA_L2_RTC-S1_T069-147170-IW1_20210605T170525Z_20210606T010203Z_S1A_30_v1.0_VV.tif",
        "S1_20210605_rome.tif",
        "S2A_MSIL1C_20210605T170525_20210605T170550_038206_04823D.tif",
        f"S1A_IW_GRDH_1SDV_{TIMES}.tif",
        "",
    ],
)
def test_a_name_without_the_number_has_no_orbit(name):
    assert relative_orbit(name) is None


def test_the_files_of_a_scene_must_agree():
    vv, vh = (f"s1a-iw-grd-{pol}-20210605t170525-20210605t170550-038206-04823d-001.tiff" for pol in ("vv", "vh"))
    other = "s1a-iw-grd-vh-20210605t170525-20210605t170550-038207-04823d-001.tiff"
    assert common_relative_orbit([vv, vh, "notes.tif"]) == 159
    assert common_relative_orbit([vv, other]) is None
    assert common_relative_orbit(["notes.tif"]) is None
