"""The page in a real browser, on a real service: what an analyst does with it, on a desktop and on a phone."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning

from drshym_pipeline.sar.scene_names import is_scene_id
from drshym_pipeline.states import (
    DRY,
    FLOODED,
    MASK_NOT_OBSERVED,
    OPEN_WATER,
    PERMANENT,
    WATER_BEFORE,
    WATER_COLOURS,
    mask_labels,
)
from tests.service.browser import colour_at, counted_pixels, pixels_of, place_of, poor_contrast, wait_for_tiles
from tests.service.conftest import DESKTOP, PHONE, OpenPage
from tests.service.running_service import map_upload, running_service

pytestmark = pytest.mark.system

WATER = WATER_COLOURS[FLOODED]
TOKEN = "a-token-for-the-tests-of-the-page"
# A name that would do something if the page read it as HTML. A file's name has no slash.
HOSTILE = "<img src=x onerror=alert(1)>.tif"


@pytest.fixture(scope="module")
def scene(client: httpx.Client, chip: tuple[Path, Path]) -> str:
    """The id of a mapped scene."""
    return map_upload(client, *chip, name="mapped")


@pytest.fixture(scope="module")
def compared(client: httpx.Client, chip: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a scene with a picture from before, in which the lower half of the water was dry."""
    folder = tmp_path_factory.mktemp("before")
    before = tuple(folder / path.name.replace("jja10", "before") for path in chip)
    for path, changed, dry in zip(chip, before, (-9.0, -15.0), strict=True):
        with rasterio.open(path) as source:
            values, profile = source.read(), source.profile
        values[:, 256:] = np.maximum(values[:, 256:], dry)
        with rasterio.open(changed, "w", **profile) as target:
            target.write(values)
    return map_upload(client, *chip, pre=before, name="compared")


# A place of the map where the radar image is seen and the mask has no colour.
FIND_DRY = """() => {
  const read = (layer) => [...document.querySelectorAll(`.layer-${layer} canvas`)].map((tile) => {
    const { data } = tile.getContext("2d").getImageData(0, 0, tile.width, tile.height);
    return { box: tile.getBoundingClientRect(), width: tile.width, data };
  });
  const tiles = { mask: read("mask"), backscatter: read("backscatter") };
  const opacity = (layer, x, y) => {
    const tile = tiles[layer].find(({ box }) => x >= box.left && x < box.right && y >= box.top && y < box.bottom);
    if (!tile) return 0;
    return tile.data[4 * (Math.floor(y - tile.box.top) * tile.width + Math.floor(x - tile.box.left)) + 3];
  };
  const near = [[0, 0], [3, 0], [-3, 0], [0, 3], [0, -3]];
  const isDry = (x, y) => opacity("backscatter", x, y) > 0 && opacity("mask", x, y) === 0;
  const map = document.getElementById("map").getBoundingClientRect();
  for (let y = map.top + 80; y < map.bottom - 80; y += 9) for (let x = map.left + 80; x < map.right - 80; x += 9) {
    if (near.every(([right, down]) => isDry(x + right, y + down))) return [x, y];
  }
  return null;
}"""
VALUES_OF_POPUP = """() => Object.fromEntries([...document.querySelectorAll(".pixel dd")].map((value) => {
  const text = document.createRange();
  text.selectNodeContents(value);
  const box = text.getBoundingClientRect();
  const name = value.previousElementSibling.textContent;
  return [name, [box.height, parseFloat(getComputedStyle(value).lineHeight), box.left, box.right]];
}))"""


def raster(client: httpx.Client, scene: str, kind: str) -> Any:
    """Return the values of a file of a map, as a program reads them."""
    link = client.get(f"/v1/scenes/{scene}").raise_for_status().json()["files"][kind]
    with rasterio.open(io.BytesIO(client.get(link).raise_for_status().content)) as dataset:
        return dataset.read(1)


def choose(page: Any, *files: Path | dict[str, Any]) -> None:
    page.locator("#scene-files").set_input_files(list(files))


