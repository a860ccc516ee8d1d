"""Layers that are not backscatter, by the names of files and bands of known products."""

from __future__ import annotations

import pytest

from drshym_pipeline.sar.layers import layer_of_band, layer_of_name

HYP3 = "S1A_IW_20180128T161201_DVP_RTC30_G_gpuned_FD6A"
OPERA = "OPERA_L2_RTC-S1_T035-073251-IW2_20230812T135200Z_20230813T010203Z_S1A_30_v1.0"
STATIC = "OPERA_L2_RTC-S1-STATIC_T035-073251-IW2_20140403_S1A_30_v1.0"
PYROSAR = "S1A__IW___A_20200103T170700"
NRB = "s1a-iw-nrb-20200103t170705-030639-0382d5-32tps"


@pytest.mark.parametrize(
    ("name", "layer", "rest"),
    [
        (f"{HYP3}_dem", "elevation", HYP3),
        (f"{HYP3}_inc_map", "incidence angle", HYP3),
        (f"{HYP3}_inc", "incidence angle", HYP3),
        (f"{HYP3}_area", "area normalisation", HYP3),
        (f"{HYP3}_ls_map", "layover-shadow mask", HYP3),
        (f"{HYP3}_rgb", "picture", HYP3),
        (f"{HYP3}_water", "water", HYP3),
        (f"{HYP3}_WM", "water", HYP3),
        (f"{HYP3}_dem (1)", "elevation", HYP3),
        (f"{HYP3}_dem_clip", "elevation", HYP3),
        (f"{HYP3}_inc_map_clipped", "incidence angle", HYP3),
        (f"{HYP3}_ls_map_cropped", "layover-shadow mask", HYP3),
        (f"{HYP3}_area_subset_utm32", "area normalisation", HYP3),
        (f"{HYP3}_water_reprojected", "water", HYP3),
        (f"{OPERA}_mask", "mask", OPERA),
        (f"{STATIC}_local_incidence_angle", "incidence angle", STATIC),
        (f"{STATIC}_incidence_angle", "incidence angle", STATIC),
        (f"{STATIC}_number_of_looks", "number of looks", STATIC),
        (f"{STATIC}_rtc_anf_gamma0_to_sigma0", "area normalisation", STATIC),
        (f"{STATIC}_rtc_anf_gamma0_to_beta0", "area normalisation", STATIC),
        (f"{STATIC}_interpolated_dem", "elevation", STATIC),
        (STATIC, "static layer", STATIC),
        (f"{PYROSAR}_localIncidenceAngle", "incidence angle", PYROSAR),
        (f"{PYROSAR}_incidenceAngleFromEllipsoid", "incidence angle", PYROSAR),
        (f"{PYROSAR}_layoverShadowMask", "layover-shadow mask", PYROSAR),
        (f"{PYROSAR}_gammaSigmaRatio", "area normalisation", PYROSAR),
        (f"{PYROSAR}_scatteringArea", "area normalisation", PYROSAR),
        (f"{PYROSAR}_datamask", "mask", PYROSAR),
        (f"{PYROSAR}_inc_geo", "incidence angle", PYROSAR),
        (f"{PYROSAR}_VV_NESZ", "noise", f"{PYROSAR}_VV"),
        (f"{NRB}-dm", "mask", NRB),
        (f"{NRB}-li", "incidence angle", NRB),
        (f"{NRB}-np-vv", "noise", NRB),
        ("simulated_42_dem", "elevation", "simulated_42"),
        ("simulated_42_label", "label", "simulated_42"),
        ("simulated_42_landcover", "land cover", "simulated_42"),
        ("simulated_42_permanent_water", "water", "simulated_42"),
        ("Spain_7370579_LabelHand", "label", "Spain_7370579"),
        ("Spain_7370579_S1OtsuLabelHand", "label", "Spain_7370579_S1Otsu"),
        ("Spain_7370579_JRCWaterHand", "water", "Spain_7370579"),
        ("Spain_7370579_S2Hand", "optical image", "Spain_7370579"),
        ("awz00_nasadem", "elevation", "awz00"),
        ("awz00_jrc_occurrence", "water", "awz00"),
        ("ESA_WorldCover_10m_2021_v200_N42E012_Map", "land cover", "10m_2021_v200_N42E012_Map"),
        ("Copernicus_DSM_COG_10_N42_00_E012_00_DEM", "elevation", "Copernicus_DSM_COG_10_N42_00_E012_00"),
        ("rome.angle", "incidence angle", "rome"),
        ("coh_VV_05Jan2021_17Jan2021", "coherence", "VV_05Jan2021_17Jan2021"),
        ("rome_coherence_VV", "coherence", "rome"),
        ("dem", "elevation", ""),
    ],
)
def test_the_side_rasters_of_known_products_are_layers_by_their_names(name, layer, rest):
    found = layer_of_name(name)
    assert found is not None
    assert (found.layer, found.rest, found.clear) == (layer, rest, True)


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("rome_VV_VH_ratio", "ratio"),
        ("rome_ratio_VV", "ratio"),
        ("VV_div_VH", "ratio"),
        ("rome_VV_change", "change"),
        ("rome_change_VH", "change"),
        ("2021-01-11-00:00_2021-01-11-23:59_Sentinel-1_IW_VV+VH_RGB_ratio", "ratio"),
    ],
)
def test_a_ratio_or_change_of_polarisations_is_no_backscatter(name, layer):
    found = layer_of_name(name)
    assert found is not None
    assert found.layer == layer
    assert found.clear


