"""The services of one laptop start, map a copied scene, and leave no process behind."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from deploy import local

WAIT_SECONDS = 600.0


def processes_with(text: str) -> list[str]:
    """Command lines of all processes whose environment names `text`."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        with contextlib.suppress(psutil.Error):  # it has ended in the meantime, or belongs to another user
            if any(text in value for value in process.environ().values()):
                found.append(" ".join(process.cmdline()))
    return found


@pytest.mark.system
def test_a_scene_dropped_into_the_inbox_is_mapped_by_the_daemon(tmp_path: Path) -> None:
    from drshym_pipeline.datasets.simulator.scene import simulate_scene
    from drshym_pipeline.datasets.simulator.writer import write_scene

    home = tmp_path / "home"
    inbox = home / "inbox"
    inbox.mkdir(parents=True)
    scene = write_scene(tmp_path, "dropped", simulate_scene(3, 300, 340))
    (inbox / "broken.tif").write_bytes(b"not a TIFF at all")
    with local.dagster(home, local.free_port(), {"DRSHYM_NEW_SCENES_INTERVAL": "2"}) as running:
        with urllib.request.urlopen(f"{running.address}/server_info", timeout=10) as answer:
            assert json.load(answer)["dagster_version"]
        scene.rename(inbox / scene.name)
        finished = home / "store" / "scenes" / "dropped"
        reason = home / "store" / "failures" / "broken.json"
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline and not (list(finished.glob("*/maps/*/manifest.json")) and reason.is_file()):
            time.sleep(0.5)
    assert list(finished.glob("*/maps/*/dropped_mask.tif"))
    assert "broken.tif" in reason.read_text()
    assert not list((home / "store" / "scenes").glob("broken/*/maps"))
    assert processes_with(str(home)) == []


@pytest.mark.system
def test_mlflow_answers_and_stops(tmp_path: Path) -> None:
    with (
        local.mlflow(tmp_path, local.free_port()) as running,
        urllib.request.urlopen(f"{running.address}/health", timeout=10) as answer,
    ):
        assert answer.read() == b"OK"
    assert processes_with(str(tmp_path)) == []


def test_a_service_that_ends_by_itself_is_an_error_with_its_log(tmp_path: Path) -> None:
    service = local.start("talker", [sys.executable, "-c", "raise SystemExit('no such luck')"], tmp_path)
    service.process.wait()
    with pytest.raises(local.ServiceError, match=r"talker stopped with exit code 1; .*\n.*no such luck"):
        local.wait_for(service, f"http://{local.HOST}:{local.free_port()}/", seconds=5)


def test_a_service_that_ignores_the_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print('up'); time.sleep(600)"
    )
    service = local.start("stubborn", [sys.executable, "-c", code], tmp_path)
    while "up" not in service.log.path.read_text():
        time.sleep(0.05)
    assert len(processes_with(str(tmp_path))) == 2
    service.stop(patience=0.5)
    deadline = time.monotonic() + 10
    while processes_with(str(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_with(str(tmp_path)) == []


def test_the_checkouts_configuration_is_linked_into_a_new_home(tmp_path: Path) -> None:
    local.prepare_home(tmp_path / "home")
    local.prepare_home(tmp_path / "home")
    assert (tmp_path / "home" / "dagster.yaml").read_text() == (local.ROOT / "dagster.yaml").read_text()


def test_ui_refuses_an_unknown_service() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "deploy.local", "nothing", "--port", "1"],
        cwd=local.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode == 2


def test_a_second_daemon_on_the_same_folder_of_state_is_refused(tmp_path: Path):
    """Two daemons would start every run twice."""
    with local.sole_daemon(tmp_path), pytest.raises(local.ServiceError, match="another daemon uses"):  # noqa: SIM117
        with local.dagster(tmp_path, local.free_port()):
            pass
    with local.sole_daemon(tmp_path):
        assert (tmp_path / "daemon.lock").is_file()
