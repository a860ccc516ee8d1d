"""How a scene is predicted by a model: decided first, then carried out.

The decision covers everything that can change the probabilities. Its key names them on disk, and is part of the version
of the map.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from drshym_pipeline.assessment.area import AreaErrorModel
from drshym_pipeline.errors import InputError
from drshym_pipeline.inference import check_prediction_options, predict_scene
from drshym_pipeline.model.resampling import NETWORK_M, Resampling, axis_scale, resampling_between
from drshym_pipeline.progress import Progress, silent
from drshym_pipeline.records import BandMode, ModelReference, PixelSpacing, Precision, PrecisionOption, SceneMeta
from drshym_pipeline.scene_folder import Prediction
from drshym_pipeline.storage import plain_name, sha256_json
from drshym_pipeline.tiling import TileGrid

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle
    from drshym_pipeline.sar.backscatter import BackscatterReader

# Raised when the same scene and model would give other probabilities.
PREDICTION_FORMAT: Final = 1
_KEY_DIGITS: Final = 12
_COARSEST_M: Final = 60.0
_TOLERANCE: Final = 1.01  # a metre on a map is not exactly one on the ground


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
        pixels: The size of the pixels, if they are resampled for the network; None for pixels of about 10 m.
    """

    grid: TileGrid
    bundle: ModelBundle
    reference: ModelReference
    mode: BandMode
    batch_size: int | None
    device: str
    precision: Precision
    pixels: PixelSpacing | None = None

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
        if self.pixels is not None:
            resampling = resampling_between(self.pixels)
            identity["resampling"] = {"split": resampling.split, "merge": resampling.merge}
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
            pixels=self.pixels,
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
    any_spacing: bool = False,
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
        any_spacing: Map pixels of more than 60 m too.

    Raises:
        InputError: An option is out of range, or the pixels are larger than 60 m.
    """
    from drshym_pipeline.model.compute import best_device, resolve_precision

    check_prediction_options(batch_size, precision)
    device = best_device() if device == "auto" else device
    chosen = resolve_precision(precision, device)
    pixels = resampled_pixels(meta, any_spacing=any_spacing)
    return PredictionPlan(grid, bundle, reference, bundle.serving_mode(meta.mode), batch_size, device, chosen, pixels)


def resampled_pixels(meta: SceneMeta, *, any_spacing: bool = False) -> PixelSpacing | None:
    """Decide from the size of a scene's pixels on which pixels the network computes.

    Both axes are judged alone. Square pixels in degrees count with their height in both: the labelled chips of this
    kind, which the network is measured on, are narrower than 10 m too.

    Args:
        meta: The scene.
        any_spacing: Map pixels of more than 60 m too.

    Returns:
        The sides of the scene's and the network's pixels; None when the scene's own pixels go to the network.

    Raises:
        InputError: The pixels are larger than 60 m.
    """
    from drshym_pipeline.sar.georeference import is_square_in_degrees, pixel_size_m

    along, down = (round(side, 2) for side in pixel_size_m(meta.crs, meta.affine, meta.height, meta.width))
    if max(along, down) > _COARSEST_M * _TOLERANCE and not any_spacing:
        raise InputError(
            plain_name(meta.source_uris[0]),
            f"its pixels are {along:.0f} x {down:.0f} m; the network is for pixels of "
            f"{NETWORK_M:g} m, and its maps of pixels above {_COARSEST_M:g} m were never measured",
            "Use a product with smaller pixels; to map this one all the same, give --any-spacing, or write "
            '{"any_spacing": true} into its side-car',
        )
    counted = (down, down) if is_square_in_degrees(meta.crs, meta.affine) else (along, down)
    changed = Resampling(along=axis_scale(counted[0]), down=axis_scale(counted[1]))
    if not changed.is_needed:
        return None
    return PixelSpacing(scene_m=(along, down), network_m=changed.network_m(along, down))
