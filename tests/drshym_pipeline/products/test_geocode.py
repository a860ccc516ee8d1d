"""A scene with control points is mapped as it is, and its map is at the right place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.control import GroundControlPoint

from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.probabilities import NOT_OBSERVED
from drshym_pipeline.products.bands import Band
from drshym_pipeline.products.geocode import geocoded
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar.codes import encode_db
from drshym_pipeline.sar.scene import describe_scene
from drshym_pipeline.states import mask_of
from tests.look_alikes import backscatter_db
from tests.units import from_db

TURN = np.radians(12)
HEIGHT, WIDTH, SPACING = 300, 240, 10.0


@dataclass(frozen=True)
class Place:
    """The position of the upper left corner of an image."""

    crs: str = "EPSG:32631"
    east: float = 500_000.0
    north: float = 4_983_000.0


FRANCE = Place()
# The antimeridian crosses the image, a little east of its middle.
CHUKOTKA = Place("EPSG:32660", 634_300.0, 7_323_000.0)


def to_map(place: Place, rows, cols) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the image's pixels in UTM: turned 12 degrees from north, 10 m pixels."""
    return (
        place.east + SPACING * (cols * np.cos(TURN) - rows * np.sin(TURN)),
        place.north - SPACING * (cols * np.sin(TURN) + rows * np.cos(TURN)),
    )


def digital_numbers(height: int, width: int) -> np.ndarray:
    """Return VV of a small scene as the digital numbers of a GRD, (1, height, width)."""
    return from_db(backscatter_db(height, width)[:1].astype(np.float32), "dn").round().astype(np.uint16)


def grd(path: Path, dn: np.ndarray, spread: float = 1.0, place: Place = FRANCE) -> Path:
    """Write a raw GRD: digital numbers with 36 control points and no transform."""
    to_degrees = Transformer.from_crs(place.crs, "EPSG:4326", always_xy=True)
    points = []
    for row in np.linspace(0, dn.shape[1], 6):
        for col in np.linspace(0, dn.shape[2], 6):
            x, y = to_map(place, row * spread, col * spread)
            points.append(GroundControlPoint(row, col, *to_degrees.transform(x, y), 0.0))
    profile = {"driver": "GTiff", "dtype": "uint16", "count": len(dn), "height": dn.shape[1], "width": dn.shape[2]}
    with rasterio.open(path, "w", **profile, crs="EPSG:4326", gcps=points) as target:
        target.write(dn)
        target.descriptions = ("VV", "VH")[: len(dn)]
    return path


def noise(path: Path, place: Place = FRANCE) -> Path:
    """An image of speckle with a border that is not observed."""
    rng = np.random.default_rng(42)
    db = np.stack([rng.normal(-9, 1, (HEIGHT, WIDTH)), rng.normal(-16, 1, (HEIGHT, WIDTH))])
    dn = (10 ** ((db + 50) / 20)).round().astype(np.uint16)
    dn[:, :, :12] = 0
    return grd(path, dn, place=place)


@pytest.fixture
def image(tmp_path) -> Path:
    return noise(tmp_path / "s1a-iw-grd.tiff")


def disc(rows, cols) -> np.ndarray:
    return (rows - 160) ** 2 + (cols - 130) ** 2 < 50**2


def bands_of(meta: SceneMeta):
    rows, cols = np.mgrid[: meta.height, : meta.width]
    stored = np.where(disc(rows, cols), 9000, 500).astype(np.uint16)
    stored[:, :12] = NOT_OBSERVED
    vv = encode_db(np.where(stored == NOT_OBSERVED, np.nan, -10.0 - cols / 100).astype(np.float32))
    for row in range(0, meta.height, 70):
        part = stored[row : row + 70]
        yield Band(row, part, mask_of(part, 0.5), vv[row : row + 70])


