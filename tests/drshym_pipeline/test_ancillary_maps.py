"""Maps with long-term water maps and terrain: each bad input gives a clear sentence and never a wrong number."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rio_cogeo.cogeo import cog_validate

from drshym_pipeline import map_scene
from drshym_pipeline.ancillary.layers import DRAINAGE, ELEVATION, LAND_COVER, OCCURRENCE, SEASONALITY, Cell
from drshym_pipeline.cli import main
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.records import MapRecord, TerrainLimits
from drshym_pipeline.scene_folder import EXCLUSION_KIND, REFERENCE_KINDS
from tests.ancillary_tiles import everywhere, write_tile

TILE = {"tile": 96, "overlap": 24}
NAME = "S1_20210111_T1234.tif"
SHAPE = (200, 300)
# The scene is at 81.00 to 81.03 degrees east, 18.07 to 18.09 north.
DECADES, COVER, DEGREE = Cell(80, 10), Cell(81, 18), Cell(81, 18)
Mapped = tuple[dict[str, np.ndarray], MapRecord]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> None:
    """No model is in service: the command uses the shipped one."""
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return shipped_bundle()


@pytest.fixture(scope="module")
def now(tmp_path_factory, scene_file) -> Path:
    return scene_file(tmp_path_factory.mktemp("now") / NAME)


@pytest.fixture
def mapped(tmp_path, bundle) -> Callable[..., Mapped]:
    def run(scene: Path, ancillary: Path | None, **options) -> Mapped:
        record = map_scene(scene, tmp_path / "out", bundle, ancillary=ancillary, overwrite=True, **TILE, **options)
        found = {}
        for kind in ("mask", "proba", *REFERENCE_KINDS, EXCLUSION_KIND):
            if kind in record.files:
                with rasterio.open(tmp_path / "out" / record.files[kind]) as source:
                    found[kind] = source.read(1)
        assert sum(record.pixels.values()) == found["mask"].size
        return found, record

    return run


def west_of(degrees: float, there: float, elsewhere: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda lon, lat: np.where(lon < degrees, there, elsewhere)


def water_tiles(folder: Path, value: float = 100, months: float = 12, cover: float = 80) -> None:
    write_tile(folder, OCCURRENCE, DECADES, everywhere(value), nodata=255)
    write_tile(folder, SEASONALITY, DECADES, everywhere(months), nodata=255)
    write_tile(folder, LAND_COVER, COVER, everywhere(cover), nodata=0)


def plane(degrees: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Heights of a plane that rises to the north."""
    return lambda lon, lat: (lat - 18.0) * 110_700.0 * np.tan(np.radians(degrees))


def elevation(folder: Path, degrees: float, **options) -> Path:
    return write_tile(folder, ELEVATION, DEGREE, plane(degrees), pixels=1200, dtype="float32", **options)


def is_water(found: dict[str, np.ndarray], record: MapRecord) -> np.ndarray:
    return (found["proba"] != 65_535) & (found["proba"] >= round(record.calibration.threshold * 10_000))


def test_without_layers_the_bytes_of_a_map_are_as_before(mapped, now, tmp_path):
    found, record = mapped(now, None)
    mask = (tmp_path / "out" / record.files["mask"]).read_bytes()
    assert set(found) == {"mask", "proba"} and record.exclusion is None and record.separation is None
    (tmp_path / "anc").mkdir()
    same, empty = mapped(now, tmp_path / "anc")
    assert set(same) == set(found) and empty.map_version == record.map_version
    assert (tmp_path / "out" / record.files["mask"]).read_bytes() == mask
    text = " ".join(empty.warnings)
    assert "No long-term map of water was used" in text and "No terrain was used" in text
    assert "No long-term" not in " ".join(record.warnings)


