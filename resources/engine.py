"""The model in service, loaded once a process, and how scenes are cut and predicted.

Which model is in service is decided by the `flood_model` asset and recorded in the store; this only reads the record.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dagster import ConfigurableResource
from pydantic import Field

from drshym_pipeline.records import ModelReference

if TYPE_CHECKING:
    from drshym_pipeline.model.bundle import ModelBundle

# One process maps many scenes when it serves a backfill; the weights are the same as long as their hash is.
_LOADED: dict[str, "tuple[ModelBundle, ModelReference]"] = {}


class InferenceEngine(ConfigurableResource[Any]):
    """Hands out the model in service and the options of inference."""

    store: str = Field(description="The artefact store that holds the record of the model in service.")
    tile: int = Field(default=512, description="Tile side in pixels.")
    overlap: int = Field(default=64, description="Overlap of neighbouring tiles in pixels.")
    batch_size: int | None = Field(default=None, description="Tiles a forward pass on a GPU; None: for the machine.")
    device: str = Field(default="auto", description="auto, cpu or cuda.")
    precision: Literal["auto", "fp32", "bf16"] = Field(default="auto", description="Numbers the network computes in.")

    def load(self) -> "tuple[ModelBundle, ModelReference]":
        """The model in service and its reference; the shipped one until another has been promoted."""
        from drshym_pipeline.model.bundle import shipped_path
        from drshym_pipeline.model.service_record import in_service_record, model_in_service

        record = in_service_record(Path(self.store))
        key = record.reference.sha256 if record else str(shipped_path())
        if key not in _LOADED:
            loaded = model_in_service(Path(self.store))
            _LOADED.clear()  # two models at a time would double the memory for nothing
            _LOADED[key] = loaded
        return _LOADED[key]
