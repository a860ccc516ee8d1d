"""Training of a network: sets a run up in a directory, resumes a killed one, and closes it.

Callers pass callbacks for loggers and progress bars. The parts of the loop are in `loop`, the files of a run in
`checkpoint`, and calibration in `sealing`.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import torch
from torch.utils.data import Dataset, Subset

from drshym_pipeline.datasets.crops import ChipStore, Sample, TrainingCrops, WholeChips
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.sources import SourceChips, main_share, prepare_sources
from drshym_pipeline.errors import InputError
from drshym_pipeline.locking import alone_in
from drshym_pipeline.model.bundle import served_modes
from drshym_pipeline.model.compute import best_device, resolve_precision
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.model.network import build_network, load_state
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import Precision
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.storage import sha256_file
from drshym_pipeline.training.checkpoint import (
    RESUME_FILE,
    WEIGHTS_FILE,
    TrainedCheckpoint,
    check_claim,
    claim_directory,
    is_finished,
    run_identity,
)
from drshym_pipeline.training.determinism import deterministic
from drshym_pipeline.training.examples import choose_examples
from drshym_pipeline.training.history import Entry, best_entry
from drshym_pipeline.training.loop import FloodModule, OnEpoch, OnExamples, OnStep, ResumePoint
from drshym_pipeline.training.recipe import check_training
from drshym_pipeline.training.start import UNTRAINED, initial_state, start_sha256

__all__ = ["TrainedCheckpoint", "check_training", "train"]

_CLIP = 1.0  # largest norm of the gradient; without it the first steps of a random network are too long
_EVERY_NTH_FOR_VV = 2  # the score with VV alone decides nothing, so half of the chips are enough


def train(
    config: TrainConfig,
    data: Sen1Floods11,
    directory: Path,
    *,
    progress: Progress = silent,
    on_epoch: OnEpoch | None = None,
    on_examples: OnExamples | None = None,
    on_step: OnStep | None = None,
    on_start: OnEpoch | None = None,
    callbacks: Sequence[pl.Callback] = (),
) -> TrainedCheckpoint:
    """Train a network, or resume a run that was killed, or return a run that is finished.

    The same configuration and data on the same machine with the same number of threads give the same weights, also
    when the run was interrupted.

    Args:
        config: The recipe.
        data: The main set; its splits `train` and `valid` are used. The other sources of the recipe are opened here.
        directory: The directory of this run alone.
        progress: Called after every chip read and after every step.
        on_epoch: Called after every validation, in order, without those of an earlier part of the run; see
            `TrainedCheckpoint.history` for the keys.
        on_examples: Called after every validation with the step and example maps: up to three fixed validation chips
            with water as PNG by file name, each with VV, truth and the probability of water side by side.
        on_step: Called after every step with its number and its loss.
        on_start: Called with the validation scores of the weights that the run starts from, under the keys of the
            history, if it starts from a bundle. The scores take the time of one validation and are computed only if
            this is given.
        callbacks: More callbacks of Lightning that must not change the run, for example to measure it.

    Raises:
        InputError: The recipe cannot be trained, the directory belongs to another run, a chip cannot be read, the
            validation split contains only one class (up to here nothing is written), another process trains in the
            directory, or the loss is not finite.
    """
    check_training(config)
    data_sha256 = data.sha256()
    sources = prepare_sources(config.data)
    identity = run_identity(config, data_sha256, start_sha256(config.network), [source.sha256 for source in sources])
    check_claim(directory, identity)
    if is_finished(directory):
        return TrainedCheckpoint.load(directory)
    device = best_device()
    precision = resolve_precision(config.training.precision, device)
    with deterministic(config.seed), _quiet(), _interruptible():
        module = _module(
            config,
            data,
            sources,
            directory,
            precision=precision,
            progress=progress,
            on_epoch=on_epoch,
            on_examples=on_examples,
            on_step=on_step,
        )
        # Chips and start were checked above: a run whose data cannot be used must not claim the directory.
        with alone_in(directory, f"process {os.getpid()}"):
            claim_directory(directory, identity)
            if is_finished(directory):  # another process finished it while this one read its chips
                return TrainedCheckpoint.load(directory)
            start = None
            if on_start is not None and config.network.start not in UNTRAINED:
                start = module.score_start()
                on_start(start)
            _fit(module, config, directory, callbacks, device=device, precision=precision)
            return _close(module, config, directory, data_sha256, start, device=device, precision=precision)


def _close(
    module: FloodModule,
    config: TrainConfig,
    directory: Path,
    data_sha256: str,
    start: Entry | None,
    *,
    device: str,
    precision: Precision,
) -> TrainedCheckpoint:
    """Write the outcome of a run that has ended, and delete the resume point."""
    best = best_entry(module.history, config.training.keep_best)
    outcome = TrainedCheckpoint(
        directory=directory,
        history=tuple(module.history),
        best_step=int(best["step"]),
        best_iou=best["valid_iou"],
        steps=int(module.history[-1]["step"]),
        stopped_early=module.is_exhausted,
        seconds=round(module.seconds, 3),
        precision=precision,
        device=device,
        data_sha256=data_sha256,
        weights_sha256=sha256_file(directory / WEIGHTS_FILE),
        start=start,
    )
    outcome.save()
    # The state of the optimiser is three times the size of the weights, and a finished run does not need it.
    (directory / RESUME_FILE).unlink(missing_ok=True)
    return outcome


def _module(
    config: TrainConfig,
    data: Sen1Floods11,
    others: list[SourceChips],
    directory: Path,
    *,
    precision: Precision,
    progress: Progress,
    on_epoch: OnEpoch | None,
    on_examples: OnExamples | None,
    on_step: OnStep | None,
) -> FloodModule:
    training, invalid = config.training, config.data.invalid_label
    # Not a local function: worker processes that are spawned receive the data sets as pickles.
    to_input = partial(network_input, bands=config.network.bands)
    network = build_network(config.network)
    torch.manual_seed(config.seed)
    load_state(network, initial_state(config.network), "network.start")
    network.to(memory_format=torch.channels_last)
    main = tuple(data.chips("train", config.data.labels))
    sources = [SourceChips(main, main_share(config.data), 1.0, data.sha256()), *others]
    train_chips = ChipStore([ref for source in sources for ref in source.refs], invalid, progress=progress)
    _refuse_missing_vh(train_chips, len(main), config)
    crops = TrainingCrops(
        train_chips,
        training,
        to_input,
        seed=config.seed,
        length=training.max_steps * training.batch_size,
        sources=sources,
    )
    valid_chips = ChipStore(data.chips("valid"), invalid, progress=progress)
    _refuse_missing_vh(valid_chips, len(valid_chips), config)
    water, labelled = int(valid_chips.water_pixels.sum()), int(valid_chips.labelled_pixels.sum())
    if not 0 < water < labelled:
        raise InputError(
            "validation split",
            f"has {water} water pixels of {labelled} labelled ones, but both classes are needed",
            "Give it chips with water and with dry land",
        )
    own, *rest = served_modes(config.network.bands)
    validation: dict[str, Dataset[Sample]] = {own: WholeChips(valid_chips, to_input, vv_only=own == "vv")}
    for mode in rest:
        chips = WholeChips(valid_chips, to_input, vv_only=True)
        validation[mode] = Subset(chips, range(0, len(chips), _EVERY_NTH_FOR_VV))
    shown = choose_examples(valid_chips.water_pixels, valid_chips.labelled_pixels)
    return FloodModule(
        network,
        config,
        crops,
        validation,
        directory,
        examples={index: valid_chips.refs[index].chip_id for index in shown},
        precision=precision,
        progress=progress,
        on_epoch=on_epoch,
        on_examples=on_examples,
        on_step=on_step,
    )


def _refuse_missing_vh(store: ChipStore, count: int, config: TrainConfig) -> None:
    """Refuse a chip of the main set without VH when the network takes VH: its scores would be those of VV alone."""
    if config.network.bands != "vv_vh":
        return
    for ref, bands in zip(store.refs[:count], store.bands, strict=False):
        if bands < 2:
            raise InputError(ref.image, "has no VH band", "Fetch the chip again, or train with network.bands: vv")


def _fit(
    module: FloodModule,
    config: TrainConfig,
    directory: Path,
    callbacks: Sequence[pl.Callback],
    *,
    device: str,
    precision: Precision,
) -> None:
    resume = directory / RESUME_FILE
    trainer = pl.Trainer(
        accelerator="gpu" if device == "cuda" else "cpu",
        devices=1,
        precision="bf16-mixed" if precision == "bf16" else "32-true",
        max_steps=config.training.max_steps,
        max_epochs=-1,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        gradient_clip_val=_CLIP,
        deterministic=True,
        callbacks=[ResumePoint(directory), *callbacks],
        default_root_dir=directory,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(module, ckpt_path=resume if resume.is_file() else None, weights_only=True)
    except (pickle.UnpicklingError, EOFError) as error:
        raise InputError(
            resume, "not a resume point written here", "Delete the file to train from the beginning"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages of Lightning during the block: the callbacks report to the user."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            warnings.filterwarnings("ignore", message=".*lightning.*|.*dataloader.*|.*lr_scheduler.*|.*LeafSpec.*")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Keep Ctrl-C a KeyboardInterrupt: Lightning turns it into an exit and leaves the signal ignored."""
    here = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if here else None
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    finally:
        if here:
            signal.signal(signal.SIGINT, handler)
