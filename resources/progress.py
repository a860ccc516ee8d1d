"""The progress of a run, written to Dagster's log and to a small file that other programs can read."""

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
    """A progress callback that writes `{stage, done, total, started, updated}` to a file and logs it from time to time.

    Args:
        path: The file to update, at most once per second; with a log also whenever a stage begins or ends.
        log: Receives a line when a stage begins and ends, and every ten seconds in between. With None nothing is
            logged: a run of many small scenes would log too many lines to read.
        clock: Returns seconds that never go backwards.
    """

    def __init__(self, path: Path, log: Logger | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._log = log
        self._clock = clock
        self._stage: str | None = None
        self._started = ""
        self._logged = self._written = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Record that `done` of `total` parts of `stage` are finished."""
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
