"""Map tiles, pictures and points: the right pixel at the right place, in the colours of the products."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from PIL import Image
from pyproj import Transformer

from drshym_pipeline.mapping import map_scene
from drshym_pipeline.sar.backscatter import BackscatterWriter
from drshym_pipeline.sar.codes import decode_db, encode_db
from drshym_pipeline.sar.scene import stage_scene
from drshym_pipeline.service.map_tiles import (
    NoWebMapError,
    PointOutsideError,
    TileAddressError,
    TileServer,
    UnknownLayerError,
    degree_bounds,
    web_map,
)
from drshym_pipeline.states import WATER_COLOURS
from drshym_pipeline.tiling import Window
from tests.map_samples import scene as scene_meta
from tests.served_scenes import MapOnDisk, write_map
from tests.small_scenes import write_lake_scene

SHAPE = (600, 700)  # more than one block, so the files have an overview
FLOOD = (*WATER_COLOURS[1], 255)
DRY = (0, 0, 0, 0)
GREY = (110, 110, 110, 110)
UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 2_000_000.0)
DEGREE = 1e-4  # about 11 m
# Places where a map may be: name, CRS and transform.
PLACES = {
    "utm": ("EPSG:32644", UTM),
    "degrees": ("EPSG:4326", Affine(DEGREE, 0.0, 12.0, 0.0, -DEGREE, 45.0)),
    "utm at the antimeridian": ("EPSG:32660", Affine(10.0, 0.0, 637_000.0, 0.0, -10.0, 7_323_000.0)),
    "degrees beyond 180": ("EPSG:4326", Affine(DEGREE, 0.0, 179.96, 0.0, -DEGREE, -16.0)),
    "degrees below -180": ("EPSG:4326", Affine(DEGREE, 0.0, -180.03, 0.0, -DEGREE, -16.0)),
    "web Mercator beyond 180": ("EPSG:3857", Affine(10.0, 0.0, 20_037_508.34 - 3_000.0, 0.0, -10.0, -1_800_000.0)),
    "web Mercator below -180": ("EPSG:3857", Affine(10.0, 0.0, -20_037_508.34 - 3_000.0, 0.0, -10.0, -1_800_000.0)),
    "world Mercator beyond 180": ("EPSG:3395", Affine(10.0, 0.0, 20_037_508.34 - 3_000.0, 0.0, -10.0, -1_800_000.0)),
    "degrees from 0 to 360": ("EPSG:4326", Affine(DEGREE, 0.0, 200.0, 0.0, -DEGREE, 60.0)),
}


# One turn around the earth, in the unit of the reference system.
WORLD = {"EPSG:4326": 360.0, "EPSG:3857": 2 * math.pi * 6_378_137.0, "EPSG:3395": 2 * math.pi * 6_378_137.0}


@pytest.fixture(scope="module")
def server():
    """One process, because each test asks for one thing at a time."""
    server = TileServer(processes=1)
    server.pool.start()
    yield server
    server.pool.stop()


def picture(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.mode == "RGBA"
        return np.asarray(image)


def tile_of(lon: float, lat: float, z: int) -> tuple[int, int]:
    """Return column and row of the tile at a place."""
    row = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
    return int((lon + 180) / 360 * 2**z), int(row * 2**z)


def source_positions(crs: str, transform: Affine, z: int, x: int, y: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the exact column and row of the map's grid at the centres of the pixels of a tile."""
    along = (np.arange(256) + 0.5) / 256
    lon = np.broadcast_to((x + along) / 2**z * 360 - 180, (256, 256))
    lat = np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + along) / 2**z))))[:, np.newaxis]
    lon, lat = np.broadcast_arrays(lon, lat)
    x, y_ = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    if crs in WORLD:
        middle, half = (transform @ (SHAPE[1] / 2, 0))[0], WORLD[crs] / 2
        x = (x - middle + half) % WORLD[crs] - half + middle
    return ~transform @ (x, y_)


