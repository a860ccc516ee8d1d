"""A headless Chromium for tests of the page, and what a test reads from it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
# What Chromium writes to the console for every answer that is an error, also for one that the page expects.
_REFUSED = "Failed to load resource: the server responded with a status of"


@dataclass
class Watched:
    """A page with notes of everything that must not happen on it.

    Args:
        page: The page.
        faults: Errors of scripts, errors in the console (violations of the content policy among them), dialogs, and
            requests to other hosts.
        refused: Answers of the service that are errors, as the console has them.
    """

    page: Any
    faults: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"error of a script: {error}"))
        self.page.on("dialog", self._note_dialog)
        self.page.on("request", self._note_request)

    def _note_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            (self.refused if message.text.startswith(_REFUSED) else self.faults).append(message.text)

    def _note_dialog(self, dialog: Any) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _note_request(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.scheme not in ("blob", "data") and address.hostname != "127.0.0.1":
            self.faults.append(f"request to another host: {request.url}")


# Counts the pixels of the map tiles of a layer: all that are not transparent, and those of one colour.
_COUNT_PIXELS = """([layer, colour]) => {
  let opaque = 0, coloured = 0;
  for (const tile of document.querySelectorAll(`.layer-${layer} canvas`)) {
    const data = tile.getContext("2d").getImageData(0, 0, tile.width, tile.height).data;
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] === 0) continue;
      opaque += 1;
      if (colour.every((value, band) => data[at + band] === value)) coloured += 1;
    }
  }
  return [opaque, coloured];
}"""
# Finds the middle of a square of one colour in the map tiles of a layer, as a place in the window.
_FIND_SQUARE = """([layer, colour, side]) => {
  for (const tile of document.querySelectorAll(`.layer-${layer} canvas, canvas.layer-${layer}`)) {
    const box = tile.getBoundingClientRect();
    const data = tile.getContext("2d").getImageData(0, 0, tile.width, tile.height).data;
    const fits = (x, y) => {
      const at = 4 * (y * tile.width + x);
      return data[at + 3] > 0 && colour.every((value, band) => data[at + band] === value);
    };
    for (let y = 0; y + side < tile.height; y += side) for (let x = 0; x + side < tile.width; x += side) {
      let all = true;
      for (let at = 0; all && at < side * side; at += 1) all = fits(x + (at % side), y + Math.floor(at / side));
      const scale = box.width / tile.width;
      const place = [box.left + (x + side / 2) * scale, box.top + (y + side / 2) * scale];
      const map = document.getElementById("map").getBoundingClientRect();
      const across = place[0] > map.left + 60 && place[0] < map.right - 60;
      const inside = across && place[1] > map.top + 60 && place[1] < map.bottom - 60;
      if (all && inside) return place;
    }
  }
  return null;
}"""
# Returns every text of which colour and background have less contrast than WCAG 2.2 asks for (level AA).
_POOR_CONTRAST = """() => {
  const parts = (text) => {
    const numbers = text.match(/[\\d.]+/g).map(Number);
    return numbers.length === 3 ? [...numbers, 1] : numbers;
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parts(getComputedStyle(at).backgroundColor);
      if (colour[3] === 1) return colour;
    }
    throw new Error("a text has no background");
  };
  const found = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    texts += 1;
    const style = getComputedStyle(element);
    const [high, low] = [light(parts(style.color)), light(background(element))].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= (parseInt(style.fontWeight) >= 700 ? 18.66 : 24);
    const ratio = (high + 0.05) / (low + 0.05);
    if (ratio < (large ? 3 : 4.5)) found.push(`${walker.currentNode.textContent.trim()}: ${ratio.toFixed(2)}`);
  }
  return [texts, found];
}"""


def counted_pixels(page: Any, layer: str, colour: tuple[int, int, int]) -> tuple[int, int]:
    """Return how many pixels of a layer's map tiles are not transparent, and how many of these have a colour."""
    opaque, coloured = page.evaluate(_COUNT_PIXELS, [layer, list(colour)])
    return opaque, coloured


def wait_for_tiles(page: Any) -> None:
    """Wait until every map tile that the page wants is shown."""
    page.wait_for_function(
        "() => { const tiles = [...document.querySelectorAll('canvas.leaflet-tile')];"
        " return tiles.length > 0 && tiles.every((tile) => tile.classList.contains('leaflet-tile-loaded')); }"
    )


def place_of(page: Any, layer: str, colour: tuple[int, int, int], side: int = 12) -> tuple[float, float]:
    """Return the middle of a square of one colour in a layer, as a place in the window."""
    place = page.evaluate(_FIND_SQUARE, [layer, list(colour), side])
    assert place is not None, f"the layer {layer} has no square of the colour {colour}"
    return place[0], place[1]


def pixels_of(png: bytes) -> NDArray[np.uint8]:
    """Return the pixels of a screenshot: (row, column, RGB)."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def colour_at(page: Any, place: tuple[float, float]) -> NDArray[np.uint8]:
    """Return what the window shows at a place: red, green and blue."""
    picture = pixels_of(page.screenshot())
    return picture[round(place[1]), round(place[0])]


def poor_contrast(page: Any) -> tuple[int, list[str]]:
    """Return the number of visible texts, and those whose contrast is too low."""
    texts, found = page.evaluate(_POOR_CONTRAST)
    return texts, found
