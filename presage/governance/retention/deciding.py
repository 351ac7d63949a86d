"""What becomes of an item, and by which rule: a pure function of the item, the terms and the time.

    for decision in plan(store.items(), terms, now):
        decision.verdict, decision.rule, decision.due, decision.because
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from presage.durations import format_duration
from presage.governance.retention.items import Item
from presage.governance.retention.terms import Terms

Verdict = Literal["young", "held", "in use", "last", "due"]
VERDICTS: tuple[Verdict, ...] = ("young", "held", "in use", "last", "due")


@dataclass(frozen=True, slots=True)
class Decision:
    """verdict: `due` alone goes. rule: its id; kept: for how long; due: from then on; because: in words."""

    item: Item
    verdict: Verdict
    rule: str
    kept: timedelta
    due: datetime
    because: str


def decide(item: Item, terms: Terms, now: datetime) -> Decision:
    """The one item's."""
    rule = terms.policy.rule_of(item.store)
    kept = rule.kept(item.tier, item.region)
    due = item.born + kept
    says = f"{rule.id} keeps {format_duration(kept)}{_of(item)}, since {item.born:%Y-%m-%d}"
    if now < due:
        return Decision(item, "young", rule.id, kept, due, says)
    if holds := terms.policy.holding(item, now):
        return Decision(item, "held", rule.id, kept, due, "; ".join(f"{hold.id}: {hold.because}" for hold in holds))
    if item.in_use:
        return Decision(item, "in use", rule.id, kept, due, item.in_use)
    if 0 < item.last <= rule.keep_last:
        return Decision(item, "last", rule.id, kept, due, f"{rule.id} keeps the last {rule.keep_last} of {item.model or 'a name'}")
    return Decision(item, "due", rule.id, kept, due, says)


def plan(items: Iterable[Item], terms: Terms, now: datetime) -> Iterator[Decision]:
    """Of each item in turn. Nothing is remembered from one to the next."""
    return (decide(item, terms, now) for item in items)


def _of(item: Item) -> str:
    tier = f" at tier {item.tier}" if item.tier else ", its model is not known"
    return f"{tier}{f' in {item.region}' if item.region else ''}"
