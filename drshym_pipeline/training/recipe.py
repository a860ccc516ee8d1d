"""The checks of a training recipe before a chip is made or read. No weights are drawn and nothing is written."""

from __future__ import annotations

from drshym_pipeline.datasets.sources import list_calibration
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.network import STRIDE, check_network
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.training.start import start_sha256


def check_training(config: TrainConfig) -> None:
    """Check that a recipe can be trained. The bundle that it starts from is read; nothing else takes time.

    The files of the additional sources are listed, not read: the main set may take hours to simulate.

    Args:
        config: The recipe.

    Raises:
        InputError: The network cannot be built, the crop is not a multiple of 32, batches are too small for BatchNorm,
            an additional source is not there or not complete, a chip is used for training and for calibration, or the
            bundle to start from cannot be loaded.
    """
    check_network(config.network)
    training = config.training
    if training.crop % STRIDE:
        raise InputError(
            "training.crop", f"must be a multiple of {STRIDE}, got {training.crop}", "Choose 64, 128, 256 or 512"
        )
    if config.network.norm == "batch" and training.batch_size * (training.crop // STRIDE) ** 2 < 2:
        raise InputError(
            "training.batch_size",
            "BatchNorm has only one value per channel with batch_size 1 and crop 32",
            "Raise either, or use norm: group",
        )
    list_calibration(config.data)  # it lists the training sources too
    start_sha256(config.network)
