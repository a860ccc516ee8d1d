"""The command of all experiments: input that cannot be used is one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.__main__ import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["area-scenes", "--model", "/nowhere", "--out", "x.json"], "/nowhere"),
        (["area-scenes", "--scenes", "0", "--out", "x.json"], "--scenes"),
        (["network-trials", "--data", "/nowhere", "--out", "x"], "/nowhere"),
        (["network-trials", "--data", "/nowhere", "--out", "x", "--steps", "0"], "--steps must be at least 1"),
        (["network-trials", "--data", "/", "--out", "x", "--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_input_that_cannot_be_used_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "error: " in line
    assert message in line
    assert list(tmp_path.iterdir()) == []
