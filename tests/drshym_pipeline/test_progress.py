"""Every stage of a computation has words for people."""

from __future__ import annotations

import ast
from pathlib import Path

import drshym_pipeline
from drshym_pipeline.progress import stage_text

PACKAGE = Path(drshym_pipeline.__file__).parent


def reported_stages() -> dict[str, str]:
    """Return every stage that the program reports, with the file that does: constants `..STAGE`, and literals."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args:
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                value = node.args[0] if called.lstrip("_") == "progress" else None
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                value = node.value if getattr(target, "id", "").endswith("STAGE") else None
            else:
                continue
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                found[value.value] = str(path.relative_to(PACKAGE))
    return found


def test_every_stage_that_is_reported_has_words():
    found = reported_stages()
    assert {"describe", "stage", "tile_probabilities", "stitched_scenes", "scene_reports", "pre_event"} <= found.keys()
    assert {stage: path for stage, path in found.items() if stage_text(stage) == stage} == {}


def test_a_stage_of_another_program_keeps_its_name():
    assert stage_text("its own stage") == "its own stage"
