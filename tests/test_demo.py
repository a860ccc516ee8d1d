"""How the demo ends when it is stopped from outside."""

import os
import signal
from collections.abc import Iterator

import pytest

import demo


@pytest.fixture
def stopped() -> Iterator[list[str]]:
    before = signal.getsignal(signal.SIGTERM)
    yield []
    signal.signal(signal.SIGTERM, before)


def test_a_terminated_demo_stops_what_it_has_started(monkeypatch: pytest.MonkeyPatch, stopped: list[str]):
    def run() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:  # where the services of the demo are stopped
            stopped.append("services")

    monkeypatch.setattr(demo, "run", run)
    assert demo.main() == 130
    assert stopped == ["services"]
