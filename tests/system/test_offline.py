"""No data leaves the machine: demo, web pages and registry run without a network and do not try to use one."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy import local
from deploy.service_logs import BACKUPS, FOLDER, MAX_BYTES, SERVICES
from resources.no_telemetry import SWITCHES
from tests.offline import attempts, run_offline

pytestmark = pytest.mark.system

Find = Callable[[str], str]
DEMO_SECONDS = 3600.0
SERVE_SECONDS = 900.0
# Continuous integration alone keeps MLflow silent, and the variables of `make` must not be the only guard. A user sets
# no number of threads either.
_HIDDEN = re.compile(
    "CI$|GITHUB_|GITLAB|JENKINS|TRAVIS|TF_BUILD|BUILDKITE|PYTEST|RUNBOT|CODEBUILD|TEAMCITY|BITBUCKET|OMP_NUM_THREADS$"
)


def environment_of_a_user(home: Path) -> dict[str, str]:
    """This environment as a user's shell has it: no marks of continuous integration, no switches against telemetry."""
    kept = {name: text for name, text in os.environ.items() if name not in SWITCHES and not _HIDDEN.match(name)}
    return {**kept, "DAGSTER_HOME": str(home), "PYTHONPATH": str(local.ROOT)}


def traced(code: str, tmp_path: Path, find: Find) -> set[str]:
    trace = tmp_path / "trace"
    result = run_offline(
        [sys.executable, "-c", code],
        system_tool=find,
        trace=trace,
        environment=environment_of_a_user(tmp_path),
        folder=local.ROOT,
        seconds=SERVE_SECONDS,
    )
    assert result.returncode == 0, result.stdout
    return attempts(trace.read_text().splitlines())


CONNECT = """
import socket, subprocess, sys
def reach(family, *address):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        try:
            one.connect(address if len(address) > 1 else address[0])
        except OSError:
            pass
"""


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("reach(socket.AF_INET, '203.0.113.7', 80)", {"203.0.113.7 port 80"}),
        ("reach(socket.AF_INET6, '2001:db8::7', 443)", {"2001:db8::7 port 443"}),
        ("reach(socket.AF_INET, '127.0.0.53', 53)", {"127.0.0.53 port 53"}),
        ("reach(socket.AF_INET, '127.0.0.1', 80)", set()),
        ("reach(socket.AF_INET6, '::1', 80)", set()),
        ("reach(socket.AF_UNIX, '/no/such/socket')", set()),
    ],
)
def test_every_attempt_to_reach_another_machine_is_found(
    call: str, expected: set[str], tmp_path: Path, system_tool: Find
) -> None:
    # In a child of a thread of a child: no started process is missed.
    inner = (
        f"import threading\n{CONNECT}\nthread = threading.Thread(target=lambda: {call})\nthread.start(); thread.join()"
    )
    outer = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}], check=True)"
    assert traced(outer, tmp_path, system_tool) == expected


def test_only_loopback_can_be_reached(tmp_path: Path, system_tool: Find) -> None:
    code = (
        "import errno, socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "outside = socket.socket().connect_ex(('203.0.113.7', 80))\n"
        "assert outside == errno.ENETUNREACH, outside\n"
    )
    assert traced(code, tmp_path, system_tool) == {"203.0.113.7 port 80"}


def test_a_lookup_of_a_name_is_found(tmp_path: Path, system_tool: Find) -> None:
    code = "import socket\ntry: socket.getaddrinfo('host.invalid', 80)\nexcept OSError: pass"
    assert traced(code, tmp_path, system_tool)


def test_the_uploader_of_dagster_is_found_when_it_is_not_switched_off(tmp_path: Path, system_tool: Find) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "event.log").write_text("one event\n")
    code = (
        "import threading; from dagster._core.telemetry_upload import upload_logs\n"
        "stop = threading.Event(); threading.Timer(1, stop.set).start(); upload_logs(stop)"
    )
    assert traced(code, tmp_path, system_tool)
    assert not traced(f"import resources; {code}", tmp_path, system_tool)


def test_the_telemetry_of_mlflow_is_found_when_it_is_not_switched_off(tmp_path: Path, system_tool: Find) -> None:
    code = (
        "import mlflow, time; from mlflow.telemetry.client import get_telemetry_client\n"
        "client = get_telemetry_client()\n"
        "if client: client.activate(); time.sleep(3)"
    )
    assert traced(code, tmp_path, system_tool)
    assert not traced(f"import resources; {code}", tmp_path, system_tool)


