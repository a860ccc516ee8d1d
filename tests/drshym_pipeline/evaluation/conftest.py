"""Tiny labelled chips and two seeds of a tiny network."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.datasets.simulator.writer import write_dataset
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.network import build_network
from drshym_pipeline.records import Calibration, ModelCard
from drshym_pipeline.settings import NetworkConfig, SimulatedData


@pytest.fixture(scope="session")
def simulated_chips(tmp_path_factory) -> Path:
    """A folder of simulated chips: five of the split test, three of hard."""
    settings = SimulatedData(train=1, valid=1, test=5, hard=3, size=64)
    return write_dataset(tmp_path_factory.mktemp("benchmark") / "chips", settings)


@pytest.fixture
def partial_chips(simulated_chips, tmp_path) -> Path:
    """The same folder without two images of the split test."""
    root = Path(shutil.copytree(simulated_chips, tmp_path / "partial"))
    for ref in Sen1Floods11(root).chips("test")[1:3]:
        ref.image.unlink()
    return root


@pytest.fixture(scope="session")
def seeds() -> tuple[ModelBundle, ...]:
    """Two networks that differ by their seed alone, and one that reads VV alone."""
    return tuple(_bundle(seed, bands) for seed, bands in ((1, "vv_vh"), (2, "vv_vh"), (3, "vv")))


def _bundle(seed: int, bands: str) -> ModelBundle:
    network = NetworkConfig(encoder="resnet18", stem="half", decoder_channels=(16, 8, 8), bands=bands)
    modes = {mode: Calibration(T=0.5, threshold=0.5) for mode in ("vv", "vv_vh") if mode in ("vv", bands)}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        state = build_network(network).state_dict()
    card = ModelCard(
        name=f"seed{seed}", version="1", architecture="unet", encoder="resnet18", parameters=1, bands=bands,
        training_data="none", training_sha256="0" * 64, scores={}, intended_use="tests", limits=(),
    )  # fmt: skip
    return ModelBundle.create(
        name=f"seed{seed}", version="1", network=network, state=state, calibration=modes,
        area_errors={"vv_vh": AreaErrorModel(quantile=0.5, floor=0.01, chips=20)} if bands == "vv_vh" else {},
        card=card, training_sha256="0" * 64, weights_dtype="float32",
    )  # fmt: skip
