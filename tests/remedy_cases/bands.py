"""Cases about bands: which one is VV, which one VH, and which files belong together."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import ColorInterp

from tests.remedy_cases.case import CLEAN, Case, Request, Write, case, whole


@case
def _complex(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(Request([write(CLEAN.astype(np.complex64), "S1_slc.tif")]), "Use a GRD or RTC product", [whole(write)])


@case
def _alpha_alone(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN[:1], "S1_alpha.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.alpha]
    return Case(Request([path]), "Give a GeoTIFF with Sentinel-1 backscatter", [whole(write)])


@case
def _horizontal(write: Write, patch: pytest.MonkeyPatch) -> Case:
    return Case(Request([write(CLEAN, "S1_a_HH.tif")]), "needs VV", [whole(write)])


@case
def _vh_alone(write: Write, patch: pytest.MonkeyPatch) -> Case:
    vh = write(CLEAN[1], "S1_a_VH.tif")
    return Case(Request([vh]), "give the file that contains VV", [Request([write(CLEAN[0], "S1_a_VV.tif"), vh])])


@case
def _two_vv(write: Write, patch: pytest.MonkeyPatch) -> Case:
    first, second = write(CLEAN[0], "S1_a_VV.tif"), write(CLEAN[0], "S1_b_VV.tif")
    return Case(Request([first, second]), "one VV, one VH", [Request([first, write(CLEAN[1], "S1_a_VH.tif")])])


@case
def _pair_of_whole_files(write: Write, patch: pytest.MonkeyPatch) -> Case:
    first, second = write(CLEAN, "S1_a.tif"), write(CLEAN, "S1_b.tif")
    return Case(Request([first, second]), "Give this file alone", [Request([first])])


@case
def _layers_alone(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif", descriptions=("angle", "mask"))
    return Case(Request([path]), "give the file that contains VV", [whole(write)])


@case
def _several_vv(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.concatenate([CLEAN, CLEAN]), "S1_a.tif", descriptions=("S_VV", "S_VH", "G_VV", "G_VH"))
    return Case(Request([path]), "choose with --bands 1,2 (VV first)", [Request([path], bands=(1, 2)), whole(write)])


@case
def _several_dates(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(np.stack([CLEAN[0], CLEAN[0] + 1]), "S1_a.tif", descriptions=("VV_pre", "VV_post"))
    return Case(Request([path]), "choose with --bands 1 (VV first)", [Request([path], bands=(1,)), whole(write)])


@case
def _two_files_of_two_dates(write: Write, patch: pytest.MonkeyPatch) -> Case:
    vv, vh = write(CLEAN[0], "S1_20210605_VV.tif"), write(CLEAN[1], "S1_20210617_VH.tif")
    same = write(CLEAN[1], "S1_20210605_VH.tif")
    return Case(
        Request([vv, vh]), "the VV and VH of one date, or the VV file alone", [Request([vv, same]), Request([vv])]
    )


@case
def _too_many_bands_chosen(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], bands=(1, 2, 3)), "VV first: 1 or 1,2", [Request([path], bands=(1, 2))])


@case
def _missing_band_chosen(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], bands=(1, 3)), "Choose one of these", [Request([path], bands=(1, 2))])


@case
def _band_chosen_twice(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a.tif")
    return Case(Request([path], bands=(1, 1)), "VV alone with --bands 1", [Request([path], bands=(1,))])


@case
def _one_band_chosen_of_two_files(write: Write, patch: pytest.MonkeyPatch) -> Case:
    pair = [write(CLEAN[0], "S1_a_VV.tif"), write(CLEAN[1], "S1_a_VH.tif")]
    return Case(Request(pair, bands=(1,)), "VV first: --bands 1,1", [Request(pair, bands=(1, 1))])


@case
def _companion(write: Write, patch: pytest.MonkeyPatch) -> Case:
    path = write(CLEAN, "S1_a_dem.tif")
    renamed = path.with_name("S1_a_corrected.tif")
    shutil.copy(path, renamed)
    return Case(Request([path]), "If this is backscatter, rename it", [Request([renamed]), whole(write)])
