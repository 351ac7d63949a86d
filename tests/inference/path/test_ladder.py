"""Which rung answers, why, and that it does not flap."""

import itertools

from builders.ladders import ALWAYS, Clock, Site, asked, climb
from hypothesis import given
from hypothesis import strategies as st

from inference.path.breaker import Breaker, BreakerSettings
from presage.package.release import Route

CAUSES = ("failed", "out of memory", "slow", "unreachable", "not loaded")
THREE = ("primary", "last_good", "simpler")


def test_the_primary_answers_and_says_that_it_was_asked_first():
    site = Site(*THREE)
    [request] = climb(site.ladder(*THREE), asked(2))
    assert (request.rung, request.used, request.because, request.score) == (["primary"] * 2, "primary", ["asked first"] * 2, [0.1, 0.1])


def test_each_rung_is_reached_when_all_above_it_fail_and_left_when_they_are_well_again():
    site = Site(*THREE)
    ladder = site.ladder(*THREE, rules=[ALWAYS])
    for number, rung in enumerate((*THREE, "rules")):
        for id in THREE[:number]:
            site.moods[id].cause = "not loaded"
        [request] = climb(ladder, asked())
        assert request.rung == [rung] and all(id in request.because[0] for id in THREE[:number])
    for mood in site.moods.values():
        mood.cause = None
    site.clock.now += 120.0
    for _ in range(12):  # each member proves itself some times before it carries everything again
        [request] = climb(ladder, asked())
    assert request.rung == ["primary"] and all(member.breaker.state != "open" or id != "primary" for id, member in site.members.items())


def test_without_a_model_and_without_a_rule_the_base_rate_answers_and_names_every_cause():
    site = Site("primary")
    site.moods["primary"].cause = "out of memory"
    [request] = climb(site.ladder("primary"), asked())
    assert (request.rung, request.risk, request.low, request.high, request.because) == (["default"], [0.05], [0.0], [1.0], ["primary: out of memory"])


def test_one_row_that_a_model_chokes_on_takes_only_itself_down():
    site = Site("primary", "simpler")
    poison = 7.0

    def chokes(row):
        if row[0] == poison:
            from inference.path.model import ModelFailed

            raise ModelFailed("failed")
        return 0.5

    site.moods["primary"].score = chokes
    healthy, bad, other = climb(site.ladder("primary", "simpler"), asked(), asked(value=poison), asked(3))
    assert [request.rung[0] for request in (healthy, bad, other)] == ["primary", "simpler", "primary"]
    assert site.members["primary"].breaker.state == "closed"


def test_a_score_that_is_no_probability_is_not_answered():
    site = Site("primary", "simpler")
    site.moods["primary"].score = lambda row: float("nan") if row[0] > 1 else 0.5
    fine, odd = climb(site.ladder("primary", "simpler"), asked(), asked(value=2.0))
    assert (fine.rung, odd.rung) == (["primary"], ["simpler"]) and odd.because == ["primary: its score is no probability"]


def test_a_member_beyond_its_drift_limit_is_left_and_comes_back_well_below_it():
    site = Site("primary", "simpler")
    ladder = site.ladder("primary", "simpler")
    rungs = []
    for value in (0.2, 0.3, 0.24, 0.21, 0.19, 0.24):
        site.drift.set("primary", value)
        [request] = climb(ladder, asked())
        rungs.append(request.rung[0])
    assert rungs == ["primary", "simpler", "simpler", "simpler", "primary", "primary"]  # back below 80 % of .25, and out again only above it
    site.drift.set("primary", 0.31)
    [request] = climb(ladder, asked())
    assert request.because == ["primary: drift, psi 0.31 beyond 0.25"]


def test_a_model_that_is_too_slow_again_and_again_is_left_alone():
    site = Site("primary", "simpler", settings=BreakerSettings(failures=3, slow_after=0.1))
    site.moods["primary"].seconds = 0.2
    ladder = site.ladder("primary", "simpler")
    rungs = [climb(ladder, asked())[0].rung[0] for _ in range(5)]
    assert rungs == ["primary"] * 3 + ["simpler"] * 2  # late answers are answers, but a queue builds behind them


def test_a_request_is_routed_by_what_it_says_of_itself():
    site = Site("primary", "simpler", "ensemble/legacy")
    routes = [Route({"system_type": ["legacy", "mainframe"], "domain": ["databases"]}, ["ensemble/legacy"]), Route({"domain": ["network"]}, ["simpler"])]
    ladder = site.ladder("primary", "simpler", routes=routes)
    contexts = ({"system_type": "legacy", "domain": "databases"}, {"system_type": "legacy"}, {"domain": "network"}, {})
    answered = climb(ladder, *(asked(**context) for context in contexts))
    assert [request.used for request in answered] == ["ensemble/legacy", "primary", "simpler", "primary"]
    assert answered[0].because == ["routed by system_type legacy/mainframe, domain databases"] and {request.rung[0] for request in answered} == {"primary"}


