"""The statistics of a judge: what it promises of good and of bad releases, and that a kill, a restart or a busy day changes nothing about it."""

import json
from datetime import timedelta

import numpy as np
import pytest
from builders.repositories import ROOT
from builders.traffic import BEGAN, SECONDS, Behaviour, Traffic, judged, worse
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from presage.errors import InputError
from presage.governance.tiers import load_risk_tiers
from presage.release.judging import Arm, Increment, Judge, requests_needed
from presage.release.judging.measures import NAMES, choose_bound
from presage.release.judging.pairs import differences
from presage.release.judging.wealth import Wealth

TIERS = load_risk_tiers(ROOT / "policies" / "risk-tiers.yaml")
PLAN = TIERS.of("medium").canary


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_regression_of_twice_the_detectable_size_is_taken_back(name):
    found = [judged(PLAN, Traffic(Behaviour(), worse(PLAN.detect, name, 2), seed)) for seed in range(50)]
    assert sum(kind == "revert" for kind, _, _ in found) >= 48
    assert np.mean([touched for _, touched, _ in found]) < 2000  # answers that such a release gives


@pytest.mark.parametrize("name", ["scores", *(pytest.param(name, marks=pytest.mark.slow) for name in NAMES if name != "scores")])
def test_a_regression_of_exactly_the_detectable_size_is_rarely_missed(name):
    """4 of 50 here, 16 of 200 over all four: 97.5 % of a binomial with 5 %."""
    found = [judged(PLAN, Traffic(Behaviour(), worse(PLAN.detect, name), 1000 + seed))[0] for seed in range(50)]
    assert found.count("good") <= 4


@pytest.mark.long
def test_a_good_release_is_rarely_taken_back_and_comes_to_an_end():
    """The 200 of the promise are in the slow lane."""
    found = [judged(PLAN, Traffic(Behaviour(), Behaviour(), seed, every=300.0)) for seed in range(40)]
    assert sum(kind == "revert" for kind, _, _ in found) <= 5
    assert not any("did not show" in verdict.because for _, _, verdict in found)


@pytest.mark.slow
def test_of_200_good_releases_at_most_16_are_taken_back():
    found = [judged(PLAN, Traffic(Behaviour(), Behaviour(), seed, every=60.0)) for seed in range(200)]
    assert sum(kind == "revert" for kind, _, _ in found) <= 16
    assert sum("did not show" in verdict.because for _, _, verdict in found) <= 2


@pytest.mark.slow
def test_what_changes_for_both_arms_is_no_difference_between_them():
    """Failures and durations that swing by half, with traffic that swings as well: the same bound holds."""
    found = [judged(PLAN, Traffic(Behaviour(failed=0.01), Behaviour(failed=0.01), seed, every=60.0, cycle=0.5)) for seed in range(100)]
    assert sum(kind == "revert" for kind, _, _ in found) <= 9  # 97.5 % of a binomial with 5 %


def test_looking_at_every_answer_does_not_raise_the_error():
    """Ville's bound, simulated: bets on a fair coin rarely win 20-fold, at any time of 2000 looks."""
    generator, won = np.random.default_rng(1), 0
    for _ in range(400):
        wealth, best = Wealth(np.array([0.0])), 0.0
        for _ in range(100):
            wealth.bet(generator.choice([-1.0, 1.0], size=(20, 1)))
            best = max(best, float(wealth.log()[0]))
        won += best >= np.log(20)
    assert won <= 400 * 0.05 + 3 * np.sqrt(400 * 0.05 * 0.95)


counts = st.lists(st.integers(0, 60), min_size=3, max_size=6)


@given(stable=counts, canary=counts, seed=st.integers(0, 1000))
def test_pairs_keep_what_was_counted(stable, canary, seed):
    """The mean over pairs is the difference of the arms' shares, but for parts of unequal size; every difference is one of shares."""
    buckets = min(len(stable), len(canary))
    ours, theirs = np.array(canary[:buckets]), np.array(stable[:buckets])
    found = differences(theirs, ours, (seed,))
    assert len(found) == min(ours.sum(), theirs.sum())
    assert ((found >= -1) & (found <= 1)).all()
    if len(found) and (theirs.sum() % len(found), ours.sum() % len(found)) == (0, 0):
        expected = np.cumsum(ours)[:-1] / ours.sum() - np.cumsum(theirs)[:-1] / theirs.sum()
        assert found.mean(axis=0) == pytest.approx(expected)


