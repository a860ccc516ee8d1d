"""A killed real service is started again; the other services and the address for the user stay the same."""

from __future__ import annotations

import signal
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import DagsterInstance

from deploy import local
from deploy.service_logs import ServiceLog
from deploy.supervisor import Service, ServiceError

WAIT_SECONDS = 600.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.system
def test_daemon_and_web_server_come_back_after_kill_9(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    home = tmp_path / "home"
    with local.dagster(home, local.free_port()) as running, local.open_instance(home) as instance:
        daemon, web = running.services
        first_daemon, first_web = daemon.process, web.process
        first_daemon.send_signal(signal.SIGKILL)
        killed = time.time()
        until(lambda: daemon.process is not first_daemon)
        local.wait_for_daemon(daemon, instance, since=killed)
        assert web.process is first_web
        assert answers(f"{running.address}/server_info")
        again = daemon.process
        first_web.send_signal(signal.SIGKILL)
        until(lambda: web.process is not first_web and answers(f"{running.address}/server_info"))
        assert daemon.process is again
        running.check()
        log = daemon.log.path.read_text("utf-8")
    lines = [line for line in capfd.readouterr().err.splitlines() if "is started again" in line]
    assert lines == [
        f"dagster-daemon was killed by SIGKILL; it is started again in 1 s; log: {daemon.log.path}",
        f"dagster-webserver was killed by SIGKILL; it is started again in 1 s; log: {web.log.path}",
    ]
    assert log.count("dagster-daemon was killed by SIGKILL") == 1
    assert log.splitlines()[0] != lines[0]


@pytest.mark.system
def test_the_registry_comes_back_on_its_port_after_kill_9(tmp_path: Path) -> None:
    with local.mlflow(tmp_path, local.free_port()) as running:
        first = running.services[0].process
        first.send_signal(signal.SIGKILL)
        until(lambda: running.services[0].process is not first and answers(f"{running.address}/health"))


@pytest.mark.parametrize(
    ("code", "reason"),
    [("raise SystemExit('bad workspace')", "bad workspace"), ("import time; time.sleep(600)", "wrote no heartbeat")],
)
def test_a_daemon_that_does_not_start_is_an_error(code: str, reason: str, tmp_path: Path) -> None:
    log = ServiceLog(tmp_path, "dagster-daemon")
    service = Service("dagster-daemon", [sys.executable, "-c", code], folder=tmp_path, environment={}, log=log)
    try:
        with DagsterInstance.ephemeral() as instance, pytest.raises(ServiceError, match=reason):
            local.wait_for_daemon(service, instance, since=0.0, seconds=WAIT_SECONDS if "raise" in code else 0.5)
    finally:
        service.stop()
