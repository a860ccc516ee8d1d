"""The model in service, loaded once per process, and the options of tiling and prediction.

The asset `flood_model` decides which model is in service and records it in the store; this module only reads the
record.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import ConfigurableResource
from pydantic import Field

from drshym_pipeline.records import (
    HIGH_ABOVE_DRAINAGE_M,
    STEEP_SLOPE_DEG,
    ModelReference,
    PrecisionOption,
    TerrainLimits,
)
from drshym_pipeline.settings import ReferenceOption, ReferenceOptions

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

# In a backfill one process maps many scenes. The loaded model is kept as long as the hash in the record is the same.
_LOADED: dict[str, "tuple[ModelBundle, ModelReference]"] = {}


class InferenceEngine(ConfigurableResource[Any]):
    """Provides the model in service and the options of inference."""

    store: str = Field(description="The artefact store with the record of the model in service.")
    tile: int = Field(default=512, description="Tile side in pixels.")
    overlap: int = Field(default=64, description="Overlap of neighbouring tiles in pixels.")
    batch_size: int | None = Field(
        default=None, description="Tiles per forward pass on a GPU; None: chosen for the machine."
    )
    device: str = Field(default="auto", description="auto, cpu or cuda.")
    precision: PrecisionOption = Field(default="auto", description="Number format of the network.")
    min_area_ha: float = Field(default=0.0, description="Smallest water area of a map, in hectares; 0 keeps all areas.")

    reference: ReferenceOption = Field(
        default="auto", description="What a map is compared with: auto, side-car or none."
    )

    ancillary: str | None = Field(default=None, description="The folder or address of long-term layers and elevation.")
    slope_deg: float = Field(default=STEEP_SLOPE_DEG, description="Slope from which ground is excluded, in degrees.")
    hand_m: float = Field(
        default=HIGH_ABOVE_DRAINAGE_M, description="Height above drainage from which ground is excluded, in metres."
    )

    @property
    def references(self) -> ReferenceOptions:
        """What maps are compared with."""
        limits = TerrainLimits(slope_deg=self.slope_deg, hand_m=self.hand_m)
        return ReferenceOptions(self.reference, self.ancillary, limits)

    def load(self) -> "tuple[ModelBundle, ModelReference]":
        """Return the model in service and its reference; the shipped model until another one has been promoted."""
        from drshym_pipeline.model.bundle import shipped_path
        from drshym_pipeline.model.service_record import in_service_record, model_in_service

        record = in_service_record(Path(self.store))
        key = record.reference.sha256 if record else str(shipped_path())
        if key not in _LOADED:
            loaded = model_in_service(Path(self.store))
            _LOADED.clear()  # two models in memory would need twice the memory
            _LOADED[key] = loaded
        return _LOADED[key]
