"""The services of one machine: Dagster's web server and daemon, and MLflow, with one folder of state.

`make ui`, `make mlflow`, `make demo` and the tests start and stop the services with this module. A service that ends
unexpectedly is started again (`deploy/supervisor.py`). Dagster's web server and MLflow have no login of their own, so
they listen on 127.0.0.1 only; `docs/operations.md` says how to put a reverse proxy in front, and how to run the
services under systemd.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from deploy import service_logs
from deploy.service_logs import ServiceLog, rescue_old_logs
from deploy.supervisor import Service, ServiceError
from drshym_pipeline.settings import PipelineSettings
from resources.no_telemetry import SWITCHES

if TYPE_CHECKING:
    from dagster import DagsterInstance

ROOT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
START_SECONDS = 600.0  # a busy machine needs minutes; a service that ends while it starts is reported at once
DAEMON, WEB, MLFLOW = service_logs.SERVICES


def free_port() -> int:
    """Return a loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def open_instance(home: Path) -> Iterator[DagsterInstance]:
    """Open the Dagster instance of a prepared home; its `dagster.yaml` reads the home from the environment."""
    from dagster import DagsterInstance

    with _environment(DAGSTER_HOME=str(home)), DagsterInstance.from_config(str(home)) as instance:
        yield instance


def prepare_home(home: Path) -> None:
    """Prepare a Dagster home for the services.

    This links the checkout's `dagster.yaml` into the home, creates the tables of its storage, moves the service logs of
    earlier releases out of Dagster's telemetry folder, and makes sure that the daemon retries every interrupted run it
    finds.
    """
    home.mkdir(parents=True, exist_ok=True)
    rescue_old_logs(home)
    link = home / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(ROOT / "dagster.yaml", home))
    from resources.dagster_internals import remember_failures_from_now

    # Daemon and web server start at the same time: with a new home both would create the tables, and one would fail.
    with open_instance(home) as instance:
        remember_failures_from_now(instance)


def prepare_mlflow(home: Path) -> PipelineSettings:
    """Make the folders of MLflow's store, and move its log of earlier releases out of Dagster's telemetry folder."""
    rescue_old_logs(home)
    with _environment(DAGSTER_HOME=str(home)):
        settings = PipelineSettings()
    settings.mlflow_artifacts.mkdir(parents=True, exist_ok=True)
    return settings


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables of this process during the block, because `dagster.yaml` reads them."""
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


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of the services: tools of this interpreter first, state in `home`, no telemetry."""
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        # dagster.yaml names modules of the checkout.
        "PYTHONPATH": os.pathsep.join([str(ROOT), *(path for path in others if path and path != str(ROOT))]),
        # A busy machine may need more than Dagster's default of a minute to start the process of a run. The run would
        # then count as not started, and a second process would be started beside the first.
        "DAGSTER_GRPC_TIMEOUT_SECONDS": "300",
        "DAGSTER_HOME": str(home),
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        **SWITCHES,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        **(extra or {}),
    }


def start(name: str, command: Sequence[str], home: Path, extra: Mapping[str, str] | None = None) -> Service:
    """Start one service with its output in `home/service_logs/<name>.log`."""
    return Service(
        name,
        command,
        folder=ROOT,
        environment=environment(home, extra),
        log=ServiceLog(home / service_logs.FOLDER, name),
        keep_children=name == DAEMON,
    )


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
    raise ServiceError(f"{service.name} did not answer at {url} within {seconds:.0f} s; see {service.log.path}")


def wait_for_daemon(service: Service, instance: DagsterInstance, since: float, seconds: float = START_SECONDS) -> None:
    """Wait until the daemon has written a heartbeat.

    Args:
        service: The daemon.
        instance: The instance it works on.
        since: When it was started, in seconds since 1970; an older heartbeat is from another daemon.
        seconds: How long to wait, at most.

    Raises:
        ServiceError: The daemon ended, or wrote no heartbeat in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        service.check()
        if any(beat.timestamp >= since for beat in instance.get_daemon_heartbeats().values()):
            return
        time.sleep(0.3)
    raise ServiceError(f"{service.name} wrote no heartbeat within {seconds:.0f} s; see {service.log.path}")


@dataclass(frozen=True)
class Running:
    """The running services and their address."""

    address: str
    services: tuple[Service, ...]

    def check(self) -> None:
        """Raise ServiceError if a service has ended so often that it makes no sense to wait for it."""
        for service in self.services:
            service.check()


def _claim_port(port: int) -> None:
    """Raise an error if a port is in use: otherwise the answer of another server would be mistaken for ours."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ServiceError(
                f"port {port} is in use ({error.strerror}); stop the program that uses it, or choose another port"
            ) from error


