"""The QGIS style of a mask: a file beside it, which QGIS loads with the mask because it has the same name.

A TIFF's own palette has no transparency, so dry land would hide the map below. The style is plain XML of QGIS 3.
"""

from __future__ import annotations

from typing import Final
from xml.etree import ElementTree

from drshym_pipeline.states import DRY, EXCLUDED, EXCLUDED_COLOUR, MASK_NOT_OBSERVED, WATER_COLOURS, mask_labels

# Red, green, blue and opacity. Not observed is grey: if it were transparent, it would look like dry land.
_COLOURS: Final[dict[int, tuple[int, int, int, int]]] = {
    DRY: (242, 240, 235, 0),
    **{state: (*colour, 255) for state, colour in WATER_COLOURS.items()},
    EXCLUDED: (150, 150, 150, 160),
    MASK_NOT_OBSERVED: (110, 110, 110, 110),
}


def mask_colours(*, terrain: bool = False) -> dict[int, tuple[int, int, int, int]]:
    """Return the colours of a mask over another map, as red, green, blue and opacity by mask value.

    Args:
        terrain: Whether ground is excluded because of the terrain, which then has its own colour.
    """
    return _COLOURS | ({EXCLUDED: (*EXCLUDED_COLOUR, 200)} if terrain else {})


def mask_style(*, water_separated: bool, unseparated: bool = False, terrain: bool = False) -> str:
    """Return the QGIS style of a mask, as the text of its `.qml` file.

    Args:
        water_separated: Whether flood was separated from water that was there before; see `states.water_state`.
        unseparated: Whether the flooded class has pixels for which the water before is not known.
        terrain: Whether ground is excluded because of the terrain, which then has its own colour.
    """
    qgis = ElementTree.Element("qgis", version="3.22", styleCategories="Symbology")
    pipe = ElementTree.SubElement(qgis, "pipe")
    # QGIS draws the nodata value in this colour and not in the colour of the palette.
    nodata = ",".join(map(str, _COLOURS[MASK_NOT_OBSERVED]))
    colours = mask_colours(terrain=terrain)
    renderer = ElementTree.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=nodata
    )
    palette = ElementTree.SubElement(renderer, "colorPalette")
    for value, label in mask_labels(water_separated=water_separated, unseparated=unseparated).items():
        *colour, opacity = colours[value]
        ElementTree.SubElement(
            palette,
            "paletteEntry",
            value=str(value),
            color="#" + "".join(f"{part:02x}" for part in colour),
            alpha=str(opacity),
            label=label,
        )
    ElementTree.SubElement(pipe, "rasterresampler", zoomedInResampler="nearest", zoomedOutResampler="nearest")
    ElementTree.indent(qgis)
    return ElementTree.tostring(qgis, encoding="unicode") + "\n"