def test_permanent_water_is_not_flood_and_every_file_says_where_the_reference_comes_from(mapped, now, tmp_path):
    middle = 81.0 + 0.0142  # about the middle of the lake
    for layer, there in ((OCCURRENCE, 100), (SEASONALITY, 12)):
        write_tile(tmp_path / "anc", layer, DECADES, west_of(middle, there, 0), pixels=40_000 // 4)
    write_tile(tmp_path / "anc", LAND_COVER, COVER, west_of(middle, 80, 30), pixels=6_000)
    found, record = mapped(now, tmp_path / "anc")
    water = is_water(found, record)
    cols = np.indices(SHAPE)[1]
    west, east = water & (cols < 140), water & (cols > 165)
    assert (found["mask"][west] == 2).all() and west.sum() > 1000
    assert (found["mask"][east] == 1).all() and east.sum() > 1000
    assert record.separation.water_unseparated == 0
    names = [layer.name for layer in record.separation.layers]
    assert names == ["jrc_occurrence", "jrc_seasonality", "worldcover"]
    observed = int((found["mask"] != 255).sum())
    assert [layer.known_pixels for layer in record.separation.layers] == [observed] * 3
    assert "by comparison with long-term maps of water" in record.caption
    assert any("JRC Global Surface Water occurrence 1984-2021" in warning for warning in record.warnings)
    for kind in ("mask", *REFERENCE_KINDS):
        with rasterio.open(tmp_path / "out" / record.files[kind]) as source:
            assert "ESA WorldCover 2021" in source.tags()["DRSHYM_REFERENCE_LAYERS"]
    page = (tmp_path / "out" / record.files["report"]).read_text()
    assert record.separation.layers[0].tiles[0].sha256 in page


def test_no_flood_where_all_water_was_there_before(mapped, now, tmp_path):
    water_tiles(tmp_path / "anc")
    found, record = mapped(now, tmp_path / "anc")
    assert record.pixels["flooded"] == 0 and record.pixels["permanent"] == is_water(found, record).sum() > 1000
    assert record.flooded.km2 == 0.0 and record.flooded.high_km2 > 0.0


def test_all_flood_where_none_was_there_before(mapped, scene_file, tmp_path):
    scene = scene_file(tmp_path / NAME, lake=3.0)
    water_tiles(tmp_path / "anc", value=0, months=0, cover=30)
    found, record = mapped(scene, tmp_path / "anc")
    observed = found["mask"] != 255
    assert (found["mask"][observed] == 1).mean() > 0.99
    assert record.pixels["flooded"] == is_water(found, record).sum() and record.pixels["permanent"] == 0


def test_a_flood_of_one_pixel_is_kept(mapped, scene_file, tmp_path):
    side = 3 / 10_800
    scene = scene_file(tmp_path / NAME, crs="EPSG:4326", origin=(82.0, 19.0), spacing=side)
    spot = (82.0 + 150.5 * side, 19.0 - 100.5 * side)

    def but_one(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        return np.where((abs(lon - spot[0]) < side / 3) & (abs(lat - spot[1]) < side / 3), 30, 80)

    write_tile(tmp_path / "anc", LAND_COVER, COVER, but_one, pixels=10_800)
    found, record = mapped(scene, tmp_path / "anc")
    assert is_water(found, record)[100, 150]
    assert np.argwhere(found["mask"] == 1).tolist() == [[100, 150]]
    assert record.pixels["flooded"] == 1 and record.flooded.km2 == pytest.approx(30.7 * 29.3e-6, rel=0.1)


@pytest.mark.parametrize(
    ("occurrence", "months", "cover", "expected"),
    [
        (40, 0, 30, 4_000),
        (10, 12, 30, 10_000),
        (0, 3, 30, 2_500),
        (0, 0, 80, 9_000),
        (0, 0, 90, 0),
        (255, 255, 90, 65_535),
        (255, 255, 40, 0),
        (255, 255, 80, 9_000),
        (101, 13, 0, 65_535),
    ],
)
def test_the_probability_before_is_the_highest_of_what_the_layers_say(
    mapped, now, tmp_path, occurrence, months, cover, expected
):
    water_tiles(tmp_path / "anc", value=occurrence, months=months, cover=cover)
    found, record = mapped(now, tmp_path / "anc")
    if record.separation is None:
        assert expected == 65_535 and "No long-term map of water was used" in " ".join(record.warnings)
    else:
        np.testing.assert_array_equal(found["reference"], expected)


def test_a_pre_event_scene_outranks_the_layers(mapped, now, scene_file, tmp_path):
    before = scene_file(tmp_path / "S1_20201230_T1234.tif", lake=0.12, seed=7)
    water_tiles(tmp_path / "anc")
    found, record = mapped(now, tmp_path / "anc", pre=before)
    alone, _ = mapped(now, None, pre=before)
    known = alone["reference"] != 65_535
    np.testing.assert_array_equal(found["reference"][known], alone["reference"][known])
    assert (found["reference"][~known] == 10_000).all() and (~known).any()
    assert record.separation.pre_event is not None and len(record.separation.layers) == 3
    assert "and where it has no value with JRC" in " ".join(record.warnings)


def test_steep_ground_is_excluded_with_and_without_a_reference(mapped, now, tmp_path):
    elevation(tmp_path / "anc", 25.0)
    found, record = mapped(now, tmp_path / "anc")
    assert record.separation is None and set(found) == {"mask", "proba", "exclusion"}
    assert (found["exclusion"] == 1).all()
    observed = found["proba"] != 65_535
    assert (found["mask"][observed] == 250).all() and (found["mask"][~observed] == 255).all()
    water_tiles(tmp_path / "anc")
    again, separated = mapped(now, tmp_path / "anc")
    np.testing.assert_array_equal(again["mask"], found["mask"])
    assert separated.separation.water_unseparated == 0


def test_a_map_on_which_all_ground_is_excluded_states_no_area(mapped, now, tmp_path):
    elevation(tmp_path / "anc", 25.0)
    found, record = mapped(now, tmp_path / "anc")
    assert record.flooded is None
    assert record.pixels["excluded"] == record.exclusion.pixels == int((found["mask"] == 250).sum())
    assert record.exclusion.km2 == pytest.approx(record.observed_km2)
    assert record.caption.startswith("All observed ground is excluded because of the terrain in the scene")
    assert "neither flood nor dry land can be stated" in record.caption
    page = (tmp_path / "out" / record.files["report"]).read_text()
    assert "nothing was observed" not in page.lower() and "other ground" not in page
    (warning,) = [text for text in record.warnings if "mask value 250" in text]
    assert warning.startswith("All observed ground (") and "slope of 20 degrees or more" in warning
    water_tiles(tmp_path / "anc")
    _, separated = mapped(now, tmp_path / "anc", min_area_ha=1.0)
    assert separated.separation is not None and separated.flooded is None
    for text in (*record.warnings, *separated.warnings):
        assert "interval" not in text and "is separated" not in text


def test_a_limit_of_one_degree_is_in_the_singular(mapped, now, tmp_path):
    elevation(tmp_path / "anc", 25.0)
    _, record = mapped(now, tmp_path / "anc", limits=TerrainLimits(slope_deg=1.0))
    text = " ".join(record.warnings)
    assert "slope of 1 degree or more" in text and "1 degrees" not in text


def test_the_excluded_area_is_stated_everywhere_and_belongs_to_no_other(mapped, now, tmp_path):
    rows = 18.0785  # the south of the scene is flat

    def half(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        return np.maximum(lat - rows, 0.0) * 110_700.0 * np.tan(np.radians(30.0))

    write_tile(tmp_path / "anc", ELEVATION, DEGREE, half, pixels=3600, dtype="float32")
    plain, alone = mapped(now, None)
    found, record = mapped(now, tmp_path / "anc")
    excluded = found["mask"] == 250
    assert 0.2 < excluded.mean() < 0.8
    np.testing.assert_array_equal(found["mask"][~excluded], plain["mask"][~excluded])
    exclusion = record.exclusion
    assert exclusion.reasons == {"slope": exclusion.pixels, "hand": 0, "layover": 0, "shadow": 0}
    assert exclusion.km2 == pytest.approx(excluded.sum() * 1e-4, rel=5e-3)
    assert record.flooded.km2 == pytest.approx((found["mask"] == 1).sum() * 1e-4, rel=5e-3)
    assert record.flooded.high_km2 <= (record.observed_km2 - exclusion.km2) * (1 + 1e-9)
    assert record.map_version != alone.map_version
    assert f"{exclusion.km2:.2f} km2 are excluded because of the terrain and belong to no other area" in record.caption
    assert any("slope of 20 degrees or more" in warning for warning in record.warnings)
    folder = tmp_path / "out"
    with rasterio.open(folder / record.files["mask"]) as mask:
        assert mask.tags()["DRSHYM_EXCLUDED_SLOPE_DEG"] == "20"
        assert "DRSHYM_EXCLUDED_HAND_M" not in mask.tags(), "no height above drainage was used"
        colour = mask.colormap(1)[250][:3]
    entries = ElementTree.parse(folder / record.files["style"]).iter("paletteEntry")
    style = next(entry for entry in entries if entry.get("value") == "250")
    assert style.get("color") == "#" + "".join(f"{part:02x}" for part in colour)
    assert style.get("label") == "excluded (terrain)"
    document = json.loads((folder / record.files["flood"]).read_text())
    assert "slope of 20 degrees or more" in document["metadata"]["excluded"]
    report = json.loads((folder / record.files["record"]).read_text())
    assert report["exclusion"]["pixels"] == exclusion.pixels
    page = (folder / record.files["report"]).read_text()
    table = page.partition("by VV backscatter")[2].partition("Provenance")[0]
    counted = [
        int(row.split("</td>")[0].replace(",", "")) for row in re.findall(r"<tr><td>[^<]*</td><td>(.*?)</tr>", table)
    ]
    assert sum(counted) == int((found["mask"] != 255).sum()) - exclusion.pixels
    assert "brown" in (folder / record.files["report"]).read_text()


def test_the_limits_decide_and_change_the_version_of_the_map(mapped, now, tmp_path):
    elevation(tmp_path / "anc", 22.0)
    found, steep = mapped(now, tmp_path / "anc")
    other, kept = mapped(now, tmp_path / "anc", limits=TerrainLimits(slope_deg=25.0))
    assert (found["exclusion"] == 1).all() and (other["exclusion"] == 0).all()
    assert steep.map_version != kept.map_version
    elevation(tmp_path / "anc", 23.0)
    _, changed = mapped(now, tmp_path / "anc")
    assert changed.map_version != steep.map_version, "another file under the same name gives another map"


def test_high_ground_is_excluded_where_height_above_drainage_is_present(mapped, now, tmp_path):
    elevation(tmp_path / "anc", 5.0)
    high = west_of(81.014, 300.0, 20.0)
    write_tile(tmp_path / "anc", DRAINAGE, DEGREE, high, pixels=3600, dtype="float32")
    found, record = mapped(now, tmp_path / "anc")
    assert (found["exclusion"][:, :140] == 2).all() and (found["exclusion"][:, 160:] == 0).all()
    assert record.exclusion.reasons["hand"] == record.exclusion.pixels > 0
    assert "200 m or more above the nearest drainage" in " ".join(record.warnings)


def test_a_missing_tile_of_water_is_said_and_water_there_is_flood_of_unknown_state(mapped, scene_file, tmp_path):
    """The scene reaches over 84 degrees east, where the next tile of WorldCover begins."""
    lon, lat = Transformer.from_crs("EPSG:4326", "EPSG:32645", always_xy=True).transform(84.0, 18.5)
    scene = scene_file(tmp_path / NAME, crs="EPSG:32645", origin=(lon - 1_500.0, lat))
    write_tile(tmp_path / "anc", LAND_COVER, COVER, everywhere(80))
    found, record = mapped(scene, tmp_path / "anc")
    water = is_water(found, record)
    assert 0 < record.separation.water_unseparated == (water & (found["reference"] == 65_535)).sum()
    assert record.separation.water_unseparated == record.pixels["flooded"]
    assert "ESA_WorldCover_10m_2021_v200_N18E084_Map.tif" in record.separation.layers[2].missing
    assert any("N18E084" in warning and "not known there" in warning for warning in record.warnings)


def test_a_missing_tile_of_elevation_is_said_and_excludes_nothing(mapped, scene_file, tmp_path):
    """The scene reaches over 82 degrees east, where the next tile of elevation begins."""
    x, y = Transformer.from_crs("EPSG:4326", "EPSG:32644", always_xy=True).transform(82.0, 18.5)
    scene = scene_file(tmp_path / NAME, origin=(x - 1_500.0, y))
    elevation(tmp_path / "anc", 30.0)
    found, record = mapped(scene, tmp_path / "anc")
    missing = "Copernicus_DSM_COG_10_N18_00_E082_00_DEM.tif"
    assert record.exclusion.layers[0].missing == (missing,) and record.exclusion.layers[0].sea == ()
    assert any(missing in warning and "not known there" in warning for warning in record.warnings)
    assert (found["exclusion"][:, :130] == 1).all() and (found["exclusion"][:, 170:] == 255).all()
    assert not (found["mask"][:, 170:] == 250).any()


def test_the_file_of_exclusion_is_a_cog_on_the_grid_of_the_mask_that_names_its_bits(mapped, now, tmp_path):
    elevation(tmp_path / "anc", 22.0)
    _, record = mapped(now, tmp_path / "anc")
    path = tmp_path / "out" / record.files["exclusion"]
    valid, errors, warnings = cog_validate(path)
    assert valid, (errors, warnings)
    with rasterio.open(path) as found, rasterio.open(tmp_path / "out" / record.files["mask"]) as mask:
        assert (found.crs, found.transform, found.shape) == (mask.crs, mask.transform, mask.shape)
        assert found.nodata == 255 and found.dtypes == ("uint8",)
        bits = {name: value for name, value in found.tags(1).items() if name.startswith("BIT_")}
    assert bits == {"BIT_1": "slope", "BIT_2": "hand", "BIT_4": "layover", "BIT_8": "shadow"}


@pytest.mark.parametrize(("options", "words"), [({"crs": "EPSG:32644"}, "EPSG:32644"), ({"shift": 1.0}, "square")])
def test_a_tile_of_another_crs_or_place_is_named_and_not_used(mapped, now, tmp_path, options, words):
    path = write_tile(tmp_path / "anc", LAND_COVER, COVER, everywhere(80), **options)
    hill = elevation(tmp_path / "anc", 40.0, **options)
    _, record = mapped(now, tmp_path / "anc")
    assert record.separation is None and record.pixels["excluded"] == 0
    for file in (path, hill):
        assert any(str(file) in warning and words in warning for warning in record.warnings)


def test_gaps_of_the_water_maps_are_unknown(mapped, now, tmp_path):
    write_tile(tmp_path / "anc", LAND_COVER, COVER, west_of(81.0142, 0, 80), pixels=6_000, nodata=0)
    found, record = mapped(now, tmp_path / "anc")
    assert (found["reference"][:, :140] == 65_535).all() and (found["reference"][:, 165:] == 9_000).all()
    assert record.separation.water_unseparated == record.pixels["flooded"] > 0


def test_voids_of_the_elevation_are_unknown_and_exclude_nothing(mapped, now, tmp_path):
    def sea(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        return np.where(lon < 81.014, -32_767.0, plane(30.0)(lon, lat))

    write_tile(tmp_path / "anc", ELEVATION, DEGREE, sea, pixels=3600, dtype="float32", nodata=-32_767.0)
    found, record = mapped(now, tmp_path / "anc")
    assert (found["exclusion"][:, :140] == 255).all() and (found["exclusion"][:, 160:] == 1).all()
    assert not (found["mask"][:, :140] == 250).any()
    assert record.exclusion.unknown_pixels == int(((found["exclusion"] == 255) & (found["mask"] != 255)).sum())
    assert "the terrain is not completely known" in (tmp_path / "out" / record.files["report"]).read_text()


def test_open_sea_without_a_tile_is_flat_and_this_is_said(mapped, now, tmp_path):
    (tmp_path / "anc").mkdir()
    (tmp_path / "anc" / "tileList.txt").write_text("Copernicus_DSM_COG_10_N18_00_E080_00_DEM\n")
    found, record = mapped(now, tmp_path / "anc")
    assert (found["exclusion"] == 0).all()
    assert record.exclusion.layers[0].sea == ("Copernicus_DSM_COG_10_N18_00_E081_00_DEM.tif",)
    assert any("taken as sea at 0 m" in warning for warning in record.warnings)


@pytest.mark.parametrize(("crs", "x"), [("EPSG:32660", 828_200.0), ("EPSG:32601", 168_800.0)])
def test_a_scene_across_the_antimeridian_has_the_values_of_both_sides(mapped, scene_file, tmp_path, crs, x):
    scene = scene_file(tmp_path / NAME, crs=crs, origin=(x, 1_000_000.0))
    write_tile(tmp_path / "anc", LAND_COVER, Cell(177, 6), everywhere(80))
    write_tile(tmp_path / "anc", LAND_COVER, Cell(177, 9), everywhere(80))
    write_tile(tmp_path / "anc", LAND_COVER, Cell(-180, 6), everywhere(30))
    write_tile(tmp_path / "anc", LAND_COVER, Cell(-180, 9), everywhere(30))
    found, record = mapped(scene, tmp_path / "anc")
    with rasterio.open(scene) as source:
        cols, rows = np.meshgrid(np.arange(SHAPE[1]) + 0.5, np.arange(SHAPE[0]) + 0.5)
        places = source.transform @ np.stack([cols.ravel(), rows.ravel()])
    lon = np.reshape(Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(*places)[0], SHAPE)
    assert (lon > 0).any() and (lon < 0).any()
    expected = np.where(lon > 0, 9_000, 0)
    assert (found["reference"] == expected).mean() > 0.995
    assert record.separation.layers[2].missing == ()


def test_a_scene_in_antarctica_uses_the_elevation_and_says_that_there_is_no_water_map(mapped, scene_file, tmp_path):
    scene = scene_file(tmp_path / NAME, crs="EPSG:3031", origin=(-1_300_000.0, 1_300_000.0))
    with rasterio.open(scene) as source:
        west, south, east, north = source.bounds
    corners = [(west, south), (west, north), (east, south), (east, north)]
    lons, lats = Transformer.from_crs("EPSG:3031", "EPSG:4326", always_xy=True).transform(*zip(*corners, strict=True))
    for lon in range(int(np.floor(min(lons))), int(np.floor(max(lons))) + 1):
        for lat in range(int(np.floor(min(lats))), int(np.floor(max(lats))) + 1):
            write_tile(
                tmp_path / "anc", ELEVATION, Cell(lon, lat), lambda lon, lat: lat * 1e5, pixels=1200, dtype="float32"
            )
    found, record = mapped(scene, tmp_path / "anc")
    assert (found["exclusion"] == 1).all() and record.exclusion.unknown_pixels == 0
    assert record.separation is None
    assert any("No long-term map of water was used" in warning for warning in record.warnings)


HYP3 = "S1A_IW_20210111T053010_DVP_RTC30_G_gpuned_7A8B"


def layover(scene: Path, name: str, values: np.ndarray, *, nodata: int | None = None) -> Path:
    path = scene.with_name(name)
    with rasterio.open(scene) as source:
        profile = source.profile | {"dtype": "uint8", "count": 1, "nodata": nodata}
    with rasterio.open(path, "w", **profile) as target:
        target.write(values.astype(np.uint8), 1)
    return path


@pytest.mark.parametrize(
    ("name", "companion", "codes"),
    [
        (f"{HYP3}_VV.tif", f"{HYP3}_ls_map.tif", {1: 0, 5: 4, 17: 8, 23: 12, 3: 0, 0: 255}),
        (
            "OPERA_L2_RTC-S1_T115-245714-IW1_20210111T053010Z_20210112T010229Z_S1A_30_v1.0_VV.tif",
            "OPERA_L2_RTC-S1_T115-245714-IW1_20210111T053010Z_20210112T010229Z_S1A_30_v1.0_mask.tif",
            {0: 0, 1: 8, 2: 4, 3: 12, 255: 255},
        ),
    ],
    ids=["HyP3", "OPERA"],
)
def test_layover_and_shadow_of_the_product_are_excluded(mapped, scene_file, tmp_path, name, companion, codes):
    scene = scene_file(tmp_path / name, bands=("VV",), linear=True)
    values = np.resize(np.repeat(list(codes), 10), SHAPE)
    path = layover(scene, companion, values)
    (tmp_path / "anc").mkdir()
    found, record = mapped(scene, tmp_path / "anc")
    expected = np.vectorize(codes.get)(values)
    np.testing.assert_array_equal(found["exclusion"], expected)
    observed = found["proba"] != 65_535
    np.testing.assert_array_equal(found["mask"] == 250, observed & (expected > 0) & (expected < 255))
    assert record.exclusion.layers[-1].tiles[0].uri.endswith(path.name)
    assert any("Slopes were not used" in warning for warning in record.warnings)


def test_a_damaged_layover_map_is_named_and_not_used(mapped, scene_file, tmp_path):
    scene = scene_file(tmp_path / f"{HYP3}_VV.tif", bands=("VV",), linear=True)
    path = layover(scene, f"{HYP3}_ls_map.tif", np.full(SHAPE, 17))
    path.write_bytes(path.read_bytes()[:200])
    elevation(tmp_path / "anc", 1.0)
    found, record = mapped(scene, tmp_path / "anc")
    assert (found["exclusion"] == 255).all() and record.pixels["excluded"] == 0
    assert any(str(path) in warning and "Layover and shadow were not used" in warning for warning in record.warnings)


@pytest.mark.parametrize("values", ["not tested", "elsewhere"])
def test_a_layover_map_without_a_value_for_the_scene_is_named_and_not_used(mapped, scene_file, tmp_path, values):
    scene = scene_file(tmp_path / f"{HYP3}_VV.tif", bands=("VV",), linear=True)
    path = layover(scene, f"{HYP3}_ls_map.tif", np.full(SHAPE, 0 if values == "not tested" else 17))
    if values == "elsewhere":
        with rasterio.open(path, "r+") as target:
            target.transform = target.transform @ rasterio.Affine.translation(10 * SHAPE[1], 0)
    elevation(tmp_path / "anc", 1.0)
    _, record = mapped(scene, tmp_path / "anc")
    expected = f"Layover and shadow were not used: {path} has no value for a pixel of this scene."
    assert [text for text in record.warnings if "Layover" in text] == [expected]
    assert record.exclusion.layers[-1].tiles == ()
    with rasterio.open(tmp_path / "out" / record.files["mask"]) as mask:
        assert "layover" not in mask.tags()["DRSHYM_TERRAIN_LAYERS"]


def test_the_command_says_that_all_ground_is_excluded(now, scene_file, tmp_path, capsys):
    elevation(tmp_path / "anc", 25.0)
    empty = scene_file(tmp_path / "empty.tif", observed=False)
    command = ["segment", str(now), str(empty), "--tile", "96", "--overlap", "24", "--ancillary", str(tmp_path / "anc")]
    assert main([*command, "--out", str(tmp_path / "a"), "--json"]) == 0
    states = {found["record"]["scene_id"]: found["state"] for found in json.loads(capsys.readouterr().out)["maps"]}
    assert states == {now.stem: "all_excluded", "empty": "nothing_observed"}
    assert main([*command, "--out", str(tmp_path / "b")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "2 of 2 scenes mapped (nothing was observed in 1; all observed ground is excluded in 1)"


def test_the_command_says_for_each_scene_whether_flood_is_separated(now, scene_file, tmp_path, capsys):
    far = scene_file(tmp_path / "far.tif", origin=(500_000.0, 4_000_000.0))
    water_tiles(tmp_path / "anc")
    command = ["segment", str(now), str(far), "--tile", "96", "--overlap", "24", "--ancillary", str(tmp_path / "anc")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    _, header, *rows = capsys.readouterr().out.splitlines()
    assert "open water" not in header and "flood" not in header
    assert rows[0].startswith(now.stem) and "  flooded: " in rows[0]
    assert rows[1].startswith("far") and "  open water, flood not separated: " in rows[1]


def test_the_command_takes_the_folder_as_an_option_and_from_the_environment(now, tmp_path, monkeypatch, capsys):
    elevation(tmp_path / "anc", 22.0)
    options = ["segment", str(now), "--json", "--tile", "96", "--overlap", "24"]
    assert main([*options, "--out", str(tmp_path / "a"), "--ancillary", str(tmp_path / "anc")]) == 0
    record = json.loads(capsys.readouterr().out)["maps"][0]["record"]
    assert record["exclusion"]["reasons"]["slope"] > 0 and record["flooded"] is None
    monkeypatch.setenv("DRSHYM_ANCILLARY", str(tmp_path / "anc"))
    monkeypatch.setenv("DRSHYM_EXCLUDE_SLOPE_DEG", "30")
    assert main([*options, "--out", str(tmp_path / "b")]) == 0
    record = json.loads(capsys.readouterr().out)["maps"][0]["record"]
    assert record["exclusion"]["limits"]["slope_deg"] == 30.0 and record["exclusion"]["pixels"] == 0


def test_all_scenes_of_a_folder_are_mapped_with_the_layers(now, tmp_path, capsys):
    elevation(tmp_path / "anc", 22.0)
    options = ["predict-folder", "--in", str(now.parent), "--json", "--ancillary", str(tmp_path / "anc")]
    assert main([*options, "--out", str(tmp_path / "out")]) == 0
    (found,) = json.loads(capsys.readouterr().out)["maps"]
    assert found["record"]["exclusion"]["reasons"]["slope"] > 0
    assert (tmp_path / "out" / found["record"]["files"]["exclusion"]).is_file()


def test_a_folder_that_does_not_exist_is_an_error_of_the_command(now, tmp_path, capsys):
    assert main(["segment", str(now), "--out", str(tmp_path / "a"), "--ancillary", str(tmp_path / "none")]) == 2
    assert f"{tmp_path / 'none'}: the folder does not exist" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(InputError, match="the folder does not exist"):
        map_scene(now, tmp_path / "b", ancillary=tmp_path / "none")
