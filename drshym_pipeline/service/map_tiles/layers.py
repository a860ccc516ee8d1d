"""The layers that a served scene has: their files, colours and legends.

The colours of the states are those of the products (`states`, `products.style`). Dry land is transparent, so that the
backscatter below it is visible; not observed is grey in the mask, because it would look like dry land without a colour.
The other layers have no colour there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import quote

from drshym_pipeline.probabilities import PROBABILITY_SCALE
from drshym_pipeline.products.backscatter_rasters import STEPS_PER_DB
from drshym_pipeline.products.style import mask_colours
from drshym_pipeline.records import MapGrid, MapRecord
from drshym_pipeline.sar.codes import BACKSCATTER_FILE, CODES_PER_DB, LOWEST_DB
from drshym_pipeline.scene_folder import SceneFolder
from drshym_pipeline.service.map_tiles.errors import UnknownLayerError
from drshym_pipeline.service.map_tiles.scene import TileScene
from drshym_pipeline.service.map_tiles.state_texts import legend_states, state_texts
from drshym_pipeline.service.map_tiles.web_map import web_map
from drshym_pipeline.service.schemas import LayerAnswer, LegendEntry
from drshym_pipeline.states import (
    DRY,
    EXCLUDED_COLOUR,
    EXCLUDED_GROUND,
    EXCLUSION_UNKNOWN,
    FLOODED,
    NO_EXCLUSION,
    PERMANENT,
    WATER_COLOURS,
)

LayerName = Literal["backscatter", "backscatter_before", "mask", "proba", "reference", "flood_proba", "exclusion"]
LAYER_NAMES: Final[tuple[LayerName, ...]] = get_args(LayerName)
DARKEST_DB, BRIGHTEST_DB = -25.0, 0.0
_TITLES: Final[dict[LayerName, str]] = {
    "backscatter": "VV backscatter",
    "backscatter_before": "VV backscatter before",
    "mask": "Map",
    "proba": "Probability of water",
    "reference": "Probability of water before",
    "flood_proba": "Probability of flood",
    "exclusion": "Excluded ground",
}
_CERTAIN_COLOURS: Final[dict[LayerName, tuple[int, int, int]]] = {
    "proba": WATER_COLOURS[FLOODED],
    "reference": WATER_COLOURS[PERMANENT],
    "flood_proba": WATER_COLOURS[FLOODED],
}
_STEPS: Final = 256
_TRANSPARENT: Final = (0, 0, 0, 0)
_EXCLUDED: Final = (*EXCLUDED_COLOUR, 200)
_UNKNOWN: Final = (110, 110, 110, 110)

Colour = tuple[int, int, int, int]


@dataclass(frozen=True)
class RasterFile:
    """A raster of a scene.

    Args:
        path: The file.
        grid: Its grid, if the file itself has none: the stored backscatter of a scene.
    """

    path: Path
    grid: MapGrid | None = None


@dataclass(frozen=True)
class Style:
    """How values become colours.

    Args:
        low: The value, as it is stored, of the first colour.
        high: The value of the last colour.
        colours: 256 colours as red, green, blue and opacity. Values between `low` and `high` have one of them.
        smooth: Whether values are interpolated between pixels. If so, the nodata value has no colour; if not, it has
            one of `colours`.
    """

    low: float
    high: float
    colours: tuple[Colour, ...]
    smooth: bool


@dataclass(frozen=True)
class Layer:
    """A layer of a scene: its file and its colours."""

    name: LayerName
    raster: RasterFile
    style: Style
    legend: tuple[LegendEntry, ...]

    @property
    def title(self) -> str:
        """The name of the layer in words."""
        return _TITLES[self.name]


def find_layer(scene: TileScene, name: str) -> Layer:
    """Return a layer of a scene.

    Raises:
        UnknownLayerError: The scene has no layer of this name.
    """
    found = {layer.name: layer for layer in _layers(scene, [known for known in LAYER_NAMES if known == name])}
    for known, layer in found.items():
        if known == name:
            return layer
    names = ", ".join(layer.name for layer in _layers(scene, LAYER_NAMES))
    raise UnknownLayerError(
        f"layer {name[:40]!r}", f"the scene {scene.id} has none of this name", f"Choose one of {names}"
    )


def layer_answers(scene: TileScene) -> list[LayerAnswer]:
    """Return the layers of a scene for the page, the lowest first."""
    base, shown = f"/v1/scenes/{quote(scene.id, safe='')}", web_map(scene.record)
    return [
        LayerAnswer(
            name=layer.name,
            title=layer.title,
            tilejson=f"{base}/tiles/{layer.name}.json" if shown else None,
            image=f"{base}/images/{layer.name}.png",
            legend=layer.legend,
        )
        for layer in _layers(scene, LAYER_NAMES)
    ]


def raster_of(scene: TileScene, name: LayerName) -> RasterFile | None:
    """Return the raster of a layer; None if the scene has none.

    The stored backscatter of an image with control points is not on a grid, so there is no layer of it.
    """
    if name == "backscatter":
        path = scene.backscatter
    elif name == "backscatter_before":
        path = scene.backscatter_before
    else:
        path = scene.file(name)
    if path is None or not path.is_file():
        return None
    if path.name != BACKSCATTER_FILE:
        return RasterFile(path)
    grid = _stored_grid(path)
    return None if grid is None else RasterFile(path, grid)


@lru_cache(maxsize=256)
def _stored_grid(path: Path) -> MapGrid | None:
    """Return the grid of a stored backscatter; None for an image with control points."""
    meta = SceneFolder(path.parent).meta()
    return meta.map_grid if meta.product_grid is None else None


def _layers(scene: TileScene, names: tuple[LayerName, ...] | list[LayerName]) -> Iterator[Layer]:
    for name in names:
        raster = raster_of(scene, name)
        if raster is not None:
            yield Layer(name, raster, _style(scene.record, name, raster), _legend(scene.record, name))


def _style(record: MapRecord, name: LayerName, raster: RasterFile) -> Style:
    if name == "mask":
        known = mask_colours(terrain=record.exclusion is not None)
        return Style(0.0, 255.0, tuple(known.get(value, _TRANSPARENT) for value in range(_STEPS)), smooth=False)
    if name == "exclusion":
        colours = [_EXCLUDED] * _STEPS
        colours[NO_EXCLUSION], colours[EXCLUSION_UNKNOWN] = _TRANSPARENT, _UNKNOWN
        return Style(0.0, 255.0, tuple(colours), smooth=False)
    if name in _CERTAIN_COLOURS:
        return Style(0.0, 1.0 / PROBABILITY_SCALE, _ramp(name), smooth=True)
    grey = tuple((value, value, value, 255) for value in range(_STEPS))
    if raster.grid is None:
        return Style(DARKEST_DB * STEPS_PER_DB, BRIGHTEST_DB * STEPS_PER_DB, grey, smooth=True)
    low, high = (1.0 + (db - LOWEST_DB) * CODES_PER_DB for db in (DARKEST_DB, BRIGHTEST_DB))
    return Style(low, high, grey, smooth=True)


def _ramp(name: LayerName) -> tuple[Colour, ...]:
    """Return the colours of a probability, from that of dry land to that of water."""
    nothing, certain = mask_colours()[DRY][:3], _CERTAIN_COLOURS[name]
    parts = (step / (_STEPS - 1) for step in range(_STEPS))
    return tuple(
        (*(round(low + (high - low) * part) for low, high in zip(nothing, certain, strict=True)), 255)  # type: ignore[misc]
        for part in parts
    )


def _legend(record: MapRecord, name: LayerName) -> tuple[LegendEntry, ...]:
    if name == "mask":
        return tuple(_mask_legend(record))
    if name == "exclusion":
        return (
            LegendEntry(colour=_css(_EXCLUDED), text=EXCLUDED_GROUND),
            LegendEntry(colour=_css(_UNKNOWN), text="terrain not completely known"),
        )
    if name in _CERTAIN_COLOURS:
        ramp = _ramp(name)
        return tuple(
            LegendEntry(colour=_css(ramp[round(part * (_STEPS - 1))]), text=f"{part:.0%}")
            for part in (0.0, 0.25, 0.5, 0.75, 1.0)
        )
    return (
        LegendEntry(colour=_css((0, 0, 0, 255)), text=f"VV {DARKEST_DB:g} dB or less"),
        LegendEntry(colour=_css((255, 255, 255, 255)), text=f"VV {BRIGHTEST_DB:g} dB or more"),
    )


def _mask_legend(record: MapRecord) -> Iterator[LegendEntry]:
    """Yield the states that the map has, and dry and not observed always."""
    colours, shown = mask_colours(terrain=record.exclusion is not None), legend_states(record)
    texts = state_texts(record).items()
    return (LegendEntry(colour=_css(colours[value]), text=text) for value, text in texts if value in shown)


def _css(colour: Colour) -> str:
    """Return a colour as eight hexadecimal digits, the last two for the opacity."""
    return "#" + "".join(f"{part:02x}" for part in colour)
