"""Initial weights of a network, by the setting `start` in its configuration.

This is the only module of the package that downloads anything: pretrained encoder weights, when the setting names them.
"""

from __future__ import annotations

from pathlib import Path

import torch

from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, shipped_bundle
from drshym_pipeline.model.bundle_record import FittedChips
from drshym_pipeline.model.network import build_network, load_state
from drshym_pipeline.settings import NetworkConfig

UNTRAINED = ("random", "imagenet")  # values of `start` whose weights were not trained on backscatter


def _imagenet_state(config: NetworkConfig) -> dict[str, torch.Tensor]:
    try:
        return dict(build_network(config, encoder_weights="imagenet").state_dict())
    except InputError:
        raise
    except KeyError as error:
        raise InputError(
            "network.start", f"there are no imagenet weights for '{config.encoder}'", "Use start: random"
        ) from error
    except Exception as error:
        # Several libraries take part in the download, each with its own errors; all of them mean the same here.
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            "network.start",
            f"the imagenet weights of '{config.encoder}' cannot be fetched ({reason})",
            "Connect to the internet once, or use start: random or start: shipped",
        ) from error


def _starting_bundle(start: str) -> ModelBundle:
    return shipped_bundle() if start == "shipped" else ModelBundle.load(Path(start))


def start_sha256(config: NetworkConfig) -> str | None:
    """Return the SHA-256 of the bundle that a run starts from, or None when it starts from no bundle."""
    return None if config.start in UNTRAINED else _starting_bundle(config.start).sha256


def starting_chips(config: NetworkConfig) -> FittedChips | None:
    """Return the chips that the start of a run was fitted on; None if it is not a bundle or does not say it."""
    if config.start in UNTRAINED:
        return None
    try:
        return _starting_bundle(config.start).fitted_chips
    except InputError:
        # A finished run can be sealed without the bundle that it started from.
        return None


def initial_state(config: NetworkConfig) -> dict[str, torch.Tensor]:
    """Return the weights that a training run starts from.

    Args:
        config: The network. Its `start` is `random` (drawn from torch's generator: seed it first), `imagenet`
            (pretrained encoder, random decoder; downloaded once, then kept by the download library), `shipped` or the
            path of a bundle.

    Raises:
        InputError: The weights cannot be downloaded or found, or belong to another architecture.
    """
    if config.start == "random":
        return dict(build_network(config).state_dict())
    if config.start == "imagenet":
        return _imagenet_state(config)
    bundle = _starting_bundle(config.start)
    network = build_network(config)
    load_state(network, bundle.state(), f"network.start ({config.start})")
    return dict(network.state_dict())
