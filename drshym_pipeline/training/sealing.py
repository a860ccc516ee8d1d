"""Making a bundle that can map scenes from trained weights: calibration on validation chips, packing, description.

Every figure on the card of the bundle is computed here from validation pixels, with the packed weights. The command
`benchmark` computes the scores on the test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from drshym_pipeline.assessment.area import AreaErrorModel, area_shares, fit_area_errors
from drshym_pipeline.assessment.calibration import CalibrationFit, calibrate, write_thresholds
from drshym_pipeline.assessment.flood_interval import FloodErrors
from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.metrics import Metric, bootstrap_mean, bootstrap_score
from drshym_pipeline.assessment.reliability import CalibrationFigures, calibration_figures
from drshym_pipeline.assessment.sign_interval import ChipSigns, fit_sign_interval
from drshym_pipeline.assessment.threshold import ThresholdChoice, choose_threshold
from drshym_pipeline.datasets.description import describe_data, describe_sources
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle
from drshym_pipeline.model.compute import best_device
from drshym_pipeline.model.missing_parts import missing_parts
from drshym_pipeline.model.network import build_network, load_state
from drshym_pipeline.model.weights import pack_weights, unpack_weights
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, Calibration, ModelCard, Record, Score, describe_validation
from drshym_pipeline.settings import EvaluationConfig, TrainConfig
from drshym_pipeline.storage import atomic_directory, read_json, write_json
from drshym_pipeline.training.calibration_chips import (
    CalibrationSet,
    LogitsNotFiniteError,
    count_calibration_chips,
)
from drshym_pipeline.training.checkpoint import TrainedCheckpoint
from drshym_pipeline.training.familiar_chips import fit_novelty_models
from drshym_pipeline.training.fitted_chips import fitted_chips
from drshym_pipeline.training.flood_errors import fit_flood_areas
from drshym_pipeline.version import __version__

THRESHOLDS_FILE = "thresholds.json"
CALIBRATION_FILE = "calibration.json"

_METRICS: tuple[Metric, ...] = ("iou", "f1", "precision", "recall")


class EventCalibration(Record):
    """The calibration error of the probabilities on the chips of one event or set, before and after scaling."""

    pixels: int
    chips: int = 0
    before: CalibrationFigures
    after: CalibrationFigures


class ModeCalibration(Record):
    """The results of calibration on the validation chips in one band mode, and the histogram of their pixels.

    `histogram` is a `LogitHistogram` as plain values (`LogitHistogram.from_dict`), for reliability plots. `fit` gives
    the reason for a bias or for none. `thresholds` has the best threshold for each of the two aims. `sets` has the
    error on every other set that was used for calibration. Scores, `before`, `after` and `histogram` are of the
    validation chips of the main set alone. With other sets, `fit_log_loss` is the log loss before and after scaling on
    what temperature and bias were fitted on: all sets with their weights. Bundles of earlier releases have none of
    `fit`, `thresholds`, `events`, `sets` and `fit_log_loss`.
    """

    calibration: Calibration
    before: CalibrationFigures
    after: CalibrationFigures
    area_errors: AreaErrorModel
    scores: dict[str, Score]
    chips: int
    histogram: dict[str, Any]
    fit: CalibrationFit | None = None
    thresholds: ThresholdChoice | None = None
    events: dict[str, EventCalibration] = Field(default_factory=dict)
    sets: dict[str, EventCalibration] = Field(default_factory=dict)
    fit_log_loss: tuple[float | None, float | None] | None = None


def calibrate_mode(
    by_event: Mapping[str, Sequence[LogitHistogram]],
    evaluation: EvaluationConfig,
    signs: Sequence[ChipSigns] = (),
    others: Sequence[CalibrationSet] = (),
) -> ModeCalibration:
    """Fit one band mode: temperature and perhaps bias, then the threshold, then the area errors of the resulting maps.

    Every pixel of another set counts so many times that the set has its weight in the fits of temperature and bias. In
    the mean IoU that the threshold is chosen for, another set is one unit with its weight: its pixels are counted
    together. Nearly all chips of real land are either dry or all water. With one IoU per chip, the dry ones would not
    count at all, and the others would always prefer the lowest threshold.

    Args:
        by_event: One histogram per validation chip, by event; chips without a counted pixel are left out.
        evaluation: The aim of the threshold, and the settings of the intervals of scores and areas.
        signs: The counts by surface of the same chips, for the area interval by signs.
        others: Other sets that are used for the fits; scores are of the validation chips alone.
    """
    counted = {event: [chip for chip in chips if chip.pixels] for event, chips in by_event.items()}
    events = {event: reduce(add, chips) for event, chips in counted.items() if chips}
    chips = [chip for event in counted.values() for chip in event]
    pooled = reduce(add, chips, LogitHistogram())
    rest = 1.0 - sum(other.weight for other in others)
    multiples = [multiplied(other, rest, pooled.pixels) for other in others]
    fitted = {**events, **{event: reduce(add, each) for part in multiples for event, each in part.items()}}
    fit = calibrate(fitted)
    together = reduce(add, fitted.values(), LogitHistogram())
    weighted = [(chips, rest)] + [
        ([reduce(add, [chip for each in part.values() for chip in each], LogitHistogram())], other.weight)
        for part, other in zip(multiples, others, strict=True)
    ]
    thresholds = choose_threshold(
        [chip for part, _ in weighted for chip in part],
        fit.T,
        fit.bias,
        evaluation.threshold_for,
        [weight / max(_wet(part), 1) for part, weight in weighted for _ in part] if others else None,
    )
    calibration = Calibration(method=fit.method, T=fit.T, bias=fit.bias, threshold=thresholds.threshold)
    counts = [chip.scores_at(calibration.threshold, calibration.T, calibration.bias) for chip in chips]
    table = np.array([chip.as_tuple() for chip in counts], dtype=np.int64).reshape(-1, 4)
    resamples, level = evaluation.bootstrap, evaluation.interval
    errors = fit_area_errors(*area_shares(table), level=level)
    by_signs = fit_sign_interval([*signs, *(chip for other in others for chip in other.signs)], calibration, level)
    if by_signs is not None:
        by_signs = by_signs.model_copy(update={"others": tuple(other.name for other in others)})
    origins = [event for event, chips in counted.items() for _ in chips]
    scores = {metric: bootstrap_score(table, metric, origins, resamples=resamples, level=level) for metric in _METRICS}
    return ModeCalibration(
        calibration=calibration,
        before=calibration_figures(pooled, Calibration()),
        after=calibration_figures(pooled, calibration),
        area_errors=errors.model_copy(update={"signs": by_signs}),
        scores={**scores, "iou_chip_mean": bootstrap_mean(table, "iou", origins, resamples=resamples, level=level)},
        chips=len(chips),
        histogram=pooled.to_dict(),
        fit=fit,
        thresholds=thresholds,
        events={event: _event_calibration(hist, calibration) for event, hist in events.items()},
        sets={other.name: _set_calibration(other, calibration) for other in others},
        fit_log_loss=(together.log_loss(1.0), together.log_loss(fit.T, fit.bias)) if others else None,
    )


def multiplied(other: CalibrationSet, rest: float, main_pixels: int) -> dict[str, list[LogitHistogram]]:
    """Return the chips of another set with their pixels counted so many times that the set has its weight.

    Args:
        other: The set.
        rest: Weight of the main set.
        main_pixels: Number of its counted pixels.

    Returns:
        Histograms of the chips with a counted pixel, by event.
    """
    pixels = _pooled(other.by_event).pixels
    factor = max(1, round(other.weight / rest * main_pixels / pixels)) if pixels else 1
    found = {event: [chip.times(factor) for chip in chips if chip.pixels] for event, chips in other.by_event.items()}
    return {event: chips for event, chips in found.items() if chips}


def _pooled(by_event: Mapping[str, Sequence[LogitHistogram]]) -> LogitHistogram:
    return reduce(add, (chip for chips in by_event.values() for chip in chips), LogitHistogram())


def _wet(chips: Sequence[LogitHistogram]) -> int:
    """Return the number of chips with water."""
    return sum(bool(chip.water.any()) for chip in chips)


def _set_calibration(other: CalibrationSet, calibration: Calibration) -> EventCalibration:
    found = _event_calibration(_pooled(other.by_event), calibration)
    return found.model_copy(update={"chips": sum(len(chips) for chips in other.by_event.values())})


def _event_calibration(hist: LogitHistogram, calibration: Calibration) -> EventCalibration:
    return EventCalibration(
        pixels=hist.pixels,
        before=calibration_figures(hist, Calibration()),
        after=calibration_figures(hist, calibration),
    )


def read_calibration(directory: Path) -> dict[str, ModeCalibration]:
    """Read the calibration that `seal` wrote beside a bundle, by band mode.

    Args:
        directory: Folder of the bundle.

    Raises:
        InputError: The file is missing or damaged.
    """
    path = directory / CALIBRATION_FILE
    values = read_json(path)
    try:
        return {mode: ModeCalibration.model_validate(entry) for mode, entry in dict(values).items()}
    except (ValidationError, TypeError, ValueError) as error:
        detail = describe_validation(error) if isinstance(error, ValidationError) else "not a calibration"
        raise InputError(path, detail, "Seal the model again") from error


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
