"""Whether retention did what it says: nothing is overdue, and each deletion is judged again from its entry alone, by the terms that it names.

Whether the entries are genuine is another question: `presage audit verify`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from presage.durations import format_duration
from presage.errors import InputError
from presage.governance.audit import Entry, read_entries
from presage.governance.retention.applying import KIND, item_of
from presage.governance.retention.deciding import plan
from presage.governance.retention.items import Store
from presage.governance.retention.journal import Journal
from presage.governance.retention.terms import Terms

Code = Literal["overdue", "unfinished", "entry", "terms", "rule", "early", "held", "twice", "lifecycle"]
_WHO = "Find out who deleted it: `presage audit show --kind retention-deleted`"


@dataclass(frozen=True)
class Finding:
    """code: a short stable word; subject: what it is about; fact, remedy: in words."""

    code: Code
    subject: str
    fact: str
    remedy: str


@dataclass
class Verified:
    """entries: how many deletions the log tells of; items: how many things were looked at. findings come as they are found."""

    entries: int = 0
    items: int = 0
    overdue: int = 0


def verify(
    stores: Sequence[Store], terms: Terms, audit: Path, journal: Journal, *, now: datetime, tolerance: timedelta, counted: Verified
) -> Iterator[Finding]:  # fmt: skip
    """tolerance: how long something due may wait for the next job; counted: filled on the way."""
    if (intent := journal.intent()) is not None:
        yield Finding("unfinished", intent.subject, f"a deletion of {intent.subject} was begun and is not told of", "Run `presage retention apply`")
    yield from _entries(read_entries(audit), journal, counted)
    for store in stores:
        for decision in plan(store.items(), terms, now):
            counted.items += 1
            if decision.verdict == "due" and decision.due + tolerance <= now:
                counted.overdue += 1
                subject = f"{store.name}/{decision.item.id}"
                fact = f"{subject} was due on {decision.due:%Y-%m-%d} ({decision.because})"
                yield Finding("overdue", subject, fact, "Run `presage retention apply`, and see why its job did not")


def _entries(entries: Iterable[Entry], journal: Journal, counted: Verified) -> Iterator[Finding]:
    """Terms are read once each; names of deletions are kept, 32 bytes each."""
    known: dict[str, Terms | None] = {}
    seen: set[bytes] = set()
    for entry in entries:
        if entry.kind != KIND:
            continue
        counted.entries += 1
        policy = str(entry.facts.get("policy", ""))
        if policy not in known:
            try:
                known[policy] = journal.terms(policy)
            except InputError:
                known[policy] = None
        terms = known[policy]
        name = str(entry.facts.get("deletion", ""))
        try:
            number = bytes.fromhex(name.removeprefix("sha256:"))
        except ValueError:
            number = b""
        if len(number) != 32:
            yield Finding("entry", entry.subject, f"entry {entry.n} ({entry.subject}) names no deletion", _WHO)
            continue
        if number in seen:
            yield Finding("twice", entry.subject, f"entry {entry.n} tells of the deletion of {entry.subject} a second time", _WHO)
        seen.add(number)
        if terms is None:
            fact = f"entry {entry.n} ({entry.subject}) names terms {policy[:19]}…, which are not in {journal.folder / 'terms'}"
            yield Finding("terms", entry.subject, fact, "Restore them from a backup: by what they say the deletion is judged")
            continue
        yield from _judged(entry, terms)


def _judged(entry: Entry, terms: Terms) -> Iterator[Finding]:
    """One deletion again, by the terms that held then."""
    about = f"entry {entry.n} ({entry.subject})"
    try:
        item = item_of(entry.subject, dict(entry.facts))
        rule = terms.policy.rule_of(item.store)
        begun, due = (datetime.fromisoformat(str(entry.facts[key])) for key in ("begun", "due"))
        kept = rule.kept(item.tier, item.region)
    except (ValueError, KeyError, TypeError, StopIteration):
        yield Finding("entry", entry.subject, f"{about} does not say what a deletion must be judged by", _WHO)
        return
    if entry.facts.get("rule") != rule.id:
        yield Finding("rule", entry.subject, f"{about} names rule {entry.facts.get('rule')}, and {item.store} went by {rule.id} then", _WHO)
    if item.tier != terms.tier(item.model):
        fact = f"{about} says tier {item.tier or 'not known'}, and {item.model or 'its model'} had {terms.tier(item.model) or 'none'}"
        yield Finding("rule", entry.subject, fact, _WHO)
    if due != item.born + kept or entry.facts.get("kept") != format_duration(kept):
        yield Finding("rule", entry.subject, f"{about} says {due:%Y-%m-%d}, and by {rule.id} it was due on {item.born + kept:%Y-%m-%d}", _WHO)
    if begun < item.born + kept or datetime.fromisoformat(entry.at) < item.born + kept:
        yield Finding("early", entry.subject, f"{about} was deleted on {begun:%Y-%m-%d}, and {rule.id} kept it until {item.born + kept:%Y-%m-%d}", _WHO)
    for hold in terms.policy.holding(item, begun):
        yield Finding("held", entry.subject, f"{about} was deleted on {begun:%Y-%m-%d}, while {hold.id} held it ({hold.because})", _WHO)
