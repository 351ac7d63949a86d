"""`policies/retention.yaml`: how long each store keeps what it holds, and what must stay although it is due.

    policy = load_retention(Path("policies/retention.yaml"))
    policy.rule_of("prediction-log").kept("high", "eu-central")      timedelta(days=365)
    policy.holding(item, now)                                        the holds that keep it, whatever its age
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, get_args

from pydantic import Field, StringConstraints, TypeAdapter

from presage.documents import parse_as, place
from presage.errors import InputError
from presage.files import read_text
from presage.governance.document import Document, Duration, Id, Sentence
from presage.governance.retention.items import Item, StoreName
from presage.governance.tiers import RISK_TIERS, RiskTier

STORES: tuple[StoreName, ...] = get_args(StoreName)
SERIES: frozenset[StoreName] = frozenset(("packages", "snapshots", "mlflow-runs"))
"""Stores whose items come one after another under a name, so that the last of them can be told."""
LEAST = timedelta(days=1)
LEAST_LEFTOVERS = timedelta(days=2)  # twice what a writer may take between its first blob and its entry in the index
Region = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{1,38}[a-z0-9]$")]
Hour = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Keep = Annotated[Duration | dict[RiskTier, Duration], Field(union_mode="left_to_right")]
"""One time for all, or one a tier."""


class Rule(Document):
    """keep: one time for all tiers, or one each; in_regions: other times for what resides there; keep_last: so many of each name stay."""

    id: Id
    store: StoreName
    title: Sentence
    rationale: Sentence
    keep: Keep
    in_regions: dict[Region, Keep] = Field(default={})
    keep_last: int = Field(default=0, ge=0, le=1000)

    def kept(self, tier: RiskTier | None, region: str) -> timedelta:
        """How long what such a model wrote, and resides there, is kept. tier None: not known, so the longest counts."""
        base, own = _by_tier(self.keep), _by_tier(self.in_regions.get(region, {}))
        times = {name: own.get(name, base[name]) for name in RISK_TIERS}
        return times[tier] if tier is not None else max(times.values())

    def longest(self) -> timedelta:
        return max(self.kept(None, region) for region in ("", *self.in_regions))


class Selected(Document):
    """What a hold keeps: whatever fits all that is named. releases: `incident` (all of them) or `incident:7`; since, before: whatever holds
    something of that time."""

    stores: tuple[StoreName, ...] = ()
    models: tuple[str, ...] = ()
    releases: tuple[str, ...] = ()
    regions: tuple[Region, ...] = ()
    since: date | None = None
    before: date | None = None

    def fits(self, item: Item) -> bool:
        """What is not known of an item (its model, its release) may be what is meant, so it fits."""
        release = item.release.partition("@")[0]
        return (
            (not self.stores or item.store in self.stores)
            and (not self.models or not item.model or item.model in self.models)
            and (not self.releases or not release or any(_is(release, named) for named in self.releases))
            and (not self.regions or not item.region or item.region in self.regions)
            and (self.since is None or item.born >= _midnight(self.since))
            and (self.before is None or item.since < _midnight(self.before))
        )


class Hold(Document):
    """Holds from the day `from` on, until `until` (that day not included), or until it is removed."""

    id: Id
    because: Sentence
    from_: date = Field(alias="from")
    until: date | None = None
    covers: Selected

    def holds(self, now: datetime) -> bool:
        return _midnight(self.from_) <= now and (self.until is None or now < _midnight(self.until))


class BucketRule(Document):
    """What a bucket's lifecycle ends: versions that something newer or a removal hides, uploads that nobody finished."""

    id: Id
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    title: Sentence
    rationale: Sentence
    old_versions: Duration
    unfinished_uploads: Duration


class RetentionPolicy(Document):
    """See policies/retention.yaml, which explains itself."""

    id: Id
    title: Sentence
    owner: Sentence
    rationale: Sentence
    regions: dict[Region, Sentence] = Field(min_length=1)
    daily_at: Hour
    rules: tuple[Rule, ...]
    buckets: tuple[BucketRule, ...] = ()
    holds: tuple[Hold, ...] = ()

    def rule_of(self, store: StoreName) -> Rule:
        return next(rule for rule in self.rules if rule.store == store)

    def holding(self, item: Item, now: datetime) -> tuple[Hold, ...]:
        """The holds that keep it now."""
        return tuple(hold for hold in self.holds if hold.holds(now) and hold.covers.fits(item))


@dataclass(frozen=True)
class _Fault:
    """path: of the key in the document."""

    path: tuple[str | int, ...]
    sentence: str


def load_retention(path: Path) -> RetentionPolicy:
    """Raises InputError naming file, line, key, value and remedy."""
    return parse_retention(read_text(path, "policy of retention", "Write one, starting from policies/retention.yaml."), str(path))


def parse_retention(text: str | bytes, where: str) -> RetentionPolicy:
    """From its YAML text; `where` names its place in errors."""
    policy = parse_as(TypeAdapter(RetentionPolicy), text, where)
    for fault in _faults(policy):
        raise InputError(f"{place(text, where, fault.path)}: {'.'.join(map(str, fault.path))} {fault.sentence}")
    return policy


