"""Which maps are made again: the decision without Dagster."""

from sensors.renewal_plan import MapState, affected_scenes, plan_renewals


def state(partition: str, key: str | None, planned: str, stamp: str = "1") -> MapState:
    return MapState(partition, stamp, key, planned)


def test_a_map_with_another_reference_is_requested_once():
    outdated = state("a", "", "k1")
    first = plan_renewals([outdated, state("b", "k1", "k1")], {}, (), 5)
    assert [request.partition for request in first.requests] == ["a"]
    second = plan_renewals([outdated], first.requested, ("a",), 5)
    assert second.requests == ()
    assert second.open == ("a",)
    failed = plan_renewals([outdated], second.requested, (), 5)
    assert failed.requests == ()
    assert failed.given_up == ("a",)
    changed = plan_renewals([state("a", "", "k2")], failed.requested, (), 5)
    assert [request.partition for request in changed.requests] == ["a"]
    assert changed.requests[0].run_key != first.requests[0].run_key


def test_a_run_that_gives_another_reference_than_was_planned_is_no_endless_loop():
    requested: dict[str, str] = {}
    requests = 0
    for turn in range(20):
        plan = plan_renewals([state("a", f"other {turn}", "k1", stamp=str(turn))], requested, (), 5)
        requested = dict(plan.requested)
        requests += len(plan.requests)
    assert requests == 1


def test_a_reference_that_returns_is_requested_again_with_another_run_key():
    first = plan_renewals([state("a", "k1", "k2", stamp="1")], {}, (), 5)
    settled = plan_renewals([state("a", "k2", "k2", stamp="2")], first.requested, (), 5)
    assert settled.requested == {}
    back = plan_renewals([state("a", "k2", "k1", stamp="2")], settled.requested, (), 5)
    again = plan_renewals([state("a", "k1", "k2", stamp="3")], {}, (), 5)
    keys = {request.run_key for plan in (first, back, again) for request in plan.requests}
    assert len(keys) == 3


def test_the_rate_is_bounded_and_the_others_wait():
    states = [state(f"s{number:02}", "", "k") for number in range(12)]
    first = plan_renewals(states, {}, (), 5)
    assert [request.partition for request in first.requests] == [f"s{number:02}" for number in range(5)]
    assert len(first.open) == 7
    running = [request.partition for request in first.requests]
    assert plan_renewals(states, first.requested, running, 5).requests == ()
    done = [state(name, "k", "k") for name in running] + states[5:]
    second = plan_renewals(done, first.requested, (), 5)
    assert [request.partition for request in second.requests] == [f"s{number:02}" for number in range(5, 10)]


def test_runs_that_fail_do_not_keep_the_others_waiting():
    states = [state(f"s{number}", "", "k") for number in range(4)]
    first = plan_renewals(states, {}, (), 2)
    second = plan_renewals(states, first.requested, (), 2)
    assert [request.partition for request in second.requests] == ["s2", "s3"]
    assert second.given_up == ("s0", "s1")


def test_a_limit_of_zero_requests_nothing():
    plan = plan_renewals([state("a", "", "k")], {}, (), 0)
    assert plan.requests == ()
    assert plan.open == ("a",)


def test_maps_of_an_earlier_release_are_never_made_again():
    assert plan_renewals([state("a", None, "k")], {}, (), 5).requests == ()


def test_a_reference_that_is_gone_has_the_map_made_again():
    (request,) = plan_renewals([state("a", "k", "")], {}, (), 5).requests
    assert request.run_key == "a:1:no reference"


def test_what_was_requested_for_a_scene_that_is_not_looked_at_is_kept():
    first = plan_renewals([state("a", "", "k")], {}, (), 5)
    assert plan_renewals([state("b", "", "")], first.requested, (), 5).requested == {"a": "k"}


def test_only_scenes_that_may_use_a_changed_one_are_looked_at():
    stamps = {"s1": "1", "s2": "1", "s3": "1", "s4": "1"}

    def later(name: str, changed: object) -> bool:
        return any(name > other for other in changed)

    assert affected_scenes({}, stamps, later) == ["s1", "s2", "s3", "s4"]
    assert affected_scenes(stamps, stamps, later) == []
    assert affected_scenes(stamps, {**stamps, "s3": "2"}, later) == ["s3", "s4"]
    assert affected_scenes({**stamps, "s2x": "1"}, stamps, later) == ["s3", "s4"], "a scene that is gone"
    assert affected_scenes(stamps, {"s0": "1", **stamps}, later) == ["s0", "s1", "s2", "s3", "s4"]
