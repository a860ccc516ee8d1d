"""The progress callback: how a long computation reports its progress to its caller, and its stages in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total), with done from 0 to total; must be fast enough to be called after every tile."""


def silent(stage: str, done: int, total: int) -> None:
    """Do nothing; the default callback."""
    del stage, done, total


# Every stage that a callback is called with; the command and the service show these words.
_STAGE_TEXTS: Final[dict[str, str]] = {
    "describe": "reading the scene",
    "stage": "preparing the backscatter",
    "tiles": "making the list of tiles",
    "tile_probabilities": "predicting tiles",
    "stitched_scenes": "drawing the map",
    "scene_reports": "writing the report",
    "pre_event": "predicting tiles of the pre-event scene",
    "reference_layers": "reading the long-term maps of water",
    "exclusion": "reading the terrain",
    "simulate": "simulating chips",
    "train": "training",
    "calibrate": "calibrating",
    "map pairs": "mapping both dates",
    "evaluate": "computing scores",
    "baseline": "computing baselines",
    "read chips": "reading chips",
    "chips": "writing chips",
    "assemble": "reading chips",
    "write_tiles": "writing tiles",
}


def stage_text(stage: str) -> str:
    """Return what is done in a stage, in words; the name itself for a stage of another program."""
    return _STAGE_TEXTS.get(stage, stage)
