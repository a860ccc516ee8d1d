"""Making a bundle that can map scenes from trained weights: calibration on validation chips, packing, description.

Every figure on the card of the bundle is computed here from validation pixels, with the packed weights. The command
`benchmark` computes the scores on the test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drshym_pipeline.assessment.calibration import write_thresholds
from drshym_pipeline.assessment.flood_interval import FloodErrors
from drshym_pipeline.datasets.description import describe_data, describe_sources
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.compute import best_device
from drshym_pipeline.model.missing_parts import missing_parts
from drshym_pipeline.model.network import build_network, load_state
from drshym_pipeline.model.weights import pack_weights, unpack_weights
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, ModelCard, Score
from drshym_pipeline.settings import TrainConfig
from drshym_pipeline.storage import atomic_directory, write_json
from drshym_pipeline.training.calibration_chips import (
    LogitsNotFiniteError,
    count_calibration_chips,
)
from drshym_pipeline.training.checkpoint import TrainedCheckpoint
from drshym_pipeline.training.familiar_chips import fit_novelty_models
from drshym_pipeline.training.fitted_chips import fitted_chips
from drshym_pipeline.training.flood_errors import fit_flood_areas
from drshym_pipeline.training.mode_calibration import CALIBRATION_FILE, ModeCalibration, calibrate_mode
from drshym_pipeline.version import __version__

THRESHOLDS_FILE = "thresholds.json"


def seal(
    config: TrainConfig,
    data: Sen1Floods11,
    checkpoint: TrainedCheckpoint,
    directory: Path,
    *,
    progress: Progress = silent,
) -> ModelBundle:
    """Calibrate trained weights on the validation chips and write the bundle.

    All files appear in `directory` at once: the two files of the bundle, `thresholds.json` and `calibration.json`.

    Args:
        config: The recipe of the run.
        data: The labelled chips that the run was trained on.
        checkpoint: The finished run.
        directory: Folder of the bundle; an existing one is replaced.
        progress: Called after every predicted chip.

    Raises:
        InputError: The run was trained on other data, the weights do not fit the configuration, or a weight or an
            output of the network is not finite.
    """
    if checkpoint.data_sha256 != data.sha256():
        raise InputError(
            checkpoint.directory,
            "was trained on other data than the data given for calibration",
            "Train again, or restore it",
        )
    # Calibration must use the weights of the bundle, which are rounded to float16.
    state = unpack_weights(pack_weights(checkpoint.state(), "float16"))
    for name, tensor in state.items():
        if not bool(tensor.isfinite().all()):
            raise _not_finite(checkpoint, f"the weights '{name}' are not finite")
    device = best_device()
    network = build_network(config.network)
    load_state(network, state, str(checkpoint.weights))
    network.to(device)
    try:
        found = count_calibration_chips(network, config, data, device=device, progress=progress)
    except LogitsNotFiniteError as error:
        raise _not_finite(checkpoint, str(error)) from error
    modes = {
        mode: calibrate_mode(main.by_event, config.evaluation, main.signs, others)
        for mode, (main, *others) in found.items()
    }
    training, validation = data.chips("train", config.data.labels), data.chips("valid")
    flood = fit_flood_areas(
        network,
        config.network.bands,
        validation,
        {mode: entry.calibration for mode, entry in modes.items()},
        level=config.evaluation.interval,
        device=device,
        invalid_label=config.data.invalid_label,
        progress=progress,
    )
    modes = {mode: _with_flood(entry, flood[mode]) for mode, entry in modes.items()}
    novelty = fit_novelty_models(training, validation, list(modes))
    area_errors = {mode: entry.area_errors for mode, entry in modes.items()}
    missing = missing_parts(area_errors, novelty, len(training), len(validation))
    weights_count = sum(parameter.numel() for parameter in network.parameters())
    bundle = ModelBundle.create(
        name=config.name,
        version=version_of(config, checkpoint),
        network=config.network,
        state=state,
        calibration={mode: entry.calibration for mode, entry in modes.items()},
        area_errors=area_errors,
        card=_card(config, data, checkpoint, modes, weights_count, missing=missing),
        training_sha256=checkpoint.data_sha256,
        training=_recipe(config),
        novelty=novelty,
        fitted_chips=fitted_chips(config, data),
    )
    with atomic_directory(directory) as temporary:
        bundle.write_files(temporary)
        write_thresholds(temporary / THRESHOLDS_FILE, bundle.calibration, bundle.default_mode)
        write_json(temporary / CALIBRATION_FILE, {mode: entry.model_dump(mode="json") for mode, entry in modes.items()})
    return bundle


def _with_flood(entry: ModeCalibration, flood: FloodErrors | None) -> ModeCalibration:
    return entry.model_copy(update={"area_errors": entry.area_errors.model_copy(update={"flood": flood})})


def version_of(config: TrainConfig, checkpoint: TrainedCheckpoint) -> str:
    """Return the version of a bundle, from recipe, release and weights, such as `unet_resnet18_v0.2-3f9a2c41`."""
    release = ".".join(__version__.split("+")[0].split(".")[:2])
    return f"{config.name}_v{release}-{checkpoint.weights_sha256[:8]}"


def _not_finite(checkpoint: TrainedCheckpoint, problem: str) -> InputError:
    return InputError(
        checkpoint.weights,
        f"{problem}: no bundle is made from this training",
        "Lower training.learning_rate or raise training.warmup_steps, and train again",
    )


def _recipe(config: TrainConfig) -> dict[str, Any]:
    """Return the recipe without the paths of this machine."""
    values = config.model_dump(mode="json")
    values["data"]["root"] = None
    for source in (*values["data"]["sources"], *values["data"]["calibration"]):
        source["root"] = None
    values["network"]["start"] = Path(config.network.start).name
    return values


def _card(
    config: TrainConfig,
    data: Sen1Floods11,
    checkpoint: TrainedCheckpoint,
    modes: Mapping[BandMode, ModeCalibration],
    parameters: int,
    *,
    missing: Sequence[str],
) -> ModelCard:
    trained_on, validated_on = len(data.chips("train", config.data.labels)), len(data.chips("valid"))
    described = describe_data(config.data, data)
    simulated = described.origin == "simulated"
    labels = "" if simulated else f" ({config.data.labels} labels)"
    others = [found.title for found in describe_sources(config.data)]
    together = f" together with {' and '.join(others)}" if others else ""
    scores = {}
    for mode, entry in modes.items():
        figures = {
            f"{name}_{moment}": Score(value=value, chips=entry.chips)
            for moment, part in (("before", entry.before), ("after", entry.after))
            for name, value in part.model_dump().items()
        }
        scores[f"valid_{mode}"] = {**entry.scores, **figures}
        for name, found in entry.sets.items():
            scores[f"{name}_{mode}"] = {
                f"{figure}_after": Score(value=value, chips=found.chips)
                for figure, value in found.after.model_dump().items()
            }
    limits = [
        "Flood and permanent water look alike to it: it finds open water.",
        "Wind-roughened water is missed in VV, and radar shadow, asphalt or dry sand can be taken for water.",
        "Scores are of the validation chips its threshold and temperature were fitted on.",
    ]
    if simulated:
        trained = "trained on few real places" if config.data.sources else "not trained on a real pixel"
        limits.append(f"It was {trained}: scores on simulated chips say little about real scenes.")
    return ModelCard(
        name=config.name,
        version=version_of(config, checkpoint),
        architecture=f"U-Net, {config.network.stem} stem, {config.network.norm} norm, "
        f"decoder {list(config.network.decoder_channels)}",
        encoder=config.network.encoder,
        parameters=parameters,
        bands=config.network.bands,
        training_data=(
            f"{trained_on} chips{labels} of {described.title}{together}, validated on {validated_on}; "
            f"best weights after {checkpoint.best_step} of {checkpoint.steps} steps"
        ),
        training_sha256=checkpoint.data_sha256,
        scores=scores,
        intended_use="Open-water maps of Sentinel-1 GRD scenes of about 10 m, with or without VH, checked by people.",
        limits=(*limits, *missing),
        data=described,
    )
