"""From a GeoTIFF to a finished map, stage by stage and with one call."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import zarr

from drshym_pipeline import stages
from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products import publish as publish_module
from drshym_pipeline.records import MapRecord, read_drshym_record
from drshym_pipeline.scene_folder import (
    OPTIONAL_KINDS,
    PRODUCT_KINDS,
    STITCHED_FILE,
    MapFolder,
    SceneFolder,
    product_name,
)
from drshym_pipeline.states import mask_of
from drshym_pipeline.storage import sha256_file

TILE = {"tile": 96, "overlap": 24}
PLAIN_KINDS = set(PRODUCT_KINDS) - set(OPTIONAL_KINDS)


def read(path: Path) -> tuple[np.ndarray, rasterio.DatasetReader]:
    with rasterio.open(path) as source:
        return source.read(1), source


@pytest.fixture(scope="module")
def source(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("in") / "S1_20210111_T1234.tif")


@pytest.fixture(scope="module")
def mapped(tmp_path_factory, source, random_bundle) -> tuple[Path, MapRecord]:
    out = tmp_path_factory.mktemp("out")
    return out, map_scene([source], out, random_bundle, random_bundle.reference("checkpoint"), **TILE)


def map_in_stages(source, root, bundle, reference, **options) -> MapFolder:
    folder = stages.stage([source], root, **options)
    return stages.report(stages.stitch(stages.predict(stages.write_tiles(folder, **TILE), bundle, reference)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory, source, random_bundle) -> MapFolder:
    return map_in_stages(source, tmp_path_factory.mktemp("store"), random_bundle, random_bundle.reference("checkpoint"))


@pytest.fixture
def copied(finished, tmp_path) -> MapFolder:
    """A copy of the finished map, with its scene."""
    scene = SceneFolder(Path(shutil.copytree(finished.scene.directory, tmp_path / "copy")))
    return scene.map(finished.version)


def tiles_of(found: MapFolder):
    return found.scene.tiles(found.scene.grid_name(TILE["tile"], TILE["overlap"]))


def prediction_of(found: MapFolder):
    (path,) = found.scene.predictions()
    return tiles_of(found).prediction(path.relative_to(found.scene.directory).as_posix())


def test_a_map_has_exactly_the_grid_of_the_source(mapped, source):
    out, record = mapped
    with rasterio.open(source) as original:
        for kind in ("mask", "proba"):
            with rasterio.open(out / record.files[kind]) as product:
                assert product.crs == original.crs
                assert product.transform == original.transform
                assert product.shape == original.shape


def test_the_mask_follows_from_the_stored_probability_and_the_threshold(mapped):
    out, record = mapped
    mask, _ = read(out / record.files["mask"])
    stored, _ = read(out / record.files["proba"])
    seen = stored != NOT_OBSERVED
    np.testing.assert_array_equal(mask[seen] == 1, stored[seen] / 10_000 >= record.calibration.threshold)
    np.testing.assert_array_equal(mask == 255, ~seen)
    assert set(np.unique(mask)) == {0, 1, 255}, "the random model should find both classes here"


def test_what_was_not_observed_stays_so_and_nothing_else(mapped, source):
    out, record = mapped
    with rasterio.open(source) as original:
        hidden = np.isnan(original.read()).any(axis=0)
    mask, _ = read(out / record.files["mask"])
    np.testing.assert_array_equal(mask == 255, hidden)
    assert record.observed_fraction == pytest.approx(1 - hidden.mean())


def test_the_record_counts_what_the_mask_shows_and_the_area_is_inside_its_interval(mapped):
    out, record = mapped
    mask, _ = read(out / record.files["mask"])
    assert record.pixels["flooded"] == int((mask == 1).sum())
    assert sum(record.pixels.values()) == mask.size
    # UTM at 3 degrees from nowhere: pixels of 10 m are 100 m2 within half a percent.
    assert record.flooded.km2 == pytest.approx((mask == 1).sum() * 1e-4, rel=5e-3)
    assert record.flooded.low_km2 <= record.flooded.km2 <= record.flooded.high_km2
    assert record.water_separated is False
    assert record.polygons.km2 + record.polygons.omitted_km2 == pytest.approx(record.flooded.km2)
    collection = json.loads((out / record.files["flood"]).read_text())
    assert len(collection["features"]) == record.polygons.count
    stored, _ = read(out / record.files["proba"])
    means = [feature["properties"]["mean_probability"] for feature in collection["features"]]
    sizes = [feature["properties"]["pixels"] for feature in collection["features"]]
    if not record.polygons.omitted:
        assert np.average(means, weights=sizes) == pytest.approx(stored[mask == 1].mean() / 10_000, abs=1e-4)
    properties = collection["features"][0]["properties"]
    assert properties["state"] == "open water, flood not separated"
    assert properties["acquired_at"] == "2021-01-11T12:34:00+00:00"
    assert (properties["model"], properties["model_version"]) == (record.model.name, record.model.version)
    assert properties["threshold"] == record.calibration.threshold
    assert "not validated in the field" in properties["caveat"]
    assert "VV alone" not in properties["caveat"]
    assert any("not separated from permanent water" in warning for warning in record.warnings)


def test_all_files_are_there_and_nothing_else(mapped):
    out, record = mapped
    assert sorted(path.name for path in out.iterdir()) == sorted(record.files.values())
    assert set(record.files) == PLAIN_KINDS
    again = MapRecord.model_validate_json((out / record.files["record"]).read_text())
    assert again == record
    assert (out / record.files["caption"]).read_text().strip() == record.caption


def test_the_stages_one_by_one_make_the_same_map_as_the_command(finished, mapped):
    out, record = mapped
    for kind in ("mask", "proba", "flood", "overlay", "thumbnail", "caption"):
        assert finished.product(kind).read_bytes() == (out / record.files[kind]).read_bytes(), kind


def test_the_manifest_names_every_product_with_its_size_and_hash(finished):
    manifest = json.loads(finished.manifest.read_text())
    beside = {"manifest.json", "stitched.json"}
    assert set(manifest["files"]) == {path.name for path in finished.products.iterdir()} - beside
    for name, entry in manifest["files"].items():
        assert entry == {
            "bytes": (finished.products / name).stat().st_size,
            "sha256": sha256_file(finished.products / name),
        }
    assert finished.is_complete()


def test_a_map_drawn_by_an_earlier_version_without_a_style_is_complete(source, random_bundle, tmp_path):
    scene = stages.stage([source], tmp_path / "store")
    reference = random_bundle.reference("checkpoint")
    drawn = stages.stitch(stages.predict(stages.write_tiles(scene, **TILE), random_bundle, reference))
    drawn.product("style").unlink()
    figures = drawn.stitched()
    files = {kind: name for kind, name in figures.files.items() if kind != "style"}
    (drawn.directory / STITCHED_FILE).write_text(figures.model_copy(update={"files": files}).model_dump_json())
    finished = stages.report(drawn.scene.drawing(drawn.directory.name))
    record = finished.record()
    assert finished.is_complete()
    assert set(record.files) == PLAIN_KINDS - {"style"}
    assert set(json.loads(finished.manifest.read_text())["files"]) == set(record.files.values())
    out = tmp_path / "out"
    out.mkdir()
    (out / product_name(record.scene_id, "style")).write_text("of the map before")
    publish_module.publish(finished.products, record.scene_id, out)
    assert sorted(path.name for path in out.iterdir()) == sorted(record.files.values())


def test_tiles_are_written_as_records_and_as_a_table(finished):
    tiles = tiles_of(finished)
    grid = tiles.grid()
    lines = tiles.jsonl.read_text().splitlines()
    records = [read_drshym_record(line) for line in lines]
    assert len(records) == len(grid) == tiles.summary().count
    assert records[3].image_id == "S1_20210111_T1234_tile_00003"
    for record, window in zip(records, grid, strict=True):
        assert (record.window.row, record.window.col) == (window.row, window.col)
        left, bottom, right, top = record.bounds
        assert (right - left, top - bottom) == (window.width * 10.0, window.height * 10.0)
        assert (left, top) == (500_000.0 + window.col * 10.0, 2_000_000.0 - window.row * 10.0)
    assert min(record.valid_fraction for record in records) < 1.0
    table = pd.read_parquet(tiles.parquet)
    assert list(table["image_id"]) == [record.image_id for record in records]
    assert list(table["valid_fraction"]) == [record.valid_fraction for record in records]


def test_probabilities_are_one_sharded_array_with_the_model_in_its_attributes(finished, random_bundle):
    predicted = prediction_of(finished)
    array = zarr.open_array(str(predicted.path), mode="r")
    rows, columns = predicted.tiles.grid().shape
    assert array.shape == (rows * columns, 96, 96)
    assert array.chunks == (1, 96, 96)
    assert array.shards == (columns, 96, 96)
    prediction = predicted.read()
    assert prediction.summary.reference == random_bundle.reference("checkpoint")
    assert prediction.area_errors == random_bundle.area_errors["vv_vh"]


def another(bundle):
    return bundle.reference("shipped").model_copy(update={"sha256": "1" * 64})


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_another_model_makes_another_map_and_the_finished_one_is_never_changed(copied, random_bundle):
    before, old = content(copied.products), prediction_of(copied)
    tiles = stages.write_tiles(copied.scene, **TILE)
    predicted = stages.predict(tiles, random_bundle, another(random_bundle))
    assert not predicted.reused
    assert predicted.path != old.path
    drawn = stages.stitch(predicted)
    assert not drawn.is_complete(), "an unfinished map must not count as finished"
    assert [found.version for found in copied.scene.finished_maps()] == [copied.version]
    new = stages.report(drawn)
    assert new.record().model == another(random_bundle)
    assert new.record().map_version == new.version != copied.version
    with rasterio.open(new.product("mask")) as mask:
        assert mask.tags()["DRSHYM_MODEL_SHA256"] == "1" * 64
    assert content(copied.products) == before
    assert {found.version for found in copied.scene.finished_maps()} == {copied.version, new.version}
    assert not list(copied.scene.drawings.iterdir())


def test_the_same_scene_and_model_make_nothing_twice(copied, random_bundle):
    before = {path: path.stat().st_mtime_ns for path in copied.scene.directory.rglob("*") if path.is_file()}
    tiles = stages.write_tiles(copied.scene, **TILE)
    predicted = stages.predict(tiles, random_bundle, random_bundle.reference("checkpoint"))
    assert predicted.reused
    assert stages.report(stages.stitch(predicted)) == copied
    after = {path: path.stat().st_mtime_ns for path in copied.scene.directory.rglob("*") if path.is_file()}
    changed = {path.relative_to(copied.scene.directory) for path in after if before.get(path) != after[path]}
    # The time of the last use, which the retention uses.
    assert changed == {predicted.attributes_path.relative_to(copied.scene.directory)}


def test_stages_return_what_they_wrote(source, random_bundle, tmp_path):
    tiles = stages.write_tiles(stages.stage([source], tmp_path / "store"), **TILE)
    drawn = stages.stitch(stages.predict(tiles, random_bundle, random_bundle.reference("checkpoint")))
    scene = SceneFolder(tiles.scene.directory)
    assert tiles.summary() == scene.tiles(tiles.name).summary()
    assert drawn.stitched() == scene.drawing(drawn.directory.name).stitched()


def test_a_scene_with_a_damaged_manifest_is_mapped_again(copied):
    before = copied.product("mask").read_bytes()
    copied.manifest.write_text("{}")
    again = stages.report(stages.stitch(prediction_of(copied)))
    assert again == copied
    assert again.is_complete()
    assert again.product("mask").read_bytes() == before
    assert [path.name for path in copied.scene.maps.iterdir()] == [copied.version]


def test_two_runs_that_draw_the_same_map_finish_it_once(copied, random_bundle):
    predicted = stages.predict(tiles_of(copied), random_bundle, another(random_bundle))
    first, second = stages.stitch(predicted, run="first"), stages.stitch(predicted, run="second")
    assert first.directory != second.directory
    done = stages.report(first)
    before = content(done.products)
    assert stages.report(second) == done
    assert content(done.products) == before
    assert not list(copied.scene.drawings.iterdir())


def test_two_runs_of_one_scene_with_two_models_do_not_mix(copied, random_bundle):
    reference = {name: another(random_bundle).model_copy(update={"sha256": name * 64}) for name in "ab"}
    tiles = stages.write_tiles(copied.scene, **TILE)
    predicted = {name: stages.predict(tiles, random_bundle, reference[name]) for name in "ab"}
    drawn = {name: stages.stitch(predicted[name], run=name) for name in "ba"}
    for name in "ab":
        assert stages.report(drawn[name]).record().model == reference[name]


@pytest.mark.parametrize("failing", ["write_pictures", "write_caption"])
def test_a_finished_map_survives_a_new_one_that_fails_while_it_is_drawn(copied, random_bundle, monkeypatch, failing):
    before = content(copied.products)
    predicted = stages.predict(tiles_of(copied), random_bundle, another(random_bundle))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"drshym_pipeline.products.draw.{failing}", full)
    with pytest.raises(OSError, match="No space"):
        stages.stitch(predicted)
    assert copied.is_complete()
    assert content(copied.products) == before
    assert not list(copied.scene.directory.rglob(".partial-*"))
    assert not list(copied.scene.drawings.iterdir())


@pytest.mark.parametrize("step", range(1, 5))
def test_a_report_killed_while_it_finishes_the_map_can_be_repeated(copied, random_bundle, monkeypatch, step):
    drawn = stages.stitch(stages.predict(tiles_of(copied), random_bundle, another(random_bundle)))
    calls = 0

    def die_at(function):
        def run(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == step:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return run

    with monkeypatch.context() as patched:
        for name in ("write_json", "fsync_tree", "fsync_directory"):
            patched.setattr(publish_module, name, die_at(getattr(publish_module, name)))
        patched.setattr(Path, "rename", die_at(Path.rename))
        with pytest.raises(KeyboardInterrupt):
            stages.report(drawn)
    finished = copied.scene.map(drawn.version)
    assert finished.is_complete() == (step == 4), "a map is there whole or not at all"
    again = stages.report(stages.stitch(prediction_by(copied, another(random_bundle), random_bundle)))
    assert again == finished
    assert again.is_complete()
    assert again.record().model == another(random_bundle)
    assert not list(copied.scene.directory.rglob(".partial-*"))


def prediction_by(found: MapFolder, reference, bundle):
    return stages.predict(tiles_of(found), bundle, reference)


def test_drawing_again_writes_the_same_bytes(copied):
    names = ("mask", "proba", "flood", "overlay", "thumbnail", "caption")
    before = {name: sha256_file(copied.product(name)) for name in names}
    copied.manifest.unlink()
    drawn = stages.stitch(prediction_of(copied))
    assert drawn != copied
    assert {name: sha256_file(drawn.product(name)) for name in names} == before
    assert stages.report(drawn) == copied, "what was left of the unfinished map has made place"


@pytest.mark.parametrize("damage", ["deleted", "cut"])
def test_a_missing_part_of_the_probabilities_is_an_error_and_never_not_observed(copied, random_bundle, damage):
    predicted = stages.predict(tiles_of(copied), random_bundle, another(random_bundle))
    shard = predicted.path / "c" / "1" / "0" / "0"
    if damage == "deleted":
        shard.unlink()
    else:
        shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(InputError, match=r"(?s)\.zarr.*Predict the scene again"):
        stages.stitch(predicted)
    assert not list(copied.scene.drawings.glob("*"))
    if damage == "deleted":
        again = stages.predict(tiles_of(copied), random_bundle, another(random_bundle))
        assert not again.reused, "the remedy makes them anew"
        assert stages.report(stages.stitch(again)).is_complete()


def test_a_scene_in_which_nothing_is_observed_has_all_its_probabilities_on_disk(tmp_path, scene_file, random_bundle):
    source = scene_file(tmp_path / "blind.tif", observed=False, shape=(70, 90))
    folder = stages.stage([source], tmp_path / "store", units="db")
    tiles = stages.write_tiles(folder, tile=32, overlap=0)
    predicted = stages.predict(tiles, random_bundle, random_bundle.reference("checkpoint"))
    assert len([path for path in (predicted.path / "c").rglob("*") if path.is_file()]) == 3


def test_a_source_that_has_changed_is_not_taken_for_the_staged_one(tmp_path, scene_file):
    source = scene_file(tmp_path / "a.tif", shape=(64, 64))
    folder = stages.stage([source], tmp_path / "store", copy=False)
    assert not (folder.directory / "source").exists()
    folder.backscatter.unlink()
    with rasterio.open(source, "r+") as dataset:
        dataset.write(dataset.read(1) - 3.0, 1)
    with pytest.raises(InputError, match="has changed since the scene was staged"):
        stages.write_tiles(folder)
    source.unlink()
    with pytest.raises(InputError, match="no longer exists"):
        stages.write_tiles(folder)


def test_staging_again_keeps_the_maps_of_the_scene(copied, source):
    scene = copied.scene
    root = scene.directory.parent / "store"
    target = root / scene.meta().scene_id / scene.meta().version
    target.parent.mkdir(parents=True)
    scene.directory.rename(target)
    shutil.rmtree(target / "source")
    again = stages.stage([source], root)
    assert again.directory == target
    assert again.map(copied.version).is_complete()
    assert (target / "source" / source.name).read_bytes() == source.read_bytes()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_same_scene_gives_the_same_mask_every_time_at_every_precision(source, random_bundle, tmp_path, precision):
    from drshym_pipeline.model import compute

    found = set()
    for turn in range(3):
        compute._READY.clear()  # the network is prepared again, as in a new process
        out = tmp_path / str(turn)
        record = map_scene(
            [source], out, random_bundle, random_bundle.reference("checkpoint"), precision=precision, **TILE
        )
        assert record.precision == precision
        found.add(tuple(sha256_file(out / f"{source.stem}_{kind}.tif") for kind in ("mask", "proba")))
    assert len(found) == 1


def test_a_map_with_a_file_missing_does_not_count_as_finished(copied):
    copied.product("overlay").unlink()
    assert not copied.is_complete()


def test_a_stage_without_the_one_before_names_the_missing_file(tmp_path, scene_file):
    folder = stages.stage([scene_file(tmp_path / "a.tif", shape=(64, 64))], tmp_path / "store")
    with pytest.raises(InputError, match=r"tiles\.json: the file does not exist"):
        folder.tiles(folder.grid_name(96, 24)).grid()


def test_a_scene_without_an_observed_pixel_says_so_and_states_no_area(tmp_path, scene_file, random_bundle):
    source = scene_file(tmp_path / "blind.tif", observed=False, shape=(70, 90))
    record = map_scene(
        [source], tmp_path / "out", random_bundle, random_bundle.reference("checkpoint"), units="db", **TILE
    )
    mask, _ = read(tmp_path / "out" / "blind_mask.tif")
    assert (mask == 255).all()
    assert record.flooded is None
    assert record.mean_confidence is None
    assert "Nothing was observed" in record.caption
    assert "km2" not in record.caption
    assert json.loads((tmp_path / "out" / "blind_flood.geojson").read_text())["features"] == []
    assert "nothing was observed" in (tmp_path / "out" / "blind_report.html").read_text()


def test_tiles_without_an_observed_pixel_are_not_given_to_the_network(tmp_path, scene_file, random_bundle):
    source = scene_file(tmp_path / "blind.tif", observed=False, shape=(70, 90))
    folder = stages.stage([source], tmp_path / "store", units="db")
    tiles = stages.write_tiles(folder, tile=32, overlap=0)
    summary = stages.predict(tiles, random_bundle, random_bundle.reference("checkpoint")).read().summary
    assert (summary.predicted, summary.skipped, summary.mean) == (0, 9, None)


def test_one_file_per_polarisation_is_the_same_scene_as_one_file_with_both(tmp_path, scene_file, random_bundle):
    both = scene_file(tmp_path / "both.tif", shape=(96, 96))
    with rasterio.open(both) as source:
        for band, name in ((1, "pair_vv.tif"), (2, "pair_vh.tif")):
            with rasterio.open(tmp_path / name, "w", **{**source.profile, "count": 1}) as target:
                target.write(source.read(band), 1)
    reference = random_bundle.reference("checkpoint")
    one = map_scene([both], tmp_path / "out", random_bundle, reference, **TILE)
    pair = [tmp_path / "pair_vv.tif", tmp_path / "pair_vh.tif"]
    two = map_scene(pair, tmp_path / "out", random_bundle, reference, **TILE)
    assert two.scene_id == "pair"
    assert two.modality == "sentinel1_sar_vv_vh"
    np.testing.assert_array_equal(
        read(tmp_path / "out" / one.files["proba"])[0], read(tmp_path / "out" / two.files["proba"])[0]
    )


def test_vv_alone_is_mapped_with_the_calibration_of_vv(tmp_path, scene_file, random_bundle):
    source = scene_file(tmp_path / "only_vv.tif", bands=("VV",), shape=(60, 130))
    record = map_scene([source], tmp_path / "out", random_bundle, random_bundle.reference("checkpoint"), **TILE)
    assert record.modality == "sentinel1_sar_vv"
    assert record.calibration == random_bundle.calibration["vv"]


def test_linear_power_gives_the_map_of_decibels(tmp_path, scene_file, random_bundle):
    reference = random_bundle.reference("checkpoint")
    decibels = scene_file(tmp_path / "decibels.tif", shape=(96, 96))
    power = scene_file(tmp_path / "power.tif", shape=(96, 96), linear=True)
    first = map_scene([decibels], tmp_path / "out", random_bundle, reference, **TILE)
    second = map_scene([power], tmp_path / "out", random_bundle, reference, **TILE)
    assert any("power" in step for step in second.processing)
    a, b = (read(tmp_path / "out" / record.files["proba"])[0].astype(int) for record in (first, second))
    assert np.abs(a - b).max() <= 20


def test_files_of_another_scene_with_the_same_name_are_replaced_only_with_overwrite(
    tmp_path, scene_file, random_bundle
):
    reference = random_bundle.reference("checkpoint")
    out = tmp_path / "out"
    first = scene_file(tmp_path / "a" / "scene.tif", shape=(64, 64))
    other = scene_file(tmp_path / "b" / "scene.tif", shape=(64, 64), seed=7)
    map_scene([first], out, random_bundle, reference, **TILE)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    map_scene([first], out, random_bundle, reference, **TILE)
    with pytest.raises(InputError, match="not of this scene"):
        map_scene([other], out, random_bundle, reference, **TILE)
    assert {path.name for path in out.iterdir()} == set(before)
    assert (out / "scene_mask.tif").read_bytes() == before["scene_mask.tif"]
    record = map_scene([other], out, random_bundle, reference, overwrite=True, **TILE)
    assert json.loads((out / "scene_report.json").read_text())["source_sha256"] == record.source_sha256


def test_a_model_that_returns_nan_stops_the_map_and_leaves_nothing(tmp_path, scene_file, random_bundle):
    import torch

    from drshym_pipeline.errors import DrShymError
    from drshym_pipeline.model.bundle import ModelBundle

    broken = ModelBundle.create(
        name="broken",
        version="1",
        network=random_bundle.network,
        state={
            name: torch.full_like(value, torch.nan) if value.is_floating_point() else value
            for name, value in random_bundle.state().items()
        },
        calibration=random_bundle.calibration,
        area_errors=random_bundle.area_errors,
        card=random_bundle.card,
        training_sha256="0" * 64,
    )
    source = scene_file(tmp_path / "a.tif", shape=(64, 64))
    with pytest.raises(DrShymError, match="not finite"):
        map_scene([source], tmp_path / "out", broken, random_bundle.reference("checkpoint"), **TILE)
    assert not (tmp_path / "out").exists()


def test_masks_are_decided_on_the_stored_grid():
    stored = np.array([0, 4499, 4500, 4501, 10_000, NOT_OBSERVED], np.uint16)
    assert mask_of(stored, 0.45).tolist() == [0, 0, 1, 1, 1, 255]
    assert mask_of(stored, 0.45005).tolist() == [0, 0, 0, 1, 1, 255]


def test_the_module_loads_without_torch_rasterio_or_zarr():
    code = (
        "import sys, drshym_pipeline.mapping; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'rasterio', 'zarr', 'lightning', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_map_without_one_of_its_files_is_never_finished(copied, random_bundle):
    drawn = stages.stitch(stages.predict(tiles_of(copied), random_bundle, another(random_bundle)))
    drawn.product("proba").unlink()
    with pytest.raises(FileNotFoundError, match="_proba"):
        stages.report(drawn)
    assert not copied.scene.map(drawn.version).products.exists()
