"""What the page of the service needs for one scene: the time of map tiles, and the size of all else that it loads."""

from __future__ import annotations

import math
import shutil
import statistics
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from benchmarks.measure import Row, timed
from benchmarks.running_service import RunningService, map_by_address

COMMAND: Final = "python -m benchmarks service"
LAYER: Final = "mask"
_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_BROWSER_ARGUMENTS: Final = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
_PATIENCE_MS: Final = 120_000


def draw_tile(client: httpx.Client, scene_id: str) -> None:
    """Fetch one tile in the middle of a scene, which no cache has if the scene has just been mapped."""
    description = _tilejson(client, scene_id)
    west, south, east, north = description["bounds"]
    zoom = description["maxzoom"]
    x, y = _tile_at((west + east) / 2, (south + north) / 2, zoom)
    _fetch(client, scene_id, zoom, x, y)


def tile_row(service: RunningService, chip: Path, count: int) -> Row:
    """Measure map tiles that are drawn, and the same tiles again, which the service has kept."""
    with service.client() as client:
        scene_id = map_by_address(client, chip)["scene_id"]
        description = _tilejson(client, scene_id)
        west, south, east, north = description["bounds"]
        zoom = description["maxzoom"]
        while len(tiles := _tiles(west, south, east, north, zoom)) < count + 2:
            zoom += 1
        for tile in tiles[:2]:  # the first one of each process is slower
            _fetch(client, scene_id, *tile)
        wanted = tiles[2 : count + 2]
        drawn, kept = ([timed(partial(_fetch, client, scene_id, *tile)) for tile in wanted] for _ in range(2))
    return Row(
        what=f"The service, map tile of 256 x 256 pixels of a 512 x 512 chip ({LAYER}): drawn, and kept from before",
        measured=f"{1000 * statistics.median(drawn):.0f} ms, {1000 * statistics.median(kept):.0f} ms",
        asked="reported",
        met=True,
        command=COMMAND,
        samples={"drawn": drawn, "kept": kept},
    )


def page_rows(service: RunningService, chip: Path) -> list[Row]:
    """Open a scene in a browser and count what it loads beside the map tiles; nothing where there is no browser."""
    browser_path = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser_path is None:
        return []
    from playwright.sync_api import sync_playwright

    with service.client() as client:
        scene_id = map_by_address(client, chip)["scene_id"]
    answers: list[Any] = []

    def note(answer: Any) -> None:
        answers.append(answer)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(_BROWSER_ARGUMENTS))
        page = browser.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.on("response", note)
        seconds = timed(lambda: _open(page, f"{service.address}/#scene={scene_id}"))
        paths = [(urlsplit(answer.url).path, answer) for answer in answers]
        sizes = {path: float(len(answer.body())) for path, answer in paths if not _is_tile(path)}
        browser.close()
    return [
        Row(
            what="The service, page with a 512 x 512 chip in an empty browser: requests and bytes without map tiles, "
            "and the time until all tiles are shown",
            measured=f"{len(sizes)} requests, {sum(sizes.values()) / 1000:.0f} kB, {seconds:.1f} s",
            asked="reported",
            met=True,
            command=COMMAND,
            samples={"seconds": [seconds], **{f"{path}, bytes": [size] for path, size in sizes.items()}},
        )
    ]


def _is_tile(path: str) -> bool:
    return "/tiles/" in path and path.endswith(".png")


def _open(page: Any, address: str) -> None:
    page.goto(address)
    page.wait_for_function(
        "() => { const tiles = [...document.querySelectorAll('canvas.leaflet-tile')];"
        " return tiles.length > 0 && tiles.every((tile) => tile.classList.contains('leaflet-tile-loaded')); }"
    )


def _tilejson(client: httpx.Client, scene_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/v1/scenes/{scene_id}/tiles/{LAYER}.json").raise_for_status().json()
    return found


def _fetch(client: httpx.Client, scene_id: str, zoom: int, x: int, y: int) -> None:
    client.get(f"/v1/scenes/{scene_id}/tiles/{LAYER}/{zoom}/{x}/{y}.png").raise_for_status()


def _tiles(west: float, south: float, east: float, north: float, zoom: int) -> list[tuple[int, int, int]]:
    """Return zoom, column and row of all tiles that touch an extent in degrees."""
    left, top = _tile_at(west, north, zoom)
    right, bottom = _tile_at(east, south, zoom)
    return [(zoom, x, y) for y in range(top, bottom + 1) for x in range(left, right + 1)]


def _tile_at(lon: float, lat: float, zoom: int) -> tuple[int, int]:
    """Return column and row of the tile with a place; formula of the tiles of OpenStreetMap (spherical Mercator)."""
    x = (lon + 180.0) / 360.0
    y = (1.0 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2.0
    return int(x * 2**zoom), int(y * 2**zoom)
