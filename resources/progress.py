"""How far a run is: told to Dagster's log now and then, and to a small file for whoever watches from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from logging import Logger
from pathlib import Path

from drshym_pipeline.records import now
from drshym_pipeline.storage import write_json

LOG_EVERY_SECONDS = 10.0
WRITE_EVERY_SECONDS = 1.0


class RunProgress:
    """A `Progress` listener that writes `{stage, done, total, started, updated}` and logs at a bearable rate.

    Args:
        path: The file to keep up to date.
        log: Receives a line when a stage begins, ends, and every ten seconds in between; nothing when None, and then
            beginnings and ends are not written either unless a second has gone by: a run of many small scenes has
            more of them than anyone can follow.
        clock: Seconds that only go forward.
    """

    def __init__(self, path: Path, log: Logger | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._log = log
        self._clock = clock
        self._stage: str | None = None
        self._started = ""
        self._logged = self._written = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` parts of `stage` are finished."""
        moment = self._clock()
        edge = self._log is not None and (stage != self._stage or done >= total)
        if stage != self._stage:
            self._stage = stage
            self._started = now().isoformat()
        if self._log is not None and (edge or moment - self._logged >= LOG_EVERY_SECONDS):
            self._logged = moment
            self._log.info("%s: %d of %d", stage, done, total)
        if edge or moment - self._written >= WRITE_EVERY_SECONDS:
            self._written = moment
            value = {"stage": stage, "done": done, "total": total, "started": self._started}
            write_json(self._path, value | {"updated": now().isoformat()})