def test_a_call_that_is_not_understood_is_reported() -> None:
    line = "12 connect(3, {sa_family=AF_VSOCK, svm_cid=0x2, svm_port=0x400}, 16) = -1 ENODEV"
    assert attempts([line]) == {line}
    assert attempts(["12 connect(3, NULL, 0) = -1 EFAULT", "12 +++ exited with 0 +++"]) == set()


SERVE = """
import contextlib, json, os, signal, subprocess, sys, time, urllib.error, urllib.request
service, port, *pages = sys.argv[1:]
process = subprocess.Popen([sys.executable, "-m", "deploy.local", service, "--port", port])
base = f"http://127.0.0.1:{port}"
deadline = time.monotonic() + 600
for page in pages:
    while True:
        assert process.poll() is None and time.monotonic() < deadline, page
        try:
            with urllib.request.urlopen(base + page, timeout=60) as answer:
                answer.read()
            break
        except urllib.error.HTTPError:
            raise
        except OSError:
            time.sleep(0.5)
time.sleep(5)  # a service sends its data from another thread
process.send_signal(signal.SIGTERM)
sys.exit(process.wait())
"""
UI_PAGES = ("/server_info", "/", "/runs", "/graphql?query=%7Bversion%7D")
MLFLOW_PAGES = ("/health", "/", "/version", "/ajax-api/3.0/mlflow/ui-telemetry")


def fill(home: Path) -> None:
    """Write the files that an older release and a long time of running would have left."""
    (home / FOLDER).mkdir(parents=True)
    for service in SERVICES:
        (home / FOLDER / f"{service}.log").write_bytes(b"a line of last month\n" * (MAX_BYTES // 21))
    (home / "logs").mkdir()
    (home / "logs" / "event.log").write_text("an event\n")
    (home / "logs" / "mlflow.log").write_text("what an older release has left\n")


def check_logs(home: Path, *services: str) -> None:
    """Check that the logs exist, are rotated and limited in size, and that nothing was deleted."""
    for service in services:
        current, before = home / FOLDER / f"{service}.log", home / FOLDER / f"{service}.log.1"
        assert 0 < current.stat().st_size < before.stat().st_size
        assert b"a line of last month" in before.read_bytes()[:100]
        files = list((home / FOLDER).glob(f"{service}.log*"))
        assert len(files) <= BACKUPS + 1
        assert all(path.stat().st_size <= MAX_BYTES for path in files)
    assert (home / "logs" / "event.log").read_text() == "an event\n"
    assert not (home / "logs" / "mlflow.log").exists()


def serve_offline(service: str, pages: tuple[str, ...], home: Path, trace: Path, find: Find) -> set[str]:
    result = run_offline(
        [sys.executable, "-c", SERVE, service, str(local.free_port()), *pages],
        system_tool=find,
        trace=trace,
        environment=environment_of_a_user(home),
        folder=local.ROOT,
        seconds=SERVE_SECONDS,
    )
    assert result.returncode == 0, result.stdout
    lines = trace.read_text().splitlines()
    assert any("sa_family=AF_INET" in line for line in lines), "the trace holds no call: it proves nothing"
    return attempts(lines)


def test_make_ui_reaches_nothing_but_this_machine(tmp_path: Path, system_tool: Find) -> None:
    home = tmp_path / "home"
    fill(home)
    assert serve_offline("ui", UI_PAGES, home, tmp_path / "trace", system_tool) == set()
    check_logs(home, local.DAEMON, local.WEB)


def test_make_mlflow_reaches_nothing_but_this_machine(tmp_path: Path, system_tool: Find) -> None:
    home = tmp_path / "home"
    fill(home)
    assert serve_offline("mlflow", MLFLOW_PAGES, home, tmp_path / "trace", system_tool) == set()
    check_logs(home, local.MLFLOW)


def test_the_demo_reaches_nothing_but_this_machine(tmp_path: Path, system_tool: Find) -> None:
    home = tmp_path / "home"
    fill(home)
    trace = tmp_path / "trace"
    result = run_offline(
        [sys.executable, "demo.py"],
        system_tool=system_tool,
        trace=trace,
        environment=environment_of_a_user(home),
        folder=local.ROOT,
        seconds=DEMO_SECONDS,
    )
    assert result.returncode == 0, result.stdout
    assert "Mapped scenes" in result.stdout
    assert attempts(trace.read_text().splitlines()) == set()
    check_logs(home, local.DAEMON, local.WEB)
