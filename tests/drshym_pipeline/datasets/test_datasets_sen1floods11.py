"""The official layout: splits, weak labels, incomplete copies, and folders without the layout."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11, event_of
from drshym_pipeline.errors import InputError

HAND = Path("data/flood_events/HandLabeled")
WEAK = Path("data/flood_events/WeaklyLabeled")
SPLITS = Path("splits/flood_handlabeled")


def touch(root: Path, chip_id: str, folder: Path, *kinds: str) -> None:
    for kind in kinds:
        (root / folder / kind).mkdir(parents=True, exist_ok=True)
        (root / folder / kind / f"{chip_id}_{kind}.tif").write_bytes(f"{kind} {chip_id}".encode())


def listing(root: Path, split: str, text: str) -> None:
    (root / SPLITS).mkdir(parents=True, exist_ok=True)
    (root / SPLITS / f"flood_{split}_data.csv").write_text(text)


def row(chip_id: str) -> str:
    return f"{chip_id}_S1Hand.tif,{chip_id}_LabelHand.tif\n"


@pytest.fixture
def root(tmp_path) -> Path:
    folder = tmp_path / "set"
    for chip_id in ("Ghana_1", "Ghana_2", "Sri-Lanka_3"):
        touch(folder, chip_id, HAND, "S1Hand", "LabelHand")
    touch(folder, "Ghana_1", HAND, "JRCWaterHand")
    listing(folder, "train", row("Ghana_1") + row("Sri-Lanka_3"))
    listing(folder, "test", row("Ghana_2"))
    return folder


def test_chips_are_in_the_order_of_the_list_with_their_event_and_additional_rasters(root):
    first, second = Sen1Floods11(root).chips("train")
    assert (first.chip_id, first.event, first.split) == ("Ghana_1", "Ghana", "train")
    assert second.event == "Sri-Lanka"
    assert first.ancillary == {"permanent_water": root / HAND / "JRCWaterHand" / "Ghana_1_JRCWaterHand.tif"}
    assert second.ancillary == {}


def test_the_folder_above_the_release_is_accepted(root):
    above = root.parent / "above"
    above.mkdir()
    root.rename(above / "v1.1")
    assert len(Sen1Floods11(above).chips("train")) == 2


@pytest.mark.parametrize(
    "text",
    [
        "image,label\n" + row("Ghana_1"),
        "Ghana_1\n",
        "\ufeff" + row("Ghana_1"),
        f"S1Hand/{row('Ghana_1')}",
        row("Ghana_1") + "\n\n",
    ],
    ids=["header", "bare names", "byte order mark", "folders", "blank lines"],
)
def test_documented_variants_of_the_lists_are_read(root, text):
    listing(root, "train", text)
    assert [ref.chip_id for ref in Sen1Floods11(root).chips("train")] == ["Ghana_1"]


def test_a_listed_chip_that_is_missing_is_an_error_naming_it(root):
    listing(root, "test", row("Ghana_2") + row("Ghana_9"))
    with pytest.raises(InputError, match=r"'Ghana_9' named by .*flood_test_data\.csv is missing"):
        Sen1Floods11(root).chips("test")


def test_a_missing_label_is_an_error_naming_the_chip(root):
    (root / HAND / "LabelHand" / "Ghana_2_LabelHand.tif").unlink()
    with pytest.raises(InputError, match=r"Ghana_2_LabelHand\.tif"):
        Sen1Floods11(root).chips("test")


def test_an_incomplete_copy_is_listed_only_on_request_and_says_what_is_absent(root, caplog):
    listing(root, "test", row("Ghana_2") + row("Ghana_9"))
    with caplog.at_level(logging.WARNING):
        found = Sen1Floods11(root).chips("test", present_only=True)
    assert [ref.chip_id for ref in found] == ["Ghana_2"]
    assert "absent and left out: 1 of the 2 chips listed" in caplog.text
    assert Sen1Floods11(root).absent("test") == 1
    assert Sen1Floods11(root).absent("train") == 0


def test_a_folder_without_the_layout_is_refused_saying_what_is_expected(tmp_path):
    with pytest.raises(InputError, match=r"layout of Sen1Floods11.*HandLabeled/S1Hand.*flood_train_data.csv"):
        Sen1Floods11(tmp_path)


def test_a_layout_without_lists_is_refused(root):
    for table in (root / SPLITS).iterdir():
        table.unlink()
    with pytest.raises(InputError, match="no split list"):
        Sen1Floods11(root)


def test_an_unknown_split_is_refused_with_a_list_of_the_splits(root):
    with pytest.raises(InputError, match="Splits here: test, train"):
        Sen1Floods11(root).chips("bolivia")


def test_a_row_that_names_no_chip_is_refused_by_number(root):
    listing(root, "train", row("Ghana_1") + "picture.tif,label.tif\n")
    with pytest.raises(InputError, match="row 2"):
        Sen1Floods11(root).chips("train")


def test_a_chip_named_twice_is_refused(root):
    listing(root, "train", row("Ghana_1") * 2)
    with pytest.raises(InputError, match="'Ghana_1' twice"):
        Sen1Floods11(root).chips("train")


@pytest.mark.parametrize("folder", ["WeaklyLabeled", "WeakLabeled"])
def test_weak_labels_extend_training_only(root, folder):
    for chip_id in ("Mali_7", "Bolivia_8"):
        touch(root, chip_id, WEAK.parent / folder, "S1Weak", "S1OtsuLabelWeak")
    data = Sen1Floods11(root)
    assert data.splits() == ("test", "train", "weak")
    # Weak labels must not bring the unseen event into training.
    assert [ref.chip_id for ref in data.chips("train", "weak")] == ["Mali_7"]
    assert [ref.chip_id for ref in data.chips("train", "combined")] == ["Ghana_1", "Sri-Lanka_3", "Mali_7"]
    assert data.chips("train", "weak")[0].label == root / WEAK.parent / folder / "S1OtsuLabelWeak" / (
        "Mali_7_S1OtsuLabelWeak.tif"
    )
    assert data.chips("test", "weak") == data.chips("test")


def test_a_list_of_weak_chips_is_used_where_there_is_one(root):
    for chip_id in ("Mali_7", "Mali_8"):
        touch(root, chip_id, WEAK, "S1Weak", "S1OtsuLabelWeak")
    lists = root / "splits" / "flood_weaklylabeled"
    lists.mkdir()
    (lists / "flood_train_data.csv").write_text("Mali_8_S1Weak.tif,Mali_8_S1OtsuLabelWeak.tif\n")
    assert [ref.chip_id for ref in Sen1Floods11(root).chips("weak")] == ["Mali_8"]


def test_training_on_weak_labels_is_refused_where_there_are_none(root):
    with pytest.raises(InputError, match="no weakly labelled chips"):
        Sen1Floods11(root).chips("train", "combined")


def test_the_hash_depends_on_the_content_not_on_the_folder(root):
    before = Sen1Floods11(root).sha256()
    moved = root.rename(root.parent / "elsewhere")
    assert Sen1Floods11(moved).sha256() == before
    (moved / HAND / "LabelHand" / "Ghana_1_LabelHand.tif").write_bytes(b"other")
    assert Sen1Floods11(moved).sha256() != before


def test_chips_without_the_name_of_an_event_are_of_one_event():
    """They may be neighbours, so an interval must not treat them as independent."""
    assert event_of("Sri-Lanka_534068") == "Sri-Lanka"
    assert event_of("chip1") == event_of("chip2") == event_of("_3") == "unnamed"
