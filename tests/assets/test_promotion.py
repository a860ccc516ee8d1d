"""Which model goes into service: every case of the rules."""

import pytest

from assets.promotion import Contender, Decision, decide


def contender(version: int, verdict: str, *, considered: bool = False) -> Contender:
    return Contender(str(version), verdict, considered)


@pytest.mark.parametrize("verdict", ["better", "not distinguishable"])
def test_the_first_fit_candidate_is_promoted_by_itself(verdict: str):
    decision = decide(None, contender(1, verdict), "review")
    assert (decision.serve, decision.promote) == ("1", True)


def test_a_first_candidate_worse_than_the_shipped_model_waits_for_review():
    decision = decide(None, contender(1, "worse"), "better")
    assert (decision.serve, decision.promote, decision.waiting) == (None, False, True)


def test_nothing_is_served_by_a_registry_without_models():
    assert decide(None, None, "review") == Decision(None, False, "no model has been registered yet")


def test_a_later_candidate_waits_for_a_reviewer():
    decision = decide(contender(1, "better"), contender(2, "better"), "review")
    assert (decision.serve, decision.promote, decision.waiting) == ("1", False, True)


@pytest.mark.parametrize(("verdict", "serve"), [("better", "2"), ("not distinguishable", "1"), ("worse", "1")])
def test_promote_better_promotes_better_ones_only(verdict: str, serve: str):
    assert decide(contender(1, "better"), contender(2, verdict), "better").serve == serve


def test_a_reviewer_may_promote_a_worse_one():
    assert decide(contender(2, "worse"), contender(2, "worse"), "review").serve == "2"


def test_a_reviewers_step_back_is_not_undone_by_promote_better():
    decision = decide(contender(1, "better"), contender(2, "better", considered=True), "better")
    assert (decision.serve, decision.promote) == ("1", False)


def test_a_champion_taken_away_by_a_reviewer_does_not_come_back_by_itself():
    decision = decide(None, contender(1, "better", considered=True), "better")
    assert (decision.serve, decision.promote, decision.waiting) == (None, False, True)


@pytest.mark.parametrize("policy", ["review", "better"])
@pytest.mark.parametrize("champion", [None, contender(1, "better"), contender(1, "broken"), contender(2, "broken")])
def test_a_broken_model_is_never_served_whoever_asks(champion: Contender | None, policy: str):
    decision = decide(champion, contender(2, "broken"), policy)
    assert not decision.promote
    assert decision.serve != "2"
    if champion and champion.verdict == "broken":
        assert decision.serve is None
        assert "broken" in decision.reason
