"""A step of training against the bare forward and backward pass of the same network on crops that are in memory.

Our step is a complete step of `train`: crop, forward, loss, backward, clipping, optimiser, average of the weights. It
is timed from the end of one step to the end of the next, so set-up and validation are not counted. The bare passes use
the same batches, loss and precision. Both are timed in turn, some steps at a time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, Row

OF_BARE = 0.85
RECIPE = ROOT / "configs" / "shipped.yaml"
_CHIPS = {"train": 48, "valid": 4, "test": 4, "hard": 0, "wind": 0}
_WARM = 4  # number of first steps that are not counted


def _bare(module: Any, batches: list[Any], precision: str) -> float:
    """Return the seconds of one forward and backward pass, the mean over the batches."""
    import torch

    from drshym_pipeline.training.losses import loss_function

    loss_of = loss_function("bce_dice")
    network = module.network
    start = time.perf_counter()
    for batch in batches:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            logits = network(batch.inputs.contiguous(memory_format=torch.channels_last))[:, 0]
            loss = loss_of(logits, batch.truth, batch.mask, batch.weight)
        torch.autograd.backward(loss)
        network.zero_grad(set_to_none=True)
    return (time.perf_counter() - start) / len(batches)


def measure(rounds: int = 4, steps: int = 16) -> list[Row]:
    """Measure rounds of some steps, with the bare passes before each round."""
    import lightning.pytorch as pl
    from torch.utils.data import DataLoader, Subset

    from drshym_pipeline.datasets.prepare import prepare
    from drshym_pipeline.settings import TrainConfig, load_config
    from drshym_pipeline.training import train as training

    recipe = load_config(RECIPE, TrainConfig)
    data = recipe.data.model_copy(update={"simulated": recipe.data.simulated.model_copy(update=_CHIPS)})
    settings = recipe.training.model_copy(
        update={"max_steps": rounds * steps, "validate_every": steps, "warmup_steps": 1}
    )
    recipe = recipe.model_copy(update={"data": data, "training": settings})
    samples: dict[str, list[float]] = {"bare": [], "ours": []}

    class Timed(pl.Callback):
        """Times the steps of a round, and the bare passes before it."""

        def __init__(self) -> None:
            self.moments: list[float] = []

        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            crops: Any = pl_module._crops
            loader: DataLoader[Any] = DataLoader(Subset(crops, range(8 * settings.batch_size)), settings.batch_size)
            batches = list(loader)
            _bare(pl_module, batches[:2], precision)
            samples["bare"].append(_bare(pl_module, batches, precision))
            self.moments = []

        def on_train_batch_end(self, *arguments: Any) -> None:
            self.moments.append(time.perf_counter())

        def on_train_epoch_end(self, *arguments: Any) -> None:
            counted = self.moments[_WARM - 1 :]
            samples["ours"].append((counted[-1] - counted[0]) / (len(counted) - 1))

    from drshym_pipeline.model.compute import best_device, resolve_precision

    precision = resolve_precision(settings.precision, best_device())
    with tempfile.TemporaryDirectory() as folder:
        chips = prepare(recipe.data, Path(folder))
        training.train(recipe, chips, Path(folder) / "run", callbacks=[Timed()])
    value = statistics.median(bare / ours for bare, ours in zip(samples["bare"], samples["ours"], strict=True))
    return [
        Row(
            what=f"Training step of the shipped recipe, {precision}: speed against the bare forward and backward pass",
            measured=f"{value:.2f} ({statistics.median(samples['ours']):.3f} s against "
            f"{statistics.median(samples['bare']):.3f} s)",
            asked=f"at least {OF_BARE}",
            met=value >= OF_BARE,
            command="python -m benchmarks training",
            samples=samples,
        )
    ]
