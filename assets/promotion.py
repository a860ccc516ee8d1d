"""Which registered model goes into service; a pure decision, without Dagster, MLflow or a disk."""

from dataclasses import dataclass, replace
from typing import Literal

BROKEN, WORSE, BETTER = "broken", "worse", "better"


@dataclass(frozen=True, slots=True)
class Contender:
    """A registered version as the decision sees it.

    Args:
        version: Its number.
        verdict: What its evaluation said.
        considered: Whether it was decided about before: what a reviewer did since is not undone.
    """

    version: str
    verdict: str
    considered: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What to put into service.

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


def decide(champion: Contender | None, candidate: Contender | None, policy: Literal["review", "better"]) -> Decision:
    """Decide about the model in service.

    The alias `champion` decides. It is set here only when there is none and the candidate is neither broken nor worse
    than what is in service, or when the recipe says `promote: better` and the candidate is better. A broken model is
    never served, whoever set the alias.

    Args:
        champion: The version with the alias `champion`, or None.
        candidate: The version registered last, or None.
        policy: The recipe's `promote`.
    """
    if champion is None:
        return _without_champion(candidate)
    if champion.verdict == BROKEN:
        return Decision(None, False, f"version {champion.version} has the alias champion but is broken: not served")
    following = Decision(champion.version, False, f"version {champion.version} has the alias champion")
    if candidate is None or candidate.version == champion.version or candidate.verdict == BROKEN:
        return following
    if policy == BETTER and candidate.verdict == BETTER and not candidate.considered:
        reason = f"version {candidate.version} is better than what is in service, and the recipe promotes better ones"
        return Decision(candidate.version, True, reason)
    return replace(following, waiting=True)


def _without_champion(candidate: Contender | None) -> Decision:
    if candidate is None:
        return Decision(None, False, "no model has been registered yet")
    if candidate.verdict == BROKEN:
        return Decision(None, False, f"version {candidate.version} is broken")
    if candidate.verdict == WORSE:
        return Decision(None, False, f"version {candidate.version} is worse: it waits for review", waiting=True)
    if candidate.considered:
        return Decision(
            None, False, f"a reviewer took the alias champion away; {candidate.version} waits", waiting=True
        )
    return Decision(candidate.version, True, f"version {candidate.version} is the first that is fit for service")
