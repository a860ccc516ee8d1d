"""Why a job has no map: the kinds, their stable codes and their sentences.

The sentence of an input that cannot be used is that of its error, the same as the command's. The others say what
happened on this machine and what to do.
"""

from __future__ import annotations

import errno
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from drshym_pipeline.errors import InputError, UnavailableError, one_line
from drshym_pipeline.sar.pixel_limit import TooManyPixelsError
from drshym_pipeline.service.jobs import JobFailure, JobSpec

_DISK_ERRORS: Final = {errno.ENOSPC, errno.EDQUOT}
_DISK_TEXTS: Final = ("no space left on device", "disk quota exceeded", "not enough free space")
# With less free space than this, every error has a full disk as its reason.
_FULL_BYTES: Final = 1 << 20
# GDAL reports a full disk as a failed write without the reason.
_WRITE_TEXTS: Final = (
    "tiffappendtostrip",
    "tiffwrite",
    "write error",
    "seek error",
    "write failed",
    "failed to write",
    "error writing",
    "cannot be written",
)
# The unfinished products are deleted before the disk is looked at, so more than nothing is free then. A failed write is
# put down to the disk if the rest of it is too small for a scene: mapping one of 512 x 512 pixels (2 MB) takes 5 MB.
_PART_OF_SOURCES: Final = 10
_LEAST_NEEDED_BYTES: Final = 16 << 20


def failure_of(error: BaseException, spec: JobSpec) -> JobFailure:
    """Return the failure of a job whose mapping raised an error.

    Args:
        error: What was raised.
        spec: The job. The sizes of its files and the space on the disk of its products are looked at.
    """
    scene_name = spec.scene_name
    if isinstance(error, TooManyPixelsError):
        return JobFailure(kind="input", code="scene_too_large", detail=one_line(error))
    if isinstance(error, InputError):
        return JobFailure(kind="input", code="scene_refused", detail=one_line(error))
    if isinstance(error, UnavailableError):
        return JobFailure(kind="fault", code="input_unavailable", detail=one_line(error))
    if isinstance(error, MemoryError):
        return JobFailure(
            kind="memory",
            code="memory_limit",
            detail=f"{scene_name}: the machine has not enough free memory for it. Map a smaller part of the scene.",
        )
    if _is_disk_full(error, spec):
        return JobFailure(
            kind="fault",
            code="disk_full",
            detail=f"{scene_name}: the disk of the service is full. Free space on it, then map the scene again.",
        )
    return JobFailure(
        kind="fault",
        code="fault",
        detail=f"{scene_name}: {type(error).__name__}: {one_line(error)}. This is a fault of the program or of the "
        "machine; the log of the service has more about it.",
    )


def _is_disk_full(error: BaseException, spec: JobSpec) -> bool:
    causes = list(_causes(error))
    if any(isinstance(cause, OSError) and cause.errno in _DISK_ERRORS for cause in causes):
        return True
    texts = "\n".join(map(str, causes)).lower()
    if any(text in texts for text in _DISK_TEXTS):
        return True
    existing = next((folder for folder in (spec.out, *spec.out.parents) if folder.is_dir()), None)
    if existing is None:
        return False
    needed = _FULL_BYTES
    if any(text in texts for text in _WRITE_TEXTS):
        needed = _LEAST_NEEDED_BYTES + _PART_OF_SOURCES * sum(map(_size, (*spec.sources, *spec.pre)))
    return shutil.disk_usage(existing).free < needed


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    try:
        return sum(found.stat().st_size for found in (path, *path.rglob("*")) if found.is_file())
    except OSError:
        return 0


def cancelled() -> JobFailure:
    """Return the failure of a job that a user has cancelled."""
    return JobFailure(kind="cancelled", code="cancelled", detail="The job was cancelled.")


def too_long(scene_name: str, seconds: float) -> JobFailure:
    """Return the failure of a job that took longer than the time limit.

    Args:
        scene_name: Name of the scene.
        seconds: The limit.
    """
    return JobFailure(
        kind="time",
        code="time_limit",
        detail=f"{scene_name}: was not mapped within {seconds:g} seconds, the limit of the service. Map a smaller part "
        "of the scene, or raise the limit (DRSHYM_SERVICE_JOB_SECONDS).",
    )


def too_large(scene_name: str, limit: int) -> JobFailure:
    """Return the failure of a job whose worker used more memory than it may.

    Args:
        scene_name: Name of the scene.
        limit: The limit in bytes.
    """
    return JobFailure(
        kind="memory",
        code="memory_limit",
        detail=f"{scene_name}: needs more memory than the service gives to one scene ({limit / (1 << 30):.1f} GiB). "
        "Map a smaller part of the scene, or raise the limit (DRSHYM_SERVICE_WORKER_BYTES).",
    )


def worker_ended(scene_name: str, exit_code: int | None) -> JobFailure:
    """Return the failure of a job whose worker process ended in the middle of it.

    Args:
        scene_name: Name of the scene.
        exit_code: The exit code of the process; negative for a signal, as in `multiprocessing.Process.exitcode`.
    """
    if exit_code is not None and exit_code < 0:
        how = f"was ended by the signal {_signal_name(-exit_code)}"
    else:
        how = f"ended with the exit code {exit_code}"
    return JobFailure(
        kind="crash",
        code="worker_ended",
        detail=f"{scene_name}: the process that mapped it {how}. Map the scene again; if it happens again, look for a "
        "lack of memory on the machine and for damage in the file.",
    )


def stopped_too_often(scene_name: str, starts: int) -> JobFailure:
    """Return the failure of a job during which the whole service ended several times.

    Args:
        scene_name: Name of the scene.
        starts: How often the job was begun.
    """
    return JobFailure(
        kind="crash",
        code="worker_ended",
        detail=f"{scene_name}: the service ended {starts} times while it mapped this scene, so it is not begun again. "
        "Look into the log of the service, then map the scene again.",
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
