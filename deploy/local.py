"""The services of one laptop: Dagster's web server and daemon, and MLflow, on loopback, on one folder of state.

`make ui`, `make mlflow`, `make demo` and the tests all start them here and stop what they started. Nothing here knows
what the pipeline does. Dagster's web server and MLflow have no login of their own, so they listen on 127.0.0.1 only;
`docs/operations.md` says how to put a reverse proxy in front.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from drshym_pipeline.settings import PipelineSettings

if TYPE_CHECKING:
    from dagster import DagsterInstance

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_SECONDS = 180.0
STOP_SECONDS = 30.0


class ServiceError(RuntimeError):
    """A service that did not come up, with the end of its log."""


def free_port() -> int:
    """A loopback port nobody listens on at the moment of asking."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def open_instance(home: Path) -> Iterator[DagsterInstance]:
    """The Dagster instance of a prepared home; its `dagster.yaml` reads the home from the environment."""
    from dagster import DagsterInstance

    with _environment(DAGSTER_HOME=str(home)), DagsterInstance.from_config(str(home)) as instance:
        yield instance


def prepare_home(home: Path) -> None:
    """Make a Dagster home fit to start on.

    Links the checkout's `dagster.yaml` into it, creates the tables of its storage, and closes runs of a dead machine.
    """
    home.mkdir(parents=True, exist_ok=True)
    link = home / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(ROOT / "dagster.yaml", home))
    from deploy.orphans import fail_orphaned_runs

    # Daemon and web server start at the same moment: on a new home both would create the tables, and one would die.
    with open_instance(home) as instance:
        fail_orphaned_runs(instance)


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set variables of this process's environment for a while: `dagster.yaml` reads them."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def environment(home: Path, extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of every service: this interpreter's tools first, state in `home`, no telemetry."""
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "DAGSTER_HOME": str(home),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        **(extra or {}),
    }


@dataclass
class Service:
    """One running service and where its output goes."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise when the process has ended by itself."""
        code = self.process.poll()
        if code is not None:
            tail = "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-15:])
            raise ServiceError(f"{self.name} stopped with exit code {code}; the end of {self.log}:\n{tail}")

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """Ask the whole process group to end, and insist when it has not after `patience` seconds."""
        group = self.process.pid  # started with its own session: the group has the leader's number
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGTERM)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and _group_alive(group):
            self.process.poll()
            time.sleep(0.1)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.process.wait()


def _group_alive(group: int) -> bool:
    """Whether a process of the group still runs; a dead one that its parent has not collected yet does not count."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it ended while we looked
                # The command, in parentheses, may hold spaces: what follows its end is state, parent, group.
                state, _parent, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
                if int(its_group) == group and state not in "ZX":
                    return True
    return False


def start(name: str, command: Sequence[str], home: Path, extra: dict[str, str] | None = None) -> Service:
    """Start one service with its output in `home/logs/<name>.log`."""
    log = home / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(home, extra),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Service(name, process, log)


def wait_for(service: Service, url: str, seconds: float = START_SECONDS) -> None:
    """Wait until `url` answers.

    Raises:
        ServiceError: The service ended, or did not answer in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        service.check()
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise ServiceError(f"{service.name} did not answer at {url} within {seconds:.0f} s; see {service.log}")


@dataclass(frozen=True)
class Running:
    """Services that answer at an address."""

    address: str
    services: tuple[Service, ...]

    def check(self) -> None:
        """Raise when one of them has ended by itself."""
        for service in self.services:
            service.check()


def _claim_port(port: int) -> None:
    """Refuse a port that is taken: another server's answer would be taken for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServiceError(
                f"port {port} is taken ({error.strerror}); stop what listens there or choose another"
            ) from error


@contextlib.contextmanager
def dagster(home: Path, port: int, extra: dict[str, str] | None = None) -> Iterator[Running]:
    """Run Dagster's web server and daemon; yields once the web server answers.

    Raises:
        ServiceError: The port is taken, another daemon works on the same home, or a service does not come up.
    """
    _claim_port(port)
    prepare_home(home)
    services: list[Service] = []
    tool = Path(sys.executable).parent
    address = f"http://{HOST}:{port}"
    workspace = ["-w", str(ROOT / "workspace.yaml")]
    try:
        services.append(start("dagster-daemon", [str(tool / "dagster-daemon"), "run", *workspace], home, extra))
        web = [str(tool / "dagster-webserver"), *workspace, "-h", HOST, "-p", str(port)]
        services.append(start("dagster-webserver", web, home, extra))
        wait_for(services[-1], f"{address}/server_info")
        running = Running(address, tuple(services))
        running.check()
        yield running
    finally:
        for service in reversed(services):
            service.stop()


@contextlib.contextmanager
def mlflow(home: Path, port: int) -> Iterator[Running]:
    """Run MLflow's server on the store of the settings (SQLite in `home` by default); yields once it answers.

    Raises:
        ServiceError: The port is taken, or the server does not come up.
    """
    _claim_port(port)
    with _environment(DAGSTER_HOME=str(home)):
        settings = PipelineSettings()
    settings.mlflow_artifacts.mkdir(parents=True, exist_ok=True)
    address = f"http://{HOST}:{port}"
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", settings.mlflow_tracking_uri),
        *("--default-artifact-root", str(settings.mlflow_artifacts.resolve())),
    ]
    service = start("mlflow", command, home)
    try:
        wait_for(service, f"{address}/health")
        yield Running(address, (service,))
    finally:
        service.stop()


def _until_stopped(running: Running) -> None:
    """Return when the user presses Ctrl+C or the process is asked to end; raise when a service ends by itself."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    while not stopped:
        running.check()
        time.sleep(0.2)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m deploy.local ui|mlflow --port N`: serve until Ctrl+C."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("service", choices=["ui", "mlflow"])
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args(arguments)
    home = Path(os.environ.get("DAGSTER_HOME", ROOT / ".dagster"))
    serve = dagster if options.service == "ui" else mlflow
    try:
        with serve(home, options.port) as running:
            _until_stopped(running)
    except ServiceError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
