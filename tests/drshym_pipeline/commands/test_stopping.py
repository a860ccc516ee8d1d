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

import pytest

from drshym_pipeline.commands.exit_codes import ExitCode

COMMAND = [sys.executable, "-m", "drshym_pipeline"]


def stopped(
    arguments: list[str], number: signal.Signals, ready: Callable[[int], bool]
) -> subprocess.CompletedProcess[str]:
    """Run a command, and send it a signal when it has come so far."""
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not ready(process.pid):
        time.sleep(0.01)
    assert process.poll() is None, "the command ended before it could be stopped"
    process.send_signal(number)
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
