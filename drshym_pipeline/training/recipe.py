"""What a training recipe must be before a chip is made or read for it. No weights are drawn, nothing is written."""

from __future__ import annotations

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.network import STRIDE, check_network
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.training.start import start_sha256


def check_training(config: TrainConfig) -> None:
    """Refuse a recipe that cannot be trained; costs no more than reading the bundle it starts from.

    Raises:
        InputError: The network cannot be built, the crop is no multiple of 32, batches are too small to normalise, or
            the bundle to start from cannot be loaded.
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
            "BatchNorm has one value a channel to normalise with batch_size 1 and crop 32",
            "Raise either, or use norm: group",
        )
    start_sha256(config.network)
