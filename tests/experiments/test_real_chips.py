"""The picture of real chips: the chips that it shows, the meaning of the colours and the captions of the rows."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image

from drshym_pipeline.datasets.real_land import PACKAGED
from drshym_pipeline.datasets.sen1floods11 import HAND_FOLDER
from drshym_pipeline.errors import InputError
from experiments.real_chips import (
    DRY,
    FALSE,
    HIT,
    IGNORED,
    MISSED,
    NOT_OBSERVED,
    UNJUDGED,
    MappedChip,
    difference_colors,
    draw,
    land_patches,
    log_row,
    main,
    real_chips,
    truth_colors,
)


def chip(label, water, missing=()):
    label = np.array([label], np.int8)
    db = np.full((2, *label.shape), -10.0, np.float32)
    for column in missing:
        db[:, 0, column] = np.nan
    water = np.array([water], bool)
    return MappedChip("chip", db, label, np.where(np.isnan(db[0]), np.nan, water.astype(np.float32)), water)


def test_hits_false_and_missed_water_and_unknown_pixels_have_different_colours():
    shown = chip([1, 0, 1, 0, -1, -1, -1], [True, True, False, False, True, False, False], missing=[6])
    expected = [HIT, FALSE, MISSED, DRY, UNJUDGED, IGNORED, NOT_OBSERVED]
    assert [tuple(color) for color in difference_colors(shown)[0]] == expected
    expected = [HIT, DRY, HIT, DRY, IGNORED, IGNORED, NOT_OBSERVED]
    assert [tuple(color) for color in truth_colors(shown)[0]] == expected


@pytest.mark.parametrize(
    ("shown", "caption"),
    [
        (chip([1, 1, 0, 0], [True, False, True, False]), "IoU 0.33, 50.0% water"),
        (chip([0, 0, 0, 0], [True, False, False, False]), "dry, 25.00% mapped as water"),
        (chip([-1, -1], [True, False]), "truth not known"),
        (chip([-1, -1], [False, False], missing=[0, 1]), "not observed"),
    ],
)
def test_the_caption_of_a_row_is_its_score_or_the_reason_for_no_score(shown, caption):
    assert shown.caption() == caption


def test_a_picture_adds_a_line_to_the_log_with_the_scores_of_its_labelled_chips(random_bundle):
    shown = [chip([1, 1, 0, 0], [True, False, True, False]), chip([0, 0], [False, False]), chip([-1], [True])]
    row = log_row(random_bundle, shown)
    assert row["sha256"] == random_bundle.sha256[:12]
    assert [row[name] for name in ("chips", "pooled_iou", "mean_wet_iou", "ece", "false_water")] == [
        "2", "0.3333", "0.3333", "", "0.2500"
    ]  # fmt: skip


def test_chips_without_a_label_and_without_a_pixel_are_drawn_too():
    rng = np.random.default_rng(42)
    full = MappedChip(
        "speckled",
        rng.normal(-12, 3, (2, 32, 32)).astype(np.float32),
        (rng.random((32, 32)) > 0.5).astype(np.int8),
        rng.random((32, 32), dtype=np.float32),
        rng.random((32, 32)) > 0.5,
    )
    picture = Image.open(io.BytesIO(draw([full, chip([-1, -1], [False, False], missing=[0, 1])], "two chips")))
    assert picture.mode == "P"
    assert picture.height > 300
    wider = Image.open(io.BytesIO(draw([full], "one chip", [full])))
    assert wider.width > 1.1 * picture.width, "the maps of the earlier model are one more column"


def test_every_chip_is_listed_with_its_label_where_there_is_one(tmp_path):
    names = {
        tmp_path / "sen1floods11" / "v1.1" / HAND_FOLDER: [
            "S1Hand/Spain_1_S1Hand.tif",
            "LabelHand/Spain_1_LabelHand.tif",
            "S1Hand/India_2_S1Hand.tif",
        ],
        tmp_path / "stac_overflow": ["abc01_vv.tif", "abc01_vh.tif", "abc01.tif", "xyz02_vv.tif", "xyz02_vh.tif"],
    }
    for folder, files in names.items():
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
    found = {ref.chip_id: ref.label is not None for ref in real_chips(tmp_path)}
    assert found == {"India_2": False, "Spain_1": True, "abc01": True, "xyz02": False}


def test_a_folder_without_real_chips_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no real chips"):
        real_chips(tmp_path)


def test_the_small_scenes_are_listed_with_their_labels_and_their_picture_is_not_logged(tmp_path, real_land_copy):
    found = {ref.chip_id: ref.label is not None for ref in land_patches(tmp_path)}
    assert found == {"ben_7118": True, "unlabelled": False}
    log, picture = tmp_path / "log.csv", tmp_path / "land.png"
    main(["--data", str(tmp_path), "--land", "--out", str(picture), "--log", str(log)])
    assert picture.is_file()
    assert not log.exists()


def test_a_folder_without_small_scenes_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"real_db.*holds no scenes"):
        land_patches(tmp_path)


@pytest.fixture
def real_land_copy(tmp_path):
    (tmp_path / "real_db").mkdir()
    for name in ("ben_7118.tif", "ben_7118_label.tif"):
        shutil.copy(PACKAGED / name, tmp_path / "real_db" / name)
    shutil.copy(PACKAGED / "ben_109.tif", tmp_path / "real_db" / "unlabelled.tif")
