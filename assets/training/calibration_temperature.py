"""`calibration_temperature`: network, temperature, threshold and area errors sealed as one bundle with one hash."""

from typing import Any

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, MetadataValue, asset

from assets.asset_facts import asset_facts
from assets.metadata import file_link, plot, table
from assets.run_context import permanent_input_errors, run_progress
from assets.training.sealed_bundle import (
    calibration_metrics,
    calibration_rows,
    reliability_diagrams,
    score_rows,
    sealed,
)
from assets.training.training_state import BUNDLE_FOLDER, PLOTS, RunNote, TrainingState, alone_with
from resources.registry import ModelRegistry
from resources.run_limits import TRAINING_POOL
from resources.store import ArtefactStore

CODE_VERSION = "4"


@asset(
    deps=["trained_checkpoint", "labelled_tiles"],
    group_name="training",
    **asset_facts("calibration_temperature", "model"),
    pool=TRAINING_POOL,
    code_version=CODE_VERSION,
    kinds={"pytorch", "mlflow"},
    description="Temperature, threshold and area errors fitted on validation chips; seals the model bundle.",
)
def calibration_temperature(
    context: AssetExecutionContext, store: ArtefactStore, registry: ModelRegistry
) -> MaterializeResult[Any]:
    """Fit on the validation chips and seal the bundle."""
    note = RunNote(store, context)
    with permanent_input_errors():
        state = TrainingState.take_over(note, "trained_checkpoint")
    folder = state.folder(store)
    with permanent_input_errors(), alone_with(state.id, store, note), registry.failing(state.mlflow_run):
        bundle, fitted = sealed(state, folder, CODE_VERSION, run_progress(context, store))
        diagrams = reliability_diagrams(fitted, folder / PLOTS)
        registry.log_metrics(state.mlflow_run, calibration_metrics(fitted))
        registry.tag_run(state.mlflow_run, {"bundle.sha256": bundle.sha256})
    state.hand_over(note, "calibration_temperature")
    return MaterializeResult(
        data_version=DataVersion(bundle.sha256),
        metadata={
            **{f"reliability, {mode}": plot(png, f"reliability of {mode}") for mode, png in diagrams.items()},
            "fitted": table(calibration_rows(fitted)),
            "validation scores": table(score_rows({mode: item.scores for mode, item in fitted.items()})),
            "sha256": bundle.sha256,
            "MLflow run": MetadataValue.url(state.mlflow_url),
            "bundle": file_link(folder / BUNDLE_FOLDER),
        },
    )
