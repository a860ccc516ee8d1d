"""No telemetry of Dagster and MLflow is sent: the switches work, and they are set everywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy import local
from deploy.service_logs import FOLDER
from resources.no_telemetry import SWITCHES

# MLflow also sends nothing if it thinks that it runs in continuous integration or in a test.
_CI_MARKS = re.compile(
    r"CI|GITHUB_|GITLAB|JENKINS|TRAVIS|TF_BUILD|BUILDKITE|PYTEST|RUNBOT|CODEBUILD|TEAMCITY|BITBUCKET"
)


def bare_environment() -> dict[str, str]:
    """This environment without the switches and without the marks of continuous integration."""
    return {name: text for name, text in os.environ.items() if name not in SWITCHES and not _CI_MARKS.match(name)}


class Sink:
    """A server that records what it receives."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.received = threading.Event()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sink.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()
                sink.received.set()

            def log_message(self, *arguments: object) -> None:
                del arguments

        self.server = ThreadingHTTPServer((local.HOST, 0), Handler)
        self.url = f"http://{local.HOST}:{self.server.server_port}/actions"


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    thread = threading.Thread(target=sink.server.serve_forever)
    thread.start()
    yield sink
    sink.server.shutdown()
    thread.join()
    sink.server.server_close()


def upload(home: Path, sink: Sink, switches: dict[str, str], *, wait: bool) -> None:
    """Run Dagster's uploader on a home, with the sink in place of its server."""
    code = (
        "import sys, threading\n"
        "from dagster._core.telemetry_upload import upload_logs\n"
        "stop = threading.Event()\n"
        "thread = threading.Thread(target=upload_logs, args=(stop,))\n"
        "thread.start()\n"
        f"sys.stdin.readline() if {wait} else None\n"
        "stop.set()\n"
        "thread.join()\n"
    )
    environment = {**bare_environment(), "DAGSTER_HOME": str(home), "DAGSTER_TELEMETRY_URL": sink.url, **switches}
    with subprocess.Popen([sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, text=True) as process:
        if wait:
            assert sink.received.wait(60)
        process.communicate("\n")
    assert process.returncode == 0


def logs_in(home: Path, folder: str) -> Path:
    (home / folder).mkdir(parents=True)
    log = home / folder / "dagster-daemon.log"
    log.write_text("what our daemon did\n")
    return log


def test_without_the_switch_dagster_uploads_its_log_folder_and_deletes_it_whatever_dagster_yaml_says(
    tmp_path: Path, sink: Sink
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    old, new = logs_in(tmp_path, "logs"), logs_in(tmp_path, FOLDER)
    upload(tmp_path, sink, {}, wait=True)
    assert len(sink.bodies) == 1
    assert not old.exists()
    assert new.read_text() == "what our daemon did\n"


def test_with_the_switch_nothing_is_uploaded(tmp_path: Path, sink: Sink) -> None:
    log = logs_in(tmp_path, "logs")
    upload(tmp_path, sink, SWITCHES, wait=False)
    assert sink.bodies == []
    assert log.exists()


@pytest.mark.parametrize(("first", "disabled"), [("", "False"), ("import resources; ", "True")])
def test_mlflow_is_silent_if_our_code_location_was_imported_first(first: str, disabled: str) -> None:
    code = f"{first}from mlflow.telemetry.utils import is_telemetry_disabled; print(is_telemetry_disabled())"
    # Imported without the switch, MLflow asks its server at once: a proxy that does not exist keeps the request on this
    # machine.
    proxy = f"http://{local.HOST}:9"
    environment = {
        **bare_environment(), "PYTHONPATH": str(local.ROOT), "HTTPS_PROXY": proxy, "https_proxy": proxy,
        "NO_PROXY": "", "no_proxy": "",
    }  # fmt: skip
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True, cwd=local.ROOT
    )
    assert result.stdout.split()[-1] == disabled


def test_every_service_gets_the_switches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SWITCHES:
        monkeypatch.delenv(name)
    assert SWITCHES.items() <= local.environment(tmp_path).items()


def test_make_sets_the_switches_for_every_target() -> None:
    exported = re.findall(r"^export (\w+) := (\S+)$", (local.ROOT / "Makefile").read_text(), re.MULTILINE)
    assert SWITCHES.items() <= dict(exported).items()


def test_the_tests_run_with_the_switches() -> None:
    assert SWITCHES.items() <= os.environ.items()
