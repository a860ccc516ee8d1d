"""Shows Dagster runs in a terminal: the running step, its progress and time, and why a run failed."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from drshym_pipeline.settings import PipelineSettings
from drshym_pipeline.storage import read_json

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

POLL_SECONDS = 1.0
RUN_SECONDS = 3600.0

# A log file or a pipe has no width of its own. With the default of 80 columns, long paths would be broken.
console = Console(width=None if sys.stdout.isatty() else 120)


class RunError(RuntimeError):
    """A run that failed or did not end; the message says why and where to find more."""


def step_states(instance: DagsterInstance, run: DagsterRun) -> dict[str, tuple[str, float | None]]:
    """Return the state and the seconds of every step of a run so far, by step key."""
    states: dict[str, tuple[str, float | None]] = {}
    for stats in instance.get_run_step_stats(run.run_id):
        state = stats.status.value if stats.status else "IN_PROGRESS"
        end = stats.end_time or (time.time() if stats.start_time else None)
        states[stats.step_key] = (state, end - stats.start_time if end and stats.start_time else None)
    return states


def progress_of(settings: PipelineSettings, run_id: str) -> tuple[str, int, int] | None:
    """Return the progress of the running step, (stage, done, total), or None if its last stage has ended."""
    path = settings.store_path / "progress" / f"{run_id}.json"
    if not path.is_file():
        return None
    values = read_json(path)
    # The file remains after a step: a stage that has ended may belong to the previous step.
    return (values["stage"], values["done"], values["total"]) if values["done"] < values["total"] else None


def failure_reason(instance: DagsterInstance, run_id: str) -> str:
    """Return the first step failure of a run, in one line."""
    for record in instance.all_logs(run_id):
        event = record.dagster_event
        if event is not None and event.is_step_failure:
            error = event.step_failure_data.error
            cause = error.cause if error and error.cause else error
            return f"{event.step_key}: {(cause.message if cause else 'unknown').strip().splitlines()[-1]}"
    return "no step failed; see the run in `make ui`"


def tried_again(run: DagsterRun) -> bool:
    """Return whether a failed run was interrupted and is retried by Dagster."""
    from resources.dagster_internals import WILL_RETRY_TAG

    return run.is_failure and run.tags.get(WILL_RETRY_TAG) == "true"


def newest_attempt(instance: DagsterInstance, run_id: str) -> DagsterRun | None:
    """Return a run, or the newest retry of it if it was interrupted."""
    from resources.dagster_internals import AUTO_RETRY_RUN_ID_TAG

    run = instance.get_run_by_id(run_id)
    while run and AUTO_RETRY_RUN_ID_TAG in run.tags:
        following = instance.get_run_by_id(run.tags[AUTO_RETRY_RUN_ID_TAG])
        if following is None:  # it was deleted
            break
        run = following
    return run


@contextmanager
def bars() -> Iterator[Progress]:
    """Yield progress bars; without a terminal `RunView` prints lines instead."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<44}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as progress:
        yield progress


class RunView:
    """Shows the steps of one run as bars, or as lines if there is no terminal."""

    def __init__(self, progress: Progress, title: str, steps: Sequence[str]) -> None:
        self.title = title
        self.steps = steps
        self.progress = progress
        self.tasks = {step: progress.add_task(f"{title}: {step}", total=1, start=False) for step in steps}
        self.finished: set[str] = set()
        self.announced = ""

    def update(self, states: Mapping[str, tuple[str, float | None]], now_doing: tuple[str, int, int] | None) -> None:
        """Show the states of the steps and the progress of the running step."""
        for step in self.steps:
            if step not in states or step in self.finished:
                continue
            state, seconds = states[step]
            task = self.tasks[step]
            self.progress.start_task(task)
            if state != "IN_PROGRESS":
                self.finished.add(step)
                self.progress.update(task, completed=1, total=1, description=f"{self.title}: {step}")
                self.progress.stop_task(task)
                self._line(f"  {self.title}: {step} {state.lower()} in {seconds or 0:.1f} s")
            elif now_doing:
                stage, done, total = now_doing
                self.progress.update(
                    task, completed=done, total=max(total, 1), description=f"{self.title}: {step} ({stage})"
                )
                self._line(f"  {self.title}: {step}, {stage} {done} of {total}", every=max(total // 5, 1), at=done)

    def _line(self, text: str, every: int = 1, at: int = 0) -> None:
        # Without a terminal, one line per poll would be too many: every fifth of a stage is enough.
        key = text if every == 1 else f"{text.split(',', maxsplit=1)[0]}{at // every}"
        if not console.is_terminal and key != self.announced:
            self.announced = key
            console.print(text, highlight=False)


def follow(
    instance: DagsterInstance,
    settings: PipelineSettings,
    views: Mapping[str, RunView],
    find_runs: Callable[[], Mapping[str, DagsterRun]],
    check: Callable[[], None],
) -> dict[str, DagsterRun]:
    """Follow runs until all of them have ended; an interrupted run is followed in its retry.

    Args:
        instance: The Dagster instance.
        settings: Where the runs write their progress.
        views: One view per expected run.
        find_runs: Returns the newest attempts of the runs that exist now, by the key of their view.
        check: Raises an error if a service that the runs need has ended.

    Raises:
        RunError: A run failed, or not all ended in time.
    """
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        check()
        runs = find_runs()
        for key, run in runs.items():
            views[key].update(step_states(instance, run), progress_of(settings, run.run_id))
            if run.is_finished and not run.is_success and not tried_again(run):
                raise RunError(f"run {run.run_id} of {key} failed at {failure_reason(instance, run.run_id)}")
        if set(runs) == set(views) and all(run.is_success for run in runs.values()):
            return dict(runs)
        time.sleep(POLL_SECONDS)
    raise RunError(f"not finished after {RUN_SECONDS:.0f} s; `make ui` shows the state of the runs")
