"""The loaders on the real sets: counts, truth, levels of dB, and the known faults of the sets."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from drshym_pipeline.datasets.chips import read_chip
from drshym_pipeline.datasets.emsr763 import Emsr763
from drshym_pipeline.datasets.etci2021 import Etci2021
from drshym_pipeline.datasets.ombria import Ombria
from drshym_pipeline.datasets.open_set import detect_set
from drshym_pipeline.datasets.stac_overflow import StacOverflow

pytestmark = [pytest.mark.real, pytest.mark.system]


def count(label: np.ndarray) -> tuple[int, ...]:
    return tuple(int((label == value).sum()) for value in (-1, 0, 1))


@pytest.mark.parametrize(
    ("folder", "loader"),
    [("stac_overflow", StacOverflow), ("etci2021", Etci2021), ("ombria", Ombria), ("emsr763", Emsr763)],
)
def test_each_folder_is_known_by_its_layout(real_data, folder, loader):
    assert isinstance(detect_set(real_data / folder), loader)


def test_stac_overflow_has_four_labelled_chips_one_of_them_partly_observed(real_data):
    chips = {ref.chip_id: read_chip(ref) for ref in StacOverflow(real_data / "stac_overflow").chips("test")}
    # ayt12 has no label and is not listed.
    assert list(chips) == ["awc00", "jja10", "pxs10", "qxb32"]
    assert np.isnan(chips["awc00"].db[0]).mean() == pytest.approx(0.267, abs=0.001)
    assert count(chips["awc00"].label)[2] == 0
    assert (chips["awc00"].label[np.isnan(chips["awc00"].db[0])] == -1).all()
    for chip in chips.values():
        assert -40 < np.nanmedian(chip.db[1]) < np.nanmedian(chip.db[0]) < 5


def test_etci_has_two_events_and_the_boxes_in_nebraskas_masks_are_ignored(real_data, caplog):
    data = Etci2021(real_data / "etci2021")
    with caplog.at_level(logging.WARNING):
        nebraska, northal = data.chips("nebraska"), data.chips("northal")
    assert (len(nebraska), len(northal)) == (198, 356)
    assert [line.getMessage() for line in caplog.records if line.name.startswith("drshym")] == []
    boxed = next(ref for ref in nebraska if ref.chip_id.endswith("_x-7_y-10"))
    assert (read_chip(boxed).label == -1).sum() == 57088
    # Water and land of an event have the assumed levels, and the swath border is not observed.
    chips = [read_chip(ref) for ref in northal[::12]]
    vv, label = np.stack([chip.db[0] for chip in chips]), np.stack([chip.label for chip in chips])
    assert np.median(vv[label == 1]) < -16
    assert np.median(vv[label == 0]) == pytest.approx(-10.5, abs=1)
    border = next(ref for ref in northal if ref.chip_id.endswith("_x-8_y-1"))
    assert np.isnan(read_chip(border).db[0]).mean() == pytest.approx(0.28, abs=0.02)


def test_emsr_is_cut_into_observed_windows_with_the_river_ignored(real_data):
    refs = Emsr763(real_data / "emsr763").chips("train")
    assert len(refs) == 66
    chip = read_chip(max((ref for ref in refs if "553_336" in ref.chip_id), key=lambda ref: ref.chip_id))
    seen = np.isfinite(chip.db[0])
    assert seen.mean() > 0.05
    assert (chip.label[~seen] == -1).all()


def test_ombria_has_its_named_floods_and_every_tile_is_vv_alone(real_data):
    data = Ombria(real_data / "ombria")
    found = {event: len(data.chips(event)) for event in data.events()}
    assert found == {"albania": 22, "france": 88, "guyana": 30, "timor": 10, "unnamed": 694}
    chip = read_chip(data.chips("france")[54])
    assert chip.db.shape == (1, 256, 256)
    assert (chip.label == 1).any()
