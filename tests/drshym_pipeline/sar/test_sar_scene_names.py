"""The name of a scene: the same for the same file, and different for different files."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from drshym_pipeline.sar.scene_groups import pair_files
from drshym_pipeline.sar.scene_names import is_scene_id, partition_key, scene_id, unique_names
from tests.examples import examples

GRD = "S1A_IW_GRDH_1SDV_20210111T123456_20210111T123521_036100_043B5E_1A2B.SAFE"
GRD_COG = "S1A_IW_GRDH_1SDV_20210111T123456_20210111T123521_036100_043B5E_9F00_COG.SAFE"
# Any character that a file name may have, with those that names are usually made of more often.
STEMS = st.text(
    st.one_of(st.sampled_from("abV_-. #%!?洪河é"), st.characters(exclude_characters="/\0", exclude_categories=["Cs"])),
    min_size=1,
    max_size=12,
)
FOLDERS = st.sampled_from(["", "x/", "y/", "x/y/"])
KEYS = st.tuples(FOLDERS, STEMS, st.sampled_from([".tif", ".tiff", "_VV.tif", "_VH.tif"])).map("".join)


def names_of(keys: list[str]) -> dict[str, str]:
    groups = pair_files(keys)
    names = unique_names([(PurePosixPath(group.ordered[0]), group.name) for group in groups])
    return dict(zip((group.name for group in groups), names, strict=True))


@pytest.mark.parametrize(
    "name", ["S1_scene", "_scene", "洪水", "河川", "Überflutung", "बाढ़", "наводнение", "a.b-c_d", "42"]
)
def test_letters_and_digits_of_any_script_are_kept(name):
    assert scene_id([f"{name}.tif"]) == name
    assert is_scene_id(name)


@pytest.mark.parametrize(
    ("first", "second"), [("a#b", "a%b"), ("a b", "a_b"), ("###", "%%%"), ("e\u0301", "\u00e9"), ("..a", "a")]
)
def test_names_that_would_become_one_differ_by_a_hash(first, second):
    one, other = scene_id([f"{first}.tif"]), scene_id([f"{second}.tif"])
    assert one != other
    assert is_scene_id(one)
    assert is_scene_id(other)


def test_the_cog_copy_of_a_product_is_the_same_scene():
    assert scene_id([GRD]) == scene_id([GRD_COG]) == "S1A_IW_GRDH_1SDV_20210111T123456_20210111T123521_036100_043B5E"


def test_two_products_of_one_pass_are_two_scenes():
    assert scene_id([GRD]) != scene_id([GRD.replace("T123456", "T123521")])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("S1A_IW_GRDH_20210111_rtc/iw-vv.rtc.tiff", "S1A_IW_GRDH_20210111_rtc"),
        ("2021/S1A_IW_GRDH_20210111/measurement/iw-vh.rtc.tiff", "S1A_IW_GRDH_20210111"),
        ("/data/rome/VV.tif", "rome"),
        ("e0a1b2/response.tiff", "e0a1b2"),
        ("iw-vv.rtc.tiff", "iw.rtc"),
        ("VV.tif", "VV"),
    ],
)
def test_a_name_that_says_nothing_is_that_of_its_folder(path, name):
    assert scene_id([PurePosixPath(path)]) == name


@given(st.lists(STEMS, min_size=2, max_size=2, unique=True))
@examples(300)
@example(["a" * 300, "a" * 301])
def test_two_file_names_never_give_one_name(stems: list[str]):
    keys = [f"{stem}.tif" for stem in stems]
    names = {scene_id([key]) for key in keys}
    assert all(map(is_scene_id, names))
    assert all(len(name.encode()) <= 140 for name in names)
    assert len(names) == 2 or len({group.stem for group in pair_files(keys)}) == 1


@given(st.lists(KEYS, max_size=8, unique=True), st.randoms(use_true_random=False))
@examples(300)
@example(["p.tif", "p_VV.tif", "p_VH.tif"], None)
@example(["x/s.tif", "y/s.tif", "x-s.tif", "x s.tif"], None)
def test_the_names_of_one_call_are_all_different_and_do_not_depend_on_the_order(keys: list[str], random):
    names = names_of(keys)
    assert len(set(names.values())) == len(names)
    assert all(map(is_scene_id, names.values()))
    if random is not None and len(names_of(keys)) == len(keys):
        assert names_of(random.sample(keys, len(keys))) == names


def test_a_scene_keeps_its_name_when_others_are_given_with_it():
    alone = {key: names_of([key])[key] for key in ("a.tif", "洪水.tif", "a#b.tif", "_x.tif")}
    assert names_of(list(alone)) == alone


def test_a_pair_beside_a_file_of_its_name_gets_another_name():
    names = names_of(["p.tif", "p_VV.tif", "p_VH.tif"])
    assert names["p.tif"] == "p"
    assert names["p|pair"].startswith("p-")


def test_equal_names_in_two_folders_get_the_names_of_the_folders():
    assert list(names_of(["rome/s.tif", "milan/s.tif"]).values()) == ["rome-s", "milan-s"]


@given(st.lists(KEYS, max_size=8, unique=True))
@examples(200)
def test_partition_keys_are_different_and_have_no_dots_or_separators(keys: list[str]):
    taken: set[str] = set()
    for group in pair_files(keys):
        key = partition_key(group.stem, group.name, taken)
        assert key not in taken
        assert is_scene_id(key)
        assert not set("./#%\n") & set(key)
        taken.add(key)


def test_partition_keys_of_ordinary_names_are_those_of_earlier_releases():
    assert partition_key("rome/S1_scene", "n", ()) == "rome-S1_scene"
    assert partition_key("S1.v1 (2)", "n", ()) == "S1-v1-2"
    assert partition_key("_scene", "n", ()) == "_scene"
    assert partition_key("a", "n", {"a"}) == "a-1b16b1df"
