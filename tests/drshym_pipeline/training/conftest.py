import pytest

from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.settings import DataConfig, NetworkConfig, SimulatedData, TrainConfig, TrainingConfig


@pytest.fixture(scope="session")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Sen1Floods11:
    root = tmp_path_factory.mktemp("chips") / "set"
    return Sen1Floods11(write_dataset(root, SimulatedData(train=4, valid=3, test=1, hard=1, size=64)))


@pytest.fixture(scope="session")
def recipe() -> TrainConfig:
    return TrainConfig(
        name="tiny",
        data=DataConfig(),
        network=NetworkConfig(stem="half", decoder_channels=(16, 8, 8)),
        training=TrainingConfig(crop=64, batch_size=2, max_steps=6, validate_every=2, warmup_steps=2),
    )
