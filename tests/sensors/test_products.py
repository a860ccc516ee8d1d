"""Products in the watched folder: SAFE folders, zips, and tables that arrive after their image."""

import shutil
from pathlib import Path

import pytest

from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar.safe_product import product_images
from drshym_pipeline.sar.scene_files import SourceFile
from sensors.plan import Seen, plan_tick, seen_from_json, seen_to_json
from tests.lineage import Lineage
from tests.products.safe_product import PRODUCT, SCENE, SafeOptions, write_safe, zip_safe

OPTIONS = {"tile": 64, "overlap": 8}
WAITING = 5  # ticks until a VV file without a VH file is mapped


@pytest.fixture
def lineage(tmp_path: Path, random_bundle: ModelBundle) -> Lineage:
    lineage = Lineage(tmp_path / "home", dict(OPTIONS))
    lineage.serve(random_bundle)
    return lineage


def meta_of(lineage: Lineage, partition: str = SCENE) -> SceneMeta:
    newest = lineage.store.scenes.current(partition)
    assert newest is not None
    return newest.scene.meta()


def test_a_safe_folder_and_a_zip_are_one_scene_each_with_their_tables(lineage: Lineage, tmp_path: Path):
    safe = write_safe(lineage.inbox)
    other = write_safe(tmp_path, None, SafeOptions(product=PRODUCT.replace("0111", "0112")))
    archive = zip_safe(other, lineage.inbox / f"{other.stem}.zip")
    results = lineage.map_all(ticks=4)
    second = SCENE.replace("0111", "0112")
    assert sorted(results) == [SCENE, second]
    assert all(result.success for result in results.values())
    for partition in results:
        assert {"denoise:product-noise-table", "calibrate:sigma-nought-table"} < set(
            meta_of(lineage, partition).processing
        )
        assert meta_of(lineage, partition).mode == "vv_vh"
    assert meta_of(lineage, second).archive == str(archive)
    assert not list(lineage.store.path.rglob("*.tiff")), "what was unpacked is deleted"
    assert sorted(path.name for path in lineage.inbox.iterdir()) == sorted([safe.name, archive.name])
    assert lineage.map_all(ticks=3) == {}


def test_a_safe_folder_waits_until_all_its_files_stand_still(lineage: Lineage, tmp_path: Path):
    whole = write_safe(tmp_path)
    needed = [*whole.glob("measurement/*"), *whole.glob("annotation/calibration/*"), *whole.glob("annotation/*.xml")]
    for file in needed:  # one file per tick, as in a slow copy
        lineage.drop(file, file.relative_to(whole.parent).as_posix())
        assert lineage.tick() == []
    (request,) = lineage.tick()
    assert request.partition_key == SCENE
    for file in (whole / "manifest.safe", *whole.glob("preview/*")):
        lineage.drop(file, file.relative_to(whole.parent).as_posix())
        assert lineage.tick() == [], "these files are not read"


def test_the_images_of_a_safe_folder_wait_for_their_tables_and_not_for_ever(lineage: Lineage, tmp_path: Path):
    whole = write_safe(tmp_path)
    for file in whole.glob("measurement/*"):
        lineage.drop(file, file.relative_to(whole.parent).as_posix())
    assert [lineage.tick() for _ in range(2)] == [[], []]
    assert "its calibration tables may follow" in str(lineage.message)
    assert sum(len(lineage.tick()) for _ in range(WAITING)) == 1


@pytest.mark.parametrize("keep_sources", ["inbox", "store"])
def test_the_side_car_of_a_product_is_beside_it_and_can_turn_the_denoising_off(
    tmp_path: Path, random_bundle: ModelBundle, keep_sources: str
):
    lineage = Lineage(tmp_path / "home", {**OPTIONS, "keep_sources": keep_sources})
    lineage.serve(random_bundle)
    safe = write_safe(lineage.inbox)
    side_car = lineage.inbox / f"{PRODUCT}.drshym.json"
    side_car.write_text('{"denoise": false}', "utf-8")
    assert lineage.map_all(ticks=3)[SCENE].success
    assert "denoise:none:off" in meta_of(lineage).processing
    assert safe.is_dir()
    assert side_car.exists() == (keep_sources == "inbox")


