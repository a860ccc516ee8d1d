"""The two pictures of a map.

The overlay is a figure that can be sent without other files: the map over the radar image, with title, date, legend,
scale bar and caveats below it. The thumbnail is the map alone, small and in strong colours, for lists and previews.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from drshym_pipeline.products.overlay import (
    HATCH_COLOUR,
    OVERLAY_SIDE,
    Look,
    OverlayCanvas,
)
from drshym_pipeline.states import EXCLUDED_COLOUR, FLOODED, PERMANENT, WATER_COLOURS
from drshym_pipeline.storage import write_bytes

THUMBNAIL_SIDE: Final = 512
OVERLAY: Final = Look(longest=OVERLAY_SIDE, least=1024, opacity=0.55)
THUMBNAIL: Final = Look(longest=THUMBNAIL_SIDE, least=256, opacity=0.85, thin=True)
_TEXT, _TITLE = 17, 22  # pixels
_MARGIN, _GAP = 16, 8
_NARROWEST = 720  # least width of a figure in pixels, because its text needs space
_SWATCH = 26
_INK, _PAPER = (28, 36, 48, 255), (255, 255, 255, 255)


@dataclass(frozen=True)
class FigureText:
    """The text below a map.

    Args:
        title: The title, such as the scene's name.
        lines: Date, area and caveats; long lines are wrapped.
        water: The meaning of the blue colour.
        north_up: Whether north is at the top; if so, a north arrow is drawn.
        water_before: The meaning of the colour of water that was there before; None if it is not on the map.
        excluded: The meaning of the colour of excluded ground; None if there is none on the map.
    """

    title: str
    lines: Sequence[str]
    water: str
    north_up: bool
    water_before: str | None = None
    excluded: str | None = None


def scale_length(metres: float) -> float:
    """Return the largest of 1, 2 and 5 times a power of ten that is not longer than a length in metres."""
    power = 1.0
    while power > metres:
        power /= 10
    while power * 10 <= metres:
        power *= 10
    return next(power * step for step in (5, 2, 1) if power * step <= metres)


def _length_text(metres: float) -> str:
    return f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _wrap(text: str, font: Any, width: float) -> list[str]:
    """Return a text as lines of at most `width` pixels; a word that is wider is cut."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        rest = word
        while font.getlength(rest) > width:
            fits = next(count for count in range(len(rest), 0, -1) if font.getlength(rest[:count]) <= width)
            lines.append(rest[:fits])
            rest = rest[fits:]
        lines.append(rest)
    return lines


def _draw_scale(draw: ImageDraw.ImageDraw, right: float, top: float, most: float, metres: float) -> None:
    """Draw a scale bar that ends at `right`, at most `most` pixels long; a pixel is `metres` long on the ground."""
    length = scale_length(most * metres)
    left = right - length / metres
    for part, colour in ((0, _INK), (1, _PAPER)):
        x = left + part * (right - left) / 2
        draw.rectangle((x, top, x + (right - left) / 2, top + 7), fill=colour, outline=_INK)
    draw.text((right, top + 11), _length_text(length), font=_font(_TEXT), fill=_INK, anchor="ra")


def _draw_north(draw: ImageDraw.ImageDraw, x: float, top: float) -> None:
    draw.polygon([(x, top), (x - 8, top + 18), (x, top + 13), (x + 8, top + 18)], fill=_INK)
    draw.text((x, top + 20), "N", font=_font(_TEXT), fill=_INK, anchor="ma")


def legend_entries(stretch: tuple[float, float], words: FigureText) -> list[tuple[Image.Image, str]]:
    """Return the colour samples of the legend and their labels.

    Args:
        stretch: The VV values in dB that are shown as black and as white.
        words: The text below the map.
    """
    box = (_SWATCH, _TEXT)
    share = OVERLAY.opacity

    def over_water(colour: tuple[float, float, float]) -> Image.Image:
        # Over a dark grey, because water is dark in the radar image.
        return Image.new("RGBA", box, tuple(round(40 * (1 - share) + part * share) for part in colour))

    grey = Image.linear_gradient("L").rotate(90).resize(box).convert("RGBA")
    hatch = Image.new("RGBA", box, _PAPER)
    strokes = ImageDraw.Draw(hatch)
    for x in range(-_TEXT, _SWATCH, 8):
        strokes.line((x, _TEXT, x + _TEXT, 0), fill=HATCH_COLOUR[:3], width=2)
    return [
        (over_water(WATER_COLOURS[FLOODED]), words.water),
        *([] if words.water_before is None else [(over_water(WATER_COLOURS[PERMANENT]), words.water_before)]),
        *([] if words.excluded is None else [(over_water(EXCLUDED_COLOUR), words.excluded)]),
        (grey, f"radar backscatter (VV), {stretch[0]:.0f} to {stretch[1]:.0f} dB; dry where it has no colour"),
        (hatch, "not observed"),
    ]


