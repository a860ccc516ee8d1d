"""Loaders pass only what can be pickled to worker processes: in a run of Dagster these are spawned, not forked."""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader, Subset

from drshym_pipeline.datasets.crops import ChipStore, TrainingCrops
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.training.loop import FloodModule
from drshym_pipeline.training.train import train

# All that torch's DataLoader passes to the process of a worker.
HANDED_OVER = ("dataset", "collate_fn", "worker_init_fn", "generator", "sampler", "batch_sampler")


class StoppedError(Exception):
    pass


class Look(pl.Callback):
    """Keeps the module of a training and stops the training before its first step."""

    module: FloodModule

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, FloodModule)
        self.module = pl_module
        raise StoppedError


def module_of(recipe: TrainConfig, chips: Sen1Floods11, folder: Path) -> FloodModule:
    look = Look()
    with pytest.raises(StoppedError):
        train(recipe, chips, folder, callbacks=[look])
    return look.module


def changed(recipe: TrainConfig, **sections: dict[str, Any]) -> TrainConfig:
    parts = {name: getattr(recipe, name).model_copy(update=values) for name, values in sections.items()}
    return recipe.model_copy(update=parts)


def arrived(value: Any) -> Any:
    return pickle.loads(ForkingPickler.dumps(value))


@pytest.mark.parametrize(
    "sections",
    [
        {"training": {"mixup": 0.4, "hard_share": 0.5}},
        {"network": {"bands": "vv"}},
        {"data": {"invalid_label": "non_flood"}},
    ],
    ids=["vv_vh", "vv", "non_flood"],
)
def test_everything_the_loaders_hand_to_workers_can_be_pickled_and_gives_the_same_samples(
    recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path, sections: dict[str, dict[str, Any]]
) -> None:
    module = module_of(changed(recipe, **sections), chips, tmp_path / "run")
    loaders = [module.train_dataloader()._items, *module.val_dataloader()]
    assert len(loaders) == (2 if "network" in sections else 3)  # a network for VV has one band mode
    for loader in loaders:
        assert isinstance(loader, DataLoader)
        for name in HANDED_OVER:
            arrived(getattr(loader, name))
        dataset = arrived(loader.dataset)
        assert len(dataset) == len(loader.dataset)
        for left, right in zip(dataset[0], loader.dataset[0], strict=True):
            assert torch.equal(left, right)


def test_a_spawned_worker_makes_the_crops_that_the_process_itself_makes(
    recipe: TrainConfig, chips: Sen1Floods11, tmp_path: Path
) -> None:
    crops = Subset(module_of(recipe, chips, tmp_path / "run")._crops, range(4))
    [spawned] = DataLoader(crops, batch_size=4, num_workers=1, multiprocessing_context="spawn")
    [own] = DataLoader(crops, batch_size=4)
    for left, right in zip(spawned, own, strict=True):
        assert torch.equal(left, right)


def test_pixels_are_not_copied_to_every_worker_but_read_there(chips: Sen1Floods11, recipe: TrainConfig) -> None:
    store = ChipStore(chips.chips("train"))
    held = sum(db.nbytes + label.nbytes for db, label in (store[index] for index in range(len(store))))
    sent = ForkingPickler.dumps(TrainingCrops(store, recipe.training, abs, seed=1, length=1))
    assert len(sent) < held / 4
    received = arrived(store)
    assert received._kept == {}
    first = received[0]
    assert received[0][0] is first[0]  # read once
    assert (first[1] == store[0][1]).all()


def test_the_workers_of_a_loader_share_the_memory_of_one(chips: Sen1Floods11, monkeypatch: pytest.MonkeyPatch) -> None:
    refs = chips.chips("train")
    db, label = ChipStore(refs[:1])[0]
    one = db.nbytes + label.nbytes
    store = arrived(ChipStore(refs, cache_bytes=2 * one))

    class Worker:
        num_workers = 2

    monkeypatch.setattr("drshym_pipeline.datasets.crops.get_worker_info", lambda: Worker)
    for index in range(len(refs)):
        assert len(store[index]) == 2
    assert list(store._kept) == [0]