@given(st.floats(1.1, 4.0), st.floats(0.0, 0.02), st.floats(0.0005, 0.2), st.floats(0.2, 1.2))
def test_what_is_read_off_a_histogram_errs_by_no_more_than_one_bucket_holds(ratio, by, median, spread):
    """Between two bounds nothing is known; the truth and what is read lie between the same two."""
    before = Behaviour(median=median, spread=spread)
    seconds = dict(zip(SECONDS, before.cumulative()[0].tolist(), strict=True))
    bound, rise = choose_bound(seconds, ratio, by)
    moved = Behaviour(median=median, spread=spread, times=ratio, by=by)
    true = (1 - dict(zip(SECONDS, moved.cumulative()[0], strict=True))[bound]) - stats.lognorm(spread, scale=median).sf(bound)
    lower = max((seconds[one] for one in SECONDS if one <= min(bound / ratio, bound - by)), default=0.0)
    upper = min(seconds[one] for one in SECONDS if one > min(bound / ratio, bound - by))
    assert abs(rise - true) <= upper - lower + 1e-9


@pytest.mark.long
def test_a_pod_that_is_slower_only_because_it_is_asked_less_is_not_taken_back():
    """As measured on the plane: stable answers take 0.25 to 1 ms, those of a Pod with a twentieth of them 0.5 to 2.5 ms, half again as long and more."""
    sparse = Behaviour(median=0.0008, spread=0.5)
    found = [judged(PLAN, Traffic(Behaviour(median=0.00045, spread=0.5), sparse, seed, every=300.0)) for seed in range(20)]
    assert [kind for kind, _, _ in found].count("revert") <= 3  # 97.5 % of a binomial with 5 %


def test_a_tail_that_grew_is_found_where_the_bulk_stayed():
    """One answer in ten hangs: far from every duration's being longer."""
    judge, now = Judge.start(PLAN, soak=timedelta(minutes=30), now=BEGAN), BEGAN
    generator = np.random.default_rng(3)
    for _ in range(80):
        now += timedelta(seconds=30)
        slow = int(generator.binomial(100, 0.1))
        fast = {bound: 1400 if bound >= 0.01 else 1390 if bound >= 0.005 else 0 for bound in SECONDS}
        hangs = {bound: 100 if bound >= 1 else 100 - slow if bound >= 0.005 else 0 for bound in SECONDS}
        verdict = judge.observe(Increment(Arm(1400, 0, fast), Arm(100, 0, hangs)), now)
        if verdict.kind == "revert":
            break
    assert (verdict.kind, verdict.because.partition(" (")[0]) == ("revert", "it is slower")


increments = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 60), st.integers(0, 5), st.integers(0, 3), st.integers(0, 20)), min_size=1, max_size=12
)


