"""Which files form one scene, and which are its companions."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.errors import InputError
from drshym_pipeline.sar.scene import describe_scene
from drshym_pipeline.sar.scene_groups import Companion, SceneGroup, group_files, pair_files
from tests.examples import examples

NAMES = st.sampled_from(["a", "b", "洪水", "a_vv", "a_vh", "a_VV", "b-vh", "S1_20210111", "a_dem", "b_area", "_a"])
KEYS = st.tuples(st.sampled_from(["", "x/", "x/y/"]), NAMES, st.sampled_from([".tif", ".tiff", ".TIF"])).map("".join)
HUB = "2021-01-11-00:00_2021-01-11-23:59_Sentinel-1_IW_VV+VH_{}_-_decibel_gamma0.tiff"
OPERA = "OPERA_L2_RTC-S1_T035-073251-IW2_20230812T135200Z_20230813T010203Z_S1A_30_v1.0"
STATIC = "OPERA_L2_RTC-S1-STATIC_T035-073251-IW2_20140403_S1A_30_v1.0"


@given(st.lists(KEYS, max_size=8))
@examples(200)
def test_every_file_is_in_exactly_one_scene_and_no_scene_mixes_folders(keys: list[str]):
    groups = pair_files(keys)
    assert sorted(key for group in groups for key in group.ordered) == sorted(keys)
    assert len({group.name for group in groups}) == len(groups)
    for group in groups:
        assert set(group.files) in ({"whole"}, {"VV"}, {"VH"}, {"VV", "VH"})
        assert len({key.rpartition("/")[0] for key in group.ordered}) == 1


@given(st.lists(KEYS, max_size=8, unique=True), st.randoms(use_true_random=False))
@examples(200)
def test_every_file_is_a_scene_or_a_companion_whatever_the_order(keys: list[str], random):
    scenes, companions = group_files(keys)
    mapped, beside = [key for group in scenes for key in group.ordered], [companion.key for companion in companions]
    assert sorted(mapped + beside) == sorted(keys)
    assert not [key for key in mapped if "_dem" in key]
    assert sorted(c for group in scenes for c in group.companions) == sorted(c for c in companions if c.scene)
    again = random.sample(keys, len(keys))
    assert sorted(companion.key for companion in group_files(again)[1]) == sorted(beside)


def test_a_pair_has_vv_first_whatever_the_order():
    for keys in (["p_vv.tif", "p_vh.tif"], ["p_vh.tif", "p_vv.tif"]):
        assert pair_files(keys) == [SceneGroup("p|pair", "p", {"VV": "p_vv.tif", "VH": "p_vh.tif"})]
        assert pair_files(keys)[0].ordered == ["p_vv.tif", "p_vh.tif"]


def test_a_second_file_of_one_polarisation_is_a_scene_of_its_own():
    first, second = pair_files(["p_vv.tif", "p_VV.tiff"])
    assert first.ordered == ["p_vv.tif"]
    assert second.ordered == ["p_VV.tiff"]
    assert second.stem == "p_VV.tiff"


# Ways to write the polarisation of one scene. Without separators (the last two) the loose key is another one.
FORMS = ("s_x_{}", "s_x.{}", "s_x-{}", "s_{}_x", "{}_s_x", "s_x {}", "s_x5{}2", "s_x5{}dB")
WAYS = [form.format(word) for form in FORMS for word in ("VV", "vv")]


def vh_of(vv: str) -> str:
    return vv.replace("VV", "VH").replace("vv", "vh")


def pairs_of(keys: list[str]) -> set[tuple[str, ...]]:
    return {tuple(group.ordered) for group in pair_files(keys)}


@given(
    st.lists(st.sampled_from(WAYS), min_size=1, max_size=5, unique=True),
    st.lists(st.sampled_from(WAYS), max_size=3, unique=True),
    st.randoms(use_true_random=False),
)
@examples(300)
def test_twins_are_paired_whatever_else_has_their_loose_name(whole: list[str], halves: list[str], random):
    twins = [(f"{vv}.tif", f"{vh_of(vv)}.tif") for vv in whole]
    single = [f"{random.choice([vv, vh_of(vv)])}.tif" for vv in halves if vv not in whole]
    keys = [key for pair in twins for key in pair] + single
    random.shuffle(keys)
    found = pairs_of(keys)
    assert set(twins) <= found
    assert found == pairs_of(sorted(keys))
    assert len({group.name for group in pair_files(keys)}) == len(found)
    assert len({group.stem for group in pair_files(keys)}) == len(found)


@given(st.lists(st.sampled_from([f"s_x{sep}" for sep in "_.-"]), max_size=3, unique=True), st.data())
@examples(100)
def test_other_separators_are_paired_only_if_one_vv_and_one_vh_are_left(begins: list[str], data):
    words = [data.draw(st.sampled_from(["VV", "VH"])) for _ in begins]
    keys = [f"{begin}{word}.tif" for begin, word in zip(begins, words, strict=True)]
    unique = sorted(words) == ["VH", "VV"]
    assert len(pair_files(keys)) == (1 if unique else len(keys))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("Kerala-VV.tif Kerala_VH.tif Kerala_VV.tif", [["Kerala-VV.tif"], ["Kerala_VV.tif", "Kerala_VH.tif"]]),
        ("K-VV.tif K.VV.tif K_VH.tif", [["K-VV.tif"], ["K.VV.tif"], ["K_VH.tif"]]),
        ("K-VV.tif K_VH.tif", [["K-VV.tif", "K_VH.tif"]]),
        ("k_vv.tif K_VH.tif", [["k_vv.tif"], ["K_VH.tif"]]),
        ("p_VV.tif p_VH.tiff p_VH.tif", [["p_VV.tif", "p_VH.tif"], ["p_VH.tiff"]]),
        ("p_VV.tif p_VH.tiff p-VV.tif", [["p_VV.tif", "p_VH.tiff"], ["p-VV.tif"]]),
        ("S1_VV10m.tif S1_VH_10m.tif", [["S1_VV10m.tif"], ["S1_VH_10m.tif"]]),
        ("x/K_VV.tif y/K_VH.tif", [["x/K_VV.tif"], ["y/K_VH.tif"]]),
    ],
)
def test_the_closest_names_are_paired_and_nothing_by_guess(keys, expected):
    assert [group.ordered for group in pair_files(keys.split(" "))] == expected


@pytest.mark.parametrize("beside", ["Kerala-VV.tif", "Kerala.VV.tif", "VV_Kerala.tif", "Kerala-VH.tif"])
def test_a_pair_keeps_its_name_when_a_file_with_its_loose_name_is_added(beside):
    pair = ["Kerala_VV.tif", "Kerala_VH.tif"]
    (alone,) = pair_files(pair)
    first, second = pair_files([beside, *pair])
    assert second == alone
    assert first == SceneGroup(beside, beside, {"VH" if "VH" in beside else "VV": beside})


def test_a_file_that_is_given_twice_is_two_groups():
    keys = ["a.tif", "a.tif", "p_vv.tif", "p_vv.tif", "p_vv.tif"]
    assert [group.ordered for group in pair_files(keys)] == [[key] for key in keys]


@pytest.mark.parametrize(
    ("vv", "vh", "stem"),
    [
        (HUB.format("VV"), HUB.format("VH"), "2021-01-11-00:00_2021-01-11-23:59_Sentinel-1_IW_VV+VH_-_decibel_gamma0"),
        ("x/VV.tif", "x/VH.tif", "x"),
        ("VV.tif", "VH.tif", "VV"),
        ("S1A_item_rtc/iw-vv.rtc.tiff", "S1A_item_rtc/iw-vh.rtc.tiff", "S1A_item_rtc"),
        ("2021/S1A_item/measurement/iw-vv.rtc.tiff", "2021/S1A_item/measurement/iw-vh.rtc.tiff", "2021/S1A_item"),
        ("_scene_VV.tif", "_scene_VH.tif", "_scene"),
        ("rome.VV.tif", "rome.VH.tif", "rome"),
    ],
)
def test_the_two_files_of_a_product_are_one_scene_with_the_name_of_the_product(vv, vh, stem):
    (group,) = pair_files([vh, vv])
    assert group.ordered == [vv, vh]
    assert group.stem == stem


def test_a_leading_underscore_belongs_to_the_name():
    groups = pair_files(["_scene_VV.tif", "scene_VV.tif", "scene_VH.tif"])
    assert [group.ordered for group in groups] == [["_scene_VV.tif"], ["scene_VV.tif", "scene_VH.tif"]]


@pytest.mark.parametrize(
    ("scene", "companion", "layer"),
    [
        (f"{OPERA}_VV.tif", f"{OPERA}_mask.tif", "mask"),
        (f"{OPERA}_VV.tif", f"{STATIC}_local_incidence_angle.tif", "incidence angle"),
        ("a/rome.tif", "a/rome_area.tif", "area normalisation"),
        ("a/rome.tif", "a/dem.tif", "elevation"),
        (
            "S1A__IW___A_20200103T170700_VV_gamma0-rtc.tif",
            "S1A__IW___A_20200103T170700_localIncidenceAngle.tif",
            "incidence angle",
        ),
        ("v1.1/S1Hand/Spain_1_S1Hand.tif", "v1.1/LabelHand/Spain_1_LabelHand.tif", "label"),
        (
            "p/measurement/s1a-iw-nrb-2020-32tps-vv-g-lin.tif",
            "p/annotation/s1a-iw-nrb-2020-32tps-ei.tif",
            "incidence angle",
        ),
    ],
)
def test_a_companion_is_listed_with_its_layer_and_its_scene(scene, companion, layer):
    (group,), companions = group_files([companion, scene])
    assert companions == [Companion(companion, layer, group.stem)]
    assert group.companions == tuple(companions)
    assert group.ordered == [scene]


def test_a_companion_belongs_to_the_scene_with_its_name_and_not_to_another_one():
    keys = ["a.tif", "a_b.tif", "a_b_dem.tif", "a_dem.tif", "c_dem.tif", "x/a_mask.tif"]
    _, companions = group_files(keys)
    assert {companion.key: companion.scene for companion in companions} == {
        "a_b_dem.tif": "a_b",
        "a_dem.tif": "a",
        "c_dem.tif": None,
        "x/a_mask.tif": None,
    }


def test_a_word_like_area_is_a_companion_beside_its_scene_and_else_a_scene():
    assert [group.ordered for group in group_files(["flood_area.tif", "rome.tif"])[0]] == [
        ["flood_area.tif"],
        ["rome.tif"],
    ]
    assert [group.ordered for group in group_files(["rome_area.tif", "rome_VV.tif"])[0]] == [["rome_VV.tif"]]


@pytest.mark.parametrize("word", ["slope", "area", "water", "theta", "prob", "inc"])
def test_a_name_that_is_only_such_a_word_is_a_companion_beside_one_polarised_scene(word):
    for pair in (["d/vv.tif", "d/vh.tif"], ["d/iw-vv.rtc.tiff"], ["d/s_VV.tif", "d/s_VH.tif"]):
        scenes, companions = group_files([*pair, f"d/{word}.tif"])
        assert [group.ordered for group in scenes] == [pair]
        assert [(found.key, found.scene) for found in companions] == [(f"d/{word}.tif", scenes[0].stem)]
    for others in ([], ["d/rome.tif"], ["d/a_VV.tif", "d/b_VV.tif"], ["e/vv.tif", "e/vh.tif"]):
        scenes, companions = group_files([*others, f"d/{word}.tif"])
        assert f"d/{word}.tif" in [key for group in scenes for key in group.ordered]
        assert companions == []


def test_a_name_that_is_only_such_a_word_is_refused_as_a_scene_beside_one(scene_db, write_tiff):
    alone = write_tiff(scene_db, "a/slope.tif", descriptions=("VV", "VH"))
    assert describe_scene([alone]).mode == "vv_vh"
    write_tiff(scene_db[0], "b/vv.tif")
    write_tiff(scene_db[1], "b/vh.tif")
    with pytest.raises(InputError, match="not backscatter"):
        describe_scene([write_tiff(scene_db, "b/slope.tif", descriptions=("VV", "VH"))])


def test_a_scene_in_a_folder_that_cannot_be_listed_is_read(scene_db, write_tiff, monkeypatch):
    path = write_tiff(scene_db, "slope.tif", descriptions=("VV", "VH"))

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert describe_scene([path]).mode == "vv_vh"


def test_many_files_are_grouped_in_time_that_grows_with_their_number():
    keys = [f"a/S1_{number:05d}{end}.tif" for number in range(4_000) for end in ("_VV", "_VH", "_dem", "_area")]
    scenes, companions = group_files(keys)
    assert len(scenes) == 4_000
    assert len(companions) == 8_000
    assert all(len(group.companions) == 2 for group in scenes)


@pytest.mark.parametrize("name", ["rome_dem.tif", "rome_VV_VH_ratio.tif", "Spain_1_LabelHand.tif", "rome_area.tif"])
def test_a_companion_given_as_a_scene_is_refused_in_one_line_and_renamed_it_is_read(
    tmp_path, scene_db, write_tiff, name
):
    write_tiff(scene_db, "rome.tif", descriptions=("VV", "VH"))
    path = write_tiff(scene_db, name, descriptions=("VV", "VH"))
    with pytest.raises(InputError, match="not backscatter") as caught:
        describe_scene([path])
    assert "\n" not in str(caught.value)
    assert "rename it" in caught.value.remedy
    assert describe_scene([path.rename(tmp_path / "S1_other.tif")]).mode == "vv_vh"
