"""Deleting what is due, one thing after another, so that a kill at any moment leaves nothing untold.

    outcome = apply(stores, terms, AuditLog.open(state.root / "audit"), Journal(state.root / "retention"), clock)

For each: its intent on the disk, then it goes, then its entry in the audit log. So the log never tells of what still lies there. What a kill left
between two of these is finished first when somebody asks again: where anything of it went already it goes whole and gets its entry, else nothing
happened, and it is judged anew by what holds then.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from presage.durations import format_duration
from presage.errors import StateError
from presage.files import sha256_bytes
from presage.governance.audit import AuditLog, read_entries
from presage.governance.retention.deciding import VERDICTS, Decision, Verdict, plan
from presage.governance.retention.items import Item, Prepared, Store
from presage.governance.retention.journal import Intent, Journal
from presage.governance.retention.terms import Terms

KIND = "retention-deleted"
Clock = Callable[[], datetime]


@dataclass
class Counted:
    """Of one store: items by verdict, and what those that are due take."""

    items: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(VERDICTS, 0))
    due_bytes: int = 0
    deleted: int = 0
    deleted_bytes: int = 0

    def add(self, decision: Decision) -> None:
        self.items[decision.verdict] += 1
        if decision.verdict == "due":
            self.due_bytes += decision.item.bytes


@dataclass
class Outcome:
    """stores: by name; finished: the subject of what a kill had left under way."""

    stores: dict[str, Counted] = field(default_factory=dict)
    finished: str | None = None
    more: bool = False

    @property
    def deleted(self) -> int:
        return sum(counted.deleted for counted in self.stores.values())


def apply(
    stores: Sequence[Store], terms: Terms, log: AuditLog, journal: Journal, clock: Clock, *,
    only: Sequence[str] | None = None, at_most: int | None = None, told: Callable[[Decision], None] | None = None,
) -> Outcome:  # fmt: skip
    """Delete what is due. stores: all there are, so that what was under way can be finished; only: names of those to go through; at_most: so many
    deletions, then `more` says whether something may be left. Raises StateError, StorageError."""
    outcome = Outcome()
    with journal.alone():
        journal.keep(terms)
        outcome.finished = finish(stores, log, journal, clock)
        for store in stores:
            if only is not None and store.name not in only:
                continue
            counted = outcome.stores[store.name] = Counted()
            now = clock()
            for decision in plan(store.items(), terms, now):
                counted.add(decision)
                if decision.verdict != "due":
                    continue
                if at_most is not None and outcome.deleted >= at_most:
                    outcome.more = True
                    return outcome
                if _delete(store, decision, terms, log, journal, now=now, clock=clock):
                    counted.deleted += 1
                    counted.deleted_bytes += decision.item.bytes
                    if told is not None:
                        told(decision)
    return outcome


def finish(stores: Sequence[Store], log: AuditLog, journal: Journal, clock: Clock) -> str | None:
    """Bring to its end what was under way; the subject, where that was a deletion. The caller is alone. Raises StateError."""
    intent = journal.intent()
    if intent is None:
        return None
    if not _told(log, intent):
        store = next((store for store in stores if store.name == intent.store), None)
        if store is None:
            raise StateError(f"{journal.folder}: a deletion of {intent.subject} is under way, and that store was not named. Name it as it was named then.")
        prepared = Prepared(intent.content, tuple(intent.parts))
        if store.whole(intent.id, prepared):
            journal.end()  # nothing went: it is judged anew
            return None
        if not store.remove(intent.id, prepared):
            raise StateError(f"{intent.subject} was half removed, and somebody writes there. Run the command again when that has ended.")
        log.append(KIND, intent.subject, {**intent.facts, "deletion": intent.deletion}, at=clock())
    journal.end()
    return intent.subject


def _delete(
    store: Store, decision: Decision, terms: Terms, log: AuditLog, journal: Journal, *, now: datetime, clock: Clock
) -> bool:
    item = decision.item
    prepared = store.prepare(item)
    if prepared is None:
        return False
    intent = Intent(item.store, item.id, prepared.content, list(prepared.parts), facts(decision, prepared, terms, now))
    journal.begin(intent)
    if not store.remove(item.id, prepared):
        journal.end()
        return False
    log.append(KIND, intent.subject, {**intent.facts, "deletion": intent.deletion}, at=clock())
    journal.end()
    return True


def facts(decision: Decision, prepared: Prepared, terms: Terms, now: datetime) -> dict[str, str | int]:
    """What an entry says: enough to judge the deletion again, and nothing of what was deleted but its digest."""
    item = decision.item
    return {
        "rule": decision.rule, "policy": terms.digest, "born": _text(item.born), "since": _text(item.since), "kept": format_duration(decision.kept),
        "due": _text(decision.due), "begun": _text(now), "model": item.model, "release": item.release, "tier": item.tier or "", "region": item.region,
        "bytes": item.bytes, "id": f"sha256:{sha256_bytes(item.id.encode())}", "content": prepared.content,
    }  # fmt: skip


def item_of(subject: str, told: dict[str, str | int | float | bool | None]) -> Item:
    """The item as the entry of its deletion tells of it. Raises ValueError, KeyError, TypeError where it tells of none."""
    store, _, name = subject.partition("/")
    tier = told["tier"] or None
    if tier not in {None, "low", "medium", "high"}:
        raise ValueError(tier)
    born, since = (datetime.fromisoformat(str(told[key])) for key in ("born", "since"))
    texts = {key: str(told[key]) for key in ("model", "release", "region")}
    return Item(store, name, born, since, tier=tier, bytes=int(told["bytes"] or 0), **texts)  # type: ignore[arg-type]


def _told(log: AuditLog, intent: Intent) -> bool:
    """Whether its entry is there: asked after a kill alone, so the whole log may be read for it."""
    deletion = intent.deletion
    return any(entry.kind == KIND and entry.facts.get("deletion") == deletion for entry in read_entries(log.folder))


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")
