"""`tile_probabilities`: calibrated probabilities of every tile, by the model in service."""

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, asset

from assets.metadata import file_link, picture, table
from assets.partitions import scenes
from assets.pictures import probability_overview
from assets.running import permanent_input_errors, run_progress
from drshym_pipeline.mapping import predict
from drshym_pipeline.storage import sha256_files
from resources.engine import InferenceEngine
from resources.store import ArtefactStore


@asset(
    partitions_def=scenes,
    deps=["tiles", "flood_model"],
    group_name="inference",
    code_version="1",
    kinds={"zarr", "pytorch"},
    description="Calibrated probability of water of every tile, one Zarr array a scene; deleted after some weeks.",
)
def tile_probabilities(
    context: AssetExecutionContext, store: ArtefactStore, engine: InferenceEngine
) -> MaterializeResult:
    """Predict all tiles with the model in service, unless that was done already."""
    folder = store.staged(context.partition_key)
    with permanent_input_errors():
        bundle, reference = engine.load()
        summary = predict(
            folder,
            bundle,
            reference,
            batch_size=engine.batch_size,
            device=engine.device,
            precision=engine.precision,
            progress=run_progress(context, store),
        )
    means, histogram = probability_overview(folder)
    files = [path for path in folder.probabilities.rglob("*") if path.is_file()]
    return MaterializeResult(
        data_version=DataVersion(sha256_files(files, folder.probabilities)),
        metadata={
            "mean probability by tile": picture(means, f"probabilities of {context.partition_key}"),
            "distribution": table(histogram),
            "tiles predicted": summary.predicted,
            "tiles skipped, nothing observed": summary.skipped,
            "mean probability": summary.mean if summary.mean is not None else "nothing observed",
            "model": f"{reference.name} {reference.version} ({reference.source})",
            "model sha256": reference.sha256,
            "calibration": summary.calibration.text(),
            "bands": summary.mode,
            "device and precision": f"{summary.device}, {summary.precision}",
            "taken from an earlier run": summary.reused,
            "array": file_link(folder.probabilities),
        },
    )