@pytest.mark.parametrize("zipped", [False, True])
def test_kept_in_the_store_a_product_leaves_the_watched_folder_and_is_read_from_its_copy(
    tmp_path: Path, random_bundle: ModelBundle, zipped: bool
):
    lineage = Lineage(tmp_path / "home", {**OPTIONS, "keep_sources": "store"})
    lineage.serve(random_bundle)
    safe = write_safe(lineage.inbox)
    if zipped:
        zip_safe(safe)
        shutil.rmtree(safe)
    assert lineage.map_all(ticks=3)[SCENE].success
    first = meta_of(lineage)
    assert not list(lineage.inbox.rglob("*.tiff"))
    assert not list(lineage.inbox.rglob("noise-*"))
    assert not list(lineage.inbox.rglob("*.zip"))
    assert lineage.map_all(ticks=3) == {}
    lineage.serve(shipped_bundle())
    assert lineage.run("map_scene", SCENE).success, "a later model reads the copy"
    assert meta_of(lineage).version == first.version
    assert len(lineage.store.scenes.finished_maps(SCENE)) == 2


@pytest.mark.parametrize("kind", ["calibration", "noise"])
def test_a_table_that_arrives_after_its_image_has_the_scene_mapped_again(lineage: Lineage, tmp_path: Path, kind: str):
    image = product_images(write_safe(tmp_path))[0]
    lineage.drop(image, "flood.tiff")
    assert list(lineage.map_all(ticks=WAITING)) == ["flood"]
    before = meta_of(lineage, "flood")
    table = tmp_path / f"{PRODUCT}.SAFE" / "annotation" / "calibration" / f"{kind}-{image.stem}.xml"
    lineage.drop(table, f"{kind}-flood.xml")
    assert list(lineage.map_all(ticks=3)) == ["flood"]
    after = meta_of(lineage, "flood")
    assert after.version != before.version
    assert getattr(after.bands[0], kind) is not None
    assert lineage.map_all(ticks=3) == {}
    (lineage.inbox / f"{kind}-flood.xml").touch()
    assert list(lineage.map_all(ticks=3)) == ["flood"], "and a table that has changed"


def test_an_slc_product_is_named_and_not_mapped(lineage: Lineage, tmp_path: Path):
    safe = write_safe(lineage.inbox).rename(lineage.inbox / f"{PRODUCT.replace('GRDH', 'SLC_')}.SAFE")
    assert [lineage.tick() for _ in range(3)] == [[], [], []]
    assert f"{safe.name} (an SLC product; only ground-range products (GRD) are mapped)" in str(lineage.message)


# --- the state of earlier releases -----------------------------------------------------------------------------------

FILES = tuple(
    SourceFile(key, 10, "a")
    for key in (
        "x.tif",
        f"{PRODUCT}.SAFE/measurement/s1a-iw-grd-vh-1-2-3-4-002.tiff",
        f"{PRODUCT}.SAFE/measurement/s1a-iw-grd-vv-1-2-3-4-001.tiff",
    )
)
TABLES = tuple(
    SourceFile(key, 10, "a")
    for key in (
        "calibration-x.xml",
        f"{PRODUCT}.SAFE/annotation/s1a-iw-grd-vv-1-2-3-4-001.xml",
        f"{PRODUCT}.SAFE/annotation/calibration/noise-s1a-iw-grd-vv-1-2-3-4-001.xml",
    )
)


def of_earlier_release(seen: Seen) -> Seen:
    """Return a state as a release wrote that did not list tables."""
    written = seen_to_json(seen)
    for state in written.values():
        del state["tables"]
    return seen_from_json(written)


def after_ticks(listing: tuple[SourceFile, ...], seen: Seen, count: int = 3) -> tuple[list[tuple[str, ...]], Seen]:
    requests = []
    for _ in range(count):
        plan = plan_tick(listing, seen, 10)
        requests.extend(request.files for request in plan.requests)
        seen = plan.seen
    return requests, seen


def test_the_tables_of_scenes_that_an_earlier_release_mapped_are_no_change_and_later_ones_are():
    requests, seen = after_ticks(FILES, {}, WAITING)
    assert len(requests) == 2
    requests, seen = after_ticks((*FILES, *TABLES), of_earlier_release(seen))
    assert requests == []
    assert all(state.tables for state in seen.values())
    changed = SourceFile(TABLES[0].key, 11, "b")
    requests, seen = after_ticks((*FILES, changed, *TABLES[1:]), seen)
    assert requests == [("x.tif",)]
    assert after_ticks((*FILES, changed, *TABLES[1:]), seen)[0] == []


def test_a_scene_that_an_earlier_release_saw_and_had_not_mapped_is_mapped_once_with_its_tables():
    seen = of_earlier_release(plan_tick(FILES, {}, 10).seen)
    requests, seen = after_ticks((*FILES, *TABLES), seen, WAITING)
    assert sorted(requests) == [tuple(file.key for file in FILES[:0:-1]), ("x.tif",)]
    assert after_ticks((*FILES, *TABLES), seen)[0] == []


def test_the_partition_of_a_product_is_its_name():
    plan = plan_tick((*FILES, *TABLES), {}, 10)
    assert sorted(plan.waiting) == [SCENE, "x"]
