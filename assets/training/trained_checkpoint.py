"""`trained_checkpoint`: the network trained by the recipe; opens the MLflow run that the later stages write to."""

from typing import Any

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, MetadataValue, asset

from assets.asset_facts import asset_facts
from assets.metadata import file_link, plot, table
from assets.run_context import permanent_input_errors, run_progress
from assets.training.training_state import CHECKPOINT, PLOTS, RunNote, alone_with, begin, learning, training_id
from drshym_pipeline.storage import write_bytes
from resources.links import PageLinks
from resources.registry import ModelRegistry
from resources.run_limits import TRAINING_POOL
from resources.store import ArtefactStore

CODE_VERSION = "1"


@asset(
    deps=["labelled_tiles"],
    group_name="training",
    **asset_facts("trained_checkpoint", "model"),
    pool=TRAINING_POOL,
    code_version=CODE_VERSION,
    kinds={"pytorch", "mlflow"},
    description="The U-Net trained on the labelled tiles: the weights that the recipe's validation score found best.",
)
def trained_checkpoint(
    context: AssetExecutionContext, store: ArtefactStore, registry: ModelRegistry, links: PageLinks
) -> MaterializeResult[Any]:
    """Train, or continue a training that was interrupted."""
    from drshym_pipeline.datasets.description import training_provenance
    from drshym_pipeline.evaluation.plots import training_curves
    from drshym_pipeline.training.train import train

    tags = {"dagster.run_id": context.run_id, "dagster.url": links.run(context.run_id)}
    note = RunNote(store, context)
    with permanent_input_errors():
        tiles = note.take_over("labelled_tiles")
    training = training_id(tiles, CODE_VERSION)
    with permanent_input_errors(), alone_with(training, store, note):
        state = begin(training, tiles, store, registry, tags)
        folder = state.folder(store)
        with registry.failing(state.mlflow_run):
            data = training_provenance(state.recipe.data, state.data())
            registry.tag_run(state.mlflow_run, {"data": data.title})
            registry.log_params(state.mlflow_run, {**learning(state.config), "data_sha256": state.data_sha256})
            trained = train(
                state.recipe,
                state.data(),
                folder / CHECKPOINT,
                progress=run_progress(context, store),
                on_epoch=lambda row: registry.log_curves(state.mlflow_run, [row]),
                on_examples=lambda step, maps: registry.log_pictures(
                    state.mlflow_run, maps, f"examples/step_{step:06d}"
                ),
            )
            curves = training_curves(trained.history)
            write_bytes(folder / PLOTS / "training_curves.png", curves)
    state.hand_over(note, "trained_checkpoint")
    return MaterializeResult(
        data_version=DataVersion(trained.weights_sha256),
        metadata={
            "curves": plot(curves, "training curves"),
            "validation": table(trained.history),
            "best validation IoU": round(trained.best_iou, 4),
            "best step": trained.best_step,
            "steps": trained.steps,
            "stopped early": trained.stopped_early,
            "seconds": round(trained.seconds, 1),
            "device and precision": f"{trained.device}, {trained.precision}",
            "encoder": state.recipe.network.encoder,
            "MLflow run": MetadataValue.url(state.mlflow_url),
            "checkpoint": file_link(trained.weights),
        },
    )