def test_who_is_routed_to_a_member_that_fails_is_answered_by_the_ladder():
    site = Site("primary", "ensemble/legacy")
    site.moods["ensemble/legacy"].cause = "unreachable"
    [request] = climb(site.ladder("primary", routes=[Route({"domain": ["x"]}, ["ensemble/legacy"])]), asked(domain="x"))
    assert request.used == "primary" and request.because == ["ensemble/legacy: unreachable"]


def test_a_route_by_performance_leaves_the_member_that_errs_and_takes_it_back_when_it_does_not():
    site = Site("primary", "simpler", settings=BreakerSettings(failures=10_000))
    ladder = site.ladder("primary", routes=[Route({"domain": ["x"]}, ["primary", "simpler"], "performance")])

    def used(times):
        return [climb(ladder, asked(domain="x"))[0].used for _ in range(times)]

    assert used(20)[-1] == "primary"
    site.moods["primary"].cause = "failed"
    assert used(200)[-1] == "simpler"
    asked_before = site.moods["primary"].calls
    used(64)
    assert site.moods["primary"].calls - asked_before == 2  # looked at now and then, or nobody would know that it is well again
    site.moods["primary"].cause = None
    site.moods["simpler"].cause = "failed"
    assert used(400)[-1] == "primary"


def test_outcomes_decide_between_members_that_are_equally_fast():
    site = Site("primary", "simpler")
    ladder = site.ladder("primary", routes=[Route({"domain": ["x"]}, ["primary", "simpler"], "performance")])
    for _ in range(100):
        site.members["primary"].standing.outcome(0.9, False)
        site.members["simpler"].standing.outcome(0.1, False)
    assert climb(ladder, asked(domain="x"))[0].used == "simpler"


def test_an_ensemble_weighs_calibrated_risks_and_does_without_who_is_away():
    ids = ("primary", "ensemble/b", "ensemble/c")
    site = Site(*ids)
    ladder = site.ladder("primary", weights={"primary": 0.5, "ensemble/b": 0.3, "ensemble/c": 0.2})
    [request] = climb(ladder, asked())
    intervals = [member.calibration.one(site.moods[id].score) for id, member in site.members.items()]
    for place, got in enumerate((request.risk, request.low, request.high)):
        assert got == [sum(share * interval[place] for share, interval in zip((0.5, 0.3, 0.2), intervals, strict=True))]
    site.moods["ensemble/b"].cause = "out of memory"
    [request] = climb(ladder, asked())
    assert request.rung == ["primary"] and request.because == ["ensemble without ensemble/b: out of memory"]
    assert request.risk == [(0.5 * intervals[0][0] + 0.2 * intervals[2][0]) / 0.7]


@given(
    st.lists(st.tuples(st.sampled_from([*THREE, None]), st.sampled_from([*CAUSES, None]), st.floats(0.0, 3.0), st.floats(0.0, 0.5)), max_size=120),
)
def test_whatever_fails_in_whatever_order_every_answer_has_a_rung_and_a_reason_and_no_member_flaps(faults):
    site = Site(*THREE, settings=BreakerSettings(failures=3, cooldown=1.0, longest_cooldown=8.0, recover=3))
    ladder = site.ladder(*THREE, rules=[ALWAYS])
    opened = {id: [] for id in THREE}
    for id, cause, pause, drift in faults:
        site.clock.now += pause
        if id is not None:
            site.moods[id].cause = cause
            site.drift.set(id, drift)
        before = {name: member.breaker.opened for name, member in site.members.items()}
        for request in climb(ladder, asked(), asked(2)):
            assert len(request.rung) == len(request.because) == request.rows and all(request.because)
            assert set(request.rung) <= {*THREE, "rules", "default"} and (request.used in THREE) == (request.score is not None)
        for name, member in site.members.items():
            opened[name] += [site.clock.now] * (member.breaker.opened - before[name])
    for times in opened.values():
        assert all(later - earlier >= 1.0 for earlier, later in itertools.pairwise(times))
    for mood in site.moods.values():
        mood.cause = None
    site.drift.members.clear()
    for _ in range(40):  # and recovery leads back up, whatever was before
        site.clock.now += 10.0
        [request] = climb(ladder, asked())
    assert request.rung == ["primary"] and {member.breaker.state for member in site.members.values()} <= {"closed", "open", "half open"}


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 5))))
def test_an_open_breaker_admits_one_attempt_at_a_time(steps):
    clock = Clock()
    breaker = Breaker(BreakerSettings(failures=1, cooldown=1.0), clock)
    for well, pause in steps:
        clock.now += pause
        if breaker.admits():
            if breaker.state == "half open":
                assert not breaker.admits()
            breaker.succeeded(0.0) if well else breaker.failed("failed")
        else:
            assert breaker.state == "open"
