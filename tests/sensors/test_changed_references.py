"""The reference of the maps of the watched folder, with real ticks and jobs, and the shipped model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from dagster import AssetKey, ExecuteInProcessResult

from assets.scene_references import ScenesBeside
from drshym_pipeline.ancillary.layers import ELEVATION, OCCURRENCE, Cell
from drshym_pipeline.model.bundle import shipped_bundle
from drshym_pipeline.records import MapRecord
from drshym_pipeline.scene_folder import MapFolder
from drshym_pipeline.storage import sha256_file
from tests.ancillary_tiles import everywhere, write_tile
from tests.lineage import Lineage
from tests.small_scenes import write_lake_scene

FLOOD, LATER_FLOOD = "S1_20210601T170000", "S1_20210607T170000"
DRY = ("S1_20210520T170000", "S1_20210508T170000", "S1_20210426T170000")
SMALL_LAKE, FLOODED = 0.15, 0.32
SHAPE = (120, 140)
DECADES, DEGREE = Cell(80, 10), Cell(81, 18)  # the tiles of occurrence and elevation that the scenes are on


@pytest.fixture
def lineage(tmp_path: Path) -> Lineage:
    return lineage_with(tmp_path)


def lineage_with(home: Path, **options: Any) -> Lineage:
    lineage = Lineage(home, {"tile": 96, "overlap": 24, **options})
    lineage.serve(shipped_bundle())
    return lineage


def drop(lineage: Lineage, name: str, lake: float, **side_car: str) -> None:
    seed = int(name[9:11])  # every date has its own speckle
    write_lake_scene(lineage.inbox / f"{name}.tif", shape=SHAPE, lake=lake, seed=seed)
    if side_car:
        write_note(lineage, name, **side_car)


def write_note(lineage: Lineage, name: str, **values: str) -> None:
    (lineage.inbox / f"{name}.drshym.json").write_text(json.dumps(values), "utf-8")


def newest(lineage: Lineage, name: str) -> MapFolder:
    found = lineage.store.scenes.current(name)
    assert found is not None
    return found


def record(lineage: Lineage, name: str) -> MapRecord:
    return newest(lineage, name).record()


def mask(lineage: Lineage, name: str) -> np.ndarray:
    with rasterio.open(newest(lineage, name).product("mask")) as source:
        values: np.ndarray = source.read(1)
        return values


def map_all(lineage: Lineage) -> None:
    results = lineage.map_all()
    assert results
    assert all(result.success for result in results.values())


def renew(lineage: Lineage, most: int = 20) -> list[str]:
    """Run ticks of the sensor and the runs it requests until it requests none, and return the scenes in order."""
    renewed: list[str] = []
    for _ in range(most):
        requests = lineage.tick("changed_references")
        for request in requests:
            assert request.partition_key is not None
            assert lineage.run("renew_maps", request.partition_key, tags=request.tags).success
            renewed.append(request.partition_key)
        if not requests:
            return renewed
    raise AssertionError(f"maps are made again and again: {renewed}")


def used(found: MapRecord) -> list[str]:
    assert found.separation is not None
    assert found.separation.earlier_maps is not None
    return [used.scene_id for used in found.separation.earlier_maps.maps]


def check(result: ExecuteInProcessResult) -> Any:
    name = "reference_is_known"
    (found,) = [one for one in result.get_asset_check_evaluations() if one.check_name == name]
    return found


def materialisations(lineage: Lineage, asset: str, partition: str) -> list[Any]:
    from dagster import AssetRecordsFilter

    wanted = AssetRecordsFilter(AssetKey(asset), asset_partitions=[partition])
    records = lineage.instance.fetch_materializations(wanted, limit=100).records
    return [record.asset_materialization for record in records]


def test_a_flood_that_arrives_first_is_made_again_when_the_earlier_scenes_are_there(lineage: Lineage):
    drop(lineage, FLOOD, FLOODED)
    map_all(lineage)
    first = newest(lineage, FLOOD)
    assert first.record().separation is None
    assert renew(lineage) == []
    for name in DRY:
        drop(lineage, name, SMALL_LAKE)
    map_all(lineage)
    probabilities = {name: sha256_file(newest(lineage, name).product("proba")) for name in (FLOOD, *DRY)}
    renewed = renew(lineage)
    assert FLOOD in renewed
    assert len(renewed) == len(set(renewed)) <= len(DRY), "the oldest scene has no earlier one"
    assert used(record(lineage, FLOOD)) == list(DRY)
    second = newest(lineage, FLOOD)
    assert second.version != first.version
    assert first.is_complete(), "an earlier map is never changed"
    states = mask(lineage, FLOOD)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    distance = np.hypot(rows - SHAPE[0] / 2, cols - SHAPE[1] / 2)
    assert (states[distance < 12] == 2).mean() > 0.9
    assert (states[(distance > 24) & (distance < 34)] == 1).mean() > 0.8
    # Nothing was predicted again, and the files that other maps depend on are the same: there is nothing more to do.
    assert len(materialisations(lineage, "tile_probabilities", FLOOD)) == 1
    assert probabilities == {name: sha256_file(newest(lineage, name).product("proba")) for name in (FLOOD, *DRY)}
    assert [renew(lineage) for _ in range(3)] == [[], [], []]
    assert lineage.message == "no reference has changed"
    shown = materialisations(lineage, "stitched_scenes", FLOOD)[0]
    rows_shown = [row.data for row in shown.metadata["reference scenes"].records]
    assert [(row["name"].split()[0], row["sha256"]) for row in rows_shown] == [
        (name, probabilities[name]) for name in DRY
    ]
    assert rows_shown[0]["date"].startswith("2021-05-20T17:00")
    assert "the median of 3 earlier maps" in shown.metadata["compared with"].value
    again = lineage.run("map_scene", FLOOD)
    assert check(again).passed
    assert newest(lineage, FLOOD).version == second.version


def test_a_scene_without_any_reference_is_reported_with_the_reason(lineage: Lineage):
    drop(lineage, FLOOD, FLOODED)
    result = lineage.map_all()[FLOOD]
    assert result.success
    found = check(result)
    assert not found.passed
    assert "no map of the same place and pass" in found.description
    shown = materialisations(lineage, "stitched_scenes", FLOOD)[0].metadata["compared with"].value
    assert shown.startswith("nothing: there is no map")


def test_the_pre_event_scene_of_the_side_car_is_used_as_soon_as_it_is_mapped(lineage: Lineage):
    before = "S1_20210520T170000"
    drop(lineage, FLOOD, FLOODED, pre_event=f"{before}.tif")
    map_all(lineage)
    first = record(lineage, FLOOD)
    assert first.separation is None
    refused = f"The pre-event scene {before}.tif of the side-car is not used: it"
    assert f"{refused} is the name of no scene." in first.warnings
    drop(lineage, before, SMALL_LAKE)
    assert lineage.tick() == []
    (request,) = lineage.tick()
    assert renew(lineage) == [FLOOD]
    assert f"{refused} has no finished map yet." in record(lineage, FLOOD).warnings
    assert lineage.run("map_scene", before, tags=request.tags).success
    assert renew(lineage) == [FLOOD]
    second = record(lineage, FLOOD)
    assert second.separation is not None
    assert second.separation.pre_event is not None
    assert second.separation.pre_event.scene_id == before
    assert not any("not used" in warning for warning in second.warnings)
    assert {1, 2} <= set(np.unique(mask(lineage, FLOOD)))
    # The pre-event scene is mapped again with other pixels: so is the map that was compared with it.
    drop(lineage, before, 0.2)
    map_all(lineage)
    assert renew(lineage) == [FLOOD]
    assert record(lineage, FLOOD).map_version != second.map_version


def test_a_later_pre_event_scene_is_refused_in_the_record_and_the_scene_is_mapped(lineage: Lineage):
    drop(lineage, FLOOD, FLOODED, pre_event=LATER_FLOOD)
    drop(lineage, LATER_FLOOD, FLOODED)
    map_all(lineage)
    renew(lineage)
    found = record(lineage, FLOOD)
    assert found.separation is None
    assert any("is not used: it is of 07 June 2021" in warning for warning in found.warnings)


def test_a_flood_does_not_become_the_reference_of_the_next_scene_of_its_event(lineage: Lineage):
    for name in DRY:
        drop(lineage, name, SMALL_LAKE)
    drop(lineage, FLOOD, FLOODED, date="2021-06-01", event="E")
    drop(lineage, LATER_FLOOD, FLOODED, date="2021-06-01", event="E")
    map_all(lineage)
    renew(lineage)
    found = record(lineage, LATER_FLOOD)
    assert used(found) == list(DRY)
    assert found.separation is not None
    assert found.separation.earlier_maps is not None
    assert [(left.scene_id, left.reason) for left in found.separation.earlier_maps.left_out] == [
        (FLOOD, "it is of the day of the event (2021-06-01) or later")
    ]
    flooded = mask(lineage, LATER_FLOOD) == 1
    # A third scene without a side-car: both floods are left out because of their own.
    third = "S1_20210613T170000"
    drop(lineage, third, FLOODED)
    map_all(lineage)
    renew(lineage)
    separation = record(lineage, third).separation
    assert separation is not None
    assert separation.earlier_maps is not None
    assert used(record(lineage, third)) == list(DRY)
    assert {left.scene_id: left.reason for left in separation.earlier_maps.left_out} == dict.fromkeys(
        (FLOOD, LATER_FLOOD), "its side-car says that it shows an event of 2021-06-01"
    )
    assert flooded.sum() > 1_000
    assert (mask(lineage, third) == 1).sum() == pytest.approx(flooded.sum(), rel=0.2)


def test_the_settings_switch_the_references_and_the_renewals_off(tmp_path: Path):
    lineage = lineage_with(tmp_path, reference="none")
    for name in (FLOOD, *DRY):
        drop(lineage, name, FLOODED if name == FLOOD else SMALL_LAKE)
    map_all(lineage)
    assert renew(lineage) == []
    assert "DRSHYM_REFERENCE=none" in str(lineage.message)
    assert record(lineage, FLOOD).separation is None
    still = lineage_with(tmp_path, renewals_per_tick=0)
    assert still.tick("changed_references") == []
    assert "to be made again later" in str(still.message)


def test_few_maps_are_made_again_at_a_time_and_none_without_its_probabilities(tmp_path: Path):
    import shutil

    lineage = lineage_with(tmp_path, renewals_per_tick=1)
    for name in (FLOOD, LATER_FLOOD):
        drop(lineage, name, FLOODED)
    map_all(lineage)
    drop(lineage, DRY[0], SMALL_LAKE)
    map_all(lineage)
    (request,) = lineage.tick("changed_references")
    assert request.partition_key == FLOOD
    shutil.rmtree(next(newest(lineage, LATER_FLOOD).scene.directory.glob("probabilities/*.zarr")))
    assert lineage.run("renew_maps", FLOOD).success
    assert renew(lineage) == []
    assert LATER_FLOOD not in str(lineage.message)


def test_a_run_that_fails_is_not_requested_again_and_again(lineage: Lineage):
    drop(lineage, FLOOD, FLOODED)
    map_all(lineage)
    drop(lineage, DRY[0], SMALL_LAKE)
    map_all(lineage)
    (request,) = lineage.tick("changed_references")
    assert request.partition_key == FLOOD
    # Its run fails: neither the backscatter nor the source is there any more.
    newest(lineage, FLOOD).scene.backscatter.unlink()
    (lineage.inbox / f"{FLOOD}.tif").unlink()
    assert not lineage.run("renew_maps", FLOOD).success
    assert [lineage.tick("changed_references") for _ in range(3)] == [[], [], []]
    assert "1 given up" in str(lineage.message) or "no reference has changed" in str(lineage.message)


def test_a_damaged_scene_stops_neither_the_sensor_nor_the_maps_of_others(lineage: Lineage):
    for name in DRY:
        drop(lineage, name, SMALL_LAKE)
    map_all(lineage)
    renew(lineage)
    newest(lineage, DRY[1]).manifest.write_text("{", "utf-8")
    newest(lineage, DRY[2]).stitched_path.write_text("{", "utf-8")
    drop(lineage, FLOOD, FLOODED)
    drop(lineage, "S1_20210414T170000", FLOODED)
    write_note(lineage, "S1_20210414T170000", unknown="key")
    results = lineage.map_all()
    assert results[FLOOD].success
    assert not results["S1_20210414T170000"].success
    renew(lineage)
    assert set(used(record(lineage, FLOOD))) <= {DRY[0], DRY[1], DRY[2]}
    assert ScenesBeside.of(lineage.store.scenes).mapped("S1_20210414T170000") is None


def test_layers_are_the_reference_where_no_map_is_and_a_changed_tile_has_the_map_made_again(tmp_path: Path):
    layers = tmp_path / "layers"
    write_tile(layers, OCCURRENCE, DECADES, everywhere(0))
    write_tile(layers, ELEVATION, DEGREE, everywhere(10.0), dtype="float32")
    lineage = lineage_with(tmp_path / "home", ancillary=layers)
    drop(lineage, FLOOD, FLOODED)
    result = lineage.map_all()[FLOOD]
    assert result.success
    assert all(found.passed for found in result.get_asset_check_evaluations() if found.blocking)
    assert check(result).passed
    first = record(lineage, FLOOD)
    assert first.separation is not None
    assert [layer.name for layer in first.separation.layers if layer.tiles] == ["jrc_occurrence"]
    assert first.exclusion is not None
    assert set(np.unique(mask(lineage, FLOOD))) == {0, 1, 255}
    shown = materialisations(lineage, "stitched_scenes", FLOOD)[0]
    (row,) = (row.data for row in shown.metadata["reference scenes"].records)
    assert row["kind"] == "layer"
    assert row["sha256"] == first.separation.layers[0].tiles[0].sha256
    assert renew(lineage) == []
    write_tile(layers, OCCURRENCE, DECADES, everywhere(100))
    assert renew(lineage) == [FLOOD]
    assert set(np.unique(mask(lineage, FLOOD))) == {0, 2, 255}
    # An earlier map outranks the layer where it has a value.
    drop(lineage, DRY[0], SMALL_LAKE)
    map_all(lineage)
    assert FLOOD in renew(lineage)
    assert {1, 2} <= set(np.unique(mask(lineage, FLOOD)))
    assert len(materialisations(lineage, "tile_probabilities", FLOOD)) == 1
    # Files of the scene that are gone do not take its terrain away.
    (lineage.inbox / f"{FLOOD}.tif").unlink()
    (layers / ELEVATION.place(DEGREE).name).unlink()
    assert FLOOD not in renew(lineage)


def test_a_scene_whose_ground_is_all_excluded_is_not_called_unobserved(tmp_path: Path):
    layers = tmp_path / "layers"

    def steep(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        return np.asarray((lat - 26.0) * 110_700.0)

    write_tile(layers, ELEVATION, DEGREE, steep, pixels=1200, dtype="float32")
    lineage = lineage_with(tmp_path / "home", ancillary=layers)
    drop(lineage, FLOOD, FLOODED)
    map_all(lineage)
    assert record(lineage, FLOOD).pixels["excluded"] > 0
    for asset in ("stitched_scenes", "scene_reports"):
        shown = materialisations(lineage, asset, FLOOD)[0].metadata["flooded area"].value
        assert shown == "all observed ground is excluded because of the terrain"


def test_a_map_of_layover_that_arrives_later_has_the_map_of_its_scene_made_again(tmp_path: Path):
    layers = tmp_path / "layers"
    write_tile(layers, ELEVATION, DEGREE, everywhere(10.0), dtype="float32")
    lineage = lineage_with(tmp_path / "home", ancillary=layers)
    product = "S1A_IW_20210601T170000_DVP_RTC10_G_sduned_1C2D"
    image = write_lake_scene(lineage.inbox / f"{product}_VV.tif", shape=SHAPE, lake=FLOODED, bands=("VV",))
    drop(lineage, LATER_FLOOD, FLOODED)
    assert set(lineage.map_all(ticks=6)) == {product, LATER_FLOOD}
    renew(lineage)
    assert renew(lineage) == []
    assert record(lineage, product).pixels["excluded"] == 0
    with rasterio.open(image) as source:
        profile = source.profile | {"dtype": "uint8", "count": 1, "nodata": None}
    companion = lineage.inbox / f"{product}_ls_map.tif"
    for value in (5, 17):  # layover, then shadow
        with rasterio.open(companion, "w", **profile) as target:
            target.write(np.full(SHAPE, value, np.uint8), 1)
        before = record(lineage, product).map_version
        assert renew(lineage) == [product]
        assert record(lineage, product).map_version != before
        assert record(lineage, product).pixels["excluded"] > 0
    assert lineage.tick() == []
    assert companion.name not in str(lineage.message)
    companion.unlink()
    assert renew(lineage) == []


def test_earlier_maps_that_cannot_be_used_are_named_beside_the_layers(tmp_path: Path):
    layers = tmp_path / "layers"
    write_tile(layers, OCCURRENCE, DECADES, everywhere(0))
    lineage = lineage_with(tmp_path / "home", ancillary=layers)
    drop(lineage, FLOOD, FLOODED, date="2021-05-15")
    drop(lineage, DRY[0], SMALL_LAKE)
    map_all(lineage)
    assert lineage.run("map_scene", FLOOD).success
    reason = "it is of the day of the event (2021-05-15) or later"
    found = record(lineage, FLOOD).separation
    assert found is not None
    assert [layer.name for layer in found.layers if layer.tiles] == ["jrc_occurrence"]
    shown = materialisations(lineage, "stitched_scenes", FLOOD)[0]
    (row,) = (row.data for row in shown.metadata["earlier maps left out"].records)
    assert row == {"scene": DRY[0], "reason": reason}
    assert f"not used: {reason}" in newest(lineage, FLOOD).product("report").read_text("utf-8")


def test_a_reused_map_has_the_present_reason_for_no_reference(lineage: Lineage):
    drop(lineage, FLOOD, FLOODED, date="2021-05-15")
    map_all(lineage)
    first = newest(lineage, FLOOD)
    drop(lineage, DRY[0], SMALL_LAKE)
    map_all(lineage)
    again = lineage.run("map_scene", FLOOD)
    assert newest(lineage, FLOOD).version == first.version
    reason = f"the earlier map {DRY[0]} cannot be used, because it is of the day of the event (2021-05-15) or later"
    assert reason in check(again).description
    shown = materialisations(lineage, "stitched_scenes", FLOOD)[0]
    assert shown.metadata["compared with"].value == f"nothing: {reason}"


def test_a_folder_of_layers_that_is_gone_fails_the_scene_with_one_sentence(tmp_path: Path):
    lineage = lineage_with(tmp_path, ancillary=tmp_path / "nowhere")
    drop(lineage, FLOOD, FLOODED)
    result = lineage.map_all()[FLOOD]
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    sentence = str(event.step_failure_data.user_failure_data.description)
    assert "nowhere: the folder does not exist" in sentence
    assert "DRSHYM_ANCILLARY" in sentence
    assert "re-execute" in sentence
    assert "--ancillary" not in sentence


def test_a_folder_of_layers_that_is_lost_is_the_reason_of_every_tick(tmp_path: Path):
    layers = tmp_path / "layers"
    write_tile(layers, OCCURRENCE, DECADES, everywhere(0))
    lineage = lineage_with(tmp_path / "home", ancillary=layers)
    drop(lineage, FLOOD, FLOODED)
    map_all(lineage)
    assert renew(lineage) == []
    layers.rename(tmp_path / "away")
    for _ in range(2):
        assert lineage.tick("changed_references") == []
        assert "layers: the folder does not exist" in str(lineage.message)
        assert "DRSHYM_ANCILLARY" in str(lineage.message)
    (tmp_path / "away").rename(layers)
    write_tile(layers, OCCURRENCE, DECADES, everywhere(100))
    assert renew(lineage) == [FLOOD], "a tile that changed meanwhile is seen"
