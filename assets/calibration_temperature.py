"""`calibration_temperature`: network, temperature, threshold and area errors sealed as one bundle with one hash."""

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, MetadataValue, asset

from assets.metadata import file_link
from assets.running import permanent_input_errors, run_progress
from assets.training_state import TrainingState
from drshym_pipeline.storage import write_json
from resources.registry import ModelRegistry
from resources.store import ArtefactStore

CALIBRATION_FILE = "calibration.json"


@asset(
    deps=["trained_checkpoint", "labelled_tiles"],
    group_name="training",
    code_version="1",
    kinds={"pytorch", "mlflow"},
    description="Temperature, threshold and area errors fitted on validation chips; seals the model bundle.",
)
def calibration_temperature(
    context: AssetExecutionContext, store: ArtefactStore, registry: ModelRegistry
) -> MaterializeResult:
    """Fit on the validation chips and seal the bundle."""
    from drshym_pipeline.model.checkpoint import TrainedCheckpoint
    from drshym_pipeline.model.sealing import seal

    with permanent_input_errors():
        state = TrainingState.load(store)
        folder = store.training(state.id)
        checkpoint = TrainedCheckpoint.load(folder / "checkpoint")
        progress = run_progress(context, store)
        sealed = seal(state.recipe, state.data(), checkpoint, folder / "bundle", progress=progress)
    write_json(folder / CALIBRATION_FILE, sealed.calibration)
    registry.tag_run(state.mlflow_run, {"bundle.sha256": sealed.bundle.sha256})
    return MaterializeResult(
        data_version=DataVersion(sealed.bundle.sha256),
        metadata={
            "MLflow run": MetadataValue.url(state.mlflow_url),
            "bundle": file_link(folder / "bundle"),
        },
    )
