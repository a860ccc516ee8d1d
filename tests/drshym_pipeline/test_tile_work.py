"""One tile of pixels that are resampled for the network: pieces, seams, not observed, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from drshym_pipeline.errors import DrShymError
from drshym_pipeline.model.resampling import AxisScale, Resampling
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.records import Calibration
from drshym_pipeline.sar.codes import encode_db
from drshym_pipeline.stitching import stitch_rows
from drshym_pipeline.tile_work import TileWork, pieces
from drshym_pipeline.tiling import TileGrid


class Scene:
    """A scene in memory."""

    def __init__(self, db: np.ndarray) -> None:
        self.codes = encode_db(db.astype(np.float32))

    def read(self, window, bands=None):
        return self.codes[:bands, window.rows, window.cols]


class PixelNetwork:
    """A network that judges each pixel alone: the logit falls with VV. It notes the shapes that it computed."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def logits(self, inputs):
        self.shapes.append(inputs.shape)
        return (15.0 - 30.0 * inputs[:, 0]).astype(np.float32)


class NeighbourNetwork(PixelNetwork):
    """A network with a field of view of 41 x 41 pixels that sees zeros around its input, as real ones do."""

    def logits(self, inputs):
        from scipy.ndimage import uniform_filter

        return uniform_filter(super().logits(inputs), (0, 41, 41), mode="constant")


def scene(height: int, width: int, seed: int = 42) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    rough = gaussian_filter(np.random.default_rng(seed).normal(0, 1, (2, height, width)), (0, 3, 3))
    return -14.0 + 5.0 * rough / rough.std()


def work(db, resampling, network=None, tile=64, overlap=16) -> TileWork:
    grid = TileGrid(db.shape[1], db.shape[2], tile, overlap)
    return TileWork(Scene(db), grid, "vv_vh", "vv_vh", network or PixelNetwork(), Calibration(), resampling)


def mapped(done: TileWork) -> np.ndarray:
    """Return the stitched probabilities of a whole scene in steps of 1e-4."""
    grid = done.grid
    empty = np.full((grid.tile, grid.tile), NOT_OBSERVED, np.uint16)
    tiles = np.stack([empty if (tile := done.whole(index)) is None else tile for index in range(len(grid))])
    return np.concatenate([rows for _, rows in stitch_rows(tiles, grid)])


SCALES = [
    Resampling(AxisScale(split=2), AxisScale(split=2)),
    Resampling(AxisScale(split=3), AxisScale(split=3)),
    Resampling(AxisScale(split=6), AxisScale(split=6)),
    Resampling(AxisScale(merge=2), AxisScale(merge=2)),
    Resampling(AxisScale(merge=3), AxisScale(merge=3)),
    Resampling(AxisScale(), AxisScale(split=2)),
    Resampling(AxisScale(merge=2), AxisScale(split=3)),
]


@pytest.mark.parametrize("resampling", SCALES, ids=str)
def test_the_map_has_the_scenes_pixels_whatever_the_network_computes(resampling):
    db = np.full((2, 90, 130), -18.0)
    np.testing.assert_array_equal(mapped(work(db, resampling)), mapped(work(db, Resampling())))


@pytest.mark.parametrize("resampling", SCALES, ids=str)
def test_the_tiles_do_not_show(resampling):
    db = scene(150, 190)
    whole = mapped(work(db, resampling, tile=192, overlap=16)).astype(int)
    for tile, overlap in ((64, 16), (80, 24)):
        assert np.abs(mapped(work(db, resampling, tile=tile, overlap=overlap)).astype(int) - whole).max() <= 150


@pytest.mark.parametrize("resampling", SCALES, ids=str)
def test_tiles_and_pieces_agree_where_the_network_looks_around(resampling):
    db = scene(300, 260)
    whole = mapped(work(db, resampling, NeighbourNetwork(), tile=300, overlap=8)).astype(int)
    parts = mapped(work(db, resampling, NeighbourNetwork(), tile=160, overlap=64)).astype(int)
    # Between the first and the last 41 network pixels, which see the edge of the scene.
    inner = np.abs(parts - whole)[50:-50, 50:-50]
    assert np.percentile(inner, 99) < 400
    assert inner.mean() < 40


@pytest.mark.parametrize("resampling", SCALES, ids=str)
def test_pixels_that_are_not_observed_stay_so_and_do_not_change_the_others(resampling):
    db = scene(100, 120)
    hidden = db.copy()
    hidden[:, 20:50, 30:70] = np.nan  # larger than a small hole
    hidden[:, 80, 80] = np.nan  # a small hole
    before, after = mapped(work(db, resampling)), mapped(work(hidden, resampling))
    np.testing.assert_array_equal(after == NOT_OBSERVED, np.isnan(hidden[0]))
    far = np.ones(db.shape[1:], bool)
    far[8:62, 18:82] = False
    far[68:93, 68:93] = False
    np.testing.assert_allclose(after[far].astype(int), before[far].astype(int), atol=1)


@pytest.mark.parametrize("split", [2, 3, 4, 6])
def test_the_network_never_computes_more_than_a_piece(split):
    network = PixelNetwork()
    db = np.full((2, 512, 512), -15.0)
    done = work(db, Resampling(AxisScale(split=split), AxisScale(split=split)), network, tile=512, overlap=64)
    assert (done.whole(0) == mapped(work(db, Resampling()))).all()
    sides = {side for shape in network.shapes for side in shape[-2:]}
    assert max(sides) <= 576
    pixels = sum(shape[-2] * shape[-1] for shape in network.shapes)
    assert pixels < 1.4 * (512 * split) ** 2


@pytest.mark.parametrize(("height", "width"), [(512, 512), (512, 40), (1, 1), (3, 700), (1024, 1024)])
@pytest.mark.parametrize("split", [(1, 1), (2, 2), (3, 1), (6, 6), (1, 6)])
def test_pieces_cover_a_tile_of_any_shape(height, width, split):
    covered = np.zeros((height, width), int)
    for window in pieces(height, width, split):
        covered[window.rows, window.cols] += 1
        assert window.height * split[0] <= 580
        assert window.width * split[1] <= 580
    assert covered.min() == 1


def test_a_piece_without_an_observed_pixel_is_not_computed():
    network = PixelNetwork()
    db = np.full((2, 512, 512), np.nan)
    db[:, :20, :20] = -15.0
    assert work(db, SCALES[1], network, tile=512, overlap=64).whole(0) is not None
    assert len(network.shapes) == 1
    assert work(np.full((2, 64, 64), np.nan), SCALES[1], network).whole(0) is None


def test_values_that_are_not_finite_stop_the_map_also_in_pieces():
    class Broken(PixelNetwork):
        def logits(self, inputs):
            return np.full(inputs[:, 0].shape, np.nan, np.float32)

    with pytest.raises(DrShymError, match="not finite"):
        work(scene(30, 30), SCALES[1], Broken()).whole(0)
