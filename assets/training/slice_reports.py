"""`slice_reports`: how good the sealed model is, where it errs, and whether it is better than the model in service.

The model in service is read through the engine, not as an asset dependency: that would make the graph a cycle.
"""

from dataclasses import replace
from typing import Any

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, MetadataValue, asset

from assets.asset_facts import asset_facts
from assets.metadata import file_link, plot, table
from assets.run_context import permanent_input_errors, run_progress
from assets.training.judgement import evaluation_plots, judge
from assets.training.training_state import BUNDLE_FOLDER, PLOTS, RunNote, TrainingState, alone_with
from drshym_pipeline.storage import sha256_file
from resources.engine import InferenceEngine
from resources.registry import ModelRegistry
from resources.run_limits import TRAINING_POOL
from resources.store import ArtefactStore


@asset(
    deps=["calibration_temperature", "labelled_tiles"],
    group_name="training",
    **asset_facts("slice_reports", "model"),
    pool=TRAINING_POOL,
    code_version="3",
    kinds={"pandas", "mlflow"},
    description="Scores and errors by slice on held-out chips, against baselines and the model in service; a verdict.",
)
def slice_reports(
    context: AssetExecutionContext, store: ArtefactStore, registry: ModelRegistry, engine: InferenceEngine
) -> MaterializeResult[Any]:
    """Evaluate the sealed bundle. The candidate is registered with its verdict, whether that is good or bad."""
    from drshym_pipeline.evaluation.card import markdown
    from drshym_pipeline.model.bundle import ModelBundle

    note = RunNote(store, context)
    with permanent_input_errors():
        state = replace(TrainingState.take_over(note, "calibration_temperature"), judgement=note.root)
    folder = state.judged_in(store)
    with permanent_input_errors(), alone_with(state.id, store, note), registry.failing(state.mlflow_run):
        candidate = ModelBundle.load(state.folder(store) / BUNDLE_FOLDER)
        served, _ = engine.load()
        progress = run_progress(context, store)
        judgement, evaluations = judge(candidate, served, state.data(), state.recipe, folder, progress=progress)
        judgement.save(folder)
        registry.log_metrics(state.mlflow_run, judgement.metrics)
        registry.tag_run(state.mlflow_run, {"verdict": judgement.verdict})
        plots = evaluation_plots(evaluations, folder / PLOTS)
    state.hand_over(note, "slice_reports")
    cards = {f"{split} card": MetadataValue.md(markdown(found)) for split, found in evaluations.items()}
    return MaterializeResult(
        data_version=DataVersion(sha256_file(folder / "verdict.json")),
        metadata={
            **{name: plot(png, name) for name, png in plots.items()},
            "verdict": judgement.verdict,
            "reason": judgement.reason,
            "comparisons": table(judgement.comparisons),
            "slices": table(evaluations["test"].slices),
            **judgement.metrics,
            **cards,
            "MLflow run": MetadataValue.url(state.mlflow_url),
            "files": file_link(folder),
        },
    )
