"""Real chips in other forms give the same map, and real rasters that are not backscatter are refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from scipy import ndimage

from drshym_pipeline.errors import InputError
from drshym_pipeline.mapping import map_scene
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.records import Units
from drshym_pipeline.sar.radiometry import to_db
from drshym_pipeline.sar.scene import describe_scene
from drshym_pipeline.sar.texture import Texture, texture
from tests.units import from_db

pytestmark = [pytest.mark.real, pytest.mark.system]

S1HAND = "sen1floods11/v1.1/data/flood_events/HandLabeled/S1Hand"
PROFILE = {"driver": "GTiff", "crs": "EPSG:32721", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 7_000_000)}
EXACT, NEAR = 0.995, 0.98
BLOCK = (slice(100, 220), slice(150, 330))


@pytest.fixture(scope="module")
def bundle() -> ModelBundle:
    return shipped_bundle()


@pytest.fixture(scope="module")
def chips(real_data: Path) -> dict[str, np.ndarray]:
    """VV and VH in dB, NaN where not observed, by the name of the chip."""
    found = {}
    for name in ("jja10", "pxs10", "qxb32", "awc00"):
        bands = []
        for band in ("vv", "vh"):
            with rasterio.open(real_data / "stac_overflow" / f"{name}_{band}.tif") as dataset:
                bands.append(dataset.read(1))
        values = np.stack(bands).astype(np.float32)
        values[:, (values == 0).any(axis=0)] = np.nan
        found[name] = values
    return found


def write(
    path: Path, values: np.ndarray, *, nodata: float | None = None, scale: float = 1.0, offset: float = 0.0
) -> Path:
    """Write a scene with two or three bands."""
    count, height, width = values.shape
    with rasterio.open(
        path, "w", count=count, height=height, width=width, dtype=values.dtype, nodata=nodata, **PROFILE
    ) as dataset:
        dataset.write(values)
        dataset.scales, dataset.offsets = (scale,) * count, (offset,) * count
    return path


def mapped(path: Path, bundle: ModelBundle, units: Units | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the mask of a scene, and the warnings."""
    out = path.with_suffix("")
    record = map_scene([path], out, bundle, bundle.reference("checkpoint"), units=units)
    with rasterio.open(out / record.files["mask"]) as dataset:
        return dataset.read(1), record.warnings


@pytest.fixture(scope="module")
def clean(chips: dict[str, np.ndarray], bundle: ModelBundle, tmp_path_factory: pytest.TempPathFactory):
    """The masks of the chips in float dB, by the name of the chip."""
    folder = tmp_path_factory.mktemp("clean")
    return {name: mapped(write(folder / f"S1_{name}.tif", db), bundle)[0] for name, db in chips.items()}


def scaled(db: np.ndarray, path: Path, *, factor: float, offset: float, units: Units, dtype: str) -> Path:
    values = np.round((from_db(db, units) - offset) * factor).astype(dtype)
    return write(path, values, scale=1.0 / factor, offset=offset)


FORMS: dict[str, tuple[Callable[[np.ndarray, Path], Path], float]] = {
    "int16 x 100": (partial(scaled, factor=100, offset=0.0, units="db", dtype="int16"), EXACT),
    "uint16 with offset": (partial(scaled, factor=400, offset=-100.0, units="db", dtype="uint16"), EXACT),
    "uint16 power x 1e4": (partial(scaled, factor=1e4, offset=0.0, units="power", dtype="uint16"), NEAR),
    "power": (lambda db, path: write(path, from_db(db, "power").astype(np.float32)), EXACT),
    "amplitude": (lambda db, path: write(path, from_db(db, "amplitude").astype(np.float32)), EXACT),
    "digital numbers": (lambda db, path: write(path, from_db(db, "dn").round().astype(np.uint16)), NEAR),
}