def _legend_rows(
    entries: Sequence[tuple[Image.Image, str]], font: Any, width: float
) -> list[list[tuple[float, Image.Image, str]]]:
    """Return the entries of a legend with their distance from the left, in as many rows as they need."""
    rows: list[list[tuple[float, Image.Image, str]]] = [[]]
    x = 0.0
    for swatch, label in entries:
        needed = _SWATCH + _GAP + font.getlength(label)
        if rows[-1] and x + needed > width:
            rows.append([])
            x = 0.0
        rows[-1].append((x, swatch, label))
        x += needed + 2 * _MARGIN
    return rows


def compose(picture: Image.Image, stretch: tuple[float, float], metres: float, words: FigureText) -> Image.Image:
    """Return a map with its title, legend, scale bar and caveats below it, as RGBA.

    Args:
        picture: The map.
        stretch: The VV values in dB that are shown as black and as white.
        metres: The length on the ground of a pixel of the picture.
        words: The text below the map.
    """
    width = max(picture.width, _NARROWEST)
    inner = width - 2 * _MARGIN
    font, title_font = _font(_TEXT), _font(_TITLE)
    bar = inner / 4
    title = _wrap(words.title, title_font, inner)
    lines = [part for line in words.lines for part in _wrap(line, font, inner)]
    # The scale bar and the arrow are at the right of the legend.
    legend = _legend_rows(legend_entries(stretch, words), font, inner - bar - 4 * _MARGIN)
    text_step, title_step = _TEXT + _GAP, _TITLE + _GAP
    legend_height = max(len(legend) * text_step, 2 * text_step) + _GAP
    height = 2 * _MARGIN + legend_height + len(title) * title_step + len(lines) * text_step
    figure = Image.new("RGBA", (width, picture.height + height), _PAPER)
    figure.paste(picture, ((width - picture.width) // 2, 0))
    draw = ImageDraw.Draw(figure)
    top = picture.height + _MARGIN
    for number, row in enumerate(legend):
        for x, swatch, label in row:
            place = (round(_MARGIN + x), top + number * text_step)
            figure.paste(swatch, place)
            draw.rectangle((*place, place[0] + _SWATCH - 1, place[1] + _TEXT - 1), outline=_INK)
            draw.text((place[0] + _SWATCH + _GAP, place[1]), label, font=font, fill=_INK)
    if words.north_up:
        _draw_north(draw, width - _MARGIN - 8, top)
    _draw_scale(draw, width - 3 * _MARGIN, top, bar, metres)
    top += legend_height
    for line in title:
        draw.text((_MARGIN, top), line, font=title_font, fill=_INK)
        top += title_step
    for line in lines:
        draw.text((_MARGIN, top), line, font=font, fill=_INK)
        top += text_step
    return figure


def _png(picture: Image.Image, info: PngInfo) -> bytes:
    buffer = io.BytesIO()
    # Speckle hardly compresses: a higher level takes five times as long and saves only a few per cent.
    picture.save(buffer, "PNG", compress_level=1, pnginfo=info)
    return buffer.getvalue()


def write_pictures(
    canvas: OverlayCanvas,
    overlay: Path,
    thumbnail: Path,
    *,
    text: Mapping[str, str],
    words: FigureText,
    scene_width: int,
    pixel_m: tuple[float, float],
    statistics: tuple[float, float] | None = None,
) -> None:
    """Write the overlay and the thumbnail as PNG.

    Args:
        canvas: The map.
        overlay: The file of the figure.
        thumbnail: The file of the small map.
        text: The text chunks of both files, by keyword.
        words: The text below the map of the overlay.
        scene_width: The number of columns of the scene.
        pixel_m: The length on the ground of the sides (x, y) of a pixel of the scene.
        statistics: The VV values in dB to show as black and as white; a fixed range when None.
    """
    info = PngInfo()
    for keyword, value in text.items():
        info.add_text(keyword, value)
    stretch = canvas.stretch(statistics)
    picture = canvas.render(stretch, pixel_m, OVERLAY)
    metres = scene_width * pixel_m[0] / picture.width
    write_bytes(overlay, _png(compose(picture, stretch, metres, words), info))
    write_bytes(thumbnail, _png(canvas.render(stretch, pixel_m, THUMBNAIL), info))
