"""The client's last rung is the path's, to the letter; and how often it asks is bounded, whatever happens."""

import asyncio

import numpy as np
from builders.ladders import Site
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.path.ladder import Ladder, RuleRung
from inference.path.request import PathRequest
from inference.path.router import Router
from inference.path.tier import choose_tier
from presage.client.answers import ModelName
from presage.client.attempts import Attempts, RetryBudget, Standing
from presage.client.last_rung import by_rules
from presage.client.memory import ContractView, LastRungs, Rule
from presage.client.settings import ClientSettings

NAMES = ["disk", "cpu", "memory"]
THRESHOLDS = {"watch": 0.05, "act": 0.25, "page": 0.6}
values = st.one_of(st.none(), st.sampled_from([0.1, 0.95, 0.97, np.float32(0.97).item(), 0.9700000000001]), st.floats(-2, 2))
risks = st.sampled_from([0.0, 0.05, 0.25, 0.4, 0.6, 1.0])


@st.composite
def rules(draw):
    bound = draw(st.sampled_from([0.1, 0.95, 0.97, np.float32(0.97).item()]))
    above = draw(st.booleans())
    return Rule(draw(st.text("abc", min_size=1, max_size=3)), draw(st.sampled_from(NAMES)), bound if above else None, None if above else bound, draw(risks))


def path_answers(known, default, row):
    """What the path says where no model is on the ladder."""
    site = Site()
    rungs = [RuleRung(rule.id, NAMES.index(rule.feature), rule.above, rule.below, rule.risk) for rule in known]
    x = np.array([[np.nan if row.get(name) is None else row[name] for name in NAMES]], np.float32)
    request = PathRequest(x=x, row=x)
    request.warming = [None]
    asyncio.run(Ladder({}, Router([], {}), rungs, default, site.metrics).climb([request]))
    choose_tier(THRESHOLDS)(request)
    return request


@settings(deadline=None, max_examples=300)
@given(st.lists(rules(), max_size=4), risks, st.dictionaries(st.sampled_from(NAMES), values))
def test_rules_default_and_tier_are_the_paths_own(known, default, row):
    rungs = LastRungs(ModelName("incident", "1"), "sha256:0", ContractView("incident", "1.0.0", "server", "1h", "0f"), known, default, THRESHOLDS)
    ours, theirs = by_rules(rungs, row, "nobody answered", server=None, prediction_id="x"), path_answers(known, default, row)
    assert ours.rung == f"client_{theirs.rung[0]}"
    assert (ours.risk, ours.interval, ours.tier) == (theirs.risk[0], (theirs.low[0], theirs.high[0]), theirs.tier[0])


outcomes = st.one_of(st.just("answers"), st.tuples(st.floats(0, 3), st.one_of(st.none(), st.floats(0, 10))))


@given(st.integers(1, 4), st.floats(0.01, 10), st.lists(outcomes, max_size=60), st.floats(0, 1))
def test_a_call_never_outlives_its_time_and_asks_no_more_than_the_budget_has(endpoints, seconds, happens, chance):
    """Each attempt takes some time and fails, asking to be left alone for a while or not; or answers, which ends the call."""
    now = [100.0]
    chosen = ClientSettings()
    budget, standing = RetryBudget(chosen), Standing(endpoints)
    budget.called()
    attempts = Attempts(standing, chosen, budget, deadline=now[0] + seconds, clock=lambda: now[0], chance=lambda: chance)
    asked: list[int] = []
    for outcome in happens:
        attempt = attempts.next()
        if attempt is None:
            break
        assert attempt.pause >= 0 and attempt.seconds > 0 and now[0] + attempt.pause + attempt.seconds <= 100.0 + seconds + 1e-9
        now[0] += attempt.pause
        asked.append(attempt.endpoint)
        if outcome == "answers":
            attempts.answered(attempt.endpoint)
            break
        took, retry_after = outcome
        now[0] += min(took, attempt.seconds)
        attempts.failed(attempt.endpoint, retry_after)
    assert len(asked) <= 1 + chosen.retries_saved
    assert sorted(asked[:endpoints]) == sorted(set(asked[:endpoints]))  # everybody once before anybody twice


@given(st.floats(0.1, 5), st.floats(0, 20))
def test_an_endpoint_is_not_asked_again_before_the_time_that_it_named(retry_after, seconds):
    now = [0.0]
    chosen = ClientSettings()
    attempts = Attempts(Standing(1), chosen, RetryBudget(chosen), deadline=seconds, clock=lambda: now[0], chance=lambda: 0.0)
    before = None
    while (attempt := attempts.next()) is not None:
        now[0] += attempt.pause
        assert before is None or now[0] >= before + retry_after - 1e-9
        before = now[0]
        attempts.failed(0, retry_after)
