"""Making a bundle that can map scenes from trained weights: calibration on validation chips, packing, description.

Every figure on the card of the bundle is computed here from validation pixels, with the packed weights. The command
`benchmark` computes the scores on the test split.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, ValidationError

from drshym_pipeline.assessment.area import AreaErrorModel, area_shares, fit_area_errors
from drshym_pipeline.assessment.calibration import CalibrationFit, calibrate, write_thresholds
from drshym_pipeline.assessment.logit_histogram import LogitHistogram
from drshym_pipeline.assessment.metrics import Metric, bootstrap_mean, bootstrap_score
from drshym_pipeline.assessment.reliability import CalibrationFigures, calibration_figures
from drshym_pipeline.assessment.scene_signs import quarter_counts, used_bands
from drshym_pipeline.assessment.sign_interval import ChipSigns, fit_sign_interval
from drshym_pipeline.assessment.threshold import ThresholdChoice, choose_threshold
from drshym_pipeline.datasets.crops import ChipStore, WholeChips
from drshym_pipeline.datasets.description import describe_data, describe_sources
from drshym_pipeline.datasets.sen1floods11 import Sen1Floods11
from drshym_pipeline.errors import InputError
from drshym_pipeline.model.bundle import ModelBundle, served_modes
from drshym_pipeline.model.compute import best_device
from drshym_pipeline.model.inputs import network_input
from drshym_pipeline.model.network import build_network, load_state
from drshym_pipeline.model.predict import predict_logits
from drshym_pipeline.model.weights import pack_weights, unpack_weights
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, Calibration, ModelCard, Record, Score, describe_validation
from drshym_pipeline.sar.codes import encode_db
from drshym_pipeline.settings import EvaluationConfig, TrainConfig
from drshym_pipeline.storage import atomic_directory, read_json, write_json
from drshym_pipeline.training.checkpoint import TrainedCheckpoint
from drshym_pipeline.version import __version__

THRESHOLDS_FILE = "thresholds.json"
CALIBRATION_FILE = "calibration.json"

_METRICS: tuple[Metric, ...] = ("iou", "f1", "precision", "recall")


class EventCalibration(Record):
    """The calibration error of the probabilities on the chips of one event, before and after scaling."""

    pixels: int
    before: CalibrationFigures
    after: CalibrationFigures


class ModeCalibration(Record):
    """The results of calibration on the validation chips in one band mode, and the histogram of their pixels.

    `histogram` is a `LogitHistogram` as plain values (`LogitHistogram.from_dict`), for reliability plots. `fit` gives
    the reason for a bias or for none. `thresholds` has the best threshold for each of the two aims. Bundles of earlier
    releases have none of `fit`, `thresholds` and `events`.
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


