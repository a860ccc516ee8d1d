"""Take the pictures of the documentation from the real pages: `python -m docs.screenshots`.

Needs the extra `docs` and a Chromium browser; run `make demo` first, because the pages of Dagster and MLflow show the
local instance. `--service` takes only those of the HTTP service, which shows a simulated flood and needs no demo.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

from deploy import local

IMAGES = Path(__file__).resolve().parent / "images"
SETTLE_MS = 2500
BROWSER_ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


def browser_path() -> str:
    """Return the path of Chromium on this machine."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    sys.exit("error: no Chromium on the PATH. Install one, then run this again.")


def dagster_pages(page: Any, address: str, out: Path) -> None:
    """Take pictures of the lineage graph without its frame, and of the page of the last map with its picture open."""
    page.goto(f"{address}/asset-groups", wait_until="networkidle")
    page.wait_for_timeout(SETTLE_MS)
    page.keyboard.press("Alt+e")
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=out / "lineage.png", clip={"x": 566, "y": 242, "width": 990, "height": 484})
    page.goto(f"{address}/assets/stitched_scenes?view=overview", wait_until="networkidle")
    page.wait_for_timeout(SETTLE_MS)
    page.get_by_text("[Show Markdown]").first.click()
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=out / "map.png")


def report_page(page: Any, home: Path, out: Path) -> None:
    """Take a picture of the report page of the demo's flood in the valley, down to its provenance."""
    reports = (home / "store" / "scenes").glob("*_calm_valley/*/maps/*/*_report.html")
    newest = max(reports, key=lambda path: path.name)  # the name has the date: the scene of the flood
    page.goto(newest.resolve().as_uri())
    page.wait_for_timeout(SETTLE_MS)
    end = page.get_by_role("heading", name="Provenance").bounding_box()["y"]
    clip = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": end}
    page.screenshot(path=out / "report_page.jpg", type="jpeg", quality=80, full_page=True, clip=clip)


def mlflow_page(page: Any, address: str, out: Path) -> None:
    """Take a picture of the registered version with its card; MLflow is never idle, so wait for the load only."""
    page.goto(f"{address}/#/models/drshym-flood/versions/1", wait_until="load")
    page.wait_for_timeout(3 * SETTLE_MS)
    page.screenshot(path=out / "mlflow.png")


@contextlib.contextmanager
def running_service(folder: Path) -> Iterator[str]:
    """Start the HTTP service with its files in a folder, and stop it afterwards; yields its address."""
    port = local.free_port()
    command = [sys.executable, "-m", "drshym_pipeline", "serve", "--root", str(folder), "--port", str(port)]
    process = subprocess.Popen(command, cwd=local.ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        while process.poll() is None:
            with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"{address}/ready"):
                break
        yield address
    finally:
        process.terminate()
        process.wait()


def save_small(picture: bytes, path: Path) -> None:
    """Save a picture with 128 colours, which are enough for grey and a few colours of the map."""
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(128).save(path, optimize=True)


def service_pages(browser: Any, out: Path) -> None:
    """Map a simulated flood through the page of the service, and take pictures of it on a desktop and on a phone."""
    with tempfile.TemporaryDirectory() as temporary:
        scenes = Path(temporary) / "scenes"
        simulate = [sys.executable, "-m", "drshym_pipeline", "simulate", "--out", str(scenes)]
        subprocess.run(simulate, cwd=local.ROOT, check=True)
        with running_service(Path(temporary) / "service") as address:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(600_000)
            page.goto(address)
            page.locator("#scene-files").set_input_files(scenes / "simulated_42.tif")
            page.locator("#pre-part summary").click()
            page.locator("#pre-files").set_input_files(scenes / "simulated_42_pre_event.tif")
            page.get_by_role("button", name="Map this scene").click()
            page.locator("#panel h2").wait_for()
            page.locator("#swipe").check()
            page.locator(".layer-backscatter_before .leaflet-tile-loaded").first.wait_for()
            page.wait_for_timeout(2 * SETTLE_MS)
            page.locator("#panel").evaluate("panel => { panel.scrollTop = 0; }")
            save_small(page.screenshot(), out / "service_page.png")
            phone = browser.new_page(viewport={"width": 375, "height": 812})
            phone.goto(page.url)
            phone.locator(".layer-mask .leaflet-tile-loaded").first.wait_for()
            phone.wait_for_timeout(2 * SETTLE_MS)
            save_small(phone.screenshot(), out / "service_page_phone.png")


def local_pages(browser: Any, out: Path) -> None:
    """Take the pictures of Dagster and MLflow on the local instance."""
    home = Path(os.environ.get("DAGSTER_HOME", local.ROOT / ".dagster"))
    report_page(browser.new_page(viewport={"width": 820, "height": 800}), home, out)
    page = browser.new_page(viewport={"width": 1600, "height": 900}, device_scale_factor=1.5)
    with local.dagster(home, local.free_port()) as running:
        dagster_pages(page, running.address, out)
    with local.mlflow(home, local.free_port()) as running:
        mlflow_page(page, running.address, out)


def main() -> None:
    """Start the services on the local instance, take the pictures, and stop the services."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--service", action="store_true", help="take only the pictures of the HTTP service")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=BROWSER_ARGUMENTS)
        service_pages(browser, out)
        if not options.service:
            local_pages(browser, out)
        browser.close()


if __name__ == "__main__":
    main()
