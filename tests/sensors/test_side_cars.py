"""Side-cars and other files in the watched folder, with real ticks and jobs, and a model in service."""

from pathlib import Path

import pytest
from dagster import ExecuteInProcessResult

from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.model.bundle import ModelBundle
from sensors.failures import failure_record
from tests.lineage import Lineage


@pytest.fixture(scope="module")
def scene_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("simulated"), "S1_small", simulate_scene(3, 96, 100))


@pytest.fixture
def lineage(tmp_path: Path, random_bundle: ModelBundle) -> Lineage:
    lineage = Lineage(tmp_path, {"tile": 64, "overlap": 8})
    lineage.serve(random_bundle)
    return lineage


def reason(result: ExecuteInProcessResult) -> str:
    event = next(event for event in result.all_events if event.is_step_failure)
    return str(event.step_failure_data.user_failure_data.description)


def units(lineage: Lineage, partition: str) -> tuple[str, str]:
    newest = lineage.store.scenes.current(partition)
    assert newest is not None
    meta = newest.scene.meta()
    return meta.units, meta.units_evidence


def test_a_side_car_gives_the_units_and_one_that_is_added_later_has_the_scene_mapped_again(
    lineage: Lineage, scene_file: Path
):
    lineage.drop(scene_file)
    lineage.drop(scene_file, "other.tif")
    assert sorted(lineage.map_all(ticks=3)) == ["S1_small", "other"]
    first, by_itself = lineage.store.scenes.current("S1_small"), units(lineage, "other")
    (lineage.inbox / "S1_small.drshym.json").write_text('{"units": "db", "event": "a flood"}', "utf-8")
    again = lineage.map_all(ticks=3)
    assert list(again) == ["S1_small"]
    assert again["S1_small"].success
    second = lineage.store.scenes.current("S1_small")
    assert first is not None
    assert second is not None
    assert second.directory != first.directory
    assert "given" in units(lineage, "S1_small")[1]
    assert units(lineage, "other") == by_itself
    assert lineage.map_all(ticks=3) == {}


def test_a_broken_side_car_fails_its_scene_in_one_sentence_and_stops_no_other(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file)
    lineage.drop(scene_file, "other.tif")
    note = lineage.inbox / "S1_small.drshym.json"
    note.write_text('{"unit": "db"}', "utf-8")
    results = lineage.map_all()
    assert results["other"].success
    said = reason(results["S1_small"])
    assert said.startswith("S1_small.drshym.json: field 'unit' is not known.")
    assert "\n" not in said
    note.write_text('{"units": "db"}', "utf-8")
    assert lineage.map_all()["S1_small"].success


def test_a_scene_is_mapped_when_the_broken_side_car_is_removed(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file)
    note = lineage.inbox / "S1_small.drshym.json"
    note.write_text('{"unit": "db"}', "utf-8")
    failed = lineage.map_all()["S1_small"]
    run = lineage.instance.get_run_by_id(failed.run_id)
    assert run is not None
    lineage.store.scenes.write_failure("S1_small", failure_record(run, "raw_scenes", reason(failed)))
    note.unlink()
    assert lineage.map_all()["S1_small"].success
    assert lineage.map_all(ticks=3) == {}


def test_ignored_files_are_logged_once_and_named_in_every_skip_reason(lineage: Lineage, scene_file: Path):
    for name in ("map.png", "notes.txt", "archive.zip", "other.json", "lost.drshym.json", "upload.tif.part"):
        (lineage.inbox / name).write_bytes(b"x")
    lineage.drop(scene_file)
    logged = []
    for _ in range(4):
        lineage.tick()
        logged.append([line for line in lineage.logged if "ignored" in line])
    assert [len(lines) for lines in logged] == [1, 0, 0, 0]
    said = logged[0][0]
    assert all(name in said for name in ("map.png", "notes.txt", "archive.zip", "other.json", "lost.drshym.json"))
    assert "upload" not in said
    assert said in str(lineage.message)
    (lineage.inbox / "map.png").unlink()
    lineage.tick()
    assert [line for line in lineage.logged if "ignored" in line]
    assert "map.png" not in str(lineage.message)


def test_a_map_in_the_watched_folder_is_ignored_and_called_a_map(lineage: Lineage, scene_file: Path):
    lineage.drop(scene_file, "S1_small_mask.tif")
    (lineage.inbox / "S1_small_report.json").write_text("{}", "utf-8")
    assert [lineage.tick() for _ in range(3)] == [[], [], []]
    assert "neither a scene (.tif, .tiff, .SAFE, .zip of a product) nor the side-car of one" in str(lineage.message)
    assert "S1_small_mask.tif (a map of this program)" in str(lineage.message)


def test_the_line_about_ignored_files_has_a_limited_length(lineage: Lineage):
    for number in range(300):
        (lineage.inbox / f"{number:03d}{'x' * 150}.png").write_bytes(b"x")
    lineage.tick()
    assert "and 295 more" in str(lineage.message)
    assert len(str(lineage.message)) < 1500


def test_scenes_with_any_letters_are_mapped_and_side_rasters_are_named(lineage: Lineage, scene_file: Path):
    names = ("洪水", "河川", "a#b", "a%b", "_x", "Überflutung")
    for name in (*names, "洪水_dem", "_x_mask"):
        lineage.drop(scene_file, f"{name}.tif")
    results = lineage.map_all()
    assert len(results) == len(names)
    assert all(result.success for result in results.values())
    assert {"洪水", "河川", "_x", "Überflutung"} <= set(results)
    for partition in results:
        newest = lineage.store.scenes.current(partition)
        assert newest is not None
        assert newest.is_complete()
        assert newest.record().scene_id == partition
    lineage.tick()
    assert "洪水_dem.tif (elevation, a companion of 洪水)" in str(lineage.message)
    assert "_x_mask.tif (mask, a companion of _x)" in str(lineage.message)


def test_a_side_car_chooses_the_bands(lineage: Lineage, scene_file: Path):
    import rasterio

    dropped = lineage.drop(scene_file)
    with rasterio.open(dropped, "r+") as dataset:
        dataset.descriptions = ("VV_20210101", "VV_20210113")
    assert "several dates" in reason(lineage.map_all()["S1_small"])
    (lineage.inbox / "S1_small.drshym.json").write_text('{"bands": [1]}', "utf-8")
    assert lineage.map_all()["S1_small"].success
    newest = lineage.store.scenes.current("S1_small")
    assert newest is not None
    assert [band.band for band in newest.scene.meta().bands] == [1]


def test_a_scene_of_90_m_is_refused_with_the_key_of_the_side_car_that_maps_it(lineage: Lineage, tmp_path: Path):
    coarse = write_scene(tmp_path / "coarse", "S1_coarse", simulate_scene(3, 96, 100, pixel_spacing=90.0))
    lineage.drop(coarse)
    failed = lineage.map_all(ticks=3)["S1_coarse"]
    assert not failed.success
    assert '{"any_spacing": true}' in reason(failed)
    (lineage.inbox / "S1_coarse.drshym.json").write_text('{"any_spacing": true}', "utf-8")
    assert lineage.map_all(ticks=3)["S1_coarse"].success
    newest = lineage.store.scenes.current("S1_coarse")
    assert newest is not None
    assert newest.record().pixel_spacing is not None
