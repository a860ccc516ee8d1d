"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from resources.no_telemetry import switch_off

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

os.environ.setdefault("PYTHONHASHSEED", "0")

# How long an example, or the making of it, takes says something about the machine, nothing about the program.
_WHATEVER_THE_LOAD = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
# `make test` tries the same examples every time, so that it fails by a change and never by chance; `make fuzz` tries
# many others, chosen by the seed that it prints.
hypothesis.settings.register_profile("drshym", derandomize=True, database=None, **_WHATEVER_THE_LOAD)
hypothesis.settings.register_profile("fuzz", max_examples=500, print_blob=True, **_WHATEVER_THE_LOAD)
hypothesis.settings.load_profile("drshym")

_ASKED_FOR = "DRSHYM_REAL_DATA"


# Settings in a developer's shell must not change the tests. Done here and not in a fixture, because the code
# location reads its environment when a test module imports it.
for _name in list(os.environ):
    if _name == "DAGSTER_HOME" or (_name.startswith("DRSHYM_") and _name != _ASKED_FOR):
        del os.environ[_name]
# Set for the tests and all processes that they start. CI alone also stops MLflow's telemetry, which would hide a fault.
switch_off()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real Sentinel-1 data.

    Without it the tests on real data are skipped with a reason; in CI a missing folder is an error, not a skip.
    """
    folder = os.environ.get(_ASKED_FOR)
    if folder and Path(folder).is_dir():
        return Path(folder).resolve()
    reason = "DRSHYM_REAL_DATA does not name a folder: the tests on real Sentinel-1 scenes cannot run"
    if os.environ.get("CI"):
        raise RuntimeError(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def system_tool() -> Callable[[str], str]:
    """A function that returns the path of a program of the operating system, by its name.

    If the program is missing, the test is skipped with a reason; in CI that is an error, not a skip.
    """

    def find(name: str) -> str:
        path = shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin{os.pathsep}/sbin")
        if path:
            return path
        reason = f"{name} is not installed: this test cannot run. Install it with the system's package manager"
        if os.environ.get("CI"):
            raise RuntimeError(reason)
        pytest.skip(reason)

    return find


@pytest.fixture(scope="session")
def random_bundle() -> ModelBundle:
    """A sealed model of a real architecture with random weights: its maps mean nothing, but all code is used."""
    import torch

    from drshym_pipeline.assessment.area import AreaErrorModel
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.network import build_network
    from drshym_pipeline.records import Calibration, ModelCard
    from drshym_pipeline.settings import NetworkConfig

    config = NetworkConfig(encoder="resnet18", decoder_channels=(32, 16, 16, 8, 8))
    with torch.random.fork_rng():
        torch.manual_seed(42)
        network = build_network(config)
        network.train()
        with torch.no_grad():
            # One pass settles the running statistics of the norms, without which the outputs hardly vary.
            ramp = torch.linspace(0.2, 0.8, 64).expand(2, 3, 64, 64)
            network(ramp + 0.2 * torch.rand(2, 3, 64, 64))
            logits = network.eval()(ramp + 0.2 * torch.rand(2, 3, 64, 64))
        # Random weights give nearly the same logit everywhere; stretched like this, maps have both classes.
        T = float(logits.std())
        bias = -float(logits.median()) / T
    errors = AreaErrorModel(floor=0.01, quantile=0.3, chips=24)
    return ModelBundle.create(
        name="random",
        version="0.0.1",
        network=config,
        state=network.state_dict(),
        calibration={
            "vv": Calibration(T=T, bias=bias, threshold=0.45),
            "vv_vh": Calibration(T=T, bias=bias, threshold=0.47),
        },
        area_errors={"vv": errors, "vv_vh": errors},
        card=ModelCard(
            name="random",
            version="0.0.1",
            architecture="unet",
            encoder="resnet18",
            parameters=sum(parameter.numel() for parameter in network.parameters()),
            bands="vv_vh",
            training_data="none",
            training_sha256="0" * 64,
            scores={},
            intended_use="tests",
            limits=("random weights",),
        ),
        training_sha256="0" * 64,
    )
