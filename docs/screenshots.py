"""Take the pictures of the documentation from the real pages: `python -m docs.screenshots`.

Needs the extra `docs` and a Chromium browser; run `make demo` first, because the pages show the local instance.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

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


def mlflow_page(page: Any, address: str, out: Path) -> None:
    """Take a picture of the registered version with its card; MLflow is never idle, so wait for the load only."""
    page.goto(f"{address}/#/models/drshym-flood/versions/1", wait_until="load")
    page.wait_for_timeout(3 * SETTLE_MS)
    page.screenshot(path=out / "mlflow.png")


def main() -> None:
    """Start the services on the local instance, take the pictures, and stop the services."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=IMAGES)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    home = Path(os.environ.get("DAGSTER_HOME", local.ROOT / ".dagster"))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=BROWSER_ARGUMENTS)
        page = browser.new_page(viewport={"width": 1600, "height": 900}, device_scale_factor=1.5)
        with local.dagster(home, local.free_port()) as running:
            dagster_pages(page, running.address, out)
        with local.mlflow(home, local.free_port()) as running:
            mlflow_page(page, running.address, out)
        browser.close()


if __name__ == "__main__":
    main()