def calibrate_mode(
    by_event: Mapping[str, Sequence[LogitHistogram]],
    evaluation: EvaluationConfig,
    signs: Sequence[ChipSigns] = (),
) -> ModeCalibration:
    """Fit one band mode: temperature and perhaps bias, then the threshold, then the area errors of the resulting maps.

    Args:
        by_event: One histogram per validation chip, by event; chips without a counted pixel are left out.
        evaluation: The aim of the threshold, and the settings of the intervals of scores and areas.
        signs: The counts by surface of the same chips, for the area interval by signs.
    """
    counted = {event: [chip for chip in chips if chip.pixels] for event, chips in by_event.items()}
    events = {event: reduce(add, chips) for event, chips in counted.items() if chips}
    chips = [chip for event in counted.values() for chip in event]
    pooled = reduce(add, chips, LogitHistogram())
    fit = calibrate(events)
    thresholds = choose_threshold(chips, fit.T, fit.bias, evaluation.threshold_for)
    calibration = Calibration(method=fit.method, T=fit.T, bias=fit.bias, threshold=thresholds.threshold)
    counts = [chip.scores_at(calibration.threshold, calibration.T, calibration.bias) for chip in chips]
    table = np.array([chip.as_tuple() for chip in counts], dtype=np.int64).reshape(-1, 4)
    resamples, level = evaluation.bootstrap, evaluation.interval
    errors = fit_area_errors(*area_shares(table), level=level)
    origins = [event for event, chips in counted.items() for _ in chips]
    scores = {metric: bootstrap_score(table, metric, origins, resamples=resamples, level=level) for metric in _METRICS}
    return ModeCalibration(
        calibration=calibration,
        before=calibration_figures(pooled, Calibration()),
        after=calibration_figures(pooled, calibration),
        area_errors=errors.model_copy(update={"signs": fit_sign_interval(signs, calibration, level)}),
        scores={**scores, "iou_chip_mean": bootstrap_mean(table, "iou", origins, resamples=resamples, level=level)},
        chips=len(chips),
        histogram=pooled.to_dict(),
        fit=fit,
        thresholds=thresholds,
        events={
            event: EventCalibration(
                pixels=hist.pixels,
                before=calibration_figures(hist, Calibration()),
                after=calibration_figures(hist, calibration),
            )
            for event, hist in events.items()
        },
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
    found = _validation_counts(network, config, data, checkpoint, device=device, progress=progress)
    modes = {mode: calibrate_mode(counts.by_event, config.evaluation, counts.signs) for mode, counts in found.items()}
    weights_count = sum(parameter.numel() for parameter in network.parameters())
    bundle = ModelBundle.create(
        name=config.name,
        version=version_of(config, checkpoint),
        network=config.network,
        state=state,
        calibration={mode: entry.calibration for mode, entry in modes.items()},
        area_errors={mode: entry.area_errors for mode, entry in modes.items()},
        card=_card(config, data, checkpoint, modes, weights_count),
        training_sha256=checkpoint.data_sha256,
        training=_recipe(config),
    )
    with atomic_directory(directory) as temporary:
        bundle.write_files(temporary)
        write_thresholds(temporary / THRESHOLDS_FILE, bundle.calibration, bundle.default_mode)
        write_json(temporary / CALIBRATION_FILE, {mode: entry.model_dump(mode="json") for mode, entry in modes.items()})
    return bundle


def version_of(config: TrainConfig, checkpoint: TrainedCheckpoint) -> str:
    """Return the version of a bundle, from recipe, release and weights, such as `unet_resnet18_v0.1-3f9a2c41`."""
    release = ".".join(__version__.split("+")[0].split(".")[:2])
    return f"{config.name}_v{release}-{checkpoint.weights_sha256[:8]}"


def _not_finite(checkpoint: TrainedCheckpoint, problem: str) -> InputError:
    return InputError(
        checkpoint.weights,
        f"{problem}: no bundle is made from this training",
        "Lower training.learning_rate or raise training.warmup_steps, and train again",
    )


@dataclass(frozen=True)
class _ChipCounts:
    """The logits by label of every validation chip, by event, and the counts of the same chips by surface."""

    by_event: dict[str, list[LogitHistogram]] = field(default_factory=dict)
    signs: list[ChipSigns] = field(default_factory=list)


def _validation_counts(
    network: Any,
    config: TrainConfig,
    data: Sen1Floods11,
    checkpoint: TrainedCheckpoint,
    *,
    device: str,
    progress: Progress,
) -> dict[BandMode, _ChipCounts]:
    """Return the counts of every validation chip in each band mode of the network.

    Raises:
        InputError: A logit is not finite.
    """
    to_input = partial(network_input, bands=config.network.bands)
    refs = data.chips("valid")
    store = ChipStore(refs, config.data.invalid_label)
    modes = served_modes(config.network.bands)
    found: dict[BandMode, _ChipCounts] = {mode: _ChipCounts() for mode in modes}
    for turn, mode in enumerate(modes):
        chips = WholeChips(store, to_input, vv_only=mode == "vv")
        for index, ref in enumerate(refs):
            inputs, truth, mask = chips[index]
            logits = predict_logits(network, inputs[None].numpy(), device=device, precision="fp32")[0]
            if not np.isfinite(logits).all():
                raise _not_finite(checkpoint, f"outputs for the chip {ref.chip_id} are not finite in mode {mode}")
            histogram = LogitHistogram()
            labels = np.where(mask.numpy(), truth.numpy(), -1).astype(np.int8)
            histogram.add(logits, labels)
            found[mode].by_event.setdefault(ref.event, []).append(histogram)
            codes = encode_db(store[index][0][: used_bands(mode)].astype(np.float32))
            found[mode].signs.append(ChipSigns(ref.event, quarter_counts(logits, labels, codes)))
            progress("calibrate", turn * len(chips) + index + 1, len(modes) * len(chips))
    return found


def _recipe(config: TrainConfig) -> dict[str, Any]:
    """Return the recipe without the paths of this machine."""
    values = config.model_dump(mode="json")
    values["data"]["root"] = None
    for source in values["data"]["sources"]:
        source["root"] = None
    values["network"]["start"] = Path(config.network.start).name
    return values


def _card(
    config: TrainConfig,
    data: Sen1Floods11,
    checkpoint: TrainedCheckpoint,
    modes: Mapping[BandMode, ModeCalibration],
    parameters: int,
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
    limits = [
        "Flood and permanent water look alike to it: it finds open water.",
        "Wind-roughened water is missed in VV, and radar shadow, asphalt or dry sand can be taken for water.",
        "Scores are of the validation chips its threshold and temperature were fitted on.",
    ]
    if simulated and not config.data.sources:
        limits.append("It never saw a real pixel: scores on simulated chips say little about real scenes.")
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
        limits=tuple(limits),
        data=described,
    )
