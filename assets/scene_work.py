"""The scenes of a run of many, taken through their stages one after the other, without a call to Dagster.

What happens to them is reported as events: one thread passes an event to Dagster while another is already
mapping the next scene.
"""

import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import Any

from dagster import MaterializeResult

from assets.scene_checks import Outcome, SceneCheck
from assets.scene_stages import STAGES
from assets.scene_steps import SceneTools
from drshym_pipeline.errors import DrShymError, one_line
from drshym_pipeline.progress import Progress


@dataclass(frozen=True)
class Made:
    """An asset of a scene was made."""

    partition: str
    name: str
    result: MaterializeResult[Any]


@dataclass(frozen=True)
class Checked:
    """A check of an asset of a scene was evaluated."""

    partition: str
    name: str
    check: SceneCheck
    outcome: Outcome


@dataclass(frozen=True)
class Ended:
    """The work on a scene has ended: it is mapped, or it failed at an asset; `trace` is set for an unexpected error."""

    partition: str
    name: str
    reason: str | None = None
    trace: str | None = None


class Abandoned(BaseException):
    """The run ended before all its scenes were done. No scene has failed."""


def until_left(progress: Progress, left: Event) -> Progress:
    """Return a progress listener that stops its caller when `left` is set.

    Raises:
        Abandoned: It is set.
    """

    def listen(stage: str, done: int, total: int) -> None:
        if left.is_set():
            raise Abandoned
        progress(stage, done, total)

    return listen


class SceneWork:
    """What happens to scenes, in order; iterating over it does the work.

    Args:
        tools: What the steps receive.
        chain: The assets to make of each scene.
        partitions: The scenes.
        is_wanted: Called with an asset and a check of it: whether the run was asked to evaluate it.
    """

    def __init__(
        self,
        tools: SceneTools,
        chain: Sequence[str],
        partitions: Sequence[str],
        is_wanted: Callable[[str, str], bool] = lambda _asset, _check: True,
    ) -> None:
        self._tools, self._chain, self._partitions = tools, chain, partitions
        self._is_wanted = is_wanted

    def __iter__(self) -> Iterator[Made | Checked | Ended]:
        for partition in self._partitions:
            yield from self._one(partition)

    def _one(self, partition: str) -> Iterator[Made | Checked | Ended]:
        name = self._chain[0]
        try:
            for name in self._chain:
                yield Made(partition, name, STAGES[name].step(self._tools, partition))
                if (fault := (yield from self._checks(partition, name))) is not None:
                    yield Ended(partition, name, fault)
                    return
        except Exception as error:
            # An error of one scene must not stop the next scenes: it is the reason why this scene failed, and the run
            # fails at its end.
            trace = None if isinstance(error, DrShymError) else traceback.format_exc()
            yield Ended(partition, name, one_line(error), trace)
        else:
            yield Ended(partition, name)

    def _checks(self, partition: str, name: str) -> Generator[Checked, None, str | None]:
        """Evaluate the checks of an asset; return why the scene is not processed further, or None."""
        for check in (check for check in STAGES[name].checks if self._is_wanted(name, check.name)):
            outcome = check.evaluate(self._tools.store, partition, self._tools.run)
            yield Checked(partition, name, check, outcome)
            if check.blocking and not outcome.passed:
                return f"{check.name} failed: {outcome.sentence}"
        return None
