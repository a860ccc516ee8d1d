"""`candidate_model`: the sealed bundle registered in MLflow, with its signature, scores, card, plots and verdict."""

from dataclasses import replace
from typing import Any

from dagster import AssetExecutionContext, DataVersion, Failure, MaterializeResult, MetadataValue, asset

from assets.asset_facts import asset_facts
from assets.metadata import table
from assets.run_context import permanent_input_errors
from assets.training.judgement import VERDICT_FILE, Judgement
from assets.training.model_in_service import introduce_shipped
from assets.training.promotion import BROKEN
from assets.training.training_state import BUNDLE_FOLDER, PLOTS, RunNote, TrainingState, alone_with
from drshym_pipeline.version import __version__
from resources.registry import CANDIDATE, CARDS_FOLDER, ModelRegistry
from resources.run_limits import TRAINING_POOL
from resources.store import ArtefactStore

# MLflow lists the package as a requirement but cannot say where to get it.
LOADING = (
    f"Loading this version through MLflow takes drshym-pipeline {__version__}, installed from its checkout: it is in "
    "no package index, so `mlflow models serve` needs `--env-manager local`."
)


def refuse_unusable(judgement: Judgement, sha256: str) -> None:
    """Refuse to register a bundle that cannot be served.

    Args:
        judgement: The verdict about the bundle.
        sha256: The content hash of the bundle.

    Raises:
        Failure: It is not finite, or it is not the one that was judged.
    """
    if judgement.sha256 != sha256:
        reason = f"the verdict is about model {judgement.sha256[:12]}, the bundle is {sha256[:12]}. "
        raise Failure(f"The candidate is not registered: {reason}Materialise slice_reports again.", allow_retries=False)
    if not judgement.finite:
        reason = f"{judgement.reason} Lower training.learning_rate and train again."
        raise Failure(f"The candidate is not registered: {reason}", allow_retries=False)


@asset(
    deps=["slice_reports"],
    group_name="training",
    **asset_facts("candidate_model", "model"),
    pool=TRAINING_POOL,
    code_version="1",
    kinds={"mlflow"},
    description="The bundle as a registered MLflow version with the alias candidate, waiting for its review.",
)
def candidate_model(
    context: AssetExecutionContext, store: ArtefactStore, registry: ModelRegistry
) -> MaterializeResult[Any]:
    """Register the bundle with its verdict. A broken one too: the check that follows says why it is not served."""
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.model_card import DATASET_CARD_FILE, MODEL_CARD_FILE, summary

    note = RunNote(store, context)
    with permanent_input_errors():
        state = TrainingState.take_over(note, "slice_reports")
    folder, judged = state.folder(store), state.judged_in(store)
    bundle_folder = folder / BUNDLE_FOLDER
    with permanent_input_errors(), alone_with(state.id, store, note), registry.failing(state.mlflow_run):
        bundle = ModelBundle.load(bundle_folder)
        judgement = Judgement.load(judged)
        refuse_unusable(judgement, bundle.sha256)
        # The candidate has to replace the shipped checkpoint. This comes first, so that both are in the registry.
        if entered := introduce_shipped(store, registry):
            context.log.info(entered)
        registry.log_files(state.mlflow_run, [bundle_folder / "thresholds.json", judged / VERDICT_FILE], "reports")
        plots = {png.name: png for place in (folder, judged) for png in sorted((place / PLOTS).glob("*.png"))}
        registry.log_files(state.mlflow_run, list(plots.values()), "plots")
        registry.log_files(
            state.mlflow_run, [bundle_folder / MODEL_CARD_FILE, bundle_folder / DATASET_CARD_FILE], CARDS_FOLDER
        )
        for card in sorted(judged.glob("*/evaluation.md")):
            registry.log_files(state.mlflow_run, sorted(card.parent.glob("*.*")), f"reports/{card.parent.name}")
        verdict = f"Verdict: {judgement.verdict}. {judgement.reason}"
        text = "\n\n".join([summary(bundle.card), verdict, LOADING])
        tags = {
            "dagster.run_id": context.run_id,
            "name": bundle.name,
            "bundle_version": bundle.version,
            "source": "training",
        }
        version = registry.register(
            state.mlflow_run, bundle_folder, sha256=bundle.sha256, verdict=judgement.verdict, card=text, tags=tags
        )
        registry.set_alias(CANDIDATE, version.version)
        registry.end_run(state.mlflow_run, failed=judgement.verdict == BROKEN)
    replace(state, version=version.version).hand_over(note, "candidate_model")
    return MaterializeResult(
        data_version=DataVersion(bundle.sha256),
        metadata={
            "version": version.version,
            "sha256": bundle.sha256,
            "verdict": judgement.verdict,
            "reason": judgement.reason,
            "scores": table([{"figure": name, "value": value} for name, value in judgement.metrics.items()]),
            "MLflow version": MetadataValue.url(registry.version_url(version.version)),
            "MLflow run": MetadataValue.url(state.mlflow_url),
        },
    )
