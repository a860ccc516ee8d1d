"""The description of real sets that a model was trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from drshym_pipeline.datasets.description import describe_data
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.settings import DataConfig, SimulatedData, SourceConfig


@pytest.mark.real
@pytest.mark.system
def test_additional_training_sets_are_described_with_their_share_and_licence(real_data: Path, tmp_path: Path) -> None:
    sizes = SimulatedData(train=1, valid=1, test=1, hard=0, size=64)
    chips = Sen1Floods11(write_dataset(tmp_path / "set", sizes))
    source = SourceConfig(kind="etci2021", root=real_data / "etci2021", weight=0.2, label_weight=0.5)
    (line,) = describe_data(DataConfig(sources=(source,)), chips).beside
    assert "20 % of the crops" in line
    assert "NASA-IMPACT" in line
    assert "Licence: none found" in line