def check_regions(policy: RetentionPolicy, regions: Mapping[str, str], where: str) -> None:
    """regions: name of a model → the region in its policy. Raises InputError where data may not reside there."""
    for model, region in regions.items():
        if region not in policy.regions:
            raise InputError(f"{where}: regions has no {region!r}, where the model {model} keeps its data. Add it, or mend region in the model's policy.")


def _faults(policy: RetentionPolicy) -> Iterator[_Fault]:
    ids = [policy.id, *(rule.id for rule in policy.rules), *(bucket.id for bucket in policy.buckets), *(hold.id for hold in policy.holds)]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        yield _Fault(("id",), f"{twice} is there twice. A clause has a name of its own: entries of the audit log speak of it.")
    stores = [rule.store for rule in policy.rules]
    if missing := next((store for store in STORES if store not in stores), None):
        yield _Fault(("rules",), f"say nothing of {missing}. Add a rule: what has none would be kept for ever.")
    for position, rule in enumerate(policy.rules):
        at = ("rules", position)
        if stores.index(rule.store) != position:
            yield _Fault((*at, "store"), f"of {rule.id} is {rule.store}, which {policy.rules[stores.index(rule.store)].id} rules already. Leave one.")
        yield from _faults_of(rule, at, policy)
    for position, bucket in enumerate(policy.buckets):
        if bucket.bucket in [one.bucket for one in policy.buckets[:position]]:
            yield _Fault(("buckets", position, "bucket"), f"is {bucket.bucket}, which is there already. A bucket has one lifecycle: leave one.")
        for name in ("old_versions", "unfinished_uploads"):
            if getattr(bucket, name) % LEAST or getattr(bucket, name) < LEAST:
                yield _Fault(("buckets", position, name), "is no number of days, and a bucket's lifecycle counts nothing else. Write 1d or more.")
    for position, hold in enumerate(policy.holds):
        yield from _faults_of_hold(hold, ("holds", position), policy)


def _faults_of(rule: Rule, at: tuple[str | int, ...], policy: RetentionPolicy) -> Iterator[_Fault]:
    base = _by_tier(rule.keep)
    if missing := next((tier for tier in RISK_TIERS if tier not in base), None):
        yield _Fault((*at, "keep"), f"of {rule.id} says nothing of {missing}. Add it: a model may have that tier.")
    for path, keep in (("keep",), rule.keep), *((("in_regions", region), keep) for region, keep in rule.in_regions.items()):
        least = LEAST_LEFTOVERS if rule.store == "leftovers" else LEAST
        if short := next((tier for tier, kept in _by_tier(keep).items() if kept < least), None):
            key = (*path, short) if isinstance(keep, dict) else path
            yield _Fault((*at, *key), f"of {rule.id} is shorter than {least.days} day{'s' * (least.days > 1)}: what is being written would go. Lengthen it.")
    if unknown := next((region for region in rule.in_regions if region not in policy.regions), None):
        known = ", ".join(policy.regions)
        yield _Fault((*at, "in_regions", unknown), f"of {rule.id} is no region; these are: {known}. Name one of those, or add it to regions.")
    if rule.store == "packages" and not rule.keep_last:
        yield _Fault((*at, "keep_last"), f"of {rule.id} is 0, and a release's number follows from the last one: it would be given again. Keep 1 or more.")
    if rule.keep_last and rule.store not in SERIES:
        yield _Fault((*at, "keep_last"), f"of {rule.id} is {rule.keep_last}, and in {rule.store} nothing has a last one. Remove it.")


def _faults_of_hold(hold: Hold, at: tuple[str | int, ...], policy: RetentionPolicy) -> Iterator[_Fault]:
    on = hold.covers
    if not any((on.stores, on.models, on.releases, on.regions, on.since, on.before)):
        yield _Fault((*at, "covers"), f"of {hold.id} names nothing, so it would hold everything. Name what; for everything, name every store.")
    if hold.until is not None and hold.until <= hold.from_:
        yield _Fault((*at, "until"), f"of {hold.id} is {hold.until}, not after it begins. Mend it.")
    if on.since is not None and on.before is not None and on.before <= on.since:
        yield _Fault((*at, "covers", "before"), f"of {hold.id} is {on.before}, not after since. Mend it.")
    if unknown := next((region for region in on.regions if region not in policy.regions), None):
        yield _Fault((*at, "covers", "regions"), f"of {hold.id} names {unknown}; the regions are {', '.join(policy.regions)}. Name one of those.")


def _by_tier(keep: timedelta | dict[RiskTier, timedelta]) -> dict[RiskTier, timedelta]:
    return keep if isinstance(keep, dict) else dict.fromkeys(RISK_TIERS, keep)


def _is(release: str, named: str) -> bool:
    return release == named or (":" not in named and release.partition(":")[0] == named)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
