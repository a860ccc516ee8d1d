"""The record beside the chips of a scene: what a tile alone does not say."""

from __future__ import annotations

from pydantic import Field

from drshym_pipeline.records.base import Record
from drshym_pipeline.records.scenes import SceneMeta


class TileLayout(Record):
    """The tiles of a scene: their side and overlap in pixels, and their number."""

    tile: int = Field(ge=1)
    overlap: int = Field(ge=0)
    count: int = Field(ge=1)


class TiledScene(SceneMeta):
    """A scene that was cut into chips: its record and the grid of its tiles.

    `any_spacing` says that the side-car of the scene allows pixels larger than 60 m.
    """

    grid: TileLayout
    any_spacing: bool = False

    def scene(self) -> SceneMeta:
        """Return the record of the scene alone."""
        return SceneMeta.model_validate(self.model_dump(exclude={"grid", "any_spacing"}))