@pytest.mark.parametrize("name", ["rome_area", "rome_water", "flood_area", "rome_inc", "climate_change", "Zug_phase"])
def test_a_word_that_may_be_part_of_any_name_is_a_layer_only_beside_a_scene(name):
    found = layer_of_name(name)
    assert found is not None
    assert not found.clear
    assert found.rest == name.rpartition("_")[0]


@pytest.mark.parametrize(
    "name",
    [
        f"{HYP3}_VV",
        f"{OPERA}_VH",
        f"{PYROSAR}_VV_gamma0-rtc_geo_db",
        f"{NRB}-vv-g-lin",
        "Spain_7370579_S1Hand",
        "Spain_7370579_S1Weak",
        "simulated_42",
        "simulated_42_pre_event",
        "2021-01-11-00:00_2021-01-11-23:59_Sentinel-1_IW_VV+VH_VH_-_decibel_gamma0",
        "2021-01-11-00_00_2021-01-11-23_59_Sentinel-1_IW_VV+VH_VV_(Raw)",
        "iw-vv.rtc",
        "S1A_IW_GRDH_1SDV_20210111T123456_20210111T123521_036100_043B5E_1A2B",
        "Los_Angeles_VV",
        "masked_rome",
        "Damascus_VV_corrected_with_dem",
        "mask_island_VV",
        "lake_angle_VV",
        "Angle_river",
        "both_VV_VH",
        "洪水",
        "42",
        "",
    ],
)
def test_the_name_of_a_scene_is_no_layer(name):
    assert layer_of_name(name) is None


@pytest.mark.parametrize(
    ("description", "layer"),
    [
        ("angle", "incidence angle"),
        ("Angle (degrees)", "incidence angle"),
        ("localIncidenceAngle", "incidence angle"),
        ("projectedLocalIncidenceAngle", "incidence angle"),
        ("incidenceAngleFromEllipsoid", "incidence angle"),
        ("elevation", "elevation"),
        ("elevation [m]", "elevation"),
        ("coh_VV_05Jan2021_17Jan2021", "coherence"),
        ("VV coherence", "coherence"),
        ("layover_shadow_mask", "layover-shadow mask"),
        ("layoverShadowMask", "layover-shadow mask"),
        ("mask", "mask"),
        ("VV_mask", "mask"),
        ("VV_VH ratio", "ratio"),
        ("VV/VH", "ratio"),
        ("VH-VV", "ratio"),
        ("VV change", "change"),
        ("ratio", "ratio"),
        ("latitude", "position"),
        ("area", "area normalisation"),
        ("gamma0_to_sigma0_ratio", "area normalisation"),
    ],
)
def test_the_description_of_a_layer_is_known(description, layer):
    assert layer_of_band(description) == layer


@pytest.mark.parametrize(
    "description",
    [
        "VV",
        "Sigma0_VV_db",
        "Gamma0_VH",
        "Beta0_VV",
        "Intensity_VV",
        "Sigma0_VV_mst_05Jan2021",
        "Sigma0_VV_use_inci_angle_from_ellipsoid",
        "Gamma0_VV_use_projected_local_inci_angle_from_dem",
        "VV, corrected for incidence angle",
        "VV masked",
        "S1A_IW_GRDH_1SDV_20210111T123456_20210111T123521_036100_043B5E_1A2B_VV",
        "",
        "band 1",
        "Backscatter in the area of Rome",
    ],
)
def test_the_description_of_backscatter_is_no_layer(description):
    assert layer_of_band(description) is None


@pytest.mark.parametrize(
    ("stem", "layer"),
    [
        ("S1AA_20210101T170525_20210113T170525_VVP012_INT40_G_ueF_1234_corr", "coherence"),
        ("S1AA_20210101T170525_20210113T170525_VVP012_INT40_G_ueF_1234_amp", "interferogram"),
        ("S1BA_20210101T170525_20210113T170525_VVR012_INT80_G_ueF_1234_conncomp", "interferogram"),
        ("S1A__IW___A_20200101T170525_pix_area_sigma0_geo", "area normalisation"),
        ("S1A__IW___A_20200101T170525_pix_area_gamma0_geo", "area normalisation"),
    ],
)
def test_side_rasters_of_interferograms_and_pixel_areas_are_layers(stem: str, layer: str):
    found = layer_of_name(stem)
    assert found is not None
    assert found.clear
    assert found.layer == layer


@pytest.mark.parametrize("stem", ["rome_amp", "S1A_20210101_amp", "S1A__IW___A_20200101T170525_VV_grd_mli_geo_norm_db"])
def test_amplitude_of_a_scene_is_no_layer(stem: str):
    found = layer_of_name(stem)
    assert found is None or not found.clear