def expected_values(values: np.ndarray, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the value of the nearest pixel, -1 outside the grid, and where it is certain.

    GDAL approximates positions to an eighth of a pixel, so a pixel that is nearer to an edge may have either value.
    """
    inside = (rows >= 0) & (rows < values.shape[0]) & (cols >= 0) & (cols < values.shape[1])
    r, c = (
        np.clip(np.floor(part).astype(int), 0, size - 1) for part, size in zip((rows, cols), values.shape, strict=True)
    )
    margin = np.minimum.reduce(
        [part - np.floor(part) for part in (rows, cols)] + [np.ceil(part) - part for part in (rows, cols)]
    )
    return np.where(inside, values[r, c].astype(int), -1), margin > 0.13


@pytest.mark.parametrize("name", PLACES)
def test_every_pixel_of_a_tile_is_the_pixel_of_the_map_at_its_place(server, tmp_path, name):
    crs, transform = PLACES[name]
    mask = np.random.default_rng(3).choice(np.array([0, 1, 255], np.uint8), SHAPE)
    scene = write_map(tmp_path, crs, transform, {"mask": mask})
    bounds = degree_bounds(scene.record)
    assert bounds is not None
    west, south, east, north = bounds
    native = server.tilejson(scene, "mask")["maxzoom"]
    colours = {-1: DRY, 0: DRY, 1: FLOOD, 255: GREY}
    drawn_pixels = 0
    for zoom in (native, native + 3):
        # Both sides of the antimeridian, where the map has two.
        for part in (0.3, 0.55, 0.8):
            lon = (west + (east - west) * part + 180) % 360 - 180
            x, y = tile_of(lon, south + (north - south) * part, zoom)
            found = picture(server.tile(scene, "mask", zoom, x, y))
            values, certain = expected_values(mask, *source_positions(crs, transform, zoom, x, y))
            expected = np.array([colours[value] for value in values.ravel().tolist()]).reshape(256, 256, 4)
            np.testing.assert_array_equal(found[certain], expected[certain])
            drawn_pixels += int((values[certain] == 1).sum())
    assert drawn_pixels > 5_000, "the tiles are those of the map"


@pytest.mark.parametrize("name", PLACES)
def test_a_tile_of_a_low_zoom_has_the_whole_map_in_its_place(server, tmp_path, name):
    crs, transform = PLACES[name]
    scene = write_map(tmp_path, crs, transform, {"mask": np.ones(SHAPE, np.uint8)})
    bounds = degree_bounds(scene.record)
    assert bounds is not None
    tiles = {tile_of((lon + 180) % 360 - 180, lat, 9) for lon in bounds[::2] for lat in bounds[1::2]}
    total = 0.0
    for x, y in tiles:
        found = picture(server.tile(scene, "mask", 9, x, y))[..., 3] == 255
        values, certain = expected_values(np.ones(SHAPE), *source_positions(crs, transform, 9, x, y))
        # The pixels of this zoom are larger than those of the map, so only whole pixels away from the edge are certain.
        edges = np.abs(np.gradient((values == 1).astype(float))).sum(axis=0) > 0
        np.testing.assert_array_equal(found[~edges & certain], (values == 1)[~edges & certain])
        total += found.sum()
    assert total > 100


def test_values_are_interpolated_and_have_no_colour_where_nothing_was_observed(server, tmp_path):
    stored = np.full(SHAPE, 10_000, np.uint16)
    stored[:, ::2] = 0
    stored[250:330, 300:400] = 65_535
    stored[100, 100] = 65_535
    scene = write_map(tmp_path, "EPSG:32644", UTM, {"proba": stored})
    zoom = server.tilejson(scene, "proba")["maxzoom"] + 2
    to_degrees = Transformer.from_crs("EPSG:32644", "EPSG:4326", always_xy=True)
    for row, col in ((250, 300), (100, 100)):
        x, y = tile_of(*to_degrees.transform(*(UTM @ (col, row))), zoom)
        found = picture(server.tile(scene, "proba", zoom, x, y))
        values, certain = expected_values(stored, *source_positions("EPSG:32644", UTM, zoom, x, y))
        np.testing.assert_array_equal(found[certain][..., 3], np.where(values[certain] == 65_535, 0, 255))
        assert (found[found[..., 3] == 0] == 0).all()
        assert (values == 65_535).any()
    shades = {tuple(colour) for colour in found.reshape(-1, 4).tolist()}
    assert len(shades) > 20, "between 0 and 1 there are many colours"
    assert (*WATER_COLOURS[1], 255) in shades


def test_backscatter_is_grey_between_fixed_limits(server, tmp_path):
    vv = np.repeat(np.array([-3000, -2500, -1245, 0, 500, -32_768], np.int16), 100)[:, np.newaxis].repeat(700, axis=1)
    scene = write_map(tmp_path, "EPSG:32644", UTM, {"backscatter": np.stack([vv, np.zeros_like(vv)])})
    found = picture(server.image(scene, "backscatter"))
    assert found[[50, 150, 250, 350, 450, 550], 350].tolist() == [
        [0, 0, 0, 255], [0, 0, 0, 255], [128, 128, 128, 255], [255, 255, 255, 255], [255, 255, 255, 255], [0, 0, 0, 0],
    ]  # fmt: skip
    texts = [entry.text for entry in server.layers(scene)[0].legend]
    assert texts == ["VV -25 dB or less", "VV 0 dB or more"]


def test_a_picture_has_the_rows_and_columns_of_the_map_and_is_reduced_to_a_limit(server, tmp_path):
    mask = np.random.default_rng(5).choice(np.array([0, 1, 250, 255], np.uint8), SHAPE)
    scene = write_map(tmp_path, "EPSG:32644", UTM, {"mask": mask})
    found = picture(server.image(scene, "mask"))
    assert found.shape == (*SHAPE, 4)
    np.testing.assert_array_equal(found[..., 3], np.select([mask == 1, mask == 250, mask == 255], [255, 160, 110], 0))
    assert picture(server.image(scene, "mask", most_pixels=350)).shape == (300, 350, 4)


def test_a_tile_outside_the_map_is_transparent_and_drawn_once_for_all_maps(server, tmp_path):
    scene = write_map(tmp_path, "EPSG:32644", UTM, {"mask": np.ones(SHAPE, np.uint8)})
    far = server.tile(scene, "mask", 12, 3, 5)
    assert not picture(far).any()
    assert server.tile(scene, "mask", 7, 100, 11) is far


@pytest.mark.parametrize(
    ("z", "x", "y", "problem"),
    [
        (-1, 0, 0, "there is no zoom -1"),
        (25, 0, 0, "there is no zoom 25. Choose a zoom from 0 to 24"),
        (3, 8, 0, "there is no such tile at zoom 3. Choose column and row from 0 to 7"),
        (3, 0, -1, "there is no such tile"),
        (10**9, 1, 1, "there is no zoom"),
    ],
)
def test_a_tile_that_cannot_exist_is_refused(server, tmp_path, z, x, y, problem):
    scene = write_map(tmp_path, "EPSG:32644", UTM, {"mask": np.ones((20, 20), np.uint8)})
    with pytest.raises(TileAddressError, match=problem):
        server.tile(scene, "mask", z, x, y)


def test_a_layer_that_the_map_does_not_have_is_refused_by_name(server, tmp_path):
    scene = write_map(tmp_path, "EPSG:32644", UTM, {"mask": np.ones((20, 20), np.uint8)})
    for name in ("proba", "../../etc/passwd"):
        with pytest.raises(UnknownLayerError, match=r"the scene S1_x has none of this name\. Choose one of mask\."):
            server.tile(scene, name, 0, 0, 0)


@pytest.mark.parametrize(
    ("crs", "transform", "shown"),
    [
        ("EPSG:3031", Affine(10.0, 0.0, -1_600_000.0, 0.0, -10.0, -300_000.0), False),
        ("EPSG:3413", Affine(10.0, 0.0, 0.0, 0.0, -10.0, -2_000_000.0), False),
        ("EPSG:4326", Affine(DEGREE, 0.0, 12.0, 0.0, -DEGREE, 85.1), False),
        ("EPSG:32633", Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 9_200_000.0), True),
        ("EPSG:3857", Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 9_200_000.0), True),
    ],
)
def test_only_grids_of_a_web_map_have_tiles_and_every_grid_has_pictures(server, tmp_path, crs, transform, shown):
    scene = write_map(tmp_path, crs, transform, {"mask": np.ones((20, 30), np.uint8)})
    assert web_map(scene.record) is shown
    (layer,) = server.layers(scene)
    assert (layer.tilejson is not None) is shown
    assert (picture(server.image(scene, "mask")) == FLOOD).all()
    if shown:
        assert server.tilejson(scene, "mask")["maxzoom"] > 10
        return
    for call in (lambda: server.tilejson(scene, "mask"), lambda: server.tile(scene, "mask", 0, 0, 0)):
        with pytest.raises(NoWebMapError, match=f"S1_x: a web map cannot show its grid .{crs}"):
            call()


def test_the_description_of_the_tiles_is_tilejson_and_its_bounds_do_not_wrap(server, tmp_path):
    for name, (crs, transform) in PLACES.items():
        scene = write_map(tmp_path, crs, transform, {"mask": np.ones(SHAPE, np.uint8)})
        found = server.tilejson(scene, "mask", "http://maps.example")
        west, south, east, north = found["bounds"]
        lon, lat, zoom = found["center"]
        assert found["tilejson"] == "3.0.0"
        assert found["tiles"] == ["http://maps.example/v1/scenes/S1_x/tiles/mask/{z}/{x}/{y}.png"]
        assert -180 <= west < east <= 180, name
        assert -90 <= south < north <= 90
        assert west <= lon <= east, name
        assert south <= lat <= north
        assert found["minzoom"] <= zoom <= found["maxzoom"] <= 24


def test_a_point_has_the_values_of_its_pixel_in_their_units(server, tmp_path):
    layers = {
        "mask": np.zeros((20, 30), np.uint8),
        "proba": np.full((20, 30), 1234, np.uint16),
        "backscatter": np.stack([np.full((20, 30), -1234, np.int16), np.full((20, 30), -2001, np.int16)]),
    }
    layers["mask"][7, 9], layers["proba"][7, 9], layers["backscatter"][1, 7, 9] = 1, 8765, -32_768
    scene = write_map(tmp_path, "EPSG:32644", UTM, layers)
    to_degrees = Transformer.from_crs("EPSG:32644", "EPSG:4326", always_xy=True)
    lon, lat = to_degrees.transform(500_000.0 + 99.9, 2_000_000.0 - 70.1)  # a corner of the pixel
    found = server.point(scene, lon=lon, lat=lat)
    assert (found.row, found.column, found.mask, found.state) == (7, 9, 1, "open water, flood not separated")
    assert (found.probability, found.reference, found.flood_probability) == (0.8765, None, None)
    assert (found.vv_db, found.vh_db, found.vv_before_db) == (-12.34, None, None)
    assert (found.lon, found.lat) == pytest.approx(to_degrees.transform(500_095.0, 1_999_925.0), abs=1e-9)
    assert server.point(scene, row=7, column=9) == found
    assert server.point(scene, row=0, column=0).state == "dry"


@pytest.mark.parametrize("name", PLACES)
def test_a_point_is_found_by_any_longitude_of_its_place(server, tmp_path, name):
    crs, transform = PLACES[name]
    mask = np.zeros((600, 700), np.uint8)
    mask[333, 651] = 1
    scene = write_map(tmp_path, crs, transform, {"mask": mask})
    x, y = transform @ (651.5, 333.5)
    lon, lat = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)
    for turn in (0, 360, -360):
        if abs(lon + turn) < 360:
            found = server.point(scene, lon=lon + turn, lat=lat)
            assert (found.row, found.column, found.mask) == (333, 651, 1)
            assert found.lon is not None
            assert -180 <= found.lon < 180


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ({"lon": 0.0, "lat": 0.0}, "longitude 0, latitude 0: is outside the map of S1_x"),
        ({"lon": math.nan, "lat": 0.0}, "is outside the map"),
        (
            {"row": 20, "column": 0},
            "row 20, column 0: is outside the map of S1_x. Choose a point of the map, which has 20",
        ),
        ({"row": -1, "column": 0}, "is outside the map"),
        ({"lon": 1.0}, "its position is not complete. Give lon and lat, or row and column"),
        ({"lon": 1.0, "lat": 1.0, "row": 1, "column": 1}, "its position is not complete"),
    ],
)
def test_a_point_outside_the_map_is_refused(server, tmp_path, place, problem):
    scene = write_map(tmp_path, "EPSG:32644", UTM, {"mask": np.ones((20, 30), np.uint8)})
    with pytest.raises(PointOutsideError, match=problem):
        server.point(scene, **place)


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
def test_the_stored_backscatter_of_a_store_is_shown_on_the_grid_of_its_scene(server, tmp_path):
    source = write_lake_scene(tmp_path / "S1_20210111_T1234.tif")
    meta, folder = stage_scene([source], tmp_path / "store")
    plain = write_map(tmp_path / "map", meta.crs, Affine(*meta.transform), {"mask": np.zeros(meta.shape, np.uint8)})
    scene = MapOnDisk(plain.id, plain.folder, plain.record, stored=folder / "backscatter.tif")
    import rasterio

    with rasterio.open(folder / "backscatter.tif") as stored:
        vv = decode_db(stored.read(1))
    grey = picture(server.image(scene, "backscatter"))
    seen = np.isfinite(vv)
    np.testing.assert_array_equal(grey[..., 3] == 255, seen)
    shade = np.clip((vv[seen] + 25) / 25, 0, 1) * 255
    np.testing.assert_allclose(grey[..., 0][seen], shade, atol=0.51)
    found = server.point(scene, row=100, column=150)
    assert found.vv_db == pytest.approx(float(vv[100, 150]), abs=0.006)
    middle = server.tilejson(scene, "backscatter")
    x, y = tile_of(*middle["center"][:2], middle["maxzoom"])
    assert (picture(server.tile(scene, "backscatter", middle["maxzoom"], x, y))[..., 3] == 255).mean() > 0.1


def test_small_scales_of_a_large_stored_backscatter_show_its_means_in_their_place(server, tmp_path):
    """It has no overviews, so they are drawn from a reduced copy."""
    height, width = 2_001, 2_405  # no multiples of the reduction
    db = np.full((height, width), -10.0, np.float32)
    db[400:1_000, 900:1_500] = -20.0
    db[:, :300] = np.nan
    meta = scene_meta(height, width)
    folder = tmp_path / "stored"
    folder.mkdir()
    with BackscatterWriter(folder / "backscatter.tif", 1) as writer:
        writer.open(height, width)
        writer.write(Window(0, 0, height, width), encode_db(db)[np.newaxis])
    (folder / "scene_meta.json").write_text(meta.model_dump_json())
    plain = write_map(tmp_path / "map", meta.crs, Affine(*meta.transform), {"mask": np.zeros((2, 2), np.uint8)})
    record = plain.record.model_copy(update={"shape": (height, width)})
    scene = MapOnDisk(plain.id, plain.folder, record, stored=folder / "backscatter.tif")
    found = picture(server.image(scene, "backscatter", most_pixels=200))
    size = found.shape[0] / height, found.shape[1] / width
    rows, cols = (np.arange(side) / scale for side, scale in zip(found.shape, size, strict=False))
    row, col = np.meshgrid(rows + 6, cols + 6, indexing="ij")
    dark = (row > 400) & (row < 1_000) & (col > 900) & (col < 1_500)
    expected = np.where(col < 300, 0, np.where(dark, 51, 153))
    edge = np.minimum.reduce([abs(row - 400), abs(row - 1_000), abs(col - 900), abs(col - 1_500), abs(col - 300)]) < 25
    # -20 dB is a fifth of the way from black to white, -10 dB three fifths.
    np.testing.assert_allclose(found[..., 0][~edge], expected[~edge], atol=1)
    np.testing.assert_array_equal(found[..., 3][~edge] == 0, (col < 300)[~edge])
    place = server.tilejson(scene, "backscatter")
    x, y = tile_of(*place["center"][:2], place["minzoom"] - 1)
    assert (picture(server.tile(scene, "backscatter", place["minzoom"] - 1, x, y))[..., 0] == 51).any()


def test_a_map_is_drawn_beside_the_process_that_makes_it(server, random_bundle, tmp_path):
    """Mapping switches off drivers of GDAL that drawing needs, in its own process."""
    source = write_lake_scene(tmp_path / "S1_20210111_T1234.tif")
    before = write_lake_scene(tmp_path / "S1_20201230_T1234.tif", seed=7)
    out = tmp_path / "out"
    options = {"tile": 96, "overlap": 24, "pre": [before], "backscatter": True}
    record = map_scene([source], out, random_bundle, random_bundle.reference("checkpoint"), **options)
    scene = MapOnDisk("x", out, record)
    names = ["backscatter", "backscatter_before", "mask", "proba", "reference", "flood_proba"]
    assert [layer.name for layer in server.layers(scene)] == names
    for name in names:
        found = server.tilejson(scene, name)
        x, y = tile_of(*found["center"][:2], found["maxzoom"])
        assert picture(server.tile(scene, name, found["maxzoom"], x, y))[..., 3].any(), name
    point = server.point(scene, row=100, column=150)
    values = (
        point.vv_db,
        point.vv_before_db,
        point.vh_db,
        point.vh_before_db,
        point.reference,
        point.flood_probability,
    )
    assert None not in values


def test_a_file_that_cannot_be_read_is_named_and_the_next_request_is_answered(server, tmp_path):
    from drshym_pipeline.errors import InputError

    scene = write_map(tmp_path, "EPSG:32644", UTM, {"mask": np.ones((20, 30), np.uint8)})
    whole = scene.folder / "S1_x_mask.tif"
    content = whole.read_bytes()
    whole.write_bytes(content[:40])
    with pytest.raises(InputError, match=r"S1_x_mask\.tif: cannot be read .*Map the scene again"):
        server.image(scene, "mask")
    whole.write_bytes(content)
    assert (picture(server.image(scene, "mask")) == FLOOD).all()


def test_a_map_that_is_made_again_in_another_folder_has_new_tiles(server, tmp_path):
    first = write_map(tmp_path / "1", "EPSG:32644", UTM, {"mask": np.ones((20, 30), np.uint8)})
    second = write_map(tmp_path / "2", "EPSG:32644", UTM, {"mask": np.zeros((20, 30), np.uint8)})
    found = server.tilejson(first, "mask")
    address = found["maxzoom"], *tile_of(*found["center"][:2], found["maxzoom"])
    assert picture(server.tile(first, "mask", *address)).any()
    assert not picture(server.tile(second, "mask", *address)).any()
    assert first.id == second.id


def paths_open_in(server: TileServer) -> set[Path]:
    import psutil

    (process,) = server.pool.processes()
    return {Path(file.path) for file in psutil.Process(process).open_files() if file.path.endswith(".tif")}


def test_open_files_are_bounded_and_only_those_of_the_maps(server, tmp_path):
    for number in range(20):
        scene = write_map(tmp_path / f"{number}", "EPSG:32644", UTM, {"mask": np.ones((20, 30), np.uint8)})
        server.image(scene, "mask")
    opened = paths_open_in(server)
    assert 0 < len(opened) <= 16
    assert all(path.name == "S1_x_mask.tif" for path in opened)
