"""The decisions of a tick, without Dagster and without a disk."""

import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from drshym_pipeline.sar.scene_files import SourceFile
from drshym_pipeline.sar.scene_names import is_scene_id, partition_key
from sensors.plan import (
    PARTNER_TICKS,
    SceneState,
    Seen,
    TickPlan,
    plan_tick,
    seen_from_json,
    seen_to_json,
)
from tests.examples import examples


def file(key: str, content: str = "a", size: int = 10) -> SourceFile:
    return SourceFile(key=key, size=size, etag=content)


def ticks(*listings: list[SourceFile], limit: int = 10) -> list[TickPlan]:
    seen: Seen = {}
    plans = []
    for listing in listings:
        plans.append(plan_tick(listing, seen, limit))
        seen = plans[-1].seen
    return plans


def requested(plans: list[TickPlan]) -> list[list[tuple[str, ...]]]:
    return [[request.files for request in plan.requests] for plan in plans]


def test_a_file_is_used_when_it_was_unchanged_in_two_ticks():
    scene = [file("a.tif")]
    assert requested(ticks(scene, scene, scene)) == [[], [("a.tif",)], []]


def test_a_growing_file_is_not_used():
    growing = [[file("a.tif", size=size)] for size in (1, 2, 3)]
    plans = ticks(*growing, growing[-1])
    assert requested(plans) == [[], [], [], [("a.tif",)]]
    assert plans[1].waiting == {"a": "its files were still changing"}


def test_a_changed_file_is_mapped_again_under_the_same_partition_with_another_run_key():
    old, new = [file("a.tif", "old")], [file("a.tif", "new")]
    plans = ticks(old, old, new, new, new)
    first, second = plans[1].requests[0], plans[3].requests[0]
    assert first.partition == second.partition == "a"
    assert first.run_key != second.run_key
    assert plans[4].requests == ()


def test_going_back_to_earlier_bytes_is_a_change_too():
    a, b = [file("s.tif", "a")], [file("s.tif", "b")]
    keys = [request.run_key for plan in ticks(a, a, b, b, a, a) for request in plan.requests]
    assert len(keys) == len(set(keys)) == 3


def test_the_run_key_contains_etag_and_size():
    request = ticks(*[[file("a.tif", "e7a6", 4711)]] * 2)[1].requests[0]
    assert "e7a6" in request.run_key
    assert "4711" in request.run_key


def test_a_file_that_was_deleted_and_copied_in_again_is_not_mapped_again():
    scene = [file("a.tif")]
    assert requested(ticks(scene, scene, [], scene, scene)) == [[], [("a.tif",)], [], [], []]


def test_a_pair_is_one_scene_with_vv_first():
    pair = [file("x_vh.tif"), file("x_vv.tif")]
    plans = ticks(pair, pair)
    assert requested(plans) == [[], [("x_vv.tif", "x_vh.tif")]]
    assert plans[1].requests[0].partition == "x"


def test_vh_waits_for_its_vv():
    alone, pair = [file("x_vh.tif")], [file("x_vh.tif"), file("x_vv.tif")]
    plans = ticks(*[alone] * 10, pair, pair)
    assert requested(plans[:11]) == [[]] * 11
    assert plans[9].waiting == {"x": "its VV file is missing"}
    assert requested(plans[11:]) == [[("x_vv.tif", "x_vh.tif")]]


def test_vv_waits_some_ticks_then_is_mapped_alone_and_again_with_vh():
    alone, pair = [file("x_vv.tif")], [file("x_vv.tif"), file("x_vh.tif")]
    plans = ticks(*[alone] * (PARTNER_TICKS + 3), pair, pair, pair)
    when = [index for index, plan in enumerate(plans) if plan.requests]
    assert when == [PARTNER_TICKS + 1, PARTNER_TICKS + 4]
    assert plans[when[0]].requests[0].files == ("x_vv.tif",)
    assert plans[when[1]].requests[0].files == ("x_vv.tif", "x_vh.tif")
    assert plans[when[0]].requests[0].partition == plans[when[1]].requests[0].partition


