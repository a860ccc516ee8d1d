"""The supervision of one service: start, restart when it ends unexpectedly, stop with all its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from deploy.service_logs import ServiceLog

STOP_SECONDS = 30.0
_DRAIN_SECONDS = 1.0


class ServiceError(RuntimeError):
    """A service that did not start; the message has the end of its log."""


@dataclass(frozen=True)
class Backoff:
    """When a service that ended is started again, in seconds.

    Attributes:
        first: Wait after the first failure; it doubles with each failure that follows.
        longest: No wait is longer.
        healthy: A service that ran this long counts as recovered: its next failure counts as the first one again.
        give_up: After this number of failures in a row, waiting for the service raises an error.
    """

    first: float = 1.0
    longest: float = 60.0
    healthy: float = 60.0
    give_up: int = 5

    def failures(self, before: int, ran_seconds: float) -> int:
        """Return the number of failures in a row, given the earlier ones and how long the process ran this time."""
        return 1 if ran_seconds >= self.healthy else before + 1

    def wait(self, failures: int) -> float:
        """Return the seconds to wait before the next start, after a number of failures in a row."""
        return float(min(self.first * 2.0 ** min(failures - 1, 30), self.longest))


DEFAULT_BACKOFF = Backoff()


def ending(code: int) -> str:
    """Return how a process ended, as text."""
    if code >= 0:
        return f"stopped with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


def group_members(group: int) -> list[psutil.Process]:
    """Return the processes of a process group that still run."""
    members = []
    for process in psutil.process_iter():  # psutil does not know process groups
        with contextlib.suppress(OSError):  # it has ended in the meantime
            if os.getpgid(process.pid) == group and _is_alive(process):
                members.append(process)
    return members


def say_on_stderr(line: str) -> None:
    """Print one line for the user at the terminal."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Service:
    """A process with its log; `supervise` starts it again whenever it ends unexpectedly.

    Args:
        name: Name for log lines and messages.
        command: Command to run.
        folder: Working directory.
        environment: The whole environment of the process.
        log: Receives its output.
        backoff: When to start it again.
        keep_children: Leave the processes that an ended service has started alone until `stop`: those of Dagster's
            daemon carry out runs. Otherwise they are ended before the next start, because they may hold its port.
        say: Called with one line when the service has ended unexpectedly.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str],
        log: ServiceLog,
        backoff: Backoff = DEFAULT_BACKOFF,
        keep_children: bool = False,
        say: Callable[[str], None] = say_on_stderr,
    ) -> None:
        self.name = name
        self.log = log
        self._command = list(command)
        self._folder = folder
        self._environment = dict(environment)
        self._backoff = backoff
        self._keep_children = keep_children
        self._say = say
        self._failures = 0
        self._left: list[psutil.Process] = []
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None
        self._launch()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that was started last."""
        return self._process

    def _launch(self) -> None:
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._group: int | None = self._process.pid  # the first group of a session has the id of its first process
        assert self._process.stdout is not None
        self._pump = self.log.follow(self._process.stdout)

    def supervise(self) -> None:
        """Start the service again whenever it ends unexpectedly, from now on."""
        self._watcher = threading.Thread(target=self._watch, name=f"watch {self.name}", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while True:
            code = self._process.wait()
            if self._stopping.is_set():
                return
            self._failures = self._backoff.failures(self._failures, time.monotonic() - self._started)
            self._clear_group()
            wait = self._backoff.wait(self._failures)
            line = f"{self.name} {self._reason(code)}; it is started again in {wait:.0f} s; log: {self.log.path}"
            self.log.note(line)
            self._say(line)
            if not self._start_again(wait):
                return

    def _start_again(self, wait: float) -> bool:
        """Start the service after a wait and repeat until that succeeds; return false when it must stop instead."""
        while not self._stopping.wait(wait):
            try:
                self._launch()
            except OSError as error:  # no memory or no process id left: handled like a process that ended
                self._failures += 1
                wait = self._backoff.wait(self._failures)
                self._say(f"{self.name} cannot be started: {error}; next attempt in {wait:.0f} s")
            else:
                return not self._stopping.is_set()
        return False

    def _clear_group(self) -> None:
        """Remember the processes that the ended service has left, or end them."""
        left = group_members(self._process.pid)
        self._group = None  # other processes may get this id from now on
        if self._keep_children:
            self._left = [process for process in self._left if _is_alive(process)] + left
        else:
            end_processes(left, STOP_SECONDS)

    def _reason(self, code: int) -> str:
        """Return how the service ended, with the last line of its log if it ended with an error."""
        self._pump.join(_DRAIN_SECONDS)
        tail = self.log.tail()
        return f"{ending(code)} ({tail[-1].strip()})" if code > 0 and tail else ending(code)

    def check(self) -> None:
        """Raise ServiceError when the service has ended before it was supervised, or has failed too often."""
        if self._watcher is not None and self._failures < self._backoff.give_up:
            return
        code = self._process.poll()
        if code is not None:
            self._pump.join(_DRAIN_SECONDS)
            tail = "\n".join(self.log.tail())
            raise ServiceError(f"{self.name} {ending(code)}; the end of {self.log.path}:\n{tail}")

    def stop(self, patience: float = STOP_SECONDS) -> None:
        """Ask all processes of the service to end, and kill those that have not after `patience` seconds."""
        self._stopping.set()
        end_processes([*self._members(), *self._left], patience)
        if self._watcher is not None:
            self._watcher.join()
        end_processes(self._members(), 0.0)  # what was started while the others ended
        self._process.wait()
        self._pump.join(_DRAIN_SECONDS)
        self.log.close()

    def _members(self) -> list[psutil.Process]:
        return [] if self._group is None else group_members(self._group)


def end_processes(processes: Iterable[psutil.Process], patience: float) -> None:
    """Ask processes and their children to end, and kill those that still run after `patience` seconds."""
    found: dict[int, psutil.Process] = {}
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found |= {each.pid: each for each in (process, *process.children(recursive=True))}
    for process in found.values():
        with contextlib.suppress(psutil.Error):
            process.terminate()
    # Not psutil.wait_procs: it would take the exit codes of our children away from `subprocess`, and it waits for ended
    # processes that their parent has not collected.
    deadline = time.monotonic() + patience
    while any(_is_alive(process) for process in found.values()) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in found.values():
        with contextlib.suppress(psutil.Error):
            process.kill()


def _is_alive(process: psutil.Process) -> bool:
    """Return whether a process still runs. A process that ended but was not collected by its parent does not."""
    with contextlib.suppress(psutil.Error):
        return process.is_running() and process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    return False
