"""A service that ends unexpectedly is started again at a limited rate; one that never started is an error."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.service_logs import ServiceLog
from deploy.supervisor import Backoff, Service, ServiceError, ending, group_members
from tests.processes import has_ended

QUICK = Backoff(first=0.05, longest=0.1, healthy=3600.0, give_up=3)
WAIT_SECONDS = 60.0


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


class Bench:
    """Starts services in a folder, collects their messages and stops them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: queue.Queue[str] = queue.Queue()
        self.services: list[Service] = []

    def start(
        self, code: str, *, name: str = "talker", backoff: Backoff = QUICK, keep_children: bool = False
    ) -> Service:
        script = self.folder / f"{name}.py"
        script.write_text(code)
        service = Service(
            name,
            [sys.executable, "-u", str(script)],
            folder=self.folder,
            environment=dict(os.environ),
            log=ServiceLog(self.folder / "service_logs", name),
            backoff=backoff,
            keep_children=keep_children,
            say=self.lines.put,
        )
        self.services.append(service)
        return service

    def line(self) -> str:
        return self.lines.get(timeout=WAIT_SECONDS)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for service in bench.services:
        service.stop(patience=1)


SLEEPER = "import time; print('up'); time.sleep(600)"


def ups(service: Service) -> int:
    return service.log.path.read_text().splitlines().count("up")


def test_the_wait_doubles_up_to_a_longest_one() -> None:
    backoff = Backoff(first=1, longest=60)
    assert [backoff.wait(failures) for failures in (1, 2, 3, 6, 7, 5000)] == [1, 2, 4, 32, 60, 60]


def test_a_healthy_time_forgets_earlier_failures() -> None:
    backoff = Backoff(healthy=60)
    assert backoff.failures(4, ran_seconds=59.9) == 5
    assert backoff.failures(4, ran_seconds=60.0) == 1


@pytest.mark.parametrize(
    ("code", "words"),
    [(0, "stopped with exit code 0"), (3, "stopped with exit code 3"), (-9, "was killed by SIGKILL"),
     (-60, "was killed by signal 60")],
)  # fmt: skip
def test_the_way_a_process_ended_is_described_as_text(code: int, words: str) -> None:
    assert ending(code) == words


def test_a_killed_service_is_started_again_and_the_others_go_on(bench: Bench) -> None:
    service, other = bench.start(SLEEPER), bench.start(SLEEPER, name="other")
    for each in (service, other):
        until(lambda each=each: ups(each) == 1)
        each.supervise()
    first, other_process = service.process, other.process
    first.send_signal(signal.SIGKILL)
    assert bench.line() == f"talker was killed by SIGKILL; it is started again in 0 s; log: {service.log.path}"
    until(lambda: ups(service) == 2)
    assert service.process.pid != first.pid
    assert other.process is other_process
    assert other_process.poll() is None
    service.check()
    lines = service.log.path.read_text().splitlines()
    assert lines[0] == lines[2] == "up"
    assert "talker was killed by SIGKILL" in lines[1]


def test_the_reason_is_the_last_line_of_the_service(bench: Bench) -> None:
    service = bench.start("import sys; print('starting'); sys.exit('no room on the disk')")
    service.supervise()
    assert "talker stopped with exit code 1 (no room on the disk); it is started again" in bench.line()


def test_a_service_that_says_nothing_has_no_reason_of_an_earlier_one(bench: Bench) -> None:
    service = bench.start("raise SystemExit(7)")
    service.supervise()
    for _ in range(2):
        assert "talker stopped with exit code 7; it is started again" in bench.line()


def test_a_service_that_ends_again_and_again_is_an_error_for_the_caller_and_is_still_started_again(
    bench: Bench,
) -> None:
    service = bench.start("raise SystemExit('never')")
    service.supervise()
    for _ in range(QUICK.give_up):
        bench.line()

    def is_reported() -> bool:
        try:
            service.check()
        except ServiceError as error:
            return "talker stopped with exit code 1" in str(error)
        return False

    until(is_reported)
    bench.line()


def test_a_service_that_cannot_be_executed_is_tried_until_it_can_be(bench: Bench, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!{sys.executable}\nimport time\nprint('up', flush=True)\ntime.sleep(600)\n")
    program.chmod(0o755)
    service = Service(
        "program", [str(program)], folder=tmp_path, environment=dict(os.environ), log=ServiceLog(tmp_path, "program"),
        backoff=QUICK, say=bench.lines.put,
    )  # fmt: skip
    bench.services.append(service)
    until(lambda: ups(service) == 1)
    service.supervise()
    hidden = program.rename(tmp_path / "hidden")
    service.process.kill()
    bench.line()
    assert "program cannot be started" in bench.line()
    hidden.rename(program)
    until(lambda: ups(service) == 2)


def test_stop_during_the_wait_starts_nothing(bench: Bench) -> None:
    service = bench.start("raise SystemExit(1)", backoff=Backoff(first=3600.0, longest=3600.0))
    service.supervise()
    bench.line()
    before = service.process
    service.stop()
    assert service.process is before


def test_stop_ends_a_service_that_was_started_again(bench: Bench) -> None:
    service = bench.start(SLEEPER)
    service.supervise()
    until(lambda: ups(service) == 1)
    service.process.kill()
    until(lambda: ups(service) == 2)
    again = service.process.pid
    service.stop()
    assert group_members(again) == []
    assert bench.lines.qsize() == 1


PARENT = (
    "import subprocess, sys, time\n"
    "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    "print('child', child.pid)\n"
    "print('up')\n"
    "time.sleep(600)\n"
)


@pytest.mark.parametrize("keep", [True, False])
def test_processes_of_a_killed_service_are_kept_or_ended_and_all_end_with_the_stop(bench: Bench, keep: bool) -> None:
    service = bench.start(PARENT, keep_children=keep)
    until(lambda: ups(service) == 1)
    service.supervise()
    child = psutil.Process(int(service.log.path.read_text().split()[1]))
    service.process.kill()
    until(lambda: ups(service) == 2)
    assert has_ended(child) is not keep
    service.stop(patience=5)
    until(lambda: has_ended(child))
