"""A command that is stopped by Ctrl+C or SIGTERM: one error line, one document, exit code 1."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import yaml

from drshym_pipeline.commands import stopping
from drshym_pipeline.commands.exit_codes import ExitCode
from drshym_pipeline.model.bundle import shipped_path
from tests.processes import has_ended

COMMAND = [sys.executable, "-m", "drshym_pipeline"]


def heed_signals() -> None:
    """Undo that the tests themselves were started with signals ignored, as a shell does in the background."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def stopped(
    arguments: list[str],
    number: signal.Signals,
    ready: Callable[[int], bool],
    send: Callable[[int, int], None] = os.kill,
) -> subprocess.CompletedProcess[str]:
    """Run a command, and send it, or as a terminal does its group, a signal when it has come so far."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        preexec_fn=heed_signals,  # noqa: PLW1509  # the child starts no thread before
    )
    while process.poll() is None and not ready(process.pid):
        time.sleep(0.01)
    assert process.poll() is None, "the command ended before it could be stopped"
    send(process.pid, number)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def assert_says_so(done: subprocess.CompletedProcess[str], command: str) -> None:
    assert done.returncode == ExitCode.FAULT, done
    # A scene that was begun is counted in the line.
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("model: ")]
    assert line in ("error: stopped", "error: stopped: 1 scene was not mapped")
    document = json.loads(done.stdout)
    assert (document["command"], document["exit_code"]) == (command, ExitCode.FAULT)
    (failure,) = document["failures"]
    assert failure["kind"] == "stopped"
    assert failure["remedy"] == "Run the command again"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_without_maps_says_that_it_was_stopped(tmp_path, number):
    out = tmp_path / "chips"
    arguments = ["simulate", "--kind", "chips", "--train", "2000", "--out", str(out), "--json", "--no-progress"]
    done = stopped(arguments, number, lambda _: any(tmp_path.rglob("*.tif")))
    assert_says_so(done, "simulate")


def test_without_json_the_error_line_is_all(tmp_path):
    arguments = ["simulate", "--kind", "chips", "--train", "2000", "--out", str(tmp_path / "chips"), "--no-progress"]
    done = stopped(arguments, signal.SIGTERM, lambda _: any(tmp_path.rglob("*.tif")))
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.FAULT, "", "error: stopped\n")


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("library", ["libc10", "libtorch_cpu", "libtorch_python"])
def test_a_command_can_be_stopped_while_a_library_is_imported(tmp_path, scene_file, number, library):
    # An interrupt in the initialisation of a library in C++ ended the process with SIGABRT.
    scene = scene_file(tmp_path / "scene.tif", shape=(64, 64))

    def importing(process: int) -> bool:
        return library in Path(f"/proc/{process}/maps").read_text()

    out = tmp_path / "out"
    done = stopped(["segment", str(scene), "--out", str(out), "--json"], number, importing)
    assert_says_so(done, "segment")
    assert not out.exists()


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_map_leaves_no_file(tmp_path, number):
    scenes, layers, out = (tmp_path / name for name in ("scenes", "layers", "out"))
    simulate = ["simulate", "--size", "1024", "--out", str(scenes), "--ancillary", str(layers), "--quiet"]
    subprocess.run([*COMMAND, *simulate], check=True)
    arguments = ["segment", str(scenes / "simulated_42.tif"), "--ancillary", str(layers), "--out", str(out), "--json"]
    done = stopped(arguments, number, lambda _: any(out.rglob("*.tif")))
    assert_says_so(done, "segment")
    assert not out.exists()


@pytest.mark.system
@pytest.mark.parametrize(
    ("number", "send"),
    [
        pytest.param(signal.SIGINT, os.kill, id="interrupt"),
        pytest.param(signal.SIGINT, os.killpg, id="terminal"),
        pytest.param(signal.SIGTERM, os.kill, id="terminate"),
    ],
)
def test_a_stopped_training_leaves_no_process_and_no_unfinished_file(tmp_path, number, send):
    recipe = {
        "name": "endless",
        "data": {"kind": "simulated", "simulated": {"train": 4, "valid": 3, "test": 2, "hard": 0, "size": 64}},
        "network": {"encoder": "resnet18", "stem": "full", "decoder_channels": [128, 64, 32, 16, 8]},
        "training": {"crop": 64, "batch_size": 2, "max_steps": 100_000, "validate_every": 50_000, "workers": 2},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    workers = []

    def has_workers(process: int) -> bool:
        workers[:] = psutil.Process(process).children(recursive=True)
        return len(workers) == 2

    out = tmp_path / "out"
    arguments = ["train", "--config", str(tmp_path / "recipe.yaml"), "--out", str(out), "--json", "--quiet"]
    done = stopped(arguments, number, has_workers, send)
    assert_says_so(done, "train")
    assert all(has_ended(worker) for worker in workers)
    assert not list(out.rglob(".partial-*"))


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_registration_ends_its_process_and_prints_one_line(tmp_path, number, monkeypatch):
    monkeypatch.setenv("DRSHYM_HOME", str(tmp_path))
    started = []

    def has_child(process: int) -> bool:
        started[:] = psutil.Process(process).children()
        # From here on, Ctrl+C in the child would print a traceback.
        return bool(started) and "pydantic_core" in Path(f"/proc/{started[0].pid}/maps").read_text()

    done = stopped(["register", str(shipped_path()), "--json"], number, has_child, os.killpg)
    assert_says_so(done, "register")
    assert has_ended(started[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_the_process_and_its_children_at_once(number):
    code = (
        "import subprocess, threading\n"
        "from drshym_pipeline.commands.stopping import stopping_signals\n"
        "with stopping_signals():\n"
        "    child = subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "    try:\n"
        "        print(child.pid, flush=True)\n"
        "        threading.Event().wait()\n"
        "    finally:\n"
        "        print('stopping', flush=True)\n"
        "        threading.Event().wait()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_signals,  # noqa: PLW1509  # the child starts no thread before
    )
    assert process.stdout is not None
    child = psutil.Process(int(process.stdout.readline()))
    process.send_signal(number)
    assert process.stdout.readline() == "stopping\n"
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.1)
    assert process.communicate()[1] == "error: stopped at once\n"
    assert process.returncode == ExitCode.FAULT
    child.wait()


def test_a_signal_that_comes_twice_in_a_moment_stops_the_command_once(monkeypatch):
    # As `timeout` sends it: to the process, and to its group.
    handler = stopping._Interrupt()
    monkeypatch.setattr(stopping.time, "monotonic", lambda: 5.0)
    with pytest.raises(KeyboardInterrupt):
        handler(signal.SIGTERM, None)
    handler(signal.SIGTERM, None)


def test_the_handlers_after_the_block_are_those_of_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)]
    with stopping.stopping_signals():
        assert signal.getsignal(signal.SIGALRM) not in before
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)] == before


def test_a_command_that_a_shell_starts_with_interrupts_ignored_keeps_them_ignored():
    code = (
        "import signal\n"
        "from drshym_pipeline.commands.stopping import stopping_signals\n"
        "with stopping_signals():\n"
        "    print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        env=os.environ,
    )
    assert done.stdout == "True\n"
