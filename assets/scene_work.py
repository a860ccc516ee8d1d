"""The scenes of a run of many, taken through their steps one after the other, without a word to Dagster.

What happens to them comes out as a stream: the thread that talks to Dagster tells one event while the next scene is
already being mapped.
"""

import traceback
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from threading import Event

from dagster import MaterializeResult

from assets.currency import currency
from assets.scene_steps import BLOCKING, STEPS, SceneTools
from drshym_pipeline.errors import DrShymError, one_line
from drshym_pipeline.progress import Progress


@dataclass(frozen=True)
class Made:
    """An asset of a scene was made."""

    partition: str
    name: str
    result: MaterializeResult


@dataclass(frozen=True)
class Checked:
    """A check of an asset of a scene was evaluated."""

    partition: str
    name: str
    check: str
    passed: bool
    figures: dict[str, str]

    @property
    def blocking(self) -> bool:
        """Whether a scene that fails it goes no further."""
        return self.name in BLOCKING and BLOCKING[self.name][0] == self.check


@dataclass(frozen=True)
class Ended:
    """A scene is through: mapped, or failed at an asset for a reason; `trace` is of what nobody expected."""

    partition: str
    name: str
    reason: str | None = None
    trace: str | None = None


class Abandoned(BaseException):
    """The run ends before its scenes do; no failure of a scene."""


def until_left(progress: Progress, left: Event) -> Progress:
    """A listener that stops whoever tells it something once `left` is set.

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
        tools: What the steps are handed.
        chain: The assets to make of each.
        partitions: The scenes.
    """

    def __init__(self, tools: SceneTools, chain: Sequence[str], partitions: Sequence[str]) -> None:
        self._tools, self._chain, self._partitions = tools, chain, partitions

    def __iter__(self) -> Iterator[Made | Checked | Ended]:
        for partition in self._partitions:
            yield from self._one(partition)

    def _one(self, partition: str) -> Iterator[Made | Checked | Ended]:
        name = self._chain[0]
        try:
            for name in self._chain:
                yield Made(partition, name, STEPS[name](self._tools, partition))
                if (fault := (yield from self._checks(partition, name))) is not None:
                    yield Ended(partition, name, fault)
                    return
        except Exception as error:
            # Whatever it is, the next scenes have nothing to do with it: it becomes this one's reason, and the run
            # fails with it in the end.
            trace = None if isinstance(error, DrShymError) else traceback.format_exc()
            yield Ended(partition, name, one_line(error), trace)
        else:
            yield Ended(partition, name)

    def _checks(self, partition: str, name: str) -> Generator[Checked, None, str | None]:
        """Evaluate the checks of an asset; returns why the scene goes no further, or None."""
        tools = self._tools
        if name == "stitched_scenes":
            passed, used, served = currency(tools.store, tools.store.scenes.map(partition, tools.run))
            yield Checked(partition, name, "model_is_current", passed, {"map": used, "in service": served})
        if name not in BLOCKING:
            return None
        check, faults_of = BLOCKING[name]
        faults = faults_of(tools, partition)
        yield Checked(partition, name, check, not faults, {})
        return f"{check} failed: {'; '.join(faults[:3])}" if faults else None
