"""The assets and checks of the two groups, in the order of the lineage."""

from assets.inference import inference_assets, inference_checks
from assets.training.calibration_temperature import calibration_temperature
from assets.training.candidate_model import candidate_model
from assets.training.flood_model import flood_model
from assets.training.labelled_tiles import labelled_tiles
from assets.training.slice_reports import slice_reports
from assets.training.trained_checkpoint import trained_checkpoint
from assets.training.training_checks import training_checks

__all__ = ["inference_assets", "inference_checks", "training_assets", "training_checks"]

training_assets = [
    labelled_tiles,
    trained_checkpoint,
    calibration_temperature,
    slice_reports,
    candidate_model,
    flood_model,
]
