"""`tiles`: the windows that cover a scene, as records; pixels are read from the staged scene."""

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, asset

from assets.metadata import file_link, picture
from assets.partitions import scenes
from assets.pictures import valid_share
from assets.running import permanent_input_errors, run_progress
from drshym_pipeline.mapping import write_tiles
from drshym_pipeline.storage import sha256_file
from resources.engine import InferenceEngine
from resources.store import ArtefactStore


@asset(
    partitions_def=scenes,
    deps=["raw_scenes"],
    group_name="inference",
    code_version="1",
    kinds={"parquet"},
    description="The overlapping windows that cover every pixel of the scene, one DrShymRecord each.",
)
def tiles(context: AssetExecutionContext, store: ArtefactStore, engine: InferenceEngine) -> MaterializeResult:
    """Write `tiles.jsonl` and the same as a Parquet table."""
    folder = store.staged(context.partition_key)
    with permanent_input_errors():
        summary = write_tiles(folder, tile=engine.tile, overlap=engine.overlap, progress=run_progress(context, store))
    return MaterializeResult(
        data_version=DataVersion(sha256_file(folder.tiles_jsonl)),
        metadata={
            "observed share by tile": picture(valid_share(folder), f"tiles of {context.partition_key}"),
            "tiles": summary.count,
            "rows and columns": f"{summary.rows} x {summary.cols}",
            "tiles with an observed pixel": summary.valid_tiles,
            "mean observed share": round(summary.mean_valid_fraction, 4),
            "tile and overlap": f"{summary.tile} and {summary.overlap} pixels",
            "records": file_link(folder.tiles_jsonl),
            "table": file_link(folder.tiles_parquet),
        },
    )
