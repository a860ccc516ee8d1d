"""Folders like those that users get from the producers of Sentinel-1 data, with their side rasters; seeded and tiny.

Names, bands, units and data types are those of the real products. The pixels are simulated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin

from drshym_pipeline.datasets.simulator.scene import simulate_scene
from drshym_pipeline.datasets.simulator.writer import write_scene
from drshym_pipeline.records import Units
from tests.look_alikes import backscatter_db

HEIGHT, WIDTH = 80, 96
UTM = {"crs": "EPSG:32630", "transform": from_origin(500_000.0, 4_500_000.0, 10.0, 10.0)}
DEGREES = {"crs": "EPSG:4326", "transform": from_origin(-3.0, 40.6, 0.0001, 0.0001)}
GRD = "S1A_IW_GRDH_1SDV_20210111T060606_20210111T060631_036092_043B0E"


@dataclass(frozen=True)
class Expected:
    """One scene that a folder contains.

    Args:
        name: Its name, without the folder.
        files: Its files below the folder of the producer, VV first.
        bands: The numbers of its bands, VV first.
        units: The units of its values.
    """

    name: str
    files: tuple[str, ...]
    bands: tuple[int, ...]
    units: Units


def _write(path: Path, values: NDArray[Any], names: tuple[str | None, ...] = (), **options: Any) -> None:
    values = values[np.newaxis] if values.ndim == 2 else values
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = values.shape
    profile = {**UTM, "driver": "GTiff", "count": count, "height": height, "width": width, "dtype": values.dtype}
    with rasterio.Env(GDAL_PAM_ENABLED=False), rasterio.open(path, "w", **{**profile, **options}) as dataset:
        dataset.write(values)
        for band, name in enumerate(names, 1):
            if name is not None:
                dataset.set_band_description(band, name)


def _db(seed: int) -> NDArray[np.float32]:
    return backscatter_db(HEIGHT, WIDTH, seed).astype(np.float32)


def _power(seed: int) -> NDArray[np.float32]:
    return (10.0 ** (_db(seed) / 10.0)).astype(np.float32)


def _angle() -> NDArray[np.float32]:
    return np.broadcast_to(np.linspace(31, 45, WIDTH, dtype=np.float32), (HEIGHT, WIDTH)).copy()


def _heights() -> NDArray[np.int16]:
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    return (40 + rows // 4 + cols // 7).astype(np.int16)


def _classes() -> NDArray[np.uint8]:
    return (np.mgrid[:HEIGHT, :WIDTH][0] % 3 == 0).astype(np.uint8)


def hyp3(root: Path) -> list[Expected]:
    """Write an RTC product of ASF HyP3 with all its optional layers, and the water map of HydroSAR."""
    name = "S1A_IW_20210111T060606_DVP_RTC10_G_gpuned_FD6A"
    folder, power = root / name, _power(1)
    for band, values in zip(("VV", "VH"), power, strict=True):
        _write(folder / f"{name}_{band}.tif", values, nodata=0)
    _write(folder / f"{name}_dem.tif", _heights())
    _write(folder / f"{name}_inc_map.tif", np.radians(_angle()))
    _write(folder / f"{name}_area.tif", power[0] + 1)
    _write(folder / f"{name}_ls_map.tif", _classes())
    _write(folder / f"{name}_rgb.tif", np.stack([_classes() * 90] * 3))
    _write(folder / f"{name}_WM.tif", _classes())
    (folder / f"{name}.README.md.txt").write_text("RTC", "utf-8")
    return [Expected(name, (f"{name}/{name}_VV.tif", f"{name}/{name}_VH.tif"), (1, 1), "power")]


def opera(root: Path) -> list[Expected]:
    """Write a burst of OPERA RTC-S1 and its static layers."""
    name = "OPERA_L2_RTC-S1_T035-073251-IW2_20210111T060606Z_20210111T120000Z_S1A_30_v1.0"
    static = "OPERA_L2_RTC-S1-STATIC_T035-073251-IW2_20140403_S1A_30_v1.0"
    grid = {**UTM, "transform": from_origin(500_000.0, 4_500_000.0, 30.0, 30.0)}
    for band, values in zip(("VV", "VH"), _power(2), strict=True):
        _write(root / f"{name}_{band}.tif", values, nodata=float("nan"), **grid)
    _write(root / f"{name}_mask.tif", _classes(), nodata=255, **grid)
    for layer in ("local_incidence_angle", "incidence_angle"):
        _write(root / f"{static}_{layer}.tif", _angle(), **grid)
    for layer in ("number_of_looks", "rtc_anf_gamma0_to_beta0", "rtc_anf_gamma0_to_sigma0"):
        _write(root / f"{static}_{layer}.tif", _angle() / 40, **grid)
    _write(root / f"{static}_mask.tif", _classes(), **grid)
    return [Expected(name, (f"{name}_VV.tif", f"{name}_VH.tif"), (1, 1), "power")]


def snap(root: Path) -> list[Expected]:
    """Write what SNAP exports: one file with backscatter, angle and elevation, and one in dB with VV alone."""
    layers = np.stack([_angle(), *_power(3), _heights().astype(np.float32)])
    names = ("localIncidenceAngle", "Sigma0_VV", "Sigma0_VH", "elevation")
    _write(root / f"{GRD}_1A2B_Orb_NR_Cal_TC.tif", layers, names, **DEGREES, nodata=0)
    alone = np.stack([_db(4)[0], _angle()])
    _write(root / "subset_VV.tif", alone, ("Sigma0_VV_db", "projectedLocalIncidenceAngle"), **DEGREES, nodata=0)
    return [
        Expected(f"{GRD}_Orb_NR_Cal_TC", (f"{GRD}_1A2B_Orb_NR_Cal_TC.tif",), (2, 3), "power"),
        Expected("subset", ("subset_VV.tif",), (1,), "db"),
    ]


def sentinel_hub(root: Path) -> list[Expected]:
    """Write the downloads of the Sentinel Hub browser: VV and VH in dB, and a picture."""
    name = "2021-01-11-00:00_2021-01-11-23:59_Sentinel-1_IW_VV+VH_"
    files = tuple(f"{name}{band}_-_decibel_gamma0.tiff" for band in ("VV", "VH"))
    for file, values in zip(files, _db(5), strict=True):
        _write(root / file, values, **DEGREES)
    _write(root / f"{name}RGB_ratio.tiff", np.stack([_classes() * 90] * 3), **DEGREES)
    # A hash follows, because a name cannot contain ":" and "+".
    scene = "2021-01-11-00_00_2021-01-11-23_59_Sentinel-1_IW_VV_VH_-_decibel_gamma0-0d057b59"
    return [Expected(scene, files, (1, 1), "db")]


def earth_engine(root: Path) -> list[Expected]:
    """Write an export to Drive with three bands, and the unpacked download with one file per band."""
    layers = np.stack([*_db(6), _angle()]).astype(np.float64)
    _write(root / f"{GRD}_1A2B.tif", layers, ("VV", "VH", "angle"))
    for band, values in zip(("VV", "VH", "angle"), layers, strict=True):
        _write(root / f"download.{band}.tif", values, (band,))
    return [
        Expected(GRD, (f"{GRD}_1A2B.tif",), (1, 2), "db"),
        Expected("download", ("download.VV.tif", "download.VH.tif"), (1, 1), "db"),
    ]


def planetary_computer(root: Path) -> list[Expected]:
    """Write two items of the RTC collection; all items have files of the same names."""
    expected = []
    for seed, item in enumerate((f"{GRD}_rtc", GRD.replace("20210111", "20210123") + "_rtc")):
        files = tuple(f"{item}/measurement/iw-{band}.rtc.tiff" for band in ("vv", "vh"))
        for file, values in zip(files, _power(7 + seed), strict=True):
            _write(root / file, values, nodata=-32768)
        expected.append(Expected(item, files, (1, 1), "power"))
    return expected


def pyrosar(root: Path) -> list[Expected]:
    """Write what pyroSAR writes with SNAP: one file per polarisation and side layer."""
    name = "S1A__IW___A_20210111T060606"
    files = tuple(f"{name}_{band}_gamma0-rtc_db.tif" for band in ("VV", "VH"))
    for file, values in zip(files, _db(9), strict=True):
        _write(root / file, values, nodata=0)
    for layer in ("localIncidenceAngle", "incidenceAngleFromEllipsoid", "scatteringArea", "gammaSigmaRatio"):
        _write(root / f"{name}_{layer}.tif", _angle())
    for layer in ("layoverShadowMask", "datamask"):
        _write(root / f"{name}_{layer}.tif", _classes())
    _write(root / f"{name}_DEM.tif", _heights())
    return [Expected(f"{name}_gamma0-rtc_db", files, (1, 1), "db")]


def sen1floods11(root: Path) -> list[Expected]:
    """Write a labelled chip in the layout of Sen1Floods11."""
    _write(root / "S1Hand" / "Spain_7370579_S1Hand.tif", _db(10), ("VV", "VH"), **DEGREES)
    _write(root / "LabelHand" / "Spain_7370579_LabelHand.tif", _classes().astype(np.int16), **DEGREES)
    _write(root / "JRCWaterHand" / "Spain_7370579_JRCWaterHand.tif", _classes(), **DEGREES)
    optical = np.stack([_heights()] * 13)
    _write(root / "S2Hand" / "Spain_7370579_S2Hand.tif", optical, **DEGREES)
    return [Expected("Spain_7370579_S1Hand", ("S1Hand/Spain_7370579_S1Hand.tif",), (1, 2), "db")]


def simulator(root: Path) -> list[Expected]:
    """Write a simulated scene with its other rasters; the scene before the event is a scene too."""
    root.mkdir(parents=True)
    write_scene(root, "simulated_42", simulate_scene(42, HEIGHT, WIDTH))
    return [Expected(name, (f"{name}.tif",), (1, 2), "db") for name in ("simulated_42", "simulated_42_pre_event")]


def names(root: Path) -> list[Expected]:
    """Write scenes whose names are easily confused."""
    plain = ("洪水", "河川", "_rome", "rome")
    replaced = {"a#b": "a_b-8187fc8f", "a%b": "a_b-c6332f10"}
    expected = []
    for seed, stem in enumerate((*plain, *replaced)):
        _write(root / f"{stem}.tif", _db(11 + seed), ("VV", "VH"))
        expected.append(Expected(replaced.get(stem, stem), (f"{stem}.tif",), (1, 2), "db"))
    return expected


PRODUCERS: dict[str, Callable[[Path], list[Expected]]] = {
    "hyp3": hyp3,
    "opera": opera,
    "snap": snap,
    "sentinel_hub": sentinel_hub,
    "earth_engine": earth_engine,
    "planetary_computer": planetary_computer,
    "pyrosar": pyrosar,
    "sen1floods11": sen1floods11,
    "simulator": simulator,
    "names": names,
}