def test_a_deleted_vh_file_does_not_map_the_scene_again():
    pair, alone = [file("x_vv.tif"), file("x_vh.tif")], [file("x_vv.tif")]
    assert requested(ticks(pair, pair, *[alone] * 8))[2:] == [[]] * 8


def test_a_side_car_is_requested_with_its_scene_and_changes_nothing_for_other_scenes():
    alone, other = [file("a.tif"), file("b.tif")], [file("a.tif"), file("a.drshym.json", "note"), file("b.tif")]
    plain, noted = ticks(alone, alone)[1].requests, ticks(other, other)[1].requests
    assert [(request.files, request.sidecar) for request in noted] == [
        (("a.tif",), "a.drshym.json"),
        (("b.tif",), None),
    ]
    assert plain[1] == noted[1]
    assert plain[0].run_key != noted[0].run_key


def test_a_side_car_that_is_added_or_changed_later_has_only_its_scene_mapped_again():
    scenes = [file("a.tif"), file("b.tif")]
    first, second = file("a.drshym.json", "1"), file("a.drshym.json", "2")
    plans = ticks(scenes, scenes, [*scenes, first], [*scenes, first], [*scenes, second], [*scenes, second], scenes)
    assert requested(plans) == [[], [("a.tif",), ("b.tif",)], [], [("a.tif",)], [], [("a.tif",)], []]
    assert [plans[3].requests[0].sidecar, plans[5].requests[0].partition] == ["a.drshym.json", "a"]


def test_a_side_car_that_is_removed_after_a_failure_has_its_scene_mapped_once_more():
    scenes = [file("a.tif"), file("b.tif")]
    noted = [*scenes, file("a.drshym.json"), file("b.drshym.json")]
    seen: Seen = {}
    plans = []
    for listing in (noted, noted, scenes, scenes, scenes, scenes):
        plans.append(plan_tick(listing, seen, 10, {"a"}.__contains__))
        seen = plans[-1].seen
    assert requested(plans)[2:] == [[], [("a.tif",)], [], []]
    assert plans[3].requests[0].sidecar is None


def test_the_side_car_of_a_pair_has_its_name_without_the_polarisation():
    pair = [file("d/x_VV.tif"), file("d/x_VH.tif"), file("d/x.drshym.json"), file("x.drshym.json")]
    plan = ticks(pair, pair)[1]
    assert [(request.files, request.sidecar) for request in plan.requests] == [
        (("d/x_VV.tif", "d/x_VH.tif"), "d/x.drshym.json")
    ]
    assert plan.unclaimed == ("x.drshym.json (there is no scene for it)",)


def test_a_side_car_alone_is_not_a_scene():
    plans = ticks(*[[file("a.drshym.json")]] * 6)
    assert requested(plans) == [[]] * 6
    assert plans[-1].unclaimed == ("a.drshym.json (there is no scene for it)",)


def test_a_side_car_with_a_wrong_name_is_named_with_the_right_one():
    listing = [file("q_VV.tif"), file("q_VH.tif"), file("q_VV.drshym.json"), file("s.tif"), file("s.DRSHYM.JSON")]
    plan = ticks(listing, listing)[1]
    assert plan.unclaimed == ("q_VV.drshym.json (it should be q.drshym.json)",)
    assert [request.sidecar for request in plan.requests] == [None, "s.DRSHYM.JSON"]


def test_the_state_of_the_last_release_is_read_and_nothing_is_mapped_again():
    # As release 0.1.0 kept it in `objects/seen-scenes`.
    kept = {
        "a.tif": {
            "partition": "a",
            "seen": {"a.tif": "e1-10"},
            "mapped": {"a.tif": "e1-10"},
            "requested": 1,
            "waited": 0,
        }
    }
    seen = seen_from_json(kept)
    plan = plan_tick([file("a.tif", "e1")], seen, 10)
    assert plan.requests == ()
    assert seen_to_json(plan.seen) == {"a.tif": {**kept["a.tif"], "tables": True}}
    changed = [plan_tick([file("a.tif", "e2")], seen, 10)]
    changed.append(plan_tick([file("a.tif", "e2")], changed[0].seen, 10))
    assert changed[1].requests[0].run_key == "a:2:e2-10"