@pytest.mark.parametrize("chip", ["jja10", "pxs10"])
@pytest.mark.parametrize("form", FORMS)
def test_other_forms_of_a_chip_give_the_same_mask(chips, clean, bundle, tmp_path, form, chip):
    make, agreement = FORMS[form]
    path = make(chips[chip], tmp_path / f"S1_{chip}.tif")
    if (form, chip) == ("amplitude", "pxs10"):  # almost all water
        with pytest.raises(InputError, match=r"may be power or amplitude.*--units power or --units amplitude"):
            mapped(path, bundle)
        mask, _ = mapped(path, bundle, "amplitude")
    else:
        mask, _ = mapped(path, bundle)
    valid = (mask != 255) & (clean[chip] != 255)
    assert (mask == clean[chip])[valid].mean() >= agreement
    assert valid.mean() >= 0.995


def hidden_by(kind: str, db: np.ndarray, path: Path) -> Path:
    """Write a chip in which the dark pixels of `BLOCK` are hidden by a mask or by alpha."""
    values = db.copy()
    values[:, *BLOCK] = -28.0
    shown = np.ones(db.shape[1:], bool)
    shown[BLOCK] = False
    if kind == "alpha":
        write(path, np.concatenate([values, np.where(shown, 255.0, 0.0)[np.newaxis].astype(np.float32)]))
    else:
        write(path, values)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        if kind == "alpha":
            dataset.colorinterp = [ColorInterp.gray, ColorInterp.undefined, ColorInterp.alpha]
        else:
            dataset.write_mask(shown)
    return path


@pytest.mark.parametrize("kind", ["mask", "alpha"])
def test_a_dark_block_under_a_mask_is_not_observed(chips, clean, bundle, tmp_path, kind):
    mask, _ = mapped(hidden_by(kind, chips["jja10"], tmp_path / "S1_jja10.tif"), bundle)
    assert (mask[BLOCK] == 255).all()
    others = mask != 255
    assert others.mean() == pytest.approx(1 - 120 * 180 / 512**2)
    assert (mask == clean["jja10"])[others].mean() >= NEAR


@pytest.mark.parametrize("share", [0.005, 0.23])
@pytest.mark.parametrize("fill", [-9999.0, -3.4e38])
def test_numbers_for_no_data_without_a_tag_are_no_water(chips, clean, bundle, tmp_path, fill, share):
    values = chips["jja10"].copy()
    missing = np.random.default_rng(1).random(values.shape[1:]) < share
    values[:, missing] = fill
    mask, warnings = mapped(write(tmp_path / "S1_jja10.tif", values), bundle)
    np.testing.assert_array_equal(mask == 255, missing)
    assert (mask == clean["jja10"])[~missing].mean() >= NEAR
    assert any(f"{fill:.6g}" in warning and f"{missing.mean():.1%}" in warning for warning in warnings)


@pytest.mark.parametrize("nodata", [None, -9999.0])
def test_vh_that_noise_removal_cut_at_zero_does_not_drop_the_water(chips, clean, bundle, tmp_path, nodata):
    power = from_db(chips["jja10"], "power").astype(np.float32)
    power[1, chips["jja10"][1] <= np.percentile(chips["jja10"][1], 9)] = 0.0
    mask, _ = mapped(write(tmp_path / "S1_jja10.tif", power, nodata=nodata), bundle)
    assert (mask == 255).mean() < 0.001
    assert (mask == clean["jja10"]).mean() >= NEAR
    # Pixels at zero are darker than before the cut, so a little more may become water, but none is dropped.
    assert (mask == 1).mean() >= (clean["jja10"] == 1).mean() - 0.01