def arm(requests: int, failed: int, decided: int = 0) -> Arm:
    seconds = {0.01: requests // 2, 0.1: requests, float("inf"): requests}
    risks = {0.1: requests // 3, 0.5: requests, float("inf"): requests}
    return Arm(requests, min(failed, requests), seconds, risks, min(decided, requests), min(decided, requests) // 3)


def feed(judge: Judge, rows, now):
    for stable, canary, bad, worse_, decided in rows:
        now += timedelta(seconds=30)
        verdict = judge.observe(Increment(arm(stable, bad, decided), arm(canary, worse_, decided)), now)
    return verdict, now


@given(rows=increments, at=st.integers(0, 11))
def test_a_judge_that_was_killed_goes_on_as_if_it_had_not_been(rows, at):
    whole = Judge.start(PLAN, soak=timedelta(minutes=30), now=BEGAN)
    verdict, _ = feed(whole, rows, BEGAN)
    first = Judge.start(PLAN, soak=timedelta(minutes=30), now=BEGAN)
    cut = min(at, len(rows) - 1)
    now = BEGAN
    if cut:
        _, now = feed(first, rows[:cut], BEGAN)
    resumed = Judge.resume(json.loads(json.dumps(first.evidence())))
    again, _ = feed(resumed, rows[cut:], now)
    assert again == verdict and json.dumps(resumed.evidence()) == json.dumps(whole.evidence())


@given(rows=increments)
def test_the_same_evidence_gives_the_same_verdict(rows):
    """A record can be checked by whoever doubts it."""
    judge = Judge.start(PLAN, soak=timedelta(minutes=30), now=BEGAN)
    verdict, _ = feed(judge, rows, BEGAN)
    assert Judge.resume(json.loads(json.dumps(judge.evidence()))).verdict() == verdict


def test_nothing_is_good_before_its_soak_is_over_and_a_clock_that_goes_back_shortens_none():
    judge = Judge.start(PLAN, soak=timedelta(minutes=30), now=BEGAN)
    kinds = []
    for minute in (10, 29, 5, 29, 30):
        kinds.append(judge.observe(Increment(arm(9500, 0), arm(5000, 0)), BEGAN + timedelta(minutes=minute)).kind)
    assert kinds == ["go on"] * 4 + ["good"]


@pytest.mark.parametrize(("stable", "canary"), [((0, 0), (0, 0)), ((1000, 0), (0, 0)), ((0, 0), (50, 0))])
def test_an_arm_that_nobody_asks_proves_nothing_and_is_taken_back_at_the_longest_wait(stable, canary):
    judge = Judge.start(PLAN, soak=timedelta(minutes=30), now=BEGAN)
    assert judge.observe(Increment(arm(*stable), arm(*canary)), BEGAN + timedelta(hours=23)).kind == "go on"
    verdict = judge.observe(Increment(arm(*stable), arm(*canary)), BEGAN + timedelta(hours=24))
    assert verdict.kind == "revert" and "did not show that it is no worse" in verdict.because


def test_outcomes_that_nobody_knows_hold_nothing_up_and_late_ones_count():
    judge = Judge.start(PLAN, soak=timedelta(minutes=1), now=BEGAN)
    for minute in range(1, 5):
        verdict = judge.observe(Increment(arm(9500, 9), arm(5000, 5)), BEGAN + timedelta(minutes=minute))
    assert verdict.kind == "good"
    late = Arm(decided=4000, wrong=2000)
    assert judge.observe(Increment(Arm(decided=4000, wrong=400), late), BEGAN + timedelta(minutes=6)).because.startswith("its decisions are wrong more often")


def test_a_canary_alone_is_held_against_itself_in_the_step_before():
    before = Judge.start(PLAN, soak=timedelta(minutes=1), now=BEGAN)
    traffic, now = Traffic(Behaviour(), Behaviour(), 3), BEGAN
    for increment, moment in traffic.increments(50, BEGAN):
        now = moment
        if before.observe(increment, moment).kind == "good":
            break
    for behaviour, kind in ((Behaviour(), "good"), (worse(PLAN.detect, "errors", 3), "revert"), (worse(PLAN.detect, "latency", 3), "revert")):
        judge = Judge.start(PLAN, soak=timedelta(minutes=15), now=now, before=json.loads(json.dumps(before.evidence())))
        verdict = judge.verdict()
        for increment, moment in Traffic(Behaviour(), behaviour, 5).increments(100, now):
            verdict = judge.observe(increment, moment)
            if verdict.kind != "go on":
                break
        assert verdict.kind == kind, verdict


def test_evidence_that_is_something_else_is_refused():
    with pytest.raises(InputError, match="judged from its beginning"):
        Judge.resume({"form": "other"})
    with pytest.raises(InputError, match="cannot be read"):
        Judge.resume({"form": "presage.judging/v1"})


def test_how_many_requests_a_step_takes_is_about_what_it_takes():
    """For a plan; within a factor of three of what the simulation needs."""
    said = max(requests_needed(PLAN, 5)[name] for name in ("errors", "latency", "scores"))
    judge, used = Judge.start(PLAN, soak=timedelta(seconds=1), now=BEGAN), 0
    for increment, moment in Traffic(Behaviour(), Behaviour(), 8, known=0.0).increments(5, BEGAN):
        used += increment.canary.requests
        if judge.observe(increment, moment).kind == "good":
            break
    assert said / 3 < used < said * 3
