"""Items computed ahead come in order, and their thread always ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from contextlib import closing

import pytest

from drshym_pipeline.prefetch import Prefetched


def alive() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


def test_items_come_once_and_in_order_and_again_in_a_second_iteration():
    numbers = Prefetched(range(50), 3)
    assert len(numbers) == 50
    assert list(numbers) == list(numbers) == list(range(50))
    assert alive() == 0


def test_no_more_items_are_computed_ahead_than_allowed():
    made = []

    def items():
        for number in range(20):
            made.append(number)
            yield number

    settled = threading.Event()
    iterator = iter(Prefetched(items(), 4))
    assert next(iterator) == 0
    settled.wait(0.5)
    assert len(made) <= 4 + 2, "four waiting, one handed out, one in the making"
    assert list(iterator) == list(range(1, 20))


def test_an_exception_is_raised_in_the_place_of_its_item():
    def items():
        yield 1
        raise ValueError("chip 7")

    iterator = iter(Prefetched(items(), 2))
    assert next(iterator) == 1
    with pytest.raises(ValueError, match="chip 7"):
        next(iterator)
    assert alive() == 0


def test_stopping_the_iteration_early_ends_the_thread():
    for number in Prefetched(iter(int, 1), 2):
        assert number == 0
        break
    assert alive() == 0


def test_a_depth_of_zero_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        Prefetched([], 0)


def test_the_code_that_computes_items_is_notified_when_the_iteration_ends():
    left = threading.Event()

    def items():
        yield 1
        assert left.wait(10), "the thread would be waited for without end"
        yield 2

    for _ in Prefetched(items(), 1, left):
        break
    assert left.is_set()
    assert alive() == 0


def test_the_thread_ends_with_a_closed_iteration_whose_loop_is_interrupted() -> None:
    error = None
    try:
        with closing(iter(Prefetched(iter(int, 1), 2))) as numbers:
            for _ in numbers:
                raise KeyboardInterrupt
    except KeyboardInterrupt as interrupt:
        error = interrupt  # its traceback keeps the loop, and what it iterates over
    assert alive() == 0
    assert error is not None


def test_ctrl_c_is_blocked_in_a_process_that_is_started_in_the_background() -> None:
    code = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"

    def items():
        yield subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert list(Prefetched(items(), 1)) == ["True\n"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
