"""The parts of the training loop, on Lightning: steps, schedule, validation, and the resume point of a killed run.

A Lightning epoch is `validate_every` optimiser steps. All random numbers are a function of (seed, step). A run that is
resumed at the end of an epoch therefore gives the same weights as a run that was not interrupted. `train` sets a run up
and closes it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Subset

from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.datasets.crops import Crop, Sample, TrainingCrops
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.network import load_state
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.prefetch import Prefetched
from drshym_pipeline.progress import Progress
from drshym_pipeline.records import PrecisionOption
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.storage import atomic_path
from drshym_pipeline.training.averaging import renamed_state, weight_average
from drshym_pipeline.training.checkpoint import RESUME_FILE, keep_weights
from drshym_pipeline.training.examples import example_png
from drshym_pipeline.training.history import Entry, best_entry, is_exhausted, validation_scores
from drshym_pipeline.training.losses import entropy_by_sample, loss_function

OnEpoch = Callable[[Entry], None]
OnStep = Callable[[int, float], None]
"""Called after every step with its number and its loss."""
OnExamples = Callable[[int, Mapping[str, bytes]], None]
"""Called after every validation with the step and the example maps, PNG by file name such as `Ghana_103272.png`."""

_STATE = "drshym_run"
_BATCHES_AHEAD = 3


def learning_rate_factor(step: int, warmup: int, total: int) -> float:
    """Return the share of the full learning rate at a step, in [0, 1].

    It rises linearly over the first steps and then falls to 0 along half a cosine.

    Args:
        step: Number of the step, from 0.
        warmup: Number of steps of the rise.
        total: Number of steps of the run.
    """
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, total - warmup))))


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the parameters in two groups for the optimiser: convolution kernels with weight decay, all others without.

    A norm or a bias that is pulled to zero has another meaning.

    Args:
        network: The network in training.
        weight_decay: Weight decay of the kernels.
    """
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    return [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]


