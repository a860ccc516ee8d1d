"""Dates and times in names: products, tiles and orbits beside a date, and the forms in descriptions of bands."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.named_times import day_or_time, file_moment, named_moment, named_time, several_moments
from drshym_pipeline.sar.scene import describe_scene

GRD = "S1A_IW_GRDH_1SDV_20210605T170525_20210605T170550_038207_04824F_ABCD"
DAY = datetime(2021, 6, 5, tzinfo=UTC)
START = datetime(2021, 6, 5, 17, 5, 25, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (GRD, START),
        (f"20240115_{GRD}", START),
        (f"2024-01-15_{GRD}_20240116T101010", START),
        ("20240115_s1a-iw-grd-vv-20210605t170525-20210605t170550-038207-04824f-001", START),
        ("20240115_S1A_IW_20210605T170525_DVP_RTC10_G_gpuned_2F1E_VV", START),
        ("20240115_OPERA_L2_RTC-S1_T144-308011-IW3_20210605T170525Z_20210701T101010Z_S1A_30_v1.0_VV", START),
        ("S1A_20210605_made_20240115", DAY),
        ("S1_20210605_170525", START),
        ("S1_20210605170525", START),
        ("S1_2021-06-05T17-05-25_VV", START),
        ("S1_20210605_T1705", START.replace(second=0)),
        ("Sumatra_S1_20210605_0512", DAY),
        ("S1_20210605_038207", DAY),
        ("S1_20210605_T32TQM", DAY),
        ("S1_20210605_T144-308011", DAY),
        ("S1_20210605_T9911", DAY),
        ("S1_2021-06-05", DAY),
        ("S1_2021_06_05_VV", DAY),
        ("S1_20211305_20210605", DAY),
        ("S1_03820720", None),
        ("S1_2021-06", None),
    ],
)
def test_the_time_in_a_name(name, expected):
    assert named_time(name) == expected


# Two dates each. Every two of one list differ, and every text is the same moment as itself.
FORMS = [
    ("20210605", "20210617"),
    ("2021-06-05", "2021-06-17"),
    ("2021_06_05", "2021_06_17"),
    ("2021/06/05", "2021/06/17"),
    ("2021.06.05", "2021.06.17"),
    ("2021-06-05T17:05:25", "2021-06-17T17:05:25"),
    (GRD, GRD.replace("20210605", "20210617")),
    ("05-06-2021", "17-06-2021"),
    ("05/06/2021", "17/06/2021"),
    ("06/05/2021", "06/17/2021"),
    ("5.6.2021", "17.6.2021"),
    ("05062021", "17062021"),
    ("05Jun2021", "17Jun2021"),
    ("mst_05Jun2021", "slv1_17Jun2021"),
    ("5 Jun 2021", "17 Jun 2021"),
    ("5th June 2021", "17th June 2021"),
    ("June 5, 2021", "June 17, 2021"),
    ("2021Jun05", "2021Jun17"),
    ("2021156", "2021168"),
    ("210605", "210617"),
    ("1622912725", "1623949525"),
    ("2021-06", "2021-07"),
    ("202106", "202107"),
    ("06/2021", "07/2021"),
    ("Jun 2021", "Jul 2021"),
    ("Jun2021", "Jul2021"),
    ("2021 Jun", "2021 Jul"),
    ("5 Jun", "17 Jun"),
    ("Jun 5", "Jun 17"),
    ("jun", "jul"),
    ("2020", "2021"),
    ("before", "after"),
    ("pre", "post"),
    ("pre-event", "post-event"),
    ("preflood", "postflood"),
    ("mst", "slv1"),
    ("slv1", "slv2"),
    ("archive", "crisis"),
    ("t0", "t1"),
    ("t1", "t2"),
    ("date 1", "date 2"),
]


@pytest.mark.parametrize(("first", "second"), FORMS)
@pytest.mark.parametrize(("vv", "vh"), [("{}", "{}"), ("VV_{}", "VH_{}"), ("Sigma0_VV_{}_db", "Sigma0_VH_{}_db")])
def test_bands_of_two_dates_differ_and_bands_of_one_date_do_not(first, second, vv, vh):
    assert several_moments(map(named_moment, (vv.format(first), vh.format(second))))
    assert not several_moments(map(named_moment, (vv.format(first), vh.format(first))))


@pytest.mark.parametrize("text", [form for pair in FORMS[:12] for form in pair[:1] if form != "06/05/2021"])
def test_every_form_of_one_day_is_the_same_day(text):
    assert not several_moments(map(named_moment, (text, "20210605", "June 2021", "Jun", "2021")))


ORDINARY = [
    ("VV", "VH"),
    ("Sigma0_VV_db", "Sigma0_VH_db"),
    ("Gamma0_VV_db", "Gamma0_VH_db"),
    ("Gamma0VV", "Gamma0VH"),
    ("Sigma0_VV_mst_05Jun2021", "Sigma0_VH_mst_05Jun2021"),
    ("VV_db_mst_05Jun2021", "VH_db_slv1_05Jun2021"),
    (f"{GRD}_VV", f"{GRD}_VH"),
    ("band 1", "band 2"),
    ("Band_1", "Band_2"),
    ("b1", "b2"),
    ("1", "2"),
    ("T11", "T22"),
    ("C11", "C22"),
    ("co-pol", "cross-pol"),
    ("Intensity_VV", "Intensity_VH"),
    ("iw-vv-001", "iw-vh-002"),
    ("VV_10m", "VH_10m"),
    ("VV_038207", "VH_048207"),
    ("VV_max", "VH_mean"),
    ("Sentinel-1 2021 VV", "Sentinel-1 June 2021 VH"),
    ("", ""),
]


@pytest.mark.parametrize("names", ORDINARY)
def test_ordinary_descriptions_are_of_one_moment(names):
    assert not several_moments(map(named_moment, names))


@pytest.mark.parametrize("text", ["20211305", "2021-02-30", "31/02/1999", "2021366", "2021000", "991231", "38 Jun"])
def test_impossible_days_are_no_dates(text):
    found = named_moment(text)
    assert found is None or found.day is None


def test_a_word_and_a_date_differ():
    assert several_moments(map(named_moment, ("VV_pre", "VH_20210605")))


@pytest.mark.parametrize("names", [names for names in ORDINARY if names[0]][:8])
def test_ordinary_bands_are_read(scene_db, write_tiff, names):
    meta = describe_scene([write_tiff(scene_db, "S1_a.tif", descriptions=names)])
    assert {band.polarisation: band.band for band in meta.bands} == {"VV": 1, "VH": 2}


@pytest.mark.parametrize(
    "names", [("05/06/2021", "17/06/2021"), ("t1", "t2"), ("VV_2021-06", "VH_2021-07"), ("VVbefore", "VHafter")]
)
def test_a_file_of_two_dates_is_refused_with_the_names_of_its_bands(scene_db, write_tiff, names):
    with pytest.raises(InputError, match="several dates") as caught:
        describe_scene([write_tiff(scene_db, "S1_a.tif", descriptions=names)])
    assert all(name in str(caught.value) for name in names)


PAIRS = [
    ("S1_20210605_VV.tif", "S1_20210617_VH.tif"),
    ("S1_2021-06-05_VV.tif", "S1_2021-06-17_VH.tif"),
    ("S1_Jun2021_VV.tif", "S1_Jul2021_VH.tif"),
    ("pre_VV.tif", "post_VH.tif"),
    ("2021-06-05/VV.tif", "2021-06-17/VH.tif"),
    ("20240115_S1A_IW_GRDH_1SDV_20210605T170525_VV.tif", "20240115_S1A_IW_GRDH_1SDV_20210617T170525_VH.tif"),
]


@pytest.mark.parametrize("names", PAIRS)
@pytest.mark.parametrize("bands", [(), (1, 1)])
@pytest.mark.parametrize("vh_first", [False, True])
def test_two_files_of_two_dates_are_refused_with_their_names(tmp_path, scene_db, write_tiff, names, bands, vh_first):
    paths = []
    for place, name in enumerate(names):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        paths.append(write_tiff(scene_db[place], f"{place}.tif").rename(path))
    with pytest.raises(InputError, match="different dates"):
        describe_scene(paths[::-1] if vh_first else paths, bands=bands)


def test_two_files_of_two_dates_in_their_descriptions_are_refused(scene_db, write_tiff):
    paths = [
        write_tiff(scene_db[:1], "S1_a_VV.tif", descriptions=("5 Jun 2021",)),
        write_tiff(scene_db[1:], "S1_a_VH.tif", descriptions=("17 Jun 2021",)),
    ]
    with pytest.raises(InputError, match=r"different dates: 1 \(5 Jun 2021\) and 1 \(17 Jun 2021\)"):
        describe_scene(paths)


@pytest.mark.parametrize(
    "names",
    [
        ("S1_20210605_VV.tif", "S1_2021-06-05T1705_VH.tif"),
        ("20240115_S1A_IW_GRDH_1SDV_20210605T170525_VV.tif", "S1_20210605_VH.tif"),
        ("S1_VV.tif", "S1_20210605_VH.tif"),
        ("vv_band.tif", "S1_b_VH.tif"),
    ],
)
def test_two_files_of_one_date_are_a_scene(scene_db, write_tiff, names):
    paths = [write_tiff(scene_db[place], name) for place, name in enumerate(names)]
    assert [band.polarisation for band in describe_scene(paths).bands] == ["VV", "VH"]


def test_the_products_of_a_scene_are_of_one_moment():
    days = (GRD, f"20240115_{GRD}", GRD.replace("ABCD", "9F00_COG"))
    assert not any(several_moments(map(file_moment, pair)) for pair in combinations(days, 2))


def test_a_name_that_says_nothing_has_the_time_and_the_mission_of_its_folder(tmp_path, scene_db, write_tiff):
    folder = tmp_path / "S1A_IW_GRDH_1SDV_20210605T170525_20210605T170550_038207_04824F_rtc" / "measurement"
    folder.mkdir(parents=True)
    paths = [
        write_tiff(10.0 ** (scene_db[place] / 10.0), f"{name}.tif").rename(folder / f"iw-{name}.rtc.tiff")
        for place, name in enumerate(("vv", "vh"))
    ]
    meta = describe_scene(paths)
    assert (meta.acquired_at, meta.mission) == (START, "S1A")


def test_a_day_is_shown_without_a_time():
    texts = [day_or_time(moment, "%d %B %Y", ", %H:%M UTC") for moment in (DAY, START)]
    assert texts == ["05 June 2021", "05 June 2021, 17:05 UTC"]