@pytest.mark.parametrize("where", [FRANCE, CHUKOTKA], ids=["France", "Chukotka"])
def test_pixels_of_the_image_are_at_the_right_place_on_the_map(tmp_path, where):
    meta = describe_scene([noise(tmp_path / "s1a-iw-grd.tiff", where)])
    longitudes = [point.longitude for point in meta.control_points]
    assert (max(longitudes) - min(longitudes) > 180) == (where is CHUKOTKA)
    place = meta.map_grid
    assert place.crs == where.crs
    bands = list(geocoded(bands_of(meta), meta, tmp_path))
    mask, stored = (np.concatenate([getattr(band, name) for band in bands]) for name in ("mask", "stored"))
    assert mask.shape == place.shape
    left, top = place.transform[2], place.transform[5]
    map_rows, map_cols = np.mgrid[: place.height, : place.width]
    x, y = left + (map_cols + 0.5) * SPACING - where.east, top - (map_rows + 0.5) * SPACING - where.north
    cols = (x * np.cos(TURN) - y * np.sin(TURN)) / SPACING - 0.5
    rows = (-x * np.sin(TURN) - y * np.cos(TURN)) / SPACING - 0.5
    inside = (rows > 0.5) & (rows < HEIGHT - 1.5) & (cols > 12.5) & (cols < WIDTH - 1.5)
    outside = (rows < -1.5) | (rows > HEIGHT + 0.5) | (cols < 10.5) | (cols > WIDTH + 0.5)
    assert (mask[outside] == 255).all()
    assert (mask[inside] != 255).all()
    shore = np.abs(np.hypot(rows - 160, cols - 130) - 50) < 1
    assert (mask[inside & ~shore] == disc(rows, cols)[inside & ~shore]).all()
    np.testing.assert_array_equal(stored == NOT_OBSERVED, mask == 255)
    assert set(np.unique(stored[mask == 0])) >= {500}
    assert stored[mask != 255].max() == 9000


def test_a_raw_product_is_mapped_in_its_own_geometry_and_written_on_a_map_grid(image, tmp_path, random_bundle):
    record = map_scene(
        [image], tmp_path / "out", random_bundle, random_bundle.reference("checkpoint"), tile=128, overlap=16
    )
    assert record.crs == "EPSG:32631"
    assert "(approximate radiometry)" in record.caption
    assert "georeference:gcps->EPSG:32631:products" in record.processing
    with (
        rasterio.open(tmp_path / "out" / "s1a-iw-grd_mask.tif") as mask,
        rasterio.open(tmp_path / "out" / "s1a-iw-grd_proba.tif") as proba,
    ):
        assert mask.crs.to_epsg() == proba.crs.to_epsg() == 32631
        assert mask.res == proba.res == (10.0, 10.0)
        assert mask.shape == proba.shape == record.shape
        values, chances = mask.read(1), proba.read(1)
    np.testing.assert_array_equal(values == 255, chances == NOT_OBSERVED)
    # A rotation keeps the area: image and map have the same observed area.
    assert record.observed_km2 == pytest.approx(HEIGHT * (WIDTH - 12) * 1e-4, rel=0.01)


def test_a_coarse_product_keeps_its_own_spacing(tmp_path):
    meta = describe_scene([grd(tmp_path / "coarse.tif", digital_numbers(40, 50), spread=4.0)])
    assert meta.pixel_spacing == pytest.approx((40.0, 40.0), rel=0.01)
    assert meta.map_grid.transform[0] == meta.pixel_spacing[0]


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        (
            [(0, 0, 3.0, 45.0), (0, 50, 3.1, 45.0), (40, 0, 3.0, 44.9)],
            r"only 3 ground control points \(GCPs; 4 are needed\)",
        ),
        ([(row, 0, 3.0, 45.0 - row / 400) for row in range(0, 40, 8)], "do not make a map"),
        ([(row, col, 3.0, 45.0) for row in (0, 40) for col in (0, 50)], "do not make a map"),
        ([(row, col, 500.0 + col, 445.0) for row in (0, 40) for col in (0, 50)], "do not make a map"),
    ],
)
def test_control_points_that_do_not_make_a_map_are_refused(tmp_path, points, problem):
    path = tmp_path / "bad.tif"
    gcps = [GroundControlPoint(*point, 0.0) for point in points]
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": 40, "width": 50}
    with rasterio.open(path, "w", **profile, crs="EPSG:4326", gcps=gcps) as target:
        target.write(digital_numbers(40, 50))
    with pytest.raises(InputError, match=problem):
        describe_scene([path])


def test_the_zone_is_that_of_the_middle_of_the_image_for_any_order_of_its_points(tmp_path):
    # The image begins in zone 31 and ends in zone 32: the last point is in zone 32, the middle is not.
    points = [(row, col, 5.0 + col / 40, 45.0 - row / 400) for row in (0, 20, 40) for col in (50, 0, 25)]
    path = tmp_path / "wide.tif"
    profile = {"driver": "GTiff", "dtype": "uint16", "count": 1, "height": 40, "width": 50}
    for order in (points, points[::-1], sorted(points, key=lambda point: point[1])):
        gcps = [GroundControlPoint(*point, 0.0) for point in order]
        with rasterio.open(path, "w", **profile, crs="EPSG:4326", gcps=gcps) as target:
            target.write(digital_numbers(40, 50))
        assert describe_scene([path]).crs == "EPSG:32631"
