"""The assets of the two groups, in the order of the lineage."""

from assets.calibration_temperature import calibration_temperature
from assets.candidate_model import candidate_model
from assets.flood_model import flood_model
from assets.labelled_tiles import labelled_tiles
from assets.raw_scenes import raw_scenes
from assets.scene_reports import scene_reports
from assets.slice_reports import slice_reports
from assets.stitched_scenes import stitched_scenes
from assets.tile_probabilities import tile_probabilities
from assets.tiles import tiles
from assets.trained_checkpoint import trained_checkpoint

training_assets = [
    labelled_tiles,
    trained_checkpoint,
    calibration_temperature,
    slice_reports,
    candidate_model,
    flood_model,
]
inference_assets = [raw_scenes, tiles, tile_probabilities, stitched_scenes, scene_reports]
