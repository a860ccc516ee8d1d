"""Loaders of the real sets on tiny copies of their layouts: complete and incomplete copies, and other folders."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from drshym_pipeline.datasets.chips import read_chip
from drshym_pipeline.datasets.crops import ChipStore
from drshym_pipeline.datasets.emsr763 import Emsr763
from drshym_pipeline.datasets.etci2021 import Etci2021
from drshym_pipeline.datasets.labelled_set import leave_one_event_out
from drshym_pipeline.datasets.ombria import Ombria
from drshym_pipeline.datasets.open_set import detect_set, open_labelled_set
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.datasets.sources import main_share, prepare_sources
from drshym_pipeline.datasets.stac_overflow import StacOverflow
from drshym_pipeline.errors import InputError
from drshym_pipeline.settings import DataConfig, SimulatedData, TrainConfig, parse_config
from tests.pictures import SIDE, grey, lake_mask, save, write_emsr, write_etci, write_ombria

GRID = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 2_900_000.0)


def raster(path: Path, pixels: np.ndarray, *, transform: Affine = GRID, nodata: float = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape
    options = {"height": height, "width": width, "crs": "EPSG:32646", "transform": transform, "nodata": nodata}
    with rasterio.open(path, "w", driver="GTiff", dtype=pixels.dtype, count=1, **options) as dataset:
        dataset.write(pixels[None])
    return path


@pytest.fixture
def stac(tmp_path) -> Path:
    root = tmp_path / "stac"
    vv = np.full((6, 8), -10.0, np.float32)
    vv[0, 0] = 0.0
    vh = np.full((6, 8), -17.0, np.float32)
    vh[5, 7] = 0.0
    label = np.zeros((6, 8), np.uint8)
    label[:, :3] = 1
    label[3] = 255
    raster(root / "abc01_vv.tif", vv)
    raster(root / "abc01_vh.tif", vh)
    raster(root / "abc01.tif", label, nodata=255)
    raster(root / "xyz99_vv.tif", vv)
    return root


def test_stac_overflow_reads_two_files_as_one_chip(stac):
    (ref,) = StacOverflow(stac).chips("test")
    chip = read_chip(ref)
    assert (ref.event, ref.encoding) == ("abc", "db")
    assert np.nanmax(np.abs(chip.db - np.array([-10.0, -17.0])[:, None, None])) == 0
    # A pixel with fill in one band is not observed in both bands; the label 255 means not known.
    assert np.isnan(chip.db[:, [0, 5], [0, 7]]).all()
    assert np.isnan(chip.db).sum() == 4
    assert (chip.label[3] == -1).all()
    assert chip.label[1].tolist() == [1, 1, 1, 0, 0, 0, 0, 0]


def test_stac_overflow_is_for_reporting_only(stac):
    with pytest.raises(InputError, match=r"'train': these chips are for reporting only.*Splits here: test"):
        StacOverflow(stac).chips("train")


def test_stac_overflow_names_a_missing_band_and_leaves_the_chip_out_only_on_request(stac, caplog):
    (stac / "abc01_vh.tif").unlink()
    with pytest.raises(InputError, match=r"abc01_vh\.tif: the VH band of the chip 'abc01' is missing"):
        StacOverflow(stac).chips("test")
    with caplog.at_level(logging.WARNING):
        assert StacOverflow(stac).chips("test", present_only=True) == []
        assert StacOverflow(stac).absent("test") == 1
    assert "abc01 has no VH" in caplog.text


def test_vh_on_another_grid_than_vv_is_refused_naming_both(stac):
    raster(stac / "abc01_vh.tif", np.full((6, 8), -17.0, np.float32), transform=GRID @ Affine.translation(1, 0))
    with pytest.raises(InputError, match=r"abc01_vh\.tif: is on another grid than VV in .*abc01_vv\.tif"):
        read_chip(StacOverflow(stac).chips("test")[0])


def test_stac_overflow_label_on_another_grid_is_refused(stac):
    raster(stac / "abc01.tif", np.zeros((6, 8), np.uint8), transform=GRID @ Affine.translation(1, 0), nodata=255)
    with pytest.raises(InputError, match=r"abc01\.tif: the label is on another grid"):
        read_chip(StacOverflow(stac).chips("test")[0])


def test_etci_water_is_the_union_of_both_masks_and_white_swath_borders_are_not_observed(tmp_path):
    root = write_etci(tmp_path)
    folder = root / "delta_20190101t000000" / "tiles"
    name = "delta_20190101t000000_x-0_y-0"
    pond = np.zeros((SIDE, SIDE), bool)
    pond[100:110, 100:110] = True
    save(folder / "water_body_label" / f"{name}.png", pond)
    for band in (0, 1):
        pixels = np.where(lake_mask(), 0, grey(0, band))
        pixels[:40, 90:] = 255
        save(folder / ("vv", "vh")[band] / f"{name}_{('vv', 'vh')[band]}.png", pixels)
    data = Etci2021(root)
    assert (data.events(), data.splits()) == (("delta",), ("train", "delta"))
    ref = data.chips("delta")[0]
    chip = read_chip(ref)
    assert (ref.chip_id, ref.event, ref.encoding) == (name, "delta", "eight_bit")
    assert (chip.label[pond] == 1).all()
    # Water that was cut off at 0 was observed. Fill was not observed and has no label.
    assert (chip.label[lake_mask()] == 1).all()
    assert np.isnan(chip.db[:, 1:39, 91:127]).all()
    assert (chip.label[np.isnan(chip.db[0])] == -1).all()


def test_pixels_ignored_by_a_loader_of_pictures_stay_ignored_for_every_invalid_label_option(tmp_path):
    root = write_etci(tmp_path)
    folder, name = root / "delta_20190101t000000" / "tiles", "delta_20190101t000000_x-0_y-0"
    box = np.zeros((SIDE, SIDE), bool)
    box[40:90, 40:100] = True
    save(folder / "flood_label" / f"{name}.png", box)
    ref = Etci2021(root).chips("delta")[0]
    chip = read_chip(ref, "non_flood")
    assert (chip.label[box] == -1).all(), "a filled rectangle is a fault of the label, not dry ground"
    assert (chip.label == read_chip(ref).label).all()


@pytest.mark.parametrize(("write", "kind"), [(write_ombria, Ombria), (write_emsr, Emsr763), (write_etci, Etci2021)])
def test_a_complete_set_of_pictures_has_no_absent_tiles(tmp_path, write, kind):
    assert kind(write(tmp_path)).absent("train") == 0


def test_etci_tiles_of_a_scene_share_one_mapping(tmp_path):
    refs = Etci2021(write_etci(tmp_path)).chips("train")
    assert len({ref.eight_bit.scale for ref in refs}) == 1


@pytest.mark.parametrize("kind", ["vv", "vh", "flood_label", "water_body_label"])
def test_a_missing_picture_of_a_tile_is_an_error_naming_it(tmp_path, kind, caplog):
    root = write_etci(tmp_path)
    path = next((root / "delta_20190101t000000" / "tiles" / kind).glob("*_x-0_y-1*.png"))
    path.unlink()
    assert Etci2021(root).absent("train") == Etci2021(root).absent("delta") == 1
    with pytest.raises(InputError, match=rf"{path.name}: the tile 'delta_20190101t000000_x-0_y-1' has no such file"):
        Etci2021(root).chips("train")
    with caplog.at_level(logging.WARNING):
        found = Etci2021(root).chips("train", present_only=True)
    assert [ref.chip_id for ref in found] == ["delta_20190101t000000_x-0_y-0"]
    assert "left out" in caplog.text


def test_ombria_tiles_without_an_event_share_one_and_each_tile_has_its_own_mapping(tmp_path):
    data = Ombria(write_ombria(tmp_path))
    assert data.events() == ("france", "timor", "unnamed")
    refs = data.chips("train")
    assert len({ref.chip_id for ref in refs}) == len(refs) == 4
    assert {ref.eight_bit.scale for ref in refs} == {None}
    chip = read_chip(data.chips("france")[0])
    assert chip.db.shape == (1, SIDE, SIDE)
    assert np.median(chip.db[0][chip.label == 1]) == pytest.approx(-20.0, abs=0.5)
    assert np.median(chip.db[0][chip.label == 0]) == pytest.approx(-10.5, abs=0.5)


def test_emsr_lists_observed_windows_and_ignores_the_river(tmp_path):
    (ref,) = Emsr763(write_emsr(tmp_path)).chips("train")
    chip = read_chip(ref)
    assert chip.db.shape == (2, 512, 512)
    assert np.isfinite(chip.db).mean() > 0.98
    # Water of both dates outside the mask is the river: it is neither flood nor dry.
    assert (chip.label[102:138] == -1).mean() > 0.99
    assert (chip.label[142:298, 52:248] == 1).all()
    assert (chip.label[310:500] == 0).mean() > 0.99


@pytest.mark.parametrize(
    ("loader", "expected"),
    [
        (StacOverflow, r"STAC-Overflow.*<chip>_vv\.tif"),
        (Etci2021, r"ETCI 2021.*tiles/ with vv, vh, flood_label"),
        (Ombria, r"OMBRIA.*OmbriaS1/train/"),
        (Emsr763, r"EMSR763.*POST_S1/VV_post"),
    ],
)
def test_a_folder_without_the_layout_is_refused_saying_what_is_expected(tmp_path, loader, expected):
    with pytest.raises(InputError, match=expected):
        loader(tmp_path)


def test_an_8_bit_set_is_divided_by_event_only(tmp_path):
    with pytest.raises(InputError, match=r"'test': this set is divided by event only.*train, delta"):
        Etci2021(write_etci(tmp_path)).chips("test")


@pytest.mark.parametrize(
    ("write", "loader"),
    [(write_etci, Etci2021), (write_ombria, Ombria), (write_emsr, Emsr763)],
    ids=["etci", "ombria", "emsr"],
)
def test_a_set_of_pictures_is_recognised_by_its_layout(tmp_path, write, loader):
    assert isinstance(detect_set(write(tmp_path)), loader)


def test_stac_overflow_and_simulated_chips_are_recognised_by_their_layout(stac, tmp_path):
    assert isinstance(detect_set(stac), StacOverflow)
    assert isinstance(open_labelled_set("stac_overflow", stac), StacOverflow)
    simulated = write_dataset(tmp_path / "sim", SimulatedData(train=1, valid=1, test=1, hard=0, size=64))
    assert isinstance(detect_set(simulated), Sen1Floods11)


def test_a_folder_of_no_known_set_is_refused_naming_all_layouts(tmp_path):
    with pytest.raises(InputError, match=r"any other known set.*sen1floods11: data/ and splits/.*emsr763: PRE_S1/"):
        detect_set(tmp_path)
    with pytest.raises(InputError, match="is not a folder"):
        detect_set(tmp_path / "nowhere")


def test_a_broken_copy_of_sen1floods11_is_refused_with_what_is_missing(tmp_path):
    (tmp_path / "data" / "flood_events").mkdir(parents=True)
    with pytest.raises(InputError, match=r"does not have the layout of Sen1Floods11\. Expected"):
        detect_set(tmp_path)


def test_neighbouring_tiles_are_never_both_in_training_and_in_the_held_out_event(tmp_path):
    """Tiles of two scenes of one region are neighbours, so both scenes are held out together."""
    scenes = ("delta_20190101t000000", "delta_20190113t000000", "plain_20190101t000000")
    sets = [Etci2021(write_etci(tmp_path / "etci", scenes)), Ombria(write_ombria(tmp_path / "ombria"))]
    folds = list(leave_one_event_out(sets, {"france": "named", "timor": "named"}))
    assert [name for name, _, _ in folds] == ["delta", "named", "plain", "unnamed"]
    everything = {ref.chip_id for data in sets for ref in data.chips("train")}
    for name, train, test in folds:
        assert not {ref.event for ref in train} & {ref.event for ref in test}
        assert {ref.chip_id for ref in train} | {ref.chip_id for ref in test} == everything
        if name == "delta":
            assert len(test) == 4
    assert sorted(ref.chip_id for _, _, test in folds for ref in test) == sorted(everything)


def test_the_hash_depends_on_the_content_not_on_the_folder(tmp_path):
    before = Etci2021(write_etci(tmp_path / "one")).sha256()
    moved = (tmp_path / "one").rename(tmp_path / "two")
    assert Etci2021(moved).sha256() == before
    save(next((moved / "delta_20190101t000000" / "tiles" / "flood_label").iterdir()), ~lake_mask())
    assert Etci2021(moved).sha256() != before


def source(root: Path, **more) -> dict:
    return {"kind": "etci2021", "root": str(root), **more}


def test_sources_are_opened_with_their_shares_and_events(tmp_path):
    etci = write_etci(tmp_path / "etci", ("delta_20190101t000000", "plain_20190101t000000"))
    ombria = write_ombria(tmp_path / "ombria")
    config = DataConfig.model_validate(
        {
            "sources": [
                source(etci, weight=0.2, label_weight=0.7, events=["plain"]),
                {"kind": "ombria", "root": str(ombria), "weight": 0.1},
            ]
        }
    )
    first, second = prepare_sources(config)
    assert {ref.event for ref in first.refs} == {"plain"}
    assert (first.weight, first.label_weight) == (0.2, 0.7)
    assert len(second.refs) == 4
    assert main_share(config) == pytest.approx(0.7)
    # Every source is read by the same store as the main set.
    assert (ChipStore([*first.refs, *second.refs]).water_pixels > 0).all()


def test_without_sources_all_crops_come_from_the_main_set():
    assert prepare_sources(DataConfig()) == []
    assert main_share(DataConfig()) == 1.0


def test_an_event_that_is_not_there_is_named(tmp_path):
    config = DataConfig.model_validate({"sources": [source(write_etci(tmp_path), events=["nowhere"])]})
    with pytest.raises(InputError, match=r"data\.sources\.0\.events: .* has no event 'nowhere'. Use: delta"):
        prepare_sources(config)


def test_sources_that_leave_no_share_for_the_main_set_are_refused(tmp_path):
    values = {"data": {"sources": [source(tmp_path, weight=0.5), source(tmp_path, weight=0.5)]}}
    with pytest.raises(InputError, match="add up to less than 1"):
        parse_config(TrainConfig, values, "recipe.yaml")


def test_a_mistyped_key_of_a_source_is_named_with_the_nearest_correct_key(tmp_path):
    values = {"data": {"sources": [source(tmp_path, wieght=0.5)]}}
    with pytest.raises(InputError, match=r"unknown key 'data\.sources\.0\.wieght'. Did you mean 'weight'"):
        parse_config(TrainConfig, values, "recipe.yaml")
