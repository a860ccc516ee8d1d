"""Tables in a wide terminal, in a narrow terminal, and for another program."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

CODE = """
from drshym_pipeline.console import print_table
name = "S1A_IW_GRDH_1SDV_20210111T002612_20210111T002637_036086_043AD1_5FA3"
rows = [(name, "12.3 km2 (90 % interval 10.1 to 15.0 km2)", "", f"maps/{name}_mask.tif"), ("b", "none", "new", "b.tif")]
print_table("2 scenes", ("scene", "open water", "", "mask"), rows)
"""
NAME = "S1A_IW_GRDH_1SDV_20210111T002612_20210111T002637_036086_043AD1_5FA3"


def in_terminal(columns: int) -> list[str]:
    """Return what the code prints in a real terminal of this width."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", CODE], stdout=follower, env=environment) as process:
        os.close(follower)
        printed = b""
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:  # Linux reports the end of a terminal in this way
                break
            if not part:
                break
            printed += part
    os.close(leader)
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", printed.decode()).splitlines()  # without bold type


def piped() -> list[str]:
    return subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_narrow_terminal_gets_several_lines_per_row_and_no_cell_is_broken():
    assert in_terminal(80) == [
        "2 scenes",
        NAME,
        "  open water  12.3 km2 (90 % interval 10.1 to 15.0 km2)",
        f"  mask        maps/{NAME}_mask.tif",
        "b",
        "  open water  none",
        "              new",
        "  mask        b.tif",
    ]


@pytest.mark.parametrize("lines", [lambda: in_terminal(250), piped], ids=["wide terminal", "pipe"])
def test_without_a_terminal_each_row_is_one_line_in_columns(lines):
    title, header, first, second = lines()
    assert title == "2 scenes"
    for name, cells in (("open water", ("12.3 km2", "none")), ("mask", (f"maps/{NAME}", "b.tif"))):
        assert first.index(cells[0]) == second.index(cells[1]) == header.index(name)
