"""The record beside the chips of a scene: what a tile alone does not say."""

from __future__ import annotations

from pydantic import Field

from drshym_pipeline.records.base import PlainName, Record, Sha256
from drshym_pipeline.records.scenes import SceneMeta
from drshym_pipeline.records.tiles import ListedTile


class TileLayout(Record):
    """The tiles of a scene: their side and overlap in pixels, and their number."""

    tile: int = Field(ge=1)
    overlap: int = Field(ge=0)
    count: int = Field(ge=1)


class TiledScene(SceneMeta):
    """A scene that was cut into chips: its record, the grid of its tiles, and the list of its chips.

    `any_spacing` says that the side-car of the scene allows pixels larger than 60 m. `chips` has every tile of the grid
    in its order. `content_sha256` is that of the other fields, as JSON with sorted keys and without spaces.
    """

    scene_id: PlainName
    grid: TileLayout
    any_spacing: bool = False
    chips: tuple[ListedTile, ...]
    content_sha256: Sha256 = ""  # until it is computed; a file without it is refused

    def scene(self) -> SceneMeta:
        """Return the record of the scene alone."""
        return SceneMeta.model_validate(self.model_dump(include=set(SceneMeta.model_fields)))