class FloodModule(pl.LightningModule):
    """One network in training.

    Args:
        network: The network with its initial weights.
        config: The recipe.
        crops: The `max_steps * batch_size` training crops in the order of their use.
        validation: Whole validation chips by band mode; the first is the mode of the network itself.
        directory: Folder of the best weights.
        examples: Names of the chips to draw, by their index in the first of `validation`.
        precision: Precision of validation; the trainer decides that of the training steps.
        progress: Called after every step.
        on_epoch: Called after every validation with its entry of the history.
        on_examples: Called after every validation with the pictures.
        on_step: Called after every step with its number and its loss.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        crops: TrainingCrops,
        validation: dict[str, Dataset[Sample]],
        directory: Path,
        *,
        examples: Mapping[int, str],
        precision: PrecisionOption,
        progress: Progress,
        on_epoch: OnEpoch | None,
        on_examples: OnExamples | None,
        on_step: OnStep | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.average = weight_average(network, config.training.ema) if config.training.ema else None
        self.history: list[Entry] = []
        self._config = config
        self._crops = crops
        self._validation = validation
        self._examples = examples if on_examples is not None else {}
        self._directory = directory
        self._precision: PrecisionOption = precision
        self._progress = progress
        self._on_epoch = on_epoch
        self._on_examples = on_examples
        self._on_step = on_step
        self._loss = loss_function(config.training.loss)
        self._train_losses: list[Tensor] = []
        self._crop_losses: list[tuple[Tensor, Tensor]] = []
        self._valid_losses: list[float] = []
        self._histograms: list[list[LogitHistogram]] = []
        self._pictures: dict[str, bytes] = {}
        self._spent_before = 0.0
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return the time of this run in seconds, with the earlier parts of a resumed run."""
        return self._spent_before + time.monotonic() - self._started

    @property
    def judged(self) -> nn.Module:
        """Return the network to validate and save: the average of the weights, or the network if there is none."""
        return self.network if self.average is None else self.average.module

    def configure_optimizers(self) -> Any:
        """Return AdamW and a schedule that changes the learning rate after every step."""
        training = self._config.training
        optimiser = torch.optim.AdamW(
            parameter_groups(self.network, training.weight_decay), lr=training.learning_rate, foreach=False
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: learning_rate_factor(step, training.warmup_steps, training.max_steps)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> Prefetched[Crop]:
        """Return the crops of the steps up to the next validation; they are made while the network computes."""
        training = self._config.training
        first = self.global_step
        last = min(first + training.validate_every, training.max_steps)
        rows = range(first * training.batch_size, last * training.batch_size)
        loader = DataLoader(
            Subset(self._crops, rows),
            batch_size=training.batch_size,
            num_workers=training.workers,
            pin_memory=torch.cuda.is_available(),
        )
        return Prefetched(loader, _BATCHES_AHEAD)

    def val_dataloader(self) -> list[DataLoader[Sample]]:
        """Return loaders of whole chips, one per band mode. A batch is one chip, because sizes may differ.

        No worker processes: the chips are in memory, and starting a process takes longer than passing hundreds of
        chips.
        """
        return [DataLoader(chips) for chips in self._validation.values()]

    def on_train_start(self) -> None:
        """Stop at once a resumed run that had no better score for `patience` validations before."""
        self.trainer.should_stop = self.is_exhausted

    @property
    def is_exhausted(self) -> bool:
        """Return whether the run must stop; see `history.is_exhausted`."""
        return is_exhausted(self.history, self._config.training.patience, self._config.training.keep_best)

    def training_step(self, batch: Crop, batch_idx: int) -> Tensor:
        """Return the loss of one batch of crops."""
        del batch_idx
        # Dropout draws random numbers. They must depend on the step alone, or a resumed run would differ.
        torch.manual_seed(self._config.seed * 1_000_003 + self.global_step)
        logits = self.network(batch.inputs.contiguous(memory_format=torch.channels_last))[:, 0]
        loss = self._loss(logits, batch.truth, batch.mask, batch.weight)
        self._train_losses.append(loss.detach())
        if self._config.training.hard_share:
            self._crop_losses.append((batch.chip, entropy_by_sample(logits, batch.truth, batch.mask)))
        return loss

    def on_train_batch_end(self, *args: Any) -> None:
        """Update the average of the weights and call the callbacks."""
        del args
        if self.average is not None:
            self.average.update_parameters(self.network)
        if self._on_step is not None:
            self._on_step(self.global_step, float(self._train_losses[-1]))
        self._progress("train", self.global_step, self._config.training.max_steps)

    def on_validation_epoch_start(self) -> None:
        """Empty the accumulators."""
        self._valid_losses = []
        self._histograms = [[] for _ in self._validation]
        self._pictures = {}

    def validation_step(self, batch: Sample, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Predict one whole chip in the way scenes are predicted and count its logits; draw it if it is an example."""
        inputs, truth, mask = (tensor.cpu() for tensor in batch)
        logits = predict_logits(self.judged, inputs.numpy(), device=str(self.device), precision=self._precision)
        labels = np.where(mask.numpy(), truth.numpy(), -1).astype(np.int8)
        histogram = LogitHistogram()
        histogram.add(logits, labels)
        self._histograms[dataloader_idx].append(histogram)
        if dataloader_idx > 0:
            return
        if bool(mask.any()):
            self._valid_losses.append(float(self._loss(torch.from_numpy(logits), truth, mask)))
        if batch_idx in self._examples:
            self._pictures[f"{self._examples[batch_idx]}.png"] = example_png(
                inputs[0, 0].numpy(), truth[0].numpy(), mask[0].numpy(), logits[0]
            )

    def on_validation_epoch_end(self) -> None:
        """Score the validation, save the weights if they are the best so far, and decide whether to stop."""
        entry = self._entry()
        if not all(map(math.isfinite, entry.values())):
            raise InputError(
                "training.learning_rate",
                f"the training diverged: the loss is not finite at step {self.global_step}",
                "Lower it, or raise warmup_steps",
            )
        self.history.append(entry)
        for chips, losses in self._crop_losses:
            self._crops.sampler.learn(chips.cpu().numpy(), losses.cpu().numpy())
        self._crop_losses = []
        if best_entry(self.history, self._config.training.keep_best) is entry:
            keep_weights(self._directory, self.judged.state_dict())
        if self._on_epoch is not None:
            self._on_epoch(dict(entry))
        if self._on_examples is not None:
            self._on_examples(self.global_step, self._pictures)
        if self.is_exhausted:
            self.trainer.should_stop = True

    def _entry(self) -> Entry:
        optimiser = self.trainer.optimizers[0]
        entry: Entry = {
            "step": float(self.global_step),
            "train_loss": float(torch.stack(self._train_losses).mean()),
            "valid_loss": float(np.mean(self._valid_losses)),
            "learning_rate": float(optimiser.param_groups[0]["lr"]),
        }
        self._train_losses = []
        return entry | self._scores(self._histograms)

    def _scores(self, histograms: list[list[LogitHistogram]]) -> Entry:
        """Return both scores of each band mode, under the keys of the history."""
        entry: Entry = {}
        suffixes = ["", *(f"_{mode}" for mode in list(self._validation)[1:])]
        for suffix, chips in zip(suffixes, histograms, strict=True):
            entry[f"valid_iou{suffix}"], entry[f"valid_mean_iou{suffix}"] = validation_scores(chips)
        return entry

    def score_start(self) -> Entry:
        """Return the validation scores of the weights before the first step, computed on the CPU.

        No random number is drawn, so that the run is the same with and without these scores.
        """
        found: list[list[LogitHistogram]] = []
        for chips in self._validation.values():
            found.append([])
            for index in range(len(chips)):  # type: ignore[arg-type]  # Dataset declares no length; both of ours have one
                inputs, truth, mask = chips[index]
                logits = predict_logits(self.network, inputs[None].numpy())[0]
                histogram = LogitHistogram()
                histogram.add(logits, np.where(mask.numpy(), truth.numpy(), -1).astype(np.int8))
                found[-1].append(histogram)
        return self._scores(found)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the history, the running losses of the chips and the time, in types that load without executing code."""
        losses = torch.from_numpy(self._crops.sampler.losses)
        checkpoint[_STATE] = {"history": self.history, "crop_losses": losses, "seconds": self.seconds}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the history of the part of the run that was done before.

        Raises:
            InputError: The weights belong to another architecture.
        """
        checkpoint["state_dict"] = renamed_state(checkpoint["state_dict"], "average.", checkpoint["global_step"])
        prefix = "network."
        state = {
            name.removeprefix(prefix): tensor
            for name, tensor in checkpoint["state_dict"].items()
            if name.startswith(prefix)
        }
        load_state(self.network, state, str(self._directory / RESUME_FILE))
        self.history = list(checkpoint[_STATE]["history"])
        self._crops.sampler.losses = checkpoint[_STATE]["crop_losses"].numpy()
        self._spent_before = float(checkpoint[_STATE]["seconds"])


class ResumePoint(Checkpoint):
    """Writes the state after every validation, so that a killed run can be resumed.

    Lightning's own callback moves its file from the temporary folder of the system. When that is on another disk, the
    file is copied and not renamed, and a kill during the copy would leave half a file.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / RESUME_FILE

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the file in one rename."""
        del pl_module
        with atomic_path(self._path) as temporary:
            trainer.save_checkpoint(temporary)
