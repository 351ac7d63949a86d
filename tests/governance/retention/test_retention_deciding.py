"""Nothing that is younger than its rule, held or in use is ever in a plan; and whatever else is old enough is."""

import tracemalloc
from datetime import timedelta

from builders.retention import MODELS, NOW, hold, item, policy, terms
from hypothesis import given
from hypothesis import strategies as st

from presage.governance.retention.deciding import decide, plan
from presage.governance.retention.policy import SERIES, STORES, Hold, Selected
from presage.governance.retention.terms import Terms

SECOND = timedelta(seconds=1)
models = st.sampled_from([*MODELS, "", "unheard-of"])
days = st.integers(min_value=0, max_value=3000 * 86400).map(lambda seconds: timedelta(seconds=seconds))
items = st.builds(
    lambda store, model, born, lasted, used, last: item(
        f"{store}-{born}", model=model, store=store, born=NOW - born, since=NOW - born - lasted, in_use=used, last=last if store in SERIES else 0
    ),
    st.sampled_from(STORES), models, days, days, st.sampled_from(["", "it serves"]), st.integers(1, 9),
)  # fmt: skip
dates = st.dates(min_value=(NOW - timedelta(days=4000)).date(), max_value=(NOW + timedelta(days=30)).date())
selected = st.builds(
    Selected,
    stores=st.lists(st.sampled_from(STORES), max_size=2).map(tuple), models=st.lists(models.filter(bool), max_size=2).map(tuple),
    since=st.none() | dates, before=st.none() | dates,
)  # fmt: skip
holds = st.lists(st.builds(lambda name, covers, begun: Hold.model_validate({"id": f"HLD-{name}", "because": "A court.", "from": begun, "covers": covers}),
                           st.integers(1, 9), selected, dates), max_size=3)  # fmt: skip


@given(st.lists(items, max_size=20), holds)
def test_what_is_planned_is_older_than_its_rule_and_neither_held_nor_used_nor_among_the_last(given_items, given_holds):
    by = Terms(terms().policy.model_copy(update={"holds": tuple(given_holds)}), MODELS)
    kept = {(rule.store, tier): days for rule in by.policy.rules for tier, days in _table(rule).items()}
    for decision in plan(given_items, by, NOW):
        one, rule = decision.item, by.policy.rule_of(decision.item.store)
        old = NOW - one.born >= kept[one.store, one.tier]
        held = any(
            hold.from_ <= NOW.date() and (not hold.covers.stores or one.store in hold.covers.stores)
            and (not hold.covers.models or one.model in ("", *hold.covers.models))
            and (hold.covers.since is None or one.born.date() >= hold.covers.since) and (hold.covers.before is None or one.since.date() < hold.covers.before)
            for hold in given_holds
        )  # fmt: skip
        stays = held or one.in_use or 0 < one.last <= rule.keep_last
        assert (decision.verdict == "due") == (old and not stays), decision
        assert decision.rule == rule.id and (decision.verdict == "young") == (not old)


def _table(rule):
    """By hand: what the file says, and for a model that is not known the longest of it."""
    keep = rule.keep if isinstance(rule.keep, dict) else dict.fromkeys(("low", "medium", "high"), rule.keep)
    return {**keep, None: max(keep.values())}


@given(st.lists(items, max_size=12, unique_by=lambda one: one.id), st.randoms())
def test_a_plan_is_the_same_in_whatever_order_the_items_come(given_items, random):
    shuffled = list(given_items)
    random.shuffle(shuffled)
    first, again = (sorted(plan(order, terms(), NOW), key=lambda decision: decision.item.id) for order in (given_items, shuffled))
    assert first == again


def test_an_item_is_due_at_the_very_moment_and_not_a_second_before():
    one = item(days=90)
    assert [decide(one, terms(), moment).verdict for moment in (NOW - SECOND, NOW)] == ["young", "due"]
    assert decide(one, terms(), NOW).because == "RET-2 keeps 90d at tier low in eu-central, since 2026-08-28"


def test_a_hold_wins_over_any_age_and_says_why():
    held = terms(hold(models=["incident"]))
    assert [decide(item(days=age), held, NOW).verdict for age in (1, 400, 40_000)] == ["young", "held", "held"]
    assert decide(item(), held, NOW).because == "HLD-1: A court asked for it."


def test_the_last_of_a_series_stay_and_the_one_before_goes():
    verdicts = [decide(item(days=4000, store="packages", last=place), terms(), NOW).verdict for place in (1, 3, 4)]
    assert verdicts == ["last", "last", "due"] and policy().rule_of("packages").keep_last == 3


def test_a_plan_of_many_things_takes_no_more_memory_than_one_of_few():
    by = terms()

    def peak(count: int) -> int:
        tracemalloc.start()
        due = sum(decision.verdict == "due" for decision in plan((item(f"{number}", days=91 + number % 700) for number in range(count)), by, NOW))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert due == count
        return most

    peak(100)
    assert peak(20_000) < peak(1000) + 64_000
