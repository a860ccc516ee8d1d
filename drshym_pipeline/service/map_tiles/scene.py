"""What the map tiles need of a served scene."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from drshym_pipeline.records import MapRecord
from drshym_pipeline.scene_folder import ProductKind


class TileScene(Protocol):
    """A finished map. Only its own files are opened: those of `file`, and its two rasters of backscatter."""

    @property
    def id(self) -> str:
        """The name of the scene in addresses."""
        ...

    @property
    def folder(self) -> Path:
        """The folder of the products; a map that is made again has another one."""
        ...

    @property
    def record(self) -> MapRecord:
        """The record of the map."""
        ...

    @property
    def backscatter(self) -> Path | None:
        """Its backscatter: a product on the grid of the map, or the stored `backscatter.tif` of a store."""
        ...

    @property
    def backscatter_before(self) -> Path | None:
        """The backscatter of the scene from before, in one of the same two forms."""
        ...

    def file(self, kind: ProductKind) -> Path | None:
        """Return the path of a product; None if the map has none."""
        ...
