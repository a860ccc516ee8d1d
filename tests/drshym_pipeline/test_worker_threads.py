"""Threads that work for one block of code: what becomes of their work when the block is left by an exception."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from drshym_pipeline.storage import atomic_path, sha256_file
from drshym_pipeline.worker_threads import WorkerThreads, check_needed


def stopped(work: Callable[[], object]) -> tuple[Future[object], Future[object]]:
    """Interrupt the block of one thread while it works; a second work waits for the thread."""
    working = threading.Event()

    def repeated() -> object:
        working.set()
        for _ in range(3000):  # it ends also if nobody stops it, and then the test fails
            work()
            time.sleep(0.01)
        return "all of the work was done"

    with pytest.raises(KeyboardInterrupt), WorkerThreads(1, "test") as threads:
        begun, waiting = threads.submit(repeated), threads.submit(work)
        working.wait()
        raise KeyboardInterrupt
    return begun, waiting


def test_begun_work_ends_early_and_other_work_is_not_begun() -> None:
    begun, waiting = stopped(check_needed)
    assert isinstance(begun.exception(), CancelledError)
    assert waiting.cancelled()


def test_a_hash_ends_early(tmp_path: Path) -> None:
    file = tmp_path / "scene.tif"
    file.write_bytes(b"pixels")
    begun, _ = stopped(lambda: sha256_file(file))
    assert isinstance(begun.exception(), CancelledError)


def test_no_more_files_are_written(tmp_path: Path) -> None:
    def write() -> None:
        with atomic_path(tmp_path / "map.tif") as temporary:
            temporary.write_bytes(b"pixels")

    begun, _ = stopped(write)
    assert isinstance(begun.exception(), CancelledError)
    assert {path.name for path in tmp_path.iterdir()} <= {"map.tif"}


def test_without_an_exception_all_of_the_work_is_done() -> None:
    with WorkerThreads(2, "test") as threads:
        made = [threads.submit(lambda: check_needed() or 1) for _ in range(20)]
    assert sum(each.result() for each in made) == 20


def test_a_thread_of_the_block_outside_is_always_needed() -> None:
    stopped(check_needed)
    check_needed()
    with WorkerThreads(1, "test") as threads:
        assert threads.submit(check_needed).result() is None
