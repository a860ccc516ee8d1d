"""A service, its client and a browser, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.browser import ARGUMENTS, Watched
from tests.service.running_service import running_service

DESKTOP, PHONE = (1280, 800), (375, 812)
OpenPage = Callable[..., Any]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service without a token."""
    with running_service(tmp_path_factory.mktemp("service")) as address:
        yield address


@pytest.fixture(scope="module")
def client(service: str) -> Iterator[httpx.Client]:
    """A program that uses the service."""
    with httpx.Client(base_url=service, timeout=600) as client:
        yield client


@pytest.fixture(scope="module")
def chromium(system_tool: Callable[[str], str]) -> Iterator[Any]:
    """A headless Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=system_tool("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[OpenPage]:
    """A function that opens an address in a new window; afterwards the window must have no fault.

    Answers that are errors are a fault too, unless `refusals` is true.
    """
    opened: list[tuple[Watched, bool]] = []

    def open_address(
        address: str, *, size: tuple[int, int] = DESKTOP, dark: bool = False, refusals: bool = False
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme="dark" if dark else "light"
        )
        # A machine that does other things too answers late, never wrongly.
        context.set_default_timeout(120_000)
        watched = Watched(context.new_page())
        opened.append((watched, refusals))
        watched.page.goto(address)
        return watched.page

    yield open_address
    for watched, refusals in opened:
        watched.page.context.close()
        assert watched.faults == []
        assert refusals or watched.refused == []


@pytest.fixture(scope="session")
def chip(real_data: Path) -> tuple[Path, Path]:
    """The VV and the VH file of a real chip with much water."""
    folder = real_data / "stac_overflow"
    return folder / "jja10_vv.tif", folder / "jja10_vh.tif"