def test_a_scene_that_an_earlier_release_called_otherwise_keeps_its_partition():
    # That release left out a leading "_", and gave each of these two files its own scene.
    kept = {
        "scene|pair": {"partition": "scene", "seen": {"_scene_VV.tif": "e1-10"}, "mapped": {"_scene_VV.tif": "e1-10"}},
        "x/VH|pair": {"partition": "x-VH", "seen": {"x/VH.tif": "e1-10"}, "mapped": {}},
        "x/VV|pair": {"partition": "x-VV", "seen": {"x/VV.tif": "e1-10"}, "mapped": {"x/VV.tif": "e1-10"}},
    }
    listing = [file(key, "e1") for key in ("_scene_VV.tif", "x/VH.tif", "x/VV.tif")]
    plans = [plan_tick(listing, seen_from_json(kept), 10)]
    plans.append(plan_tick(listing, plans[0].seen, 10))
    assert {name: state.partition for name, state in plans[1].seen.items()} == {
        "_scene|pair": "scene",
        "x/VV|pair": "x-VV",
    }
    assert [(request.partition, request.files) for request in plans[1].requests] == [("x-VV", ("x/VV.tif", "x/VH.tif"))]


def test_a_scene_keeps_its_partition_when_a_scene_with_its_loose_name_is_added():
    for old, new in ((("s_VV", "s_VH"), ("s.VV", "s.VH")), (("s-VV",), ("s_VV", "s_VH"))):
        before, after = [[file(f"{name}.tif") for name in names] for names in (old, new)]
        plans = ticks(*[before] * 6, *[before + after] * 8)
        requests = {request.files: request.partition for plan in plans for request in plan.requests}
        assert sum(len(plan.requests) for plan in plans) == 2
        assert requests[tuple(f"{name}.tif" for name in old)] == "s"
        assert len(set(requests.values())) == 2


def test_the_scenes_that_an_earlier_release_mixed_are_both_mapped():
    keys = ["K-VV.tif", "K_VH.tif", "K_VV.tif"]
    listing = [file(key) for key in keys]
    marks = {entry.key: entry.fingerprint for entry in listing}
    mixed = {key: marks[key] for key in keys[:2]}
    seen = {"K|pair": SceneState("K", mixed, mixed, 1, tables=True)}
    requests = []
    for _ in range(6):
        plan = plan_tick(listing, seen, 10)
        seen = plan.seen
        requests += [(request.files, request.partition == "K") for request in plan.requests]
    assert sorted(requests) == [(("K-VV.tif",), False), (("K_VV.tif", "K_VH.tif"), True)]


def test_a_vv_file_without_a_separator_keeps_its_partition_when_its_vh_is_seen():
    keys = ["S1_VH10m.tif", "S1_VV10m.tif"]
    listing = [file(key) for key in keys]
    seen = {
        entry.key: SceneState(entry.key[:-4], {entry.key: entry.fingerprint}, {entry.key: entry.fingerprint}, 1)
        for entry in listing
    }
    first = plan_tick(listing, seen, 10)
    (request,) = plan_tick(listing, first.seen, 10).requests
    assert (request.partition, request.files) == ("S1_VV10m", ("S1_VV10m.tif", "S1_VH10m.tif"))


