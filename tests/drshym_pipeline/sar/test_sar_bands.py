"""Which band is VV and which is VH: by choice, description, name and order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

from drshym_pipeline.errors import InputError
from drshym_pipeline.records import SceneMeta
from drshym_pipeline.sar.scene import SceneReader, describe_scene, stage_scene
from drshym_pipeline.tiling import Window


def roles(meta: SceneMeta) -> dict[str, int]:
    return {band.polarisation: band.band for band in meta.bands}


def stack(*layers: np.ndarray) -> np.ndarray:
    return np.stack(layers).astype(np.float32)


@pytest.fixture
def angle(scene_db) -> np.ndarray:
    """Angles of incidence in degrees."""
    return np.broadcast_to(np.linspace(30, 45, scene_db.shape[2]), scene_db.shape[1:])


@pytest.mark.parametrize("description", ["angle", "localIncidenceAngle", "elevation", "coh_VV_05Jan2021", "mask", None])
def test_a_polarisation_in_the_name_wins_over_the_number_of_bands(scene_db, angle, write_tiff, description):
    path = write_tiff(stack(scene_db[0], angle), "scene_VV.tif", descriptions=(None, description))
    meta = describe_scene([path])
    assert roles(meta) == {"VV": 1}
    assert any("its name says VV" in warning for warning in meta.warnings) == (description is None)


@pytest.mark.parametrize("names", [("VV", "VH", "angle"), ("angle", "VV", "VH"), ("VV", "angle", "VH")])
def test_an_angle_is_never_vv_or_vh_whatever_its_place(scene_db, angle, write_tiff, names):
    layers = {"VV": scene_db[0], "VH": scene_db[1], "angle": angle}
    meta = describe_scene([write_tiff(stack(*(layers[name] for name in names)), descriptions=names)])
    assert roles(meta) == {"VV": names.index("VV") + 1, "VH": names.index("VH") + 1}


def test_a_band_without_a_name_beside_a_layer_is_vv_alone(scene_db, angle, write_tiff):
    meta = describe_scene([write_tiff(stack(angle, scene_db[0]), "S1_a.tif", descriptions=("angle", None))])
    assert roles(meta) == {"VV": 2}


def test_a_name_of_a_band_in_its_tags_counts_like_a_description(scene_db, angle, write_tiff):
    path = write_tiff(stack(scene_db[0], angle), "S1_a.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, long_name="Gamma0_VV")
        dataset.update_tags(2, long_name="incidence angle")
    assert roles(describe_scene([path])) == {"VV": 1}


def test_a_file_with_layers_only_is_refused_with_their_names(angle, write_tiff):
    path = write_tiff(stack(angle, angle), "S1_a.tif", descriptions=("angle", "elevation"))
    with pytest.raises(InputError, match=r"no band is backscatter.*1 \(angle\), 2 \(elevation\)"):
        describe_scene([path])


def test_a_ratio_between_two_polarisations_is_not_read(scene_db, write_tiff):
    ratio = scene_db[0] - scene_db[1]
    meta = describe_scene([write_tiff(stack(*scene_db, ratio), descriptions=("VV", "VH", "VV_VH ratio"))])
    assert roles(meta) == {"VV": 1, "VH": 2}
    meta = describe_scene([write_tiff(stack(ratio, scene_db[0]), "S1_b.tif", descriptions=("VV/VH", "VV"))])
    assert roles(meta) == {"VV": 2}


SEVERAL = [
    (("VV_pre", "VV_post"), "1"),
    (("20210101_VV", "20210113_VV"), "1"),
    (("2021-01-01_VV", "2021-01-13_VV"), "1"),
    (("Sigma0_VV_mst_05Jan2021", "Sigma0_VV_slv1_17Jan2021"), "1"),
    (("0_VV", "0_VH", "1_VV", "1_VH"), "1,2"),
    (("VH_pre", "VV_pre", "VH_post", "VV_post"), "2,1"),
    (("VV_20210101", "VH_20210113"), "1"),
    (("Sigma0_VV", "Gamma0_VV"), "1"),
    (("2021-01-01", "2021-01-13"), "1"),
    (
        (
            "S1A_IW_GRDH_1SDV_20210101T055555_20210101T055620_035950_043624_1A2B_VV",
            "S1A_IW_GRDH_1SDV_20210113T055555_20210113T055620_036125_043C37_3C4D_VV",
        ),
        "1",
    ),
]


@pytest.mark.parametrize(("names", "choice"), SEVERAL)
def test_several_dates_or_bands_of_one_polarisation_are_refused_and_the_choice_they_name_is_read(
    scene_db, write_tiff, names, choice
):
    layers = [scene_db[("VH" in name and 1) or 0] for name in names]
    path = write_tiff(stack(*layers), "S1_a.tif", descriptions=names)
    with pytest.raises(InputError, match="several") as caught:
        describe_scene([path])
    line = str(caught.value)
    assert "\n" not in line
    assert all(name in line for name in names if choice == "1" or "VV" in name)
    assert f"--bands {choice} " in caught.value.remedy
    assert f'"bands": [{choice}]' in caught.value.remedy
    numbers = tuple(map(int, choice.split(",")))
    meta = describe_scene([path], bands=numbers)
    assert tuple(band.band for band in meta.bands) == numbers
    assert meta.processing[0] == f"bands:{choice}"
    assert "may be swapped" not in "".join(meta.warnings)


def test_descriptions_of_one_date_are_one_scene(scene_db, write_tiff):
    names = ("Sigma0_VV_mst_05Jan2021", "Sigma0_VH_mst_05Jan2021")
    assert roles(describe_scene([write_tiff(scene_db, descriptions=names)])) == {"VV": 1, "VH": 2}


def test_two_dates_without_names_are_refused_and_a_band_can_be_chosen(scene_db, write_tiff):
    later = scene_db[0] + np.random.default_rng(1).normal(0, 1, scene_db[0].shape)
    path = write_tiff(stack(scene_db[0], later), "S1_a.tif")
    with pytest.raises(InputError, match="above the second") as caught:
        describe_scene([path])
    assert "--bands 1 " in caught.value.remedy
    assert roles(describe_scene([path], bands=(1,))) == {"VV": 1}
    assert roles(describe_scene([path], bands=(2,))) == {"VV": 2}


def test_chosen_bands_are_read_and_are_part_of_the_version(tmp_path, scene_db, angle, write_tiff):
    path = write_tiff(stack(angle, scene_db[1], scene_db[0]), "S1_a.tif")
    metas = [stage_scene([path], tmp_path / "store", bands=bands)[0] for bands in ((3,), (3, 2))]
    assert [roles(meta) for meta in metas] == [{"VV": 3}, {"VV": 3, "VH": 2}]
    assert len({meta.version for meta in metas}) == 2
    with SceneReader(metas[1], tmp_path / "store" / metas[1].scene_id / metas[1].version) as reader:
        db = reader.read(Window(0, 0, *metas[1].shape))
    np.testing.assert_allclose(db, scene_db, atol=1e-4)


def test_without_a_choice_the_version_is_that_of_earlier_releases():
    from drshym_pipeline.sar.ingest import content_version

    assert content_version("0" * 64, None) == content_version("0" * 64, None, ())
    assert content_version("0" * 64, None) != content_version("0" * 64, None, (1,))


def test_the_units_are_those_of_the_chosen_band(scene_db, write_tiff):
    power = 10 ** (scene_db[0] / 10)
    path = write_tiff(stack(power, scene_db[0]), "S1_a.tif", descriptions=("Sigma0_VV_power", "Sigma0_VV_db"))
    assert [describe_scene([path], bands=(band,)).units for band in (1, 2)] == ["power", "db"]


@pytest.mark.parametrize(
    ("bands", "match"),
    [((3,), "no band 3.*1, 2"), ((1, 1), "chosen twice"), ((1, 2, 2), "cannot be 1,2,2"), ((0,), "cannot be 0")],
)
def test_a_choice_that_is_not_possible_is_refused(scene_db, write_tiff, bands, match):
    with pytest.raises(InputError, match=match):
        describe_scene([write_tiff(scene_db)], bands=bands)


def test_one_number_for_each_file_of_a_pair(scene_db, angle, write_tiff):
    vv = write_tiff(stack(angle, scene_db[0]), "a_vv.tif")
    vh = write_tiff(stack(scene_db[1], angle), "a_vh.tif")
    for paths in ([vv, vh], [vh, vv]):
        meta = describe_scene(paths, bands=(2, 1))
        assert [(Path(band.path).name, band.band) for band in meta.bands] == [("a_vv.tif", 2), ("a_vh.tif", 1)]
    with pytest.raises(InputError, match="one of 2 files"):
        describe_scene([vv, vh], bands=(2,))


def test_a_file_of_a_pair_adds_only_the_polarisation_of_its_name(scene_db, write_tiff):
    vv = write_tiff(scene_db, "a_VV.tif", descriptions=("VV", "VH"))
    vh = write_tiff(scene_db[1], "a_VH.tif")
    meta = describe_scene([vv, vh])
    assert [(Path(band.path).name, band.band) for band in meta.bands] == [("a_VV.tif", 1), ("a_VH.tif", 1)]


# --- the grids of VV and VH -----------------------------------------------------------------------------------------

PIXEL = 10.0
TRANSFORM = from_origin(500_000.0, 4_500_000.0, PIXEL, PIXEL)
DEGREES = from_origin(-3.0, 40.6, 0.0001, 0.0001)


def moved(transform: Affine, pixels: float) -> Affine:
    return transform @ Affine.translation(pixels, -pixels)


@pytest.mark.parametrize(
    ("crs", "transform", "other_crs", "other", "same"),
    [
        ("EPSG:32630", TRANSFORM, "EPSG:32630", TRANSFORM, True),
        ("EPSG:32630", TRANSFORM, "EPSG:32630", moved(TRANSFORM, 0.0009), True),
        ("EPSG:32630", TRANSFORM, "EPSG:32630", moved(TRANSFORM, 0.0015), False),
        ("EPSG:32630", TRANSFORM, "EPSG:32630", moved(TRANSFORM, 1.0), False),
        ("EPSG:4326", DEGREES, "EPSG:4326", moved(DEGREES, 0.0009), True),
        ("EPSG:4326", DEGREES, "EPSG:4326", moved(DEGREES, 0.0015), False),
        # 1/1000 of a pixel at the last column, from a pixel that is a little longer
        ("EPSG:32630", TRANSFORM, "EPSG:32630", TRANSFORM @ Affine.scale(1.0 + 0.0009 / 80, 1.0), True),
        ("EPSG:32630", TRANSFORM, "EPSG:32630", TRANSFORM @ Affine.scale(1.0 + 0.0015 / 80, 1.0), False),
        ("EPSG:32630", TRANSFORM, "+proj=utm +zone=30 +datum=WGS84 +units=m +no_defs", TRANSFORM, True),
        ("EPSG:32630", TRANSFORM, CRS.from_epsg(32630).to_wkt(version="WKT1_ESRI"), TRANSFORM, True),
        ("EPSG:32630", TRANSFORM, "EPSG:32631", TRANSFORM, False),
        ("EPSG:32630", TRANSFORM, "EPSG:32730", TRANSFORM, False),
    ],
)
def test_the_grids_of_vv_and_vh_may_differ_by_a_thousandth_of_a_pixel(
    scene_db, write_tiff, crs, transform, other_crs, other, same
):
    vv = write_tiff(scene_db[0], "a_vv.tif", crs=crs, transform=transform)
    vh = write_tiff(scene_db[1], "a_vh.tif", crs=other_crs, transform=other)
    if same:
        assert describe_scene([vv, vh]).mode == "vv_vh"
    else:
        with pytest.raises(InputError, match="not on the same grid"):
            describe_scene([vv, vh])


@pytest.mark.parametrize("name", ["S1_VHdB.tif", "S1_sigma0VH.tif", "vh20210605_S1.tif", "S1_VH.tif"])
def test_a_file_that_is_vh_by_its_name_is_refused_and_a_chosen_band_is_read(scene_db, write_tiff, name):
    path = write_tiff(scene_db[0], name)
    with pytest.raises(InputError, match="only VH"):
        describe_scene([path])
    assert roles(describe_scene([path], bands=(1,))) == {"VV": 1}


@pytest.mark.parametrize(("name", "unclear"), [("S1_intensityvh.tif", True), ("S1_savvy.tif", False)])
def test_a_warning_says_that_an_unclear_name_contains_vh(scene_db, write_tiff, name, unclear):
    warnings = " ".join(describe_scene([write_tiff(scene_db[0], name)]).warnings)
    assert "its band is read as VV" in warnings
    assert ('its name contains "VH"' in warnings) is unclear
