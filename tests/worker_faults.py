"""Faults in a worker process of the service, at an exact point of a job: it is killed, hangs, or takes memory.

A scene whose name is `<fault>-at-<stage>` has that fault when the stage is reported. The fault is put into the real
worker when it receives its setup; all else in it is as always.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

from drshym_pipeline.service import worker_process
from drshym_pipeline.service.worker_process import WorkerSetup, WorkOrder

MEMORY = 3 << 30


@dataclass(frozen=True)
class FaultySetup(WorkerSetup):
    """The setup of a worker that has faults."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (_put_faults_in, (self.folder, self.checkpoint, self.ancillary, self.cores))


def _put_faults_in(*setup: Any) -> WorkerSetup:
    reporter: Any = worker_process._Reporter
    report = reporter.__call__
    answer = worker_process._answer
    name = ""

    def faulty_answer(order: WorkOrder, *others: Any) -> Any:
        nonlocal name
        name = order.spec.scene_name
        return answer(order, *others)

    def faulty_report(self: Any, stage: str, done: int, total: int) -> None:
        report(self, stage, done, total)
        if name == f"killed-at-{stage}":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == f"hangs-at-{stage}":
            time.sleep(600)
        if name == f"memory-at-{stage}":
            taken = bytearray(MEMORY)
            taken[::4096] = bytes(len(taken[::4096]))  # every page is used
            time.sleep(600)

    worker_process._answer = faulty_answer
    reporter.__call__ = faulty_report
    return WorkerSetup(*setup)
