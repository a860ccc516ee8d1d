"""Completion in a real shell, and the spelling with `_`."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import time
from pathlib import Path

import pytest

from drshym_pipeline.cli import main
from tests.test_layers import ROOT

PROGRAMS = Path(sys.executable).parent


def completed(setup: str, typed: str, expected: str) -> str:
    """Type a text and Tab in a new zsh; return what the terminal shows."""
    process, terminal = pty.fork()
    if process == 0:
        variables = {"TERM": "dumb", "PS1": "> ", "PATH": f"{PROGRAMS}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        os.execvpe("zsh", ["zsh", "-f", "-i"], {**os.environ, **variables})

    def shown(until: str) -> str:
        text, end = "", time.monotonic() + 60
        while until not in text and time.monotonic() < end:
            if select.select([terminal], [], [], 0.2)[0]:
                text += os.read(terminal, 65536).decode(errors="replace")
        return text

    try:
        shown("> ")
        # The shell writes the word only when it runs the line: the echo of the line has it in two parts.
        os.write(terminal, f'autoload -U compinit; {setup}; echo "rea""dy"\n'.encode())
        shown("ready")
        os.write(terminal, typed.encode() + b"\t")
        return shown(expected)
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


@pytest.mark.system
@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("drshym predict-f", "drshym predict-folder "),
        ("drshym predict_f", "drshym predict_folder "),
        ("drshym segment --min-", "drshym segment --min-area-ha "),
        ("drshym segment --min_", "drshym segment --min_area_ha "),
    ],
)
def test_the_script_in_a_folder_of_zsh_completes_at_the_first_tab(tmp_path, capfd, typed, expected):
    assert main(["completion", "zsh"]) == 0
    (tmp_path / "_drshym").write_text(capfd.readouterr().out)
    setup = f"fpath=({tmp_path} $fpath); compinit -u -D"
    assert expected in completed(setup, typed, expected)


@pytest.mark.system
def test_the_script_can_also_be_evaluated_in_zsh():
    expected = "drshym predict-folder "
    setup = 'compinit -u -D; eval "$(drshym completion zsh)"'
    assert expected in completed(setup, "drshym predict-f", expected)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_begins_with_its_first_line(capfd, shell):
    assert main(["completion", shell]) == 0
    script = capfd.readouterr().out
    assert script[0].strip()
    assert shell != "zsh" or script.startswith("#compdef drshym\n")  # zsh looks at the first line only
    assert main(["completion", shell, "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["script"] == script.removesuffix("\n")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("drshym predict_", ["predict_folder"]),
        ("drshym predict-", ["predict-folder"]),
        ("drshym segment --min_", ["--min_area_ha"]),
        ("drshym segment --min-", ["--min-area-ha"]),
        ("drshym export_stitched --scene_", ["--scene_meta"]),
    ],
)
def test_completion_keeps_the_spelling_that_the_user_has_begun(capfd, monkeypatch, line, expected):
    monkeypatch.setenv("_DRSHYM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    assert capfd.readouterr().out.split() == expected
