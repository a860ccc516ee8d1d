"""Which model is put in service: every case of the rules."""

import pytest

from assets.training.promotion import Contender, Decision, decide, introduces_shipped

SHIPPED = Contender("1", "not judged", considered=True, source="shipped")


def contender(version: int, verdict: str, *, considered: bool = False) -> Contender:
    return Contender(str(version), verdict, considered, "training")


@pytest.mark.parametrize(
    ("champion", "served", "enters"),
    [
        (None, "shipped", True),  # an empty registry, or one of a time when the shipped model was not registered
        ("shipped", "shipped", True),  # an older shipped checkpoint: the package has a newer one
        ("shipped", "registry", True),
        ("training", "shipped", False),  # a reviewer has just chosen
        ("training", "registry", False),
        ("", "registry", False),
        (None, "registry", False),
        (None, "checkpoint", False),
    ],
)
def test_the_shipped_checkpoint_enters_only_where_nothing_else_was_chosen(
    champion: str | None, served: str, enters: bool
):
    assert introduces_shipped(False, False, champion, served) is enters


@pytest.mark.parametrize("champion", [None, "shipped", "training"])
def test_a_shipped_checkpoint_enters_once(champion: str | None):
    assert not introduces_shipped(True, True, champion, "shipped")


def test_an_entry_that_was_cut_short_is_completed():
    assert introduces_shipped(True, False, None, "shipped")


@pytest.mark.parametrize("verdict", ["better", "not distinguishable", "worse"])
def test_the_shipped_checkpoint_stays_until_a_reviewer_replaces_it(verdict: str):
    decision = decide(SHIPPED, contender(2, verdict), "review")
    assert (decision.serve, decision.promote, decision.waiting) == ("1", False, True)
    assert decision.reason == (
        f"version 1, the shipped checkpoint, has the alias champion; version 2 ({verdict}) waits for a reviewer"
    )


def test_a_better_candidate_replaces_the_shipped_checkpoint_where_the_recipe_says_so():
    decision = decide(SHIPPED, contender(2, "better"), "better")
    assert (decision.serve, decision.promote, decision.waiting) == ("2", True, False)
    assert "better than what was in service" in decision.reason


def test_without_a_champion_what_is_in_service_stays():
    assert decide(None, None, "review") == Decision(
        None, False, "no version has the alias champion: what is in service stays"
    )
    decision = decide(None, contender(1, "better"), "review")
    assert (decision.serve, decision.promote, decision.waiting) == (None, False, True)


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
