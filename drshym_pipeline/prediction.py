"""How a scene is predicted by a model: decided first, then carried out.

The decision covers everything that can change the probabilities. Its key names them on disk, and is part of the version
of the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.inference import check_prediction_options, predict_scene
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, ModelReference, Precision, PrecisionOption, SceneMeta
from drshym_pipeline.scene_folder import Prediction
from drshym_pipeline.storage import sha256_json
from drshym_pipeline.tiling import TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.sar.backscatter import BackscatterReader

# Raised when the same scene and model would give other probabilities.
PREDICTION_FORMAT: Final = 1
_KEY_DIGITS: Final = 12


@dataclass(frozen=True)
class PredictionPlan:
    """How one scene is predicted.

    Args:
        grid: The tiles.
        bundle: The model.
        reference: Name, version and hash of the model.
        mode: The bands that the model reads.
        batch_size: Tiles per forward pass on a GPU; chosen for the machine when None.
        device: `cpu` or `cuda`.
        precision: Number format of the network.
    """

    grid: TileGrid
    bundle: ModelBundle
    reference: ModelReference
    mode: BandMode
    batch_size: int | None
    device: str
    precision: Precision

    @property
    def key(self) -> str:
        """12 hexadecimal digits over everything that can change the probabilities of a scene."""
        identity = {
            "format": PREDICTION_FORMAT,
            "model": self.reference.model_dump(mode="json"),
            "calibration": self.bundle.calibration[self.mode].model_dump(mode="json"),
            "mode": self.mode,
            "device": self.device,
            "precision": self.precision,
            "tile": self.grid.tile,
            "overlap": self.grid.overlap,
        }
        return sha256_json(identity)[:_KEY_DIGITS]

    def carry_out(self, reader: BackscatterReader, out: Path, progress: Progress = silent) -> Prediction:
        """Predict an open scene.

        The model's reference, calibration and area errors stay with the probabilities: the later stages need no model.

        Args:
            reader: The scene.
            out: The Zarr folder, written whole or not at all.
            progress: Called after every row of tiles.
        """
        area_errors = self.bundle.area_errors.get(self.mode, AreaErrorModel())
        summary = predict_scene(
            reader,
            self.grid,
            self.bundle,
            self.mode,
            out,
            reference=self.reference,
            batch_size=self.batch_size,
            device=self.device,
            precision=self.precision,
            attributes={"area_errors": area_errors.model_dump(mode="json")},
            progress=progress,
        )
        return Prediction(summary=summary, area_errors=area_errors)


def plan_prediction(
    meta: SceneMeta,
    grid: TileGrid,
    bundle: ModelBundle,
    reference: ModelReference,
    *,
    batch_size: int | None = None,
    device: str = "auto",
    precision: PrecisionOption = "auto",
) -> PredictionPlan:
    """Decide how a scene is predicted on this machine.

    Args:
        meta: The scene.
        grid: The tiles.
        bundle: The model.
        reference: Name, version and hash of the model.
        batch_size: Tiles per forward pass on a GPU; chosen for the machine when None.
        device: `cpu`, `cuda` or `auto`.
        precision: `fp32`, `bf16` or `auto`.

    Raises:
        InputError: An option is out of range.
    """
    from drshym_pipeline.model.compute import best_device, resolve_precision

    check_prediction_options(batch_size, precision)
    device = best_device() if device == "auto" else device
    chosen = resolve_precision(precision, device)
    return PredictionPlan(grid, bundle, reference, bundle.serving_mode(meta.mode), batch_size, device, chosen)
