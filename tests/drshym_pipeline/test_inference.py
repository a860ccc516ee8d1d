"""The probabilities of a scene's tiles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import zarr

from drshym_pipeline.errors import DrShymError, InputError
from drshym_pipeline.inference import predict_scene
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import Calibration
from drshym_pipeline.sar.backscatter import BackscatterReader
from drshym_pipeline.sar.codes import BACKSCATTER_FILE, decode_db
from drshym_pipeline.sar.scene import describe_scene
from drshym_pipeline.storage import sha256_files
from drshym_pipeline.tile_work import calibrated
from drshym_pipeline.tiling import TileGrid


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    return tmp_path_factory.mktemp("staged")


@pytest.fixture(scope="module")
def meta(staged, scene_file):
    return describe_scene(
        [scene_file(staged / "in" / "s.tif", shape=(150, 100))], backscatter=staged / BACKSCATTER_FILE
    )


@pytest.fixture(scope="module")
def run(staged):
    def predict(meta, bundle, out: Path, grid: TileGrid, mode="vv_vh", *, precision="fp32", **options):
        reference = bundle.reference("checkpoint")
        with BackscatterReader(meta, staged) as reader:
            return predict_scene(reader, grid, bundle, mode, out, reference=reference, precision=precision, **options)

    return predict


def test_stored_values_are_the_calibrated_probabilities_of_the_network(meta, staged, run, random_bundle, tmp_path):
    grid = TileGrid(meta.height, meta.width, 64, 16)
    summary = run(meta, random_bundle, tmp_path / "p.zarr", grid)
    stored = zarr.open_array(str(tmp_path / "p.zarr"), mode="r")[:]
    calibration = random_bundle.calibration["vv_vh"]
    with BackscatterReader(meta, staged) as reader:
        db = decode_db(reader.read(grid.window(3)))
    logits = predict_logits(random_bundle.build(), network_input(db, "vv_vh")[None], precision="fp32")[0].astype(
        np.float64
    )
    expected = 1 / (1 + np.exp(-(logits / calibration.T + calibration.bias)))
    np.testing.assert_allclose(stored[3] / 10_000, expected, atol=2e-4)
    values = stored[stored != NOT_OBSERVED] / 10_000
    assert (summary.minimum, summary.maximum) == (values.min(), values.max())
    assert summary.mean == pytest.approx(values.mean())
    assert summary.observed_fraction == pytest.approx(values.size / stored.size)


def test_the_same_scene_gives_the_same_bytes_whatever_the_batch(meta, run, random_bundle, tmp_path):
    grid = TileGrid(meta.height, meta.width, 64, 16)
    hashes = set()
    for name, batch in (("a", 4), ("b", 4), ("c", 1)):
        out = tmp_path / name / "p.zarr"
        run(meta, random_bundle, out, grid, batch_size=batch)
        hashes.add(sha256_files([path for path in (out / "c").rglob("*") if path.is_file()], out))
    assert len(hashes) == 1


def test_each_row_of_tiles_is_one_file(meta, run, random_bundle, tmp_path):
    grid = TileGrid(meta.height, meta.width, 64, 16)
    run(meta, random_bundle, tmp_path / "p.zarr", grid)
    shards = [path for path in (tmp_path / "p.zarr").rglob("*") if path.is_file() and path.name != "zarr.json"]
    assert len(shards) == grid.shape[0] == 3


def test_a_scene_smaller_than_a_tile_is_not_observed_beyond_its_end(meta, run, random_bundle, tmp_path):
    grid = TileGrid(meta.height, meta.width, 192, 16)
    run(meta, random_bundle, tmp_path / "p.zarr", grid)
    stored = zarr.open_array(str(tmp_path / "p.zarr"), mode="r")[:]
    assert stored.shape == (1, 192, 192)
    assert (stored[0, 150:] == NOT_OBSERVED).all()
    assert (stored[0, :, 100:] == NOT_OBSERVED).all()
    assert (stored[0, :150, 5:100] != NOT_OBSERVED).all()


def test_vv_mode_does_not_read_vh(meta, staged, run, random_bundle, tmp_path):
    grid = TileGrid(meta.height, meta.width, 64, 16)
    run(meta, random_bundle, tmp_path / "p.zarr", grid, mode="vv")
    stored = zarr.open_array(str(tmp_path / "p.zarr"), mode="r")[3]
    with BackscatterReader(meta, staged) as reader:
        db = decode_db(reader.read(grid.window(3)))
    logits = predict_logits(random_bundle.build(), network_input(db[:1], "vv_vh")[None], precision="fp32")[0]
    expected = calibrated(logits, random_bundle.calibration["vv"])
    np.testing.assert_allclose(stored / 10_000, expected, atol=2e-4)


def test_progress_ends_where_the_tiles_end(meta, run, random_bundle, tmp_path):
    grid = TileGrid(meta.height, meta.width, 64, 16)
    calls = []
    run(meta, random_bundle, tmp_path / "p.zarr", grid, progress=lambda *call: calls.append(call))
    assert calls[0] == ("tile_probabilities", 0, len(grid))
    assert calls[-1] == ("tile_probabilities", len(grid), len(grid))


def test_a_prediction_that_fails_leaves_the_old_one(meta, run, random_bundle, tmp_path):
    grid = TileGrid(meta.height, meta.width, 64, 16)
    out = tmp_path / "p.zarr"
    run(meta, random_bundle, out, grid)
    before = sha256_files([path for path in out.rglob("*") if path.is_file()], out)

    def fail(stage: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(meta, random_bundle, out, grid, mode="vv", progress=fail)
    assert sha256_files([path for path in out.rglob("*") if path.is_file()], out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.zarr"]


def test_unknown_precision_and_empty_batches_are_refused(meta, run, random_bundle, tmp_path):
    grid = TileGrid(meta.height, meta.width, 64, 16)
    with pytest.raises(InputError, match="precision: 'fp8' is not known"):
        run(meta, random_bundle, tmp_path / "p.zarr", grid, precision="fp8")
    with pytest.raises(InputError, match="batch-size: must be at least 1"):
        run(meta, random_bundle, tmp_path / "p.zarr", grid, batch_size=0)


def test_probabilities_are_sigmoids_of_scaled_logits_even_at_the_ends():
    logits = np.array([-1e4, -2.0, 0.0, 2.0, 1e4], np.float32)
    result = calibrated(logits, Calibration(T=2.0, bias=0.5))
    np.testing.assert_allclose(
        result, [0, 1 / (1 + np.exp(0.5)), 1 / (1 + np.exp(-0.5)), 1 / (1 + np.exp(-1.5)), 1], rtol=1e-6
    )
    with pytest.raises(DrShymError, match="not finite"):
        calibrated(np.array([np.nan], np.float32), Calibration())
