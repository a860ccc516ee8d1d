"""Why a job has no map: kinds, codes and sentences."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from drshym_pipeline.errors import InputError
from drshym_pipeline.service import failures
from drshym_pipeline.service.jobs import JobSpec


def spec(out: Path, *sources: Path) -> JobSpec:
    return JobSpec(scene_name="lake", sources=sources or (out / "lake.tif",), identity="0" * 64, out=out)


def test_an_input_keeps_the_sentence_of_its_error(tmp_path: Path) -> None:
    error = InputError("lake.tif", "has no CRS", "Write one")
    failure = failures.failure_of(error, spec(tmp_path))
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
    failure = failures.failure_of(error, spec(tmp_path / "not" / "made"))
    assert (failure.kind, failure.code) == ("fault", "disk_full")
    assert failure.detail == "lake: the disk of the service is full. Free space on it, then map the scene again."


# What the raster library said when the products of a scene did not fit on a disk of 12 MB, and how much of it was free
# when the unfinished files were deleted.
@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("TIFFAppendToStrip:Seek error at scanline 0", 3_997_696),
        ("TIFFAppendToStrip:Write error at scanline 0", 1_299_008),
        ("Write failed. See previous exception for details.", 2_998_272),
        ("backscatter.tif: cannot be written (the block of band 2 is cut); is the disk full?", 1_999_424),
    ],
)
def test_a_failed_write_is_a_full_disk_if_little_is_free(text, free, tmp_path, monkeypatch):
    whole = failures.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(failures.shutil, "disk_usage", lambda _: whole._replace(free=free))
    assert failures.failure_of(RuntimeError(text), spec(tmp_path)).code == "disk_full"
    assert failures.failure_of(RuntimeError("another reason"), spec(tmp_path)).code == "fault"


def test_how_much_must_be_free_follows_from_the_size_of_the_scene(tmp_path, monkeypatch):
    scene = tmp_path / "scene.tif"
    whole = failures.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(failures.shutil, "disk_usage", lambda _: whole._replace(free=100 << 20))
    error = RuntimeError("TIFFAppendToStrip:Write error at scanline 0")
    for size, code in ((1 << 20, "fault"), (20 << 20, "disk_full")):
        scene.write_bytes(b"")
        os.truncate(scene, size)
        assert failures.failure_of(error, spec(tmp_path / "out", scene)).code == code


def test_any_other_error_is_a_fault_with_its_message(tmp_path: Path) -> None:
    failure = failures.failure_of(ZeroDivisionError("division by zero"), spec(tmp_path))
    assert (failure.kind, failure.code) == ("fault", "fault")
    assert failure.detail.startswith("lake: ZeroDivisionError: division by zero. ")


def test_too_little_memory_is_told_apart(tmp_path: Path) -> None:
    assert failures.failure_of(MemoryError(), spec(tmp_path)).kind == "memory"


@pytest.mark.parametrize(
    ("exit_code", "words"), [(-9, "ended by the signal SIGKILL"), (-200, "signal 200"), (3, "the exit code 3")]
)
def test_the_end_of_a_worker_is_told_in_words(exit_code: int, words: str) -> None:
    failure = failures.worker_ended("lake", exit_code)
    assert failure.kind == "crash"
    assert words in failure.detail