@contextlib.contextmanager
def sole_daemon(home: Path) -> Iterator[None]:
    """Lock a home for one daemon: two daemons would start every run twice.

    Raises:
        ServiceError: Another daemon uses the home.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "daemon.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ServiceError(
                f"another daemon uses {home}: stop the `make ui` or `make demo` that started it"
            ) from error
        yield


def daemon_command() -> list[str]:
    """Return the command of Dagster's daemon with the checkout's workspace."""
    return [_tool("dagster-daemon"), "run", "-w", str(ROOT / "workspace.yaml")]


def web_command(port: int) -> list[str]:
    """Return the command of Dagster's web server with the checkout's workspace."""
    return [_tool("dagster-webserver"), "-w", str(ROOT / "workspace.yaml"), "-h", HOST, "-p", str(port)]


def mlflow_command(settings: PipelineSettings, port: int) -> list[str]:
    """Return the command of MLflow's server with the store of the settings."""
    return [
        *(_tool("mlflow"), "server", "--host", HOST, "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", settings.mlflow_tracking_uri),
        *("--default-artifact-root", str(settings.mlflow_artifacts.resolve())),
    ]


def _tool(name: str) -> str:
    return str(Path(sys.executable).parent / name)


@contextlib.contextmanager
def dagster(home: Path, port: int, extra: Mapping[str, str] | None = None) -> Iterator[Running]:
    """Run Dagster's web server and daemon under supervision; yield when both have started.

    Raises:
        ServiceError: The port is in use, another daemon uses the same home, or a service does not start.
    """
    _claim_port(port)
    address = f"http://{HOST}:{port}"
    with contextlib.ExitStack() as running:
        running.enter_context(sole_daemon(home))
        prepare_home(home)
        instance = running.enter_context(open_instance(home))
        since = time.time()
        daemon = start(DAEMON, daemon_command(), home, extra)
        running.callback(daemon.stop)
        web = start(WEB, web_command(port), home, extra)
        running.callback(web.stop)
        wait_for(web, f"{address}/server_info")
        wait_for_daemon(daemon, instance, since)
        for service in (daemon, web):
            service.supervise()
        yield Running(address, (daemon, web))


@contextlib.contextmanager
def mlflow(home: Path, port: int) -> Iterator[Running]:
    """Run MLflow's server under supervision with the store of the settings; yield when it answers.

    Raises:
        ServiceError: The port is in use, or the server does not start.
    """
    _claim_port(port)
    settings = prepare_mlflow(home)
    address = f"http://{HOST}:{port}"
    service = start(MLFLOW, mlflow_command(settings, port), home)
    try:
        wait_for(service, f"{address}/health")
        service.supervise()
        yield Running(address, (service,))
    finally:
        service.stop()


def _until_stopped() -> None:
    """Return when the user presses Ctrl+C or the process is asked to end."""
    stopped = False

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    while not stopped:
        time.sleep(0.2)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl+C: `python -m deploy.local ui|mlflow --port N`; or only `prepare` the folder of state."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("service", choices=["ui", "mlflow", "prepare"])
    parser.add_argument("--port", type=int, help="where to serve, on 127.0.0.1")
    options = parser.parse_args(arguments)
    home = Path(os.environ.get("DAGSTER_HOME", ROOT / ".dagster"))
    if options.service == "prepare":
        prepare_home(home)
        prepare_mlflow(home)
        return 0
    if options.port is None:
        parser.error("--port is missing")
    serve = dagster if options.service == "ui" else mlflow
    try:
        with serve(home, options.port):
            _until_stopped()
    except ServiceError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
