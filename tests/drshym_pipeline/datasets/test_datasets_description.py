"""The description of the training data that is stored with a model."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drshym_pipeline.datasets.description import describe_data
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import DONE_MARKER, write_dataset
from drshym_pipeline.settings import DataConfig, SimulatedData


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Sen1Floods11:
    sizes = SimulatedData(train=4, valid=1, test=1, hard=0, size=64)
    return Sen1Floods11(write_dataset(tmp_path_factory.mktemp("chips") / "set", sizes))


def test_a_simulated_set_is_called_simulated_and_counted(chips: Sen1Floods11) -> None:
    card = describe_data(DataConfig(), chips)
    assert card.title == "simulated Sentinel-1 scenes"
    assert (card.splits["train"].chips, card.splits["train"].events) == (4, 2)
    assert card.split_by_event
    assert card.sha256 == chips.sha256()
    assert card.beside == ()


def test_chips_of_unknown_origin_are_not_called_simulated(chips: Sen1Floods11, tmp_path: Path) -> None:
    other = Path(shutil.copytree(chips.root, tmp_path / "other"))
    (other / DONE_MARKER).unlink()
    card = describe_data(DataConfig(root=other), Sen1Floods11(other))
    assert card.source == card.licence == "unknown"