def test_companions_are_listed_and_never_requested():
    listing = [file(key) for key in ("a.tif", "a_dem.tif", "a_area.tif", "lost_mask.tif", "flood_area.tif")]
    plans = ticks(*[listing] * 3)
    assert requested(plans) == [[], [("a.tif",), ("flood_area.tif",)], []]
    assert [(companion.key, companion.layer, companion.scene) for companion in plans[0].companions] == [
        ("a_area.tif", "area normalisation", "a"),
        ("a_dem.tif", "elevation", "a"),
        ("lost_mask.tif", "mask", None),
    ]


def test_names_in_other_scripts_and_with_other_characters_are_separate_partitions():
    listing = [file(key) for key in ("洪水.tif", "河川.tif", "a#b.tif", "a%b.tif", "_x.tif", "x.tif")]
    partitions = [request.partition for plan in ticks(*[listing] * 2) for request in plan.requests]
    assert len(set(partitions)) == 6
    assert {"洪水", "河川", "_x", "x"} <= set(partitions)
    assert all(map(is_scene_id, partitions))


def test_a_limit_leaves_the_rest_for_later_ticks():
    scenes = [file(f"{name}.tif") for name in "abcde"]
    plans = ticks(*[scenes] * 5, limit=2)
    assert [len(plan.requests) for plan in plans] == [0, 2, 2, 1, 0]
    assert "more than 2" in next(iter(plans[1].waiting.values()))


def test_files_of_two_folders_extensions_or_roles_are_separate_scenes():
    listing = [
        file(key)
        for key in ("a/s.tif", "b/s.tif", "a-s.tif", "s.tif", "s.tiff", "s_vv.tif", "s_vh.tif", "s_VV.tif", "a s.tif")
    ]
    plans = ticks(*[listing] * (PARTNER_TICKS + 3))
    requests = [request for plan in plans for request in plan.requests]
    assert len({request.partition for request in requests}) == len(requests)
    assert sorted(key for request in requests for key in request.files) == sorted(one.key for one in listing)


def test_a_partition_key_has_safe_characters_only_and_a_bounded_length():
    key = partition_key("Überflutung/…/S1 (VV) … .. \n" + "x" * 400, "name", ())
    assert all(character.isalnum() or character in "-_" for character in key)
    assert key.startswith("Überflutung-S1-VV-x")
    assert len(key) <= 140


KEYS = st.sampled_from(["a.tif", "b.tif", "p_vv.tif", "p_vh.tif", "d/a.tif"])
LISTINGS = st.lists(st.dictionaries(KEYS, st.sampled_from("xy"), max_size=5), min_size=1, max_size=12)


@examples(200)
@given(LISTINGS, st.integers(1, 3))
def test_no_upload_is_launched_twice_and_none_is_forgotten(contents: list[dict[str, str]], limit: int):
    listings = [[file(key, etag) for key, etag in sorted(listing.items())] for listing in contents]
    # Whatever happened before: when the folder no longer changes, everything is mapped except a VH file without its VV.
    listings += [listings[-1]] * (PARTNER_TICKS + 8)
    plans = ticks(*listings, limit=limit)
    keys = [request.run_key for plan in plans for request in plan.requests]
    assert len(keys) == len(set(keys))
    assert all(len(plan.requests) <= limit for plan in plans)
    mapped: dict[str, str] = {}
    for plan, listing in zip(plans, listings, strict=True):
        there = {one.key: one.etag for one in listing}
        for request in plan.requests:
            assert set(request.files) <= set(there)
            mapped |= {key: there[key] for key in request.files}
    final = {one.key: one.etag for one in listings[-1]}
    orphan = {"p_vh.tif"} if "p_vv.tif" not in final else set()
    assert all(mapped.get(key) == etag for key, etag in final.items() if key not in orphan)


@given(LISTINGS)
def test_the_state_survives_json(contents: list[dict[str, str]]):
    plans = ticks(*[[file(key, etag) for key, etag in sorted(listing.items())] for listing in contents])
    assert seen_from_json(seen_to_json(plans[-1].seen)) == plans[-1].seen


def test_planning_needs_no_dagster():
    code = "import sensors.plan, sys; sys.exit('dagster' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0
