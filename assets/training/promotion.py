"""Decide which registered model is put in service: a pure decision, without Dagster, MLflow or a disk."""

from dataclasses import dataclass, replace
from typing import Literal

from drshym_pipeline.model.bundle import SHIPPED

BROKEN, BETTER = "broken", "better"


@dataclass(frozen=True, slots=True)
class Contender:
    """A registered version as the decision sees it.

    Args:
        version: Its number.
        verdict: What its evaluation said.
        considered: Whether it was decided about before: what a reviewer did since is not undone.
        source: `shipped` for the checkpoint of the package.
    """

    version: str
    verdict: str
    considered: bool = False
    source: str = ""

    @property
    def named(self) -> str:
        """The version in words."""
        return f"version {self.version}" + (", the shipped checkpoint," if self.source == SHIPPED else "")


@dataclass(frozen=True, slots=True)
class Decision:
    """Which version to put in service.

    Args:
        serve: The version to serve; None keeps what is in service.
        promote: Whether the alias `champion` has to be set to it first.
        reason: Why, for people.
        waiting: The candidate waits for a reviewer.
    """

    serve: str | None
    promote: bool
    reason: str
    waiting: bool = False


def shipped_alias(
    *, known: bool, considered: bool, empty: bool, champion_source: str | None, served_source: str
) -> Literal["champion", "candidate"] | None:
    """Return the alias that the checkpoint of the package gets in the registry; None leaves the registry as it is.

    It is the champion of an empty registry when nothing else is in service. In a registry that has versions it is a
    candidate: an upgrade of the package does not change the maps before a reviewer agrees. It gets an alias once, so
    what a reviewer does afterwards is not undone.

    Args:
        known: It is in the registry already.
        considered: It has had its alias; False when the process that registered it was killed before that.
        empty: There is no other version.
        champion_source: Where the version with the alias `champion` comes from; None when there is none.
        served_source: Where the model in service comes from.
    """
    if known and considered:
        return None
    if empty and champion_source in (None, SHIPPED) and served_source == SHIPPED:
        return "champion"
    return "candidate"


def decide(champion: Contender | None, candidate: Contender | None, policy: Literal["review", "better"]) -> Decision:
    """Decide about the model in service.

    The alias `champion` decides. It is moved here only when the recipe says `promote: better` and the candidate is
    better than what is in service; else a reviewer moves it. A broken model is never served.

    Args:
        champion: The version with the alias `champion`: at first the shipped checkpoint. None when a reviewer took it
            away: what is in service then stays.
        candidate: The version registered last, or None.
        policy: The recipe's `promote`.
    """
    if champion is not None and champion.verdict == BROKEN:
        return Decision(None, False, f"version {champion.version} has the alias champion but is broken: not served")
    if champion is None:
        following = Decision(None, False, "no version has the alias champion: what is in service stays")
    else:
        following = Decision(champion.version, False, f"{champion.named} has the alias champion")
    if candidate is None or (champion and candidate.version == champion.version):
        return following
    if candidate.verdict == BROKEN:
        return replace(following, reason=f"{following.reason}; version {candidate.version} is broken: never served")
    if policy == BETTER and candidate.verdict == BETTER and not candidate.considered:
        reason = f"version {candidate.version} is better than what was in service, and the recipe promotes better ones"
        return Decision(candidate.version, True, reason)
    waits = f"{following.reason}; version {candidate.version} ({candidate.verdict}) waits for a reviewer"
    return replace(following, waiting=True, reason=waits)
