"""Which earlier maps are the reference of a map: decided on records, without files."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from drshym_pipeline.records import BandSource, MapGrid, ModelReference, SceneMeta
from drshym_pipeline.references.earlier_maps import (
    MOST_COMPARED,
    ComparedWater,
    choose_earlier,
    covered_share,
    flood_reasons,
)
from drshym_pipeline.references.mapped_scenes import MappedScene, relative_orbit_of
from drshym_pipeline.sar.sidecar import SceneSidecar
from tests.map_samples import scene

NOW = datetime(2021, 6, 25, 17, 5, 25, tzinfo=UTC)
MODEL = ModelReference(name="unet", version="1", sha256="a" * 64, source="registry")
OTHER_MODEL = ModelReference(name="unet", version="2", sha256="b" * 64, source="registry")


def meta(name: str, at: datetime | None = NOW, *, orbit: int | None = 44, **values: Any) -> SceneMeta:
    digest = sha256(name.encode()).hexdigest()
    band = BandSource(polarisation="VV", path=f"/inbox/{name}.tif", band=1, sha256=digest)
    defaults = {
        "scene_id": name,
        "sha256": digest,
        "bands": (band,),
        "acquired_at": at,
        "relative_orbit": orbit,
        "orbit_direction": "ascending",
        "source_uris": (f"file:///inbox/{name}.tif",),
    }
    return scene(200, 300, **{**defaults, **values})


def earlier(
    name: str,
    days: float,
    *,
    model: ModelReference = MODEL,
    note: SceneSidecar | None = None,
    **values: Any,
) -> MappedScene:
    return MappedScene(
        meta=meta(name, NOW - timedelta(days=days), **values),
        map_version="0123456789ab",
        model=model,
        mode="vv_vh",
        threshold=0.5,
        proba=Path(f"/store/{name}_proba.tif"),
        proba_sha256="0" * 64,
        note=note or SceneSidecar(),
    )


def chosen(*others: MappedScene, now: SceneMeta | None = None, **options: Any) -> list[str]:
    found = choose_earlier(now or meta("now"), others, model_sha256=MODEL.sha256, **options)
    assert bool(found.candidates) != bool(found.reason)
    return [other.name for other in found.candidates]


def reasons(*others: MappedScene, **options: Any) -> dict[str, str]:
    found = choose_earlier(meta("now"), others, model_sha256=MODEL.sha256, **options)
    return {left.scene_id: left.reason for left in found.left_out}


def shifted(grid: SceneMeta, share: float) -> tuple[float, ...]:
    """Return the transform of a grid that was moved east by a share of its width."""
    a, b, c, d, e, f = grid.transform
    return (a, b, c + share * grid.width * a, d, e, f)


def test_maps_of_the_same_relative_orbit_come_first_and_the_newest_of_them_first():
    others = [earlier(f"d{days}", days) for days in (36, 12, 60, 24)]
    assert chosen(*others) == ["d12", "d24", "d36", "d60"]
    assert chosen(earlier("other_orbit", 10, orbit=45), *others) == ["d12", "d24", "d36", "d60"]
    assert chosen(earlier("unknown_orbit", 10, orbit=None), *others) == ["d12", "d24", "d36", "d60"]


def test_without_orbit_numbers_the_pass_and_the_overlap_decide():
    now = meta("now", orbit=None)
    far = earlier("far", 10, transform=shifted(now, 0.6))
    near = earlier("near", 30)
    other_pass = earlier("other_pass", 20, orbit_direction="descending")
    assert chosen(far, near, other_pass, now=now) == ["near", "far"]
    assert chosen(earlier("other_pass", 12, orbit_direction="descending"), now=meta("now")) == []


def test_an_unknown_pass_is_used_with_a_warning():
    unknown = earlier("unknown", 12, orbit=None, orbit_direction=None)
    found = choose_earlier(meta("now", orbit=None), [unknown], model_sha256=MODEL.sha256)
    assert [other.name for other in found.candidates] == ["unknown"]
    (warning,) = found.warnings
    assert "the same pass" in warning
    known = choose_earlier(meta("now"), [earlier("a", 12)], model_sha256=MODEL.sha256)
    assert known.warnings == ()


def test_a_known_other_orbit_is_never_used():
    assert chosen(earlier("other", 12, orbit=45)) == []


@pytest.mark.parametrize(("days", "expected"), [(120, ["a"]), (121, []), (1, ["a"]), (0.99, []), (-1, []), (0, [])])
def test_only_maps_of_the_120_days_before_and_at_least_a_day_earlier_are_used(days, expected):
    assert chosen(earlier("a", days)) == expected


def test_a_scene_less_than_a_day_earlier_is_named_with_the_reason_and_a_later_one_is_not():
    assert reasons(earlier("slice", 0.0003)) == {
        "slice": "it is less than a day earlier, so it may show the same flood"
    }
    assert reasons(earlier("later", -12)) == {}


def test_the_scene_itself_and_a_copy_of_it_are_not_used():
    now = meta("now")
    copy = earlier("copy", 12, sha256=now.sha256)
    same_band = earlier("same_band", 12, bands=now.bands)
    itself = earlier("now", 12)
    found = choose_earlier(now, [copy, same_band, itself], model_sha256=MODEL.sha256)
    assert found.candidates == ()
    assert {left.scene_id: left.reason for left in found.left_out} == dict.fromkeys(
        ("copy", "same_band"), "it has a file of the scene itself"
    )


def test_scenes_on_or_after_the_day_of_the_event_are_left_out():
    others = [earlier(f"d{days}", days) for days in (2, 5, 6, 12)]
    day = (NOW - timedelta(days=5)).date()
    assert chosen(*others, event_day=day) == ["d6", "d12"]
    assert set(reasons(*others, event_day=day)) == {"d2", "d5"}
    assert "day of the event (2021-06-20) or later" in reasons(*others, event_day=day)["d5"]


def test_a_scene_of_an_event_of_its_own_is_left_out_from_its_day_on():
    flood = earlier("flood", 12, note=SceneSidecar(event="EMSR1", date=date(2021, 6, 12)))
    before = earlier("before", 24, note=SceneSidecar(event="EMSR1", date=date(2021, 6, 12)))
    assert chosen(flood, before) == ["before"]
    assert "event of 2021-06-12" in reasons(flood)["flood"]


def test_a_scene_that_names_an_event_without_its_day_is_left_out_unless_another_side_car_has_the_day():
    named = earlier("named", 12, note=SceneSidecar(event="EMSR1"))
    assert chosen(named) == []
    assert "names the event 'EMSR1' and not its date" in reasons(named)["named"]
    assert chosen(named, event_days={"EMSR1": date(2021, 6, 20)}) == ["named"]
    assert chosen(named, event_days={"EMSR1": date(2021, 6, 1)}) == []


def test_maps_of_the_same_model_are_used_alone_if_there_is_one():
    ours, theirs = earlier("ours", 60), earlier("theirs", 12, model=OTHER_MODEL)
    assert chosen(ours, theirs) == ["ours"]
    assert reasons(ours, theirs) == {"theirs": "it was made by another model (unet 2)"}
    found = choose_earlier(meta("now"), [theirs], model_sha256=MODEL.sha256)
    assert [other.name for other in found.candidates] == ["theirs"]
    (warning,) = found.warnings
    assert "made by another model (unet 2)" in warning


def test_a_scene_without_a_date_has_no_earlier_maps():
    found = choose_earlier(meta("now", None), [earlier("a", 12)], model_sha256=MODEL.sha256)
    assert found.candidates == ()
    assert "has no date" in found.reason
    undated = MappedScene(**{**vars(earlier("a", 12)), "meta": meta("a", None)})
    assert chosen(undated) == []


def test_the_reason_says_why_there_is_no_candidate():
    assert "no map of the same place and pass" in choose_earlier(meta("now"), [], model_sha256=MODEL.sha256).reason
    slices = [earlier("a", 0.1), earlier("b", 0.2)]
    found = choose_earlier(meta("now"), slices, model_sha256=MODEL.sha256)
    assert "a cannot be used, because it is less than a day earlier" in found.reason
    assert "1 more" in found.reason


def test_no_more_than_ten_are_compared():
    others = [earlier(f"d{days}", days) for days in range(2, 30)]
    assert chosen(*others) == [f"d{days}" for days in range(2, 2 + MOST_COMPARED)]


def test_the_orbit_of_a_record_of_an_earlier_version_is_read_from_its_files():
    uri = "file:///in/S1A_IW_GRDH_1SDV_20210605T170525_20210605T170550_038206_04823D_1A2B_VV.tif"
    assert relative_orbit_of(meta("old", orbit=None, source_uris=(uri,))) == (38206 - 73) % 175 + 1


def test_the_order_of_the_candidates_does_not_depend_on_that_of_the_listing():
    others = [earlier(f"d{days}", days) for days in (12, 24, 36)]
    assert chosen(*others) == chosen(*reversed(others))


UTM = MapGrid(crs="EPSG:32633", transform=(10.0, 0.0, 5e5, 0.0, -10.0, 5e6), height=200, width=300)


def test_the_covered_share_is_exact_for_grids_of_one_crs():
    half = UTM.model_copy(update={"transform": (10.0, 0.0, 5e5 + 1500.0, 0.0, -10.0, 5e6)})
    assert covered_share(UTM, UTM) == 1.0
    assert covered_share(UTM, half) == pytest.approx(0.5, abs=0.02)
    assert covered_share(UTM, UTM.model_copy(update={"transform": (10.0, 0.0, 6e5, 0.0, -10.0, 5e6)})) == 0.0


def test_the_covered_share_of_another_crs_across_the_antimeridian_and_at_the_pole():
    east = MapGrid(crs="EPSG:4326", transform=(0.01, 0.0, 179.0, 0.0, -0.01, -16.0), height=100, width=200)
    west = MapGrid(crs="EPSG:32701", transform=(1000.0, 0.0, 1.7e5, 0.0, -1000.0, 8.23e6), height=120, width=100)
    assert 0.2 < covered_share(west, east) < 1.0
    polar = MapGrid(crs="EPSG:3031", transform=(1000.0, 0.0, -5e4, 0.0, -1000.0, 5e4), height=100, width=100)
    assert covered_share(polar, polar) == 1.0
    assert covered_share(polar, UTM) == 0.0


def test_a_map_with_far_more_water_than_the_median_is_left_out():
    usual = [ComparedWater(100_000, water, 5_000) for water in (4_900, 5_000, 5_300)]
    flood = ComparedWater(100_000, 9_000, 5_000)
    found = flood_reasons([*usual, flood])
    assert found[:3] == ["", "", ""]
    assert "its water is far above that of the median of the earlier maps (9.0% against 5.0% of the pixels)" in found[3]


def test_little_more_water_of_a_dry_place_is_not_a_flood():
    assert flood_reasons([ComparedWater(100_000, water, 100) for water in (90, 100, 500)]) == ["", "", ""]


def test_one_or_two_maps_must_not_have_more_water_than_the_scene():
    assert flood_reasons([ComparedWater(100_000, 5_400, 5_000)]) == [""]
    found = flood_reasons([ComparedWater(100_000, 6_000, 5_000), ComparedWater(100_000, 3_000, 5_000)])
    assert "that of the scene itself" in found[0]
    assert found[1] == ""


def test_a_map_without_a_common_pixel_is_left_out():
    assert "no value where the scene is observed" in flood_reasons([ComparedWater(0, 0, 0)])[0]
