"""Which model is put in service: every case of the rules."""

import pytest

from assets.training.promotion import Contender, Decision, decide, shipped_alias

SHIPPED = Contender("1", "not judged", considered=True, source="shipped")


def contender(version: int, verdict: str, *, considered: bool = False) -> Contender:
    return Contender(str(version), verdict, considered, "training")


@pytest.mark.parametrize(
    ("empty", "champion", "served", "alias"),
    [
        (True, None, "shipped", "champion"),  # an empty registry
        (True, None, "registry", "candidate"),  # the registry was lost, the model in service was not
        (True, None, "checkpoint", "candidate"),  # put in service by hand
        (False, "shipped", "shipped", "candidate"),  # an older shipped checkpoint: the package has a newer one
        (False, "shipped", "registry", "candidate"),
        (False, "training", "shipped", "candidate"),  # a reviewer has just chosen
        (False, "training", "registry", "candidate"),
        (False, "", "registry", "candidate"),
        (False, None, "registry", "candidate"),
        (False, None, "shipped", "candidate"),  # a reviewer took the alias away from an older shipped checkpoint
    ],
)
def test_the_shipped_checkpoint_is_champion_only_in_an_empty_registry(
    empty: bool, champion: str | None, served: str, alias: str
):
    found = shipped_alias(known=False, considered=False, empty=empty, champion_source=champion, served_source=served)
    assert found == alias


@pytest.mark.parametrize("champion", [None, "shipped", "training"])
@pytest.mark.parametrize("empty", [True, False])
def test_a_shipped_checkpoint_gets_an_alias_once(champion: str | None, empty: bool):
    assert (
        shipped_alias(known=True, considered=True, empty=empty, champion_source=champion, served_source="shipped")
        is None
    )


@pytest.mark.parametrize(("empty", "alias"), [(True, "champion"), (False, "candidate")])
def test_an_entry_that_was_cut_short_is_completed(empty: bool, alias: str):
    found = shipped_alias(known=True, considered=False, empty=empty, champion_source=None, served_source="shipped")
    assert found == alias


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