def open_scene(open_page: OpenPage, service: str, scene: str, **options: Any) -> Any:
    page = open_page(f"{service}/#scene={scene}", **options)
    wait_for_tiles(page)
    return page


def facts_of(page: Any) -> dict[str, str]:
    """Return the values of the pixel in the popup, by their names."""
    page.locator(".pixel .state").wait_for()
    names, values = (page.locator(f".pixel {tag}").all_text_contents() for tag in ("dt", "dd"))
    return dict(zip(names, values, strict=True))


def without_reference_system(path: Path, folder: Path) -> Path:
    """Write a copy that only the worker refuses: its header is that of a GeoTIFF of a usable size."""
    with rasterio.open(path) as source:
        values, profile = source.read(), {**source.profile, "crs": None, "transform": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(folder / path.name, "w", **profile) as target:
            target.write(values)
    return folder / path.name


def test_an_uploaded_scene_is_mapped_and_its_water_is_on_the_map(
    service: str, client: httpx.Client, chip: tuple[Path, Path], open_page: OpenPage
):
    page = open_page(service)
    choose(page, *chip)
    assert page.locator("#scene-chosen li").count() == 2
    page.get_by_text("Options", exact=True).click()
    page.locator("#name").fill("from_the_page")
    page.get_by_role("button", name="Map this scene").click()
    page.locator("h2", has_text="from_the_page").wait_for()
    wait_for_tiles(page)
    mask = raster(client, "from_the_page", "mask")
    whole, _ = counted_pixels(page, "backscatter", WATER)
    _, water = counted_pixels(page, "mask", WATER)
    # The tiles show the nearest pixel on another grid; their number of pixels differs from that of the scene by less
    # than a row and a column in 500, and water is mapped in areas of many pixels.
    assert water / whole == pytest.approx((mask == FLOODED).mean(), abs=0.01)
    answer = client.get("/v1/scenes/from_the_page").json()
    text = page.locator("#panel").inner_text()
    assert answer["summary"]["flooded"]["text"] in text
    assert answer["summary"]["caption"] in text
    assert answer["provenance"]["source_sha256"] in text
    for warning in answer["warnings"]:
        assert warning in text


def test_a_click_shows_the_values_of_that_pixel(service: str, client: httpx.Client, scene: str, open_page: OpenPage):
    page = open_scene(open_page, service, scene)
    place = place_of(page, "mask", WATER)
    page.mouse.click(*place)
    shown = facts_of(page)
    assert page.locator(".pixel .state").inner_text() == OPEN_WATER
    row, column = (int(part) for part in shown["Row, column"].split(", "))
    assert raster(client, scene, "mask")[row, column] == FLOODED == int(shown["Mask value"])
    assert float(shown["Probability of water"]) == raster(client, scene, "proba")[row, column] / 10_000
    with rasterio.open(io.BytesIO(client.get(f"/v1/scenes/{scene}/files/{scene}_backscatter.tif").content)) as dataset:
        vv = dataset.read(1)[row, column] / 100
    assert shown["VV"] == f"{vv:.2f} dB"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_every_value_of_a_dry_pixel_is_on_one_line_and_inside_the_popup(
    service: str, client: httpx.Client, compared: str, size: tuple[int, int], open_page: OpenPage
):
    page = open_scene(open_page, service, compared, size=size)
    box = page.locator("#map").bounding_box()
    mask = raster(client, compared, "mask")
    place = page.evaluate(FIND_DRY)
    page.mouse.click(*place)
    shown = facts_of(page)
    row, column = (int(part) for part in shown["Row, column"].split(", "))
    assert (page.locator(".pixel .state").inner_text(), mask[row, column]) == ("dry", DRY)
    assert {"Probability of water before", "VH before", "Longitude"} <= shown.keys()
    # The popup grows and moves into the map.
    page.wait_for_function("() => !document.querySelector('.leaflet-pan-anim')")
    frame = page.locator(".leaflet-popup-content-wrapper").bounding_box()
    for name, [height, line, left, right] in page.evaluate(VALUES_OF_POPUP).items():
        assert height < 1.5 * line, name
        assert frame["x"] <= left < right <= frame["x"] + frame["width"], name
    assert box["x"] <= frame["x"] < frame["x"] + frame["width"] <= box["x"] + box["width"]
    assert frame["height"] < box["height"]


def test_the_shares_of_the_mask_have_every_state_and_what_was_not_observed(
    service: str, client: httpx.Client, compared: str, open_page: OpenPage
):
    page = open_scene(open_page, service, compared)
    section = page.locator("section", has=page.get_by_role("heading", name="Share of each state in the mask"))
    names, values = (section.locator(tag).all_text_contents() for tag in ("dt", "dd"))
    mask = raster(client, compared, "mask")
    labels = mask_labels(water_separated=True)
    assert names == [labels[value] for value in (DRY, FLOODED, PERMANENT, MASK_NOT_OBSERVED)]
    for name, value in zip(names, values, strict=True):
        share = 100 * float(np.mean(mask == next(number for number, text in labels.items() if text == name)))
        assert value == ("less than 0.1 %" if 0 < share < 0.05 else f"{share:.1f} %")


def test_a_downloaded_file_has_the_bytes_of_the_api(
    service: str, client: httpx.Client, scene: str, open_page: OpenPage
):
    page = open_scene(open_page, service, scene)
    with page.expect_download() as download:
        page.get_by_role("link", name=f"{scene}_mask.tif").click()
    assert download.value.suggested_filename == f"{scene}_mask.tif"
    expected = client.get(f"/v1/scenes/{scene}/files/{scene}_mask.tif").content
    assert Path(download.value.path()).read_bytes() == expected


def test_the_swipe_shows_the_scene_from_before_on_its_left(service: str, compared: str, open_page: OpenPage):
    page = open_scene(open_page, service, compared)
    place = place_of(page, "mask", WATER)
    page.locator("#swipe").check()
    page.locator(".layer-backscatter_before canvas").first.wait_for(state="attached")
    wait_for_tiles(page)
    handle = page.get_by_role("slider", name="Line of the swipe")
    handle.press("Home")
    now = colour_at(page, place)
    handle.press("End")
    before = colour_at(page, place)
    # Water that is new is blue over the radar image. The image from before is grey, but for a line of the graticule.
    assert int(now[2]) - int(now[0]) > 60
    assert before.max() - before.min() < 10
    box = page.locator("#map").bounding_box()
    knob = handle.bounding_box()
    # The line is at the right edge of the map, where only the left half of the knob can be seen.
    page.mouse.move(knob["x"] + knob["width"] / 4, knob["y"] + knob["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, knob["y"])
    page.mouse.up()
    assert handle.get_attribute("aria-valuenow") == "25"
    # The values of a pixel at the line are above it, so that no digit is hidden.
    handle.press("Home")
    for _ in range(25):
        handle.press("ArrowRight")
    line = box["width"] / 2
    page.mouse.click(box["x"] + line, box["y"] + box["height"] / 2 + 60)
    values = page.locator(".pixel")
    values.wait_for()
    # It appears slowly, and the map may move under it.
    page.wait_for_function("() => getComputedStyle(document.querySelector('.leaflet-popup')).opacity === '1'")
    page.wait_for_function("() => !document.querySelector('.leaflet-pan-anim')")
    with_line = pixels_of(values.screenshot())
    frame, knob = values.bounding_box(), handle.bounding_box()
    assert frame["x"] < knob["x"] < knob["x"] + knob["width"] < frame["x"] + frame["width"]
    assert frame["y"] < knob["y"] + knob["height"]
    page.locator("#swipe").uncheck()
    np.testing.assert_array_equal(pixels_of(values.screenshot()), with_line)
    page.locator(".leaflet-popup-close-button").click()
    values.wait_for(state="detached")
    np.testing.assert_array_equal(colour_at(page, place), now)
    page.locator("#swipe").check()
    page.locator("[data-layer=backscatter_before]").uncheck()
    assert not page.locator("#swipe").is_checked()
    assert not handle.is_visible()


def test_every_kind_of_water_has_its_area_with_its_interval(
    service: str, client: httpx.Client, compared: str, open_page: OpenPage
):
    page = open_scene(open_page, service, compared)
    intervals = client.get(f"/v1/scenes/{compared}").json()["intervals"]
    assert list(intervals) == ["flooded", WATER_BEFORE, "all water"]
    section = page.locator("section", has=page.get_by_role("heading", name="Areas of water"))
    assert section.locator("dd").all_text_contents() == [area["text"] for area in intervals.values()]
    assert all("% interval" in area["text"] for area in intervals.values())


def test_layers_are_shown_hidden_and_made_transparent(service: str, compared: str, open_page: OpenPage):
    page = open_scene(open_page, service, compared)
    for name in ("proba", "reference", "flood_proba"):
        page.locator(f"[data-layer={name}]").check()
        page.locator(f".layer-{name}").wait_for(state="attached")
        wait_for_tiles(page)
        assert counted_pixels(page, name, WATER)[0] > 0
        page.locator(f"[data-layer={name}]").uncheck()
        page.locator(f".layer-{name}").wait_for(state="detached")
    place = place_of(page, "mask", WATER)
    page.locator("[data-opacity=mask]").fill("0")
    grey = colour_at(page, place)
    assert grey.max() - grey.min() < 10
    page.locator("[data-opacity=mask]").fill("100")
    assert np.abs(colour_at(page, place).astype(int) - WATER).max() < 50  # a line of the graticule may be there


def focused(page: Any) -> str:
    """Return what has the focus: its id, or its text; it must be seen that it has it."""
    name, outline = page.evaluate(
        """() => {
          const at = document.activeElement;
          const styles = [getComputedStyle(at), getComputedStyle(at, "::after")];
          const seen = styles.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
          return [at.id || at.getAttribute("aria-label") || at.dataset.layer || at.textContent.trim(), seen];
        }"""
    )
    assert outline, f"the focus on {name!r} cannot be seen"
    return str(name)


def tab_to(page: Any, name: str) -> None:
    for _ in range(80):
        page.keyboard.press("Tab")
        if focused(page) == name:
            return
    raise AssertionError(f"the Tab key does not reach {name!r}")


def test_everything_can_be_done_with_the_keyboard(
    service: str, scene: str, chip: tuple[Path, Path], open_page: OpenPage
):
    page = open_page(service)
    page.get_by_role("link", name=scene, exact=True).wait_for()
    tab_to(page, "Skip to the content")
    page.keyboard.press("Enter")
    tab_to(page, "scene-files")
    tab_to(page, "Map this scene")
    page.keyboard.press("Enter")
    assert "No file is chosen" in page.get_by_role("alert").inner_text()
    tab_to(page, scene)
    page.keyboard.press("Enter")
    wait_for_tiles(page)
    page.keyboard.press("Shift+Tab")
    while focused(page) != "map":
        page.keyboard.press("Shift+Tab")
    assert page.locator(".crosshair").is_visible()
    page.keyboard.press("Enter")
    middle = facts_of(page)["Row, column"]
    page.keyboard.press("Escape")
    page.locator(".pixel").wait_for(state="detached")
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    page.keyboard.press("Enter")
    assert facts_of(page)["Row, column"] != middle
    page.keyboard.press("Escape")
    tab_to(page, "proba")
    page.keyboard.press("Space")
    page.locator(".layer-proba").wait_for(state="attached")
    tab_to(page, "swipe")
    page.keyboard.press("Space")
    assert focused(page) == "Line of the swipe"
    page.keyboard.press("ArrowLeft")
    assert page.get_by_role("slider", name="Line of the swipe").get_attribute("aria-valuenow") == "48"


def test_a_phone_shows_the_map_above_the_panel_and_never_scrolls_sideways(
    service: str, scene: str, open_page: OpenPage
):
    page = open_page(service, size=PHONE)
    page.get_by_role("link", name=scene, exact=True).wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(too_wide) == 0
    page.get_by_role("link", name=scene, exact=True).click()
    wait_for_tiles(page)
    assert page.evaluate(too_wide) == 0
    plan, panel = (page.locator(id).bounding_box() for id in ("#map", "#panel"))
    assert plan["width"] == PHONE[0]
    assert plan["y"] + plan["height"] <= panel["y"]
    page.mouse.click(*place_of(page, "mask", WATER))
    popup = page.locator(".leaflet-popup").bounding_box() if facts_of(page) else None
    assert popup["x"] >= 0
    assert popup["x"] + popup["width"] <= PHONE[0]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_text_has_enough_contrast(service: str, scene: str, dark: bool, open_page: OpenPage):
    page = open_page(service, dark=dark)
    page.get_by_role("link", name=scene, exact=True).wait_for()
    for summary in page.locator("summary").all():
        summary.click()
    page.get_by_role("button", name="Map this scene").click()
    texts, found = poor_contrast(page)
    assert (texts > 20, found) == (True, [])
    page.get_by_role("link", name=scene, exact=True).click()
    wait_for_tiles(page)
    page.mouse.click(*place_of(page, "mask", WATER))
    facts_of(page)
    texts, found = poor_contrast(page)
    assert (texts > 60, found) == (True, [])
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (np.mean([int(part) for part in re.findall(r"\d+", background)]) < 64) == dark


def test_an_upload_that_is_no_scene_shows_the_sentence_of_the_service_and_its_name_as_text(
    service: str, client: httpx.Client, tmp_path: Path, open_page: OpenPage
):
    page = open_page(service, refusals=True)
    choose(page, {"name": HOSTILE, "mimeType": "image/tiff", "buffer": b"<html>no scene</html>"})
    assert HOSTILE in page.locator("#scene-chosen").inner_text()
    page.get_by_role("button", name="Map this scene").click()
    message = page.locator("#job-list [role=alert]")
    message.wait_for()
    answer = client.post("/v1/segment/upload", files={"file": (HOSTILE, b"<html>no scene</html>")})
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert message.inner_text() == answer.json()["detail"]
    assert page.locator(".job-name").inner_text() == HOSTILE
    assert page.locator("img").count() == 0


def test_the_reason_why_the_worker_refuses_a_scene_stays_and_the_form_keeps_what_it_did_not_accept(
    service: str, client: httpx.Client, chip: tuple[Path, Path], tmp_path: Path, open_page: OpenPage
):
    page = open_page(service, refusals=True)
    stages: list[str] = []
    page.expose_function("noteStage", lambda text: stages.append(text))  # noqa: PLW0108  # no builtin is taken here
    page.evaluate(
        """() => new MutationObserver(() => {
          for (const text of document.querySelectorAll(".job-text")) window.noteStage(text.textContent);
        }).observe(document.getElementById("job-list"), { childList: true, subtree: true, characterData: true })"""
    )
    choose(page, without_reference_system(chip[0], tmp_path))
    page.get_by_text("Options", exact=True).click()
    for name in ("no/slash", "-begin", ".hidden", "two words", "水" * 67, "水" * 66, "été_01", "水.map-2", "_x"):
        page.locator("#name").fill(name)
        page.locator("#threshold").fill("2")  # so that the form is never sent
        page.get_by_role("button", name="Map this scene").click()
        refused = "cannot be the name of a scene" in page.locator("#upload-message").inner_text()
        assert refused == (not is_scene_id(name)), name
    page.locator("#threshold").fill("0.5")
    page.locator("#name").fill("refused_by_worker")
    busy = {"detail": "The queue is full.", "code": "queue_full"}
    page.route("**/v1/segment/upload", lambda route: route.fulfill(status=429, json=busy))
    page.get_by_role("button", name="Map this scene").click()
    page.locator("#job-list [role=alert]").wait_for()
    assert page.locator("#scene-chosen").inner_text().startswith(chip[0].name)
    assert page.locator("#threshold").input_value() == "0.5"
    page.unroute("**/v1/segment/upload")
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Map this scene").click()
    message = page.locator("#job-list [role=alert]")
    message.wait_for()
    (job,) = (job for job in client.get("/v1/jobs").json()["jobs"] if job["scene_name"] == "refused_by_worker")
    page.wait_for_timeout(2000)  # longer than two requests for the state of a job
    assert message.inner_text() == job["problem"]["detail"]
    assert "refused_by_worker" in job["scene_name"]
    assert page.locator("#scene-chosen").inner_text() == ""
    assert page.locator("#threshold").input_value() == ""
    assert "not mapped" in stages
    assert not any("_" in text for text in stages), "a stage has its internal name"


def test_a_scene_that_waits_can_be_cancelled(
    service: str, client: httpx.Client, chip: tuple[Path, Path], open_page: OpenPage
):
    parts = [("file", (path.name, path.read_bytes())) for path in chip]
    form = {"wait": "false"}
    before = [
        client.post("/v1/segment/upload", files=parts, data={**form, "name": f"other_{number}"}).json()["id"]
        for number in range(12)
    ]
    page = open_page(service)
    choose(page, *chip)
    page.get_by_role("button", name="Map this scene").click()
    own = page.locator("#job-list li", has_text="jja10_vv.tif and jja10_vh.tif")
    own.get_by_text("waiting in the queue").wait_for()
    own.get_by_role("button").click()
    own.get_by_text("cancelled", exact=True).wait_for()
    ids = {job["id"]: job["state"] for job in client.get("/v1/jobs").json()["jobs"]}
    (cancelled,) = (id for id, state in ids.items() if id not in before and state == "cancelled")
    for id in before:
        client.delete(f"/v1/jobs/{id}")
    assert ids[cancelled] == "cancelled"


def test_a_scene_without_a_web_map_is_shown_in_its_own_rows_and_columns(
    service: str, client: httpx.Client, chip: tuple[Path, Path], tmp_path: Path, open_page: OpenPage
):
    polar = tuple(tmp_path / path.name.replace("jja10", "polar") for path in chip)
    for path, moved in zip(chip, polar, strict=True):
        with rasterio.open(path) as source:
            profile = {**source.profile, "crs": CRS.from_epsg(3031)}
            profile["transform"] = rasterio.Affine(10, 0, 1_000_000, 0, -10, 1_200_000)
            with rasterio.open(moved, "w", **profile) as target:
                target.write(source.read())
    scene = map_upload(client, *polar)
    page = open_page(f"{service}/#scene={scene}")
    page.wait_for_function("() => (document.querySelector('canvas.layer-mask')?.width ?? 0) > 300")
    page.mouse.click(*place_of(page, "mask", WATER))
    row, column = (int(part) for part in facts_of(page)["Row, column"].split(", "))
    assert raster(client, scene, "mask")[row, column] == FLOODED
    point = client.get(f"/v1/scenes/{scene}/point", params={"row": row, "column": column}).json()
    assert page.locator(".pixel .state").inner_text() == point["state"]


def test_a_service_with_a_token_is_used_through_its_form(chip: tuple[Path, Path], tmp_path: Path, open_page: OpenPage):
    with (
        running_service(tmp_path / "service", {"DRSHYM_SERVICE_TOKEN": TOKEN}) as address,
        httpx.Client(base_url=address, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=600) as client,
    ):
        scene = map_upload(client, *chip)
        page = open_page(f"{address}/#scene={scene}", refusals=True)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for _ in range(3):
            page.keyboard.press("Escape")
        page.get_by_role("dialog").wait_for()
        for wrong in ("not-the-token-of-this-service", "schlüssel-日本-der-falsch-ist"):
            page.get_by_role("textbox", name="Token").fill(wrong)
            page.get_by_role("button", name="Use this token").click()
            page.get_by_text("does not accept this token").wait_for()
            page.wait_for_function("() => document.getElementById('token').value === ''")
        page.get_by_role("textbox", name="Token").fill(TOKEN)
        page.keyboard.press("Enter")
        page.locator("h2", has_text=scene).wait_for()
        wait_for_tiles(page)
        assert counted_pixels(page, "mask", WATER)[1] > 0
        with page.expect_download() as download:
            page.get_by_role("link", name=f"{scene}_mask.tif").click()
        expected = client.get(f"/v1/scenes/{scene}/files/{scene}_mask.tif").content
        assert Path(download.value.path()).read_bytes() == expected
        page.reload()
        page.locator("h2", has_text=scene).wait_for()
        assert not any(TOKEN in url for url in asked)
        assert page.evaluate("Object.keys(localStorage).length + document.cookie.length") == 0


def test_scene_after_scene_begins_at_its_top_and_leaves_nothing_behind(
    service: str, scene: str, compared: str, open_page: OpenPage
):
    page = open_page(service, refusals=True)
    page.get_by_role("link", name=scene, exact=True).wait_for()
    browser = page.context.new_cdp_session(page)

    def listeners() -> int:
        browser.send("HeapProfiler.collectGarbage")
        return int(browser.send("Memory.getDOMCounters")["jsEventListeners"])

    def visit(id: str) -> None:
        page.evaluate("id => { location.hash = `scene=${id}`; }", id)
        page.locator("#panel h2", has_text=id).wait_for()
        wait_for_tiles(page)
        assert page.locator("#panel").evaluate("panel => panel.scrollTop") == 0
        page.locator("#panel").evaluate("panel => { panel.scrollTop = 300; }")

    counts = []
    for _ in range(3):
        visit(scene)
        visit(compared)
        page.evaluate("location.hash = ''")
        page.locator("#home").wait_for()
        page.get_by_role("link", name=scene, exact=True).wait_for()
        counts.append(listeners())
        for _ in range(50):  # what nobody holds any more is collected some time later
            if counts[-1] <= counts[0]:
                break
            page.wait_for_timeout(200)
            counts[-1] = listeners()
    assert max(counts) == counts[0]
    page.evaluate("location.hash = 'scene=no-such-scene'")
    page.get_by_text("There is no such map. It may have been deleted.").wait_for()
    assert page.title() == "Flood maps"


def test_a_printed_scene_has_its_map_area_and_warnings_first_and_nothing_to_click(
    service: str, scene: str, open_page: OpenPage
):
    page = open_scene(open_page, service, scene)
    page.emulate_media(media="print")
    plan, area, warnings, shares = (
        page.locator(name).bounding_box()
        for name in ("#map", "#panel .area", ".warnings", "section:has(h3:text('Share of each state')) dl")
    )
    assert plan["height"] > 200
    assert plan["y"] + plan["height"] <= area["y"] < warnings["y"] < shares["y"]
    assert plan["width"] <= 661  # of the paper
    for kind in ("button", "input", ".leaflet-control-zoom", ".swipe-handle"):
        assert not any(found.is_visible() for found in page.locator(kind).all()), kind


def test_a_map_is_deleted_only_after_a_second_question(
    service: str, client: httpx.Client, chip: tuple[Path, Path], open_page: OpenPage
):
    scene = map_upload(client, *chip, name="short_lived")
    page = open_scene(open_page, service, scene)
    page.get_by_role("button", name="Delete this map").click()
    page.get_by_role("button", name="Keep it").click()
    assert client.get(f"/v1/scenes/{scene}").status_code == 200
    page.get_by_role("button", name="Delete this map").click()
    page.get_by_role("button", name="Delete now").click()
    page.locator("#home").wait_for()
    assert client.get(f"/v1/scenes/{scene}").status_code == 404
    page.get_by_text(re.compile("scenes?, newest first|No scene has been mapped")).wait_for()
    assert page.get_by_role("link", name=scene, exact=True).count() == 0
