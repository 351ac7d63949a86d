"""Counts that leave: with noise that hides one server, from a budget that ends."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from builders.logs import DAY, NOON, decision, write_log

from inference.log.aggregate import aggregate
from inference.log.classes import Aggregates
from inference.log.ledger import read_ledger, spend
from presage.errors import InputError

DAYS = {"since": date(2023, 11, 14), "until": date(2023, 11, 16), "now": NOON}
LOUD = 10.0  # the largest epsilon: the noise stays below a few counts


def policy(**changes):
    return Aggregates(**{"hides": "server", "counts_at_most": 10, "budget": 100.0, **changes})


def counts(found):
    return {count.category: count.decisions for count in found.counts}


def answered(number, server, **changes):
    return decision(number, server=server, **changes)


@pytest.fixture
def log(tmp_path):
    tiers = {"app-01": "none", "app-02": "none", "db-01": "page"}
    records = [
        answered(100 * place + number, server, tier=tier, time=NOON + DAY * (number % 2))
        for place, (server, tier) in enumerate(tiers.items()) for number in range(8)
    ]  # fmt: skip
    shadows = [answered(900 + number, "app-03", shadow_of="id-1-0") for number in range(8)]
    return write_log(tmp_path, [*records, *shadows, decision(999, x=b"\x00\x00\x80?", tier="page")])


def test_counts_are_near_the_exact_ones_and_every_category_there_could_be_is_named(log):
    found = aggregate(log, "tier", LOUD, policy(), **DAYS)
    assert list(counts(found)) == ["none", "watch", "act", "page"] and found.within < 10
    assert counts(found) == pytest.approx({"none": 16, "watch": 0, "act": 0, "page": 8}, abs=25)
    assert list(counts(aggregate(log, "day", LOUD, policy(), **DAYS))) == ["2023-11-14", "2023-11-15", "2023-11-16"]
    assert list(counts(aggregate(log, "rung", LOUD, policy(), **DAYS))) == ["primary", "last_good", "simpler", "rules", "default"]


def test_one_server_counts_no_more_than_the_policy_lets_it(tmp_path):
    log = write_log(tmp_path, [answered(number, "loud-01") for number in range(3000)])
    found = aggregate(log, "rung", LOUD, policy(counts_at_most=3), **DAYS)
    assert counts(found)["primary"] < 30


def test_noise_is_made_for_all_that_one_may_change(log):
    """Ten decisions of a server may move the counts by ten, so the noise is ten times that of one decision."""
    one = aggregate(log, "tier", 1.0, policy(hides="decision"), **DAYS)
    ten = aggregate(log, "tier", 1.0, policy(), **DAYS)
    assert one.counts_at_most == 1 and ten.within == pytest.approx(10 * one.within, rel=0.1)


def test_two_questions_are_not_answered_alike(log):
    answers = {tuple(counts(aggregate(log, "tier", 0.05, policy(), **DAYS)).values()) for _ in range(6)}
    assert len(answers) > 1 and all(count >= 0 for answer in answers for count in answer)


def test_the_budget_is_spent_and_then_nothing_more_is_given_out(log):
    assert aggregate(log, "tier", 0.6, policy(budget=1.0), **DAYS).left == pytest.approx(0.4)
    with pytest.raises(InputError, match=r"0.6 of the privacy budget of 1 is spent, and this would cost 0.5 more"):
        aggregate(log, "rung", 0.5, policy(budget=1.0), **DAYS)
    assert aggregate(log, "rung", 0.4, policy(budget=1.0), **DAYS).left == 0.0
    assert [(spent.of.split(",")[0], spent.epsilon) for spent in read_ledger(log)] == [("decisions by tier", 0.6), ("decisions by rung", 0.4)]
    with pytest.raises(InputError, match="is spent"):
        aggregate(log, "tier", 0.001, policy(budget=1.0), **DAYS)


def test_a_ledger_that_cannot_be_read_gives_nothing_out(log):
    aggregate(log, "tier", 0.5, policy(), **DAYS)
    ledger = log / "privacy.json"
    document = json.loads(ledger.read_bytes())
    ledger.write_bytes(json.dumps(document | {"spent": "nothing"}).encode())
    with pytest.raises(InputError, match="cannot be read"):
        aggregate(log, "tier", 0.5, policy(), **DAYS)


def test_many_that_ask_at_once_do_not_spend_more_than_there_is(log):
    def ask(number):
        try:
            return spend(log, f"question {number}", 0.3, 1.0, NOON)
        except InputError:
            return None

    with ThreadPoolExecutor(8) as pool:
        granted = [left for left in pool.map(ask, range(16)) if left is not None]
    assert len(granted) == len(read_ledger(log)) == 3


@pytest.mark.parametrize(("change", "wrong"), [({"epsilon": 0}, "epsilon"), ({"epsilon": 11}, "epsilon"), ({"until": date(2020, 1, 1)}, "before")], ids=str)
def test_a_question_that_makes_no_sense_costs_nothing(log, change, wrong):
    with pytest.raises(InputError, match=wrong):
        aggregate(**{"log": log, "by": "tier", "epsilon": 1.0, "policy": policy(), **DAYS, **change})
    assert read_ledger(log) == []
