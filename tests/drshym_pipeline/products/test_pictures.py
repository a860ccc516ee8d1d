"""The pictures of a map: size, proportions, colours and texts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio.transform import from_origin

from drshym_pipeline.products.figure import FigureText, legend_entries, scale_length, write_pictures
from drshym_pipeline.products.overlay import Look, OverlayCanvas, picture_size
from drshym_pipeline.products.rasters import picture_text, provenance_tags
from drshym_pipeline.sar.codes import encode_db
from drshym_pipeline.sar.georeference import pixel_size_m
from tests.map_samples import prediction, scene

WORDS = FigureText(title="S1_x", lines=("Sentinel-1, 11 January 2021.",), water="flooded", north_up=True)


def draw(canvas: OverlayCanvas, folder: Path, *, suffix: str = "", width: int = 60, **options) -> None:
    write_pictures(
        canvas, folder / f"o{suffix}.png", folder / f"t{suffix}.png",
        **{"text": {}, "words": WORDS, "scene_width": width, "pixel_m": (10.0, 10.0), **options},
    )  # fmt: skip


def test_pictures_have_tags_that_describe_them_and_always_the_same_bytes(tmp_path):
    canvas = OverlayCanvas(40, 60)
    canvas.add(0, encode_db(np.full((40, 60), -10.0)), np.ones((40, 60), np.uint8))
    tags = provenance_tags(scene(40, 60), prediction())
    for name in ("1", "2"):
        draw(canvas, tmp_path, suffix=name, text=picture_text(tags))
    for kind in ("o", "t"):
        assert (tmp_path / f"{kind}1.png").read_bytes() == (tmp_path / f"{kind}2.png").read_bytes()
        text = Image.open(tmp_path / f"{kind}1.png").text
        assert text["DRSHYM_SCENE"] == "S1_x"
        assert (text["DRSHYM_MODEL"], text["DRSHYM_MODEL_VERSION"]) == ("unet_x", "3")
        assert (text["DRSHYM_MODEL_SHA256"], text["DRSHYM_SOURCE_SHA256"]) == ("a" * 64, "b" * 64)
        assert "Copernicus Sentinel data" in text["Copyright"]


def test_the_legend_says_what_each_colour_is_and_that_ground_without_colour_is_dry():
    words = replace(WORDS, water_before="water before", excluded="excluded")
    labels = [label for _, label in legend_entries((-20.0, 0.0), words)]
    assert labels[:3] == ["flooded", "water before", "excluded"]
    assert labels[3:] == ["radar backscatter (VV), -20 to 0 dB; dry where it has no colour", "not observed"]


PLAIN = Look(longest=1600, least=1, opacity=0.55)


def rendered(canvas: OverlayCanvas, look: Look = PLAIN, pixel_m=(10.0, 10.0)) -> np.ndarray:
    return np.asarray(canvas.render((-20.0, 0.0), pixel_m, look)).astype(int)


def test_the_overlay_shows_flood_in_blue_backscatter_in_grey_and_hides_unobserved_pixels():
    mask = np.zeros((40, 60), np.uint8)
    mask[:20, :20] = 1
    mask[20:, :30] = 255
    vv = np.full((40, 60), -10.0, np.float32)
    vv[mask == 255] = np.nan
    vv = encode_db(vv)
    canvas = OverlayCanvas(40, 60)
    for row in range(0, 40, 7):
        canvas.add(row, vv[row : row + 7], mask[row : row + 7])
    picture = rendered(canvas)
    assert picture.shape == (40, 60, 4)
    flooded, dry, hidden = picture[:20, :20], picture[:20, 20:], picture[20:, :30]
    assert (flooded[..., 2] > flooded[..., 0] + 50).all()
    assert (dry[..., 0] == dry[..., 2]).all()
    assert (dry[..., :3] == 128).all()
    assert (hidden[..., 3] < 255).all()
    assert 0.05 < (hidden[..., 3] > 0).mean() < 0.5, "hatched, not filled"
    # Pixels that are not observed do not make their neighbours darker, in a larger or smaller picture too.
    for look in (Look(longest=1600, least=180, opacity=0.55), Look(longest=30, least=1, opacity=0.55)):
        seen = rendered(canvas, look)
        dry = seen[: len(seen) // 2, seen.shape[1] // 3 + 1 :]
        assert (dry[..., :3] == 128).all()


def test_the_overlay_is_a_figure_with_text_and_the_thumbnail_is_the_map_alone(tmp_path):
    canvas = OverlayCanvas(512, 512)
    mask = np.zeros((512, 512), np.uint8)
    mask[100:200, 100:200] = 1
    canvas.add(0, encode_db(np.full(mask.shape, -10.0)), mask)
    draw(canvas, tmp_path, width=512)
    overlay, thumbnail = Image.open(tmp_path / "o.png"), Image.open(tmp_path / "t.png")
    assert thumbnail.size == (512, 512)
    assert overlay.width == 1024
    assert overlay.height > 1024
    words = np.asarray(overlay)[1024:]
    assert (words[..., 3] == 255).all(), "the words can be read on any ground"
    assert (words[..., :3].min(axis=2) < 60).mean() > 0.005, "something is written"
    # The map in the figure is the map itself, enlarged.
    np.testing.assert_array_equal(
        np.asarray(overlay)[:1024:2, ::2], np.asarray(canvas.render((-25.0, -5.0), (10.0, 10.0), PLAIN))
    )


def test_long_words_are_cut_and_a_narrow_map_is_in_the_middle(tmp_path):
    canvas = OverlayCanvas(900, 10)
    canvas.add(0, encode_db(np.full((900, 10), -10.0)), np.ones((900, 10), np.uint8))
    name = "S1A_IW_GRDH_1SDV_20210111T053000_20210111T053025_036095_043B5F_" * 4
    draw(canvas, tmp_path, width=10, words=FigureText(name, ("word " * 100,), "flooded", north_up=False))
    figure = np.asarray(Image.open(tmp_path / "o.png")).astype(int)
    assert figure.shape[1] == 720
    edge = figure[:, -10:]
    assert (edge == 255).all(), "nothing is written past the margin"
    assert (figure[450, 355:365, 2] > figure[450, 355:365, 0]).all()


@pytest.mark.parametrize(
    ("metres", "length"), [(999.0, 500.0), (1000.0, 1000.0), (4321.0, 2000.0), (0.7, 0.5), (60_000.0, 50_000.0)]
)
def test_a_scale_bar_has_a_round_length_that_fits(metres, length):
    assert scale_length(metres) == pytest.approx(length)


def test_the_scale_bar_has_the_length_of_its_label(tmp_path):
    canvas = OverlayCanvas(1000, 1000)
    canvas.add(0, encode_db(np.full((1000, 1000), -10.0)), np.zeros((1000, 1000), np.uint8))
    draw(canvas, tmp_path, width=1000, words=FigureText("S1_x", (), "flooded", north_up=False))
    # A quarter of 968 pixels of 10 m is 2,420 m: the bar is 2 km, 200 pixels, half of it black.
    below = np.asarray(Image.open(tmp_path / "o.png"))[1000:]
    row = (below[20, 700:, :3].max(axis=1) < 60).nonzero()[0]
    assert row.max() - row.min() == pytest.approx(200, abs=2)


@pytest.mark.parametrize("latitude", [0.0, 38.0, 60.0])
def test_a_scene_in_degrees_is_drawn_with_true_proportions(tmp_path, latitude):
    # A square on the ground, 300 pixels high: in degrees it is wider the farther from the equator.
    width = round(300 / np.cos(np.radians(latitude)))
    transform = from_origin(10.0, latitude + 150 * 8.98e-5, 8.98e-5, 8.98e-5)
    pixel_m = pixel_size_m("EPSG:4326", transform, 300, width)
    assert pixel_m[0] == pytest.approx(10.0 * np.cos(np.radians(latitude)), rel=0.01)
    canvas = OverlayCanvas(300, width)
    canvas.add(0, encode_db(np.full((300, width), -10.0)), np.zeros((300, width), np.uint8))
    draw(canvas, tmp_path, width=width, pixel_m=pixel_m)
    thumbnail, overlay = Image.open(tmp_path / "t.png"), Image.open(tmp_path / "o.png")
    assert thumbnail.width == pytest.approx(thumbnail.height, rel=0.01)
    grey = (np.asarray(overlay)[..., 0] == np.asarray(overlay)[5, overlay.width // 2, 0]).all(axis=1)
    assert grey.sum() == pytest.approx(overlay.width, rel=0.01)


def test_a_large_scene_becomes_a_picture_of_bounded_size_that_keeps_the_share_of_flood(tmp_path):
    canvas = OverlayCanvas(1000, 3333)
    rng = np.random.default_rng(1)
    for row in range(0, 1000, 128):
        rows = min(128, 1000 - row)
        mask = (rng.random((rows, 3333)) < 0.3).astype(np.uint8)
        canvas.add(row, encode_db(np.full((rows, 3333), -15.0)), mask)
    draw(canvas, tmp_path, width=3333)
    assert max(Image.open(tmp_path / "o.png").size) <= 1600
    assert max(Image.open(tmp_path / "t.png").size) == 512
    picture = np.asarray(canvas.render((-25.0, -5.0), (10.0, 10.0), PLAIN))
    assert picture.shape[:2] == (334, 1111)
    # Grey 127.5 under a blue of 255 at an opacity of 0.55 for 30 % of the pixels.
    assert picture[..., 2].mean() == pytest.approx(127.5 + 127.5 * 0.55 * 0.3, abs=1.0)


def test_a_thin_flood_can_be_seen_in_the_thumbnail(tmp_path):
    canvas = OverlayCanvas(3000, 3000)
    mask = np.zeros((3000, 3000), np.uint8)
    mask[:, 1500] = 1
    canvas.add(0, encode_db(np.full(mask.shape, -10.0)), mask)
    draw(canvas, tmp_path, width=3000)
    line = np.asarray(Image.open(tmp_path / "t.png")).astype(int)[256]
    assert (line[:, 2] - line[:, 0]).max() > 60


@given(
    height=st.integers(1, 4000), width=st.integers(1, 4000), x=st.floats(1.0, 40.0), y=st.floats(1.0, 40.0),
)  # fmt: skip
def test_pictures_of_all_scenes_have_a_size_within_the_limits(height, width, x, y):
    look = Look(longest=512, least=256, opacity=1.0)
    across, down = picture_size((height, width), (x, y), look)
    assert 1 <= min(across, down) <= max(across, down) <= 512