@pytest.fixture(scope="module")
def labelled(real_data: Path, chips: dict[str, np.ndarray]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """VV and VH in dB and the label (0 or 1, others are not labelled) of all labelled chips, by name."""
    found = {}
    for name, values in chips.items():
        with rasterio.open(real_data / "stac_overflow" / f"{name}.tif") as dataset:
            found[name] = (values, dataset.read(1))
    for path in sorted((real_data / S1HAND).parent.glob("LabelHand/*_LabelHand.tif")):
        name = path.stem.removesuffix("_LabelHand")
        with rasterio.open(path) as dataset, rasterio.open(real_data / S1HAND / f"{name}_S1Hand.tif") as scene:
            found[name] = (scene.read((1, 2)), dataset.read(1))
    assert len(found) == 10
    return found


@pytest.fixture(scope="module")
def whole(labelled, clean, bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The masks of all labelled chips, by name."""
    folder = tmp_path_factory.mktemp("whole")
    others = {name: values for name, (values, _) in labelled.items() if name not in clean}
    return clean | {name: mapped(write(folder / f"S1_{name}.tif", db), bundle)[0] for name, db in others.items()}


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1])
def test_random_holes_do_not_change_the_score_of_the_observed_pixels(labelled, whole, bundle, tmp_path, share):
    counts = {"clean": np.zeros(2, int), "holes": np.zeros(2, int)}
    for index, (name, (db, label)) in enumerate(labelled.items()):
        values = db.copy()
        holes = np.random.default_rng(index).random(label.shape) < share
        values[:, holes] = np.nan
        mask, _ = mapped(write(tmp_path / f"S1_{name}.tif", values), bundle)
        assert (mask[holes] == 255).all()
        scored = np.isin(label, (0, 1)) & (mask != 255)
        for key, found in (("clean", whole[name]), ("holes", mask)):
            water, truth = (found == 1) & scored, (label == 1) & scored
            counts[key] += [(water & truth).sum(), (water | truth).sum()]
    before, after = (hit / union for hit, union in counts.values())
    assert before > 0.5
    assert after == pytest.approx(before, abs=0.003)


def unfilled(path: Path, band: int = 1) -> np.ndarray:
    with rasterio.open(path) as dataset:
        values, nodata = dataset.read(band).astype(float), dataset.nodata
    values[(values == 0) | (values == nodata)] = np.nan
    return values


def test_the_table_of_local_statistics_in_the_contract_is_true(real_data):
    found: list[Texture] = []
    filtered: list[Texture] = []
    for path in sorted((real_data / "real_db").glob("*.tif")):
        if path.stem.endswith("_label") or path.stem in ("morava", "awc01"):
            continue
        vv = unfilled(path)
        power = np.nan_to_num(10 ** (vv / 10), nan=0.1)
        for patches, results in (([vv], found), ([10 * np.log10(ndimage.uniform_filter(power, 7))], filtered)):
            result = texture(patches)
            assert result is not None and result.growth is not None
            results.append(result)
    assert len(found) == 20
    assert all(1.1 <= one.deviation_db <= 1.5 and 1.3 <= one.unevenness <= 1.6 for one in found)
    assert all(one.growth is not None and 0.85 <= one.growth <= 1.2 for one in found)
    assert all(0.15 <= one.deviation_db <= 0.3 and one.unevenness <= 2.1 for one in filtered)
    rome = texture([to_db(unfilled(next((real_data / "ancillary").rglob("Rome-30m-DEM.tif"))), "dn")])
    assert rome is not None and 0.2 <= rome.deviation_db <= 0.4


@pytest.mark.parametrize("units", [None, "db", "power", "amplitude", "dn", "intensity"])
@pytest.mark.parametrize("name", ["own", "S1A_IW_GRDH_VV.tif"])
@pytest.mark.parametrize(
    "raster",
    ["Rome-30m-DEM.tif", "ayt12_nasadem.tif", "ayt12_jrc_extent.tif", "ayt12_jrc_seasonality.tif", "jja10.tif"],
)
def test_elevation_and_water_maps_are_refused_whatever_they_are_called(real_data, tmp_path, raster, name, units):
    source = next(real_data.rglob(raster))
    path = source
    if name != "own":
        path = tmp_path / name
        path.write_bytes(source.read_bytes())
    with pytest.raises(InputError) as caught:
        describe_scene([path], units=units)
    assert "\n" not in str(caught.value)


def test_no_real_chip_is_refused_or_warned_of(real_data):
    paths = sorted(
        path
        for path in [*(real_data / S1HAND).glob("*.tif"), *(real_data / "real_db").glob("*.tif")]
        if not path.stem.endswith("_label")
    )
    assert len(paths) > 25
    for path in paths:
        meta = describe_scene([path])
        assert meta.units == "db"
        assert not any("smoother" in warning for warning in meta.warnings)
