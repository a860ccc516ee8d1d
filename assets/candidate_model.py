"""`candidate_model`: the sealed bundle registered in MLflow, with its signature, scores, card, plots and verdict."""

from dagster import AssetExecutionContext, DataVersion, Failure, MaterializeResult, MetadataValue, asset

from assets.evaluating import Judgement
from assets.metadata import table
from assets.promotion import BROKEN
from assets.running import permanent_input_errors
from assets.serving import introduce_shipped
from assets.training_state import BUNDLE_FOLDER, PLOTS, TrainingState
from drshym_pipeline import __version__
from resources.registry import CANDIDATE, CARDS_FOLDER, ModelRegistry
from resources.run_limits import TRAINING_POOL
from resources.store import ArtefactStore

# MLflow lists the package as a requirement but cannot say where it is to be had.
LOADING = (
    f"Loading this version through MLflow takes drshym-pipeline {__version__}, installed from its checkout: it is in "
    "no package index, so `mlflow models serve` needs `--env-manager local`."
)


@asset(
    deps=["slice_reports"],
    group_name="training",
    pool=TRAINING_POOL,
    code_version="1",
    kinds={"mlflow"},
    description="The bundle as a registered MLflow version with the alias candidate, waiting for its review.",
)
def candidate_model(context: AssetExecutionContext, store: ArtefactStore, registry: ModelRegistry) -> MaterializeResult:
    """Register the bundle. A broken one is refused here too: a blocking check stops its own run only."""
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.model.model_card import DATASET_CARD_FILE, MODEL_CARD_FILE, summary

    with permanent_input_errors():
        state = TrainingState.load(store)
    folder = store.training(state.id)
    bundle_folder = folder / BUNDLE_FOLDER
    with permanent_input_errors(), registry.failing(state.mlflow_run):
        bundle = ModelBundle.load(bundle_folder)
        judgement = Judgement.load(folder)
        if judgement.verdict == BROKEN or judgement.sha256 != bundle.sha256:
            reason = judgement.reason if judgement.verdict == BROKEN else "The verdict is about another bundle."
            raise Failure(f"The candidate is not registered: {reason}", allow_retries=False)
        # First, so that the candidate stands beside what it has to replace.
        introduce_shipped(store, registry)
        registry.log_files(state.mlflow_run, [bundle_folder / "thresholds.json", folder / "verdict.json"], "reports")
        registry.log_files(state.mlflow_run, sorted((folder / PLOTS).glob("*.png")), "plots")
        registry.log_files(
            state.mlflow_run, [bundle_folder / MODEL_CARD_FILE, bundle_folder / DATASET_CARD_FILE], CARDS_FOLDER
        )
        for card in sorted(folder.glob("*/evaluation.md")):
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
        registry.end_run(state.mlflow_run)
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
