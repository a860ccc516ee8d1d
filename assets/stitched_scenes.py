"""`stitched_scenes`: one seamless map of the scene: mask, probability, polygons, overlay, caption."""

from dagster import AssetExecutionContext, DataVersion, MaterializeResult, asset

from assets.metadata import file_link, picture_file, table
from assets.partitions import scenes
from assets.running import permanent_input_errors, run_progress
from drshym_pipeline.mapping import stitch
from drshym_pipeline.storage import sha256_files
from resources.store import ArtefactStore


@asset(
    partitions_def=scenes,
    deps=["tile_probabilities", "flood_model"],
    group_name="inference",
    code_version="1",
    kinds={"geotiff", "geojson"},
    description="Flood mask and probability as COGs on the scene's own grid, polygons in WGS84, overlay and caption.",
)
def stitched_scenes(context: AssetExecutionContext, store: ArtefactStore) -> MaterializeResult:
    """Blend the tiles and write the products. Which model made them is read from the probabilities themselves."""
    folder = store.staged(context.partition_key)
    with permanent_input_errors():
        summary = stitch(folder, progress=run_progress(context, store))
    products = [folder.product("mask"), folder.product("proba")]
    return MaterializeResult(
        data_version=DataVersion(sha256_files(products, folder.directory)),
        metadata={
            "overlay": picture_file(folder.product("overlay"), f"flood map of {context.partition_key}"),
            "flooded area": summary.flooded.text() if summary.flooded else "nothing observed",
            "caption": summary.caption,
            "observed area (counted), km2": round(summary.observed_km2, 4),
            "observed": round(summary.observed_fraction, 4),
            "pixels": table([summary.pixels]),
            "by VV backscatter": table([row.model_dump() for row in summary.slices]),
            "polygons": summary.polygons,
            "threshold": summary.calibration.threshold,
            "model": f"{summary.reference.name} {summary.reference.version} ({summary.reference.source})",
            "warnings": "; ".join(summary.warnings) or "none",
            "products": file_link(folder.products),
        },
    )
