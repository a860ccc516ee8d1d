"""Why a job has no map: kinds, codes and sentences."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.service import failures


def test_an_input_keeps_the_sentence_of_its_error(tmp_path: Path) -> None:
    error = InputError("lake.tif", "has no CRS", "Write one")
    failure = failures.failure_of(error, "lake", tmp_path)
    assert (failure.kind, failure.code, failure.detail) == ("input", "scene_refused", str(error))


def full_disk() -> OSError:
    return OSError(errno.ENOSPC, "No space left on device")


def caused_by_full_disk() -> Exception:
    try:
        try:
            raise full_disk()
        except OSError as error:
            raise RuntimeError("the chunk was not written") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    "error", [full_disk(), caused_by_full_disk(), RuntimeError("TIFFAppendToStrip: No space left on device")]
)
def test_a_full_disk_is_recognised_in_every_form(error: Exception, tmp_path: Path) -> None:
    failure = failures.failure_of(error, "lake", tmp_path / "not" / "made")
    assert (failure.kind, failure.code) == ("fault", "disk_full")
    assert failure.detail == "lake: the disk of the service is full. Free space on it, then map the scene again."


def test_any_other_error_is_a_fault_with_its_message(tmp_path: Path) -> None:
    failure = failures.failure_of(ZeroDivisionError("division by zero"), "lake", tmp_path)
    assert (failure.kind, failure.code) == ("fault", "fault")
    assert failure.detail.startswith("lake: ZeroDivisionError: division by zero. ")


def test_too_little_memory_is_told_apart(tmp_path: Path) -> None:
    assert failures.failure_of(MemoryError(), "lake", tmp_path).kind == "memory"


@pytest.mark.parametrize(
    ("exit_code", "words"), [(-9, "ended by the signal SIGKILL"), (-200, "signal 200"), (3, "the exit code 3")]
)
def test_the_end_of_a_worker_is_told_in_words(exit_code: int, words: str) -> None:
    failure = failures.worker_ended("lake", exit_code)
    assert failure.kind == "crash"
    assert words in failure.detail
