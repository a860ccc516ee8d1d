"""Which reference a map of the watched folder gets, decided on records alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from drshym_pipeline.ancillary.folder import AncillaryFolder
from drshym_pipeline.ancillary.layers import ELEVATION, OCCURRENCE, Cell
from drshym_pipeline.references.mapped_scenes import MappedScene, names_of
from drshym_pipeline.references.reference_choice import choose_reference, event_days
from drshym_pipeline.references.reference_plan import ReferencePlan
from drshym_pipeline.sar.sidecar import SceneSidecar
from tests.ancillary_tiles import everywhere, write_tile
from tests.drshym_pipeline.references.test_earlier_maps import MODEL, NOW, OTHER_MODEL, earlier, meta


def plan(note: SceneSidecar | None = None, *others: MappedScene, **options: Any) -> ReferencePlan:
    return choose_reference(meta("now"), note or SceneSidecar(), others, **{"model_sha256": MODEL.sha256, **options})


def sources(found: ReferencePlan) -> list[str]:
    return list(found.identity)


def named(scene: MappedScene, *keys: str) -> MappedScene:
    return replace(scene, names=names_of(scene.name, keys))


@pytest.mark.parametrize("text", ["pre", "pre_VV.tif", "pre_VV", "sub/pre_VV.tif", "elsewhere/pre_VV.tif"])
def test_the_side_car_names_the_scene_by_its_name_or_file(text):
    before = named(earlier("pre", 12), "sub/pre_VV.tif", "sub/pre_VH.tif")
    found = plan(SceneSidecar(pre_event=text), before, option="side-car")
    assert sources(found) == ["pre_event"]
    assert found.warnings == ()
    assert found.reason == ""


def test_the_scene_of_the_side_car_comes_before_the_earlier_maps():
    found = plan(SceneSidecar(pre_event="pre"), earlier("pre", 30), earlier("other", 12))
    assert sources(found) == ["pre_event", "earlier_maps"]


def test_a_scene_that_is_not_mapped_yet_is_named_in_a_warning_and_changes_the_map():
    found = plan(SceneSidecar(pre_event="pre"), waiting={"pre": names_of("pre", ())})
    assert found.sources == ()
    assert found.warnings == ("The pre-event scene pre of the side-car is not used: it has no finished map yet.",)
    assert "no finished map yet" in found.reason
    assert found.note.key != plan().note.key == ""
    assert found.note.key != plan(SceneSidecar(pre_event="pre"), earlier("pre", 12)).note.key


@pytest.mark.parametrize(
    ("scene", "options", "words"),
    [
        (earlier("pre", -12), {}, "not earlier than the scene now"),
        (earlier("pre", 12, sha256=meta("now").sha256), {}, "is a file of the scene now itself"),
        (earlier("pre", 12, transform=(10.0, 0.0, 9e5, 0.0, -10.0, 3e6)), {}, "does not overlap the scene now"),
        (earlier("pre", 3), {"date": (NOW - timedelta(days=4)).date()}, "not earlier than the event of 2021-06-21"),
    ],
)
def test_a_scene_that_cannot_be_the_reference_is_refused_and_the_map_made_without_it(scene, options, words):
    found = plan(SceneSidecar(pre_event="pre", **options), scene, option="side-car")
    assert found.sources == ()
    (warning,) = found.warnings
    assert warning.startswith("The pre-event scene pre of the side-car is not used: it ")
    assert words in warning


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        (earlier("pre", 12, orbit_direction="descending"), "was taken on the descending pass"),
        (replace(earlier("pre", 12), mode="vv"), "from VV alone"),
        (earlier("pre", 12, model=OTHER_MODEL), "by another model (unet 2)"),
    ],
)
def test_what_may_disturb_the_comparison_is_a_warning(scene, words):
    found = plan(SceneSidecar(pre_event="pre"), scene, option="side-car")
    assert sources(found) == ["pre_event"]
    assert any(words in warning for source in found.sources for warning in source.warnings)


def test_a_name_of_several_scenes_is_not_guessed():
    first, second = named(earlier("a", 12), "x/pre.tif"), named(earlier("b", 24), "y/pre.tif")
    found = plan(SceneSidecar(pre_event="pre.tif"), first, second, option="side-car")
    assert found.sources == ()
    assert "is the name of several scenes (a, b)" in found.warnings[0]
    assert sources(plan(SceneSidecar(pre_event="y/pre.tif"), first, second, option="side-car")) == ["pre_event"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("S1_befor", "it is the name of no scene (the nearest name is S1_before)."),
        ("S1_befroe_VV.tif", "it is the name of no scene (the nearest name is S1_before_VV.tif)."),
        ("elsewhere", "it is the name of no scene."),
        ("now", "it is the name of the scene itself."),
        ("s1_later", "it has no finished map yet."),
    ],
)
def test_a_name_of_no_mapped_scene_is_told_with_the_nearest_one(text, words):
    before, waiting = named(earlier("S1_before", 12), "S1_before_VV.tif"), {"S1_later": names_of("S1_later", ())}
    (warning,) = plan(SceneSidecar(pre_event=text), before, option="side-car", waiting=waiting).warnings
    assert warning == f"The pre-event scene {text} of the side-car is not used: {words}"


@pytest.mark.parametrize("text", ["s1_BEFORE", "S1_BEFORE_VV.TIF", "Folder/s1_before_vv.tif"])
def test_letter_case_of_a_name_does_not_matter_where_one_scene_has_it(text):
    before = named(earlier("S1_before", 12), "S1_before_VV.tif")
    assert sources(plan(SceneSidecar(pre_event=text), before, option="side-car")) == ["pre_event"]
    other = named(earlier("s1_Before", 24), "s1_Before_vv.tif")
    (warning,) = plan(SceneSidecar(pre_event=text), before, other, option="side-car").warnings
    assert "is the name of several scenes (S1_before, s1_Before)" in warning
    found = plan(SceneSidecar(pre_event="s1_Before"), before, other, option="side-car")
    assert found.sources[0].scene.name == "s1_Before"


def test_the_setting_switches_the_automatic_reference_off():
    assert sources(plan(None, earlier("a", 12))) == ["earlier_maps"]
    for option in ("side-car", "none"):
        found = plan(None, earlier("a", 12), option=option)
        assert found.sources == ()
        assert "DRSHYM_REFERENCE" in found.reason
        assert found.note.key == ""
    assert plan(SceneSidecar(pre_event="a"), earlier("a", 12), option="none").sources == ()


def test_the_scene_of_the_side_car_is_not_an_earlier_map_once_more():
    assert sources(plan(SceneSidecar(pre_event="a"), earlier("a", 12))) == ["pre_event"]
    both = plan(SceneSidecar(pre_event="a"), earlier("a", 12), earlier("b", 24))
    assert sources(both) == ["pre_event", "earlier_maps"]
    assert [scene.name for scene in both.sources[1].choice.candidates] == ["b"]


def test_the_day_of_the_event_bounds_the_earlier_maps_and_a_scene_before_it_says_so():
    day = (NOW - timedelta(days=5)).date()
    assert sources(plan(SceneSidecar(date=day), earlier("flood", 3))) == []
    assert sources(plan(SceneSidecar(date=day), earlier("flood", 3), earlier("a", 12))) == ["earlier_maps"]
    before = plan(SceneSidecar(date=(NOW + timedelta(days=2)).date()), earlier("a", 12))
    assert sources(before) == ["earlier_maps", "reference_warnings"]
    assert "before the event of 2021-06-27" in before.warnings[0]


def test_the_day_of_an_event_can_come_from_another_side_car():
    days = event_days(
        [SceneSidecar(event="E", date=date(2021, 6, 20)), SceneSidecar(event="E", date=date(2021, 6, 24))]
    )
    assert days == {"E": date(2021, 6, 20)}
    assert sources(plan(SceneSidecar(event="E"), earlier("flood", 3), days=days)) == []
    assert sources(plan(SceneSidecar(event="E"), earlier("flood", 3))) == ["earlier_maps"]


def test_the_key_changes_with_the_files_of_the_reference_and_with_nothing_else():
    first = plan(None, earlier("a", 12), earlier("b", 24)).note.key
    assert first
    assert plan(None, earlier("b", 24), earlier("a", 12)).note.key == first
    renewed = replace(earlier("a", 12), map_version="ba9876543210")
    assert plan(None, renewed, earlier("b", 24)).note.key == first, "a renewed map has the same probability file"
    other = replace(earlier("a", 12), proba_sha256="1" * 64)
    assert plan(None, other, earlier("b", 24)).note.key != first
    assert plan(None, earlier("a", 12), earlier("b", 24), earlier("c", 36)).note.key != first


def test_earlier_maps_that_cannot_be_used_are_kept_beside_another_source(tmp_path):
    write_tile(tmp_path, OCCURRENCE, Cell(80, 10), everywhere(0))
    day = (NOW - timedelta(days=5)).date()
    found = plan(SceneSidecar(date=day), earlier("flood", 3), folder=AncillaryFolder(tmp_path))
    assert sources(found) == ["layers"]
    assert [(left.scene_id, left.reason) for left in found.left_out] == [
        ("flood", f"it is of the day of the event ({day}) or later")
    ]


def test_layers_come_last_and_a_folder_without_a_tile_of_the_place_is_no_source(tmp_path):
    empty, some = tmp_path / "empty", tmp_path / "some"
    empty.mkdir()
    write_tile(some, OCCURRENCE, Cell(80, 10), everywhere(0))
    found = plan(None, folder=AncillaryFolder(empty))
    assert found.sources == ()
    assert f"{empty} has no long-term map of water for it" in found.reason
    assert found.note.key == ""
    layers = plan(None, earlier("a", 12), folder=AncillaryFolder(some))
    assert sources(layers) == ["earlier_maps", "layers"]
    before = layers.note.key
    write_tile(some, OCCURRENCE, Cell(80, 10), everywhere(1))
    assert plan(None, earlier("a", 12), folder=AncillaryFolder(some)).note.key != before
    terrain = plan(None, folder=AncillaryFolder(empty), option="none")
    write_tile(empty, ELEVATION, Cell(81, 18), everywhere(10.0), dtype="float32")
    assert terrain.terrain is not None
    assert plan(None, folder=AncillaryFolder(empty), option="none").note.key != ""
