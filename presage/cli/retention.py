"""`presage retention …`: what is due, what is deleted, whether all of it was, and what a change of the policy changes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from presage.cli.failures import say
from presage.cli.output import Output, OutputOption, print_json
from presage.errors import InputError, UsageError

if TYPE_CHECKING:
    from presage.governance.retention.applying import Counted
    from presage.governance.retention.deciding import Decision
    from presage.governance.retention.items import Store
    from presage.governance.retention.terms import Terms
    from presage.state import State
    from presage.storage.s3 import Bucket


class Named(StrEnum):
    """Stores, as the policy names them."""

    prediction_log = "prediction-log"
    packages = "packages"
    leftovers = "leftovers"
    snapshots = "snapshots"
    mlflow_runs = "mlflow-runs"


StoreOption = Annotated[list[Named] | None, typer.Option("--store", help="This store alone; may be given again. Default: all.")]
LogOption = Annotated[Path | None, typer.Option("--log", metavar="FOLDER", help="The prediction log; default: the state's, and else the plane's.")]
ReleasesOption = Annotated[str | None, typer.Option("--releases", metavar="STORE", help="A folder or s3://BUCKET[/PREFIX]; default: this state's releases.")]
TermsOption = Annotated[Path | None, typer.Option("--terms", metavar="FILE", help="The compiled policy (retention.json); default: policies/ of this checkout.")]
MostOption = Annotated[int, typer.Option("--most", min=0, max=100_000, help="Show at most so many of what is due.")]


def plan(  # noqa: PLR0917 - options, passed by name
    store: StoreOption = None, log: LogOption = None, releases: ReleasesOption = None, terms: TermsOption = None,
    at: Annotated[str | None, typer.Option("--at", metavar="DAY", help="As of this day (UTC), to look ahead: 2027-01-01. Default: now.")] = None,
    most: MostOption = 50, output: OutputOption = Output.table,
) -> None:  # fmt: skip
    """What is due, by which rule, and what stays why. Nothing is changed."""
    from presage.governance.retention.applying import Counted
    from presage.governance.retention.deciding import plan as decide

    now = _moment(at)
    found = _open(log, releases, terms, now)
    shown: list[Decision] = []
    stores = {}
    for one in found.chosen(store):
        counted = stores[one.name] = Counted()
        for decision in decide(one.items(), found.terms, now):
            counted.add(decision)
            if decision.verdict == "due" and len(shown) < most:
                shown.append(decision)
    due = sum(counted.items["due"] for counted in stores.values())
    if output is Output.json:
        print_json({
            "at": now, "policy": found.terms.digest, "stores": [_counts(name, counted) for name, counted in stores.items()],
            "due": [_told(decision) for decision in shown], "more": due > len(shown),
        })  # fmt: skip
        return
    _print_counts(stores)
    for decision in shown:
        print(_line(f"{decision.due:%Y-%m-%d}  {decision.item.store}/{decision.item.id}  {decision.because}"))
    if due > len(shown):
        say(f"{due - len(shown)} more are due; --most shows more")


def apply(  # noqa: PLR0917 - options, passed by name
    store: StoreOption = None, log: LogOption = None, releases: ReleasesOption = None, terms: TermsOption = None,
    at_most: Annotated[int | None, typer.Option("--at-most", min=1, metavar="N", help="Delete so many and leave; the rest goes next time.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what is due: `presage retention plan`.")] = False,
    output: OutputOption = Output.table,
) -> None:  # fmt: skip
    """Delete what is due, each with an entry of the audit log. Killed at any moment and run again, it finishes what it had begun.

    Where --releases is a bucket, its lifecycle is made that of the policy, too.
    """
    from presage.governance.audit import AuditLog
    from presage.governance.retention.applying import apply as delete

    if dry_run:
        plan(store, log, releases, terms, None, 50, output)
        return
    found = _open(log, releases, terms, datetime.now(UTC))
    lifecycle = _lifecycle(found, change=True) if store is None or Named.packages in store else None
    only = None if store is None else [one.value for one in store]

    def told(decision: "Decision") -> None:
        if output is Output.table:
            print(_line(f"deleted  {decision.item.store}/{decision.item.id}  {decision.because}"), flush=True)

    with _disk():
        outcome = delete(
            found.stores, found.terms, AuditLog.open(found.state.root / "audit"), found.journal, lambda: datetime.now(UTC),
            only=only, at_most=at_most, told=told,
        )  # fmt: skip
    if outcome.finished is not None:
        say(f"finished what had been begun: {_line(outcome.finished)}")
    if output is Output.json:
        print_json({
            "policy": found.terms.digest, "stores": [_counts(name, counted) for name, counted in outcome.stores.items()], "deleted": outcome.deleted,
            "finished": outcome.finished, "more": outcome.more, "lifecycle": lifecycle,
        })  # fmt: skip
        return
    print(f"{outcome.deleted} deleted{', more is due' if outcome.more else ''}")
    if lifecycle is not None:
        print(f"lifecycle of {releases}: {lifecycle}")


def verify(  # noqa: PLR0917 - options, passed by name
    store: StoreOption = None, log: LogOption = None, releases: ReleasesOption = None, terms: TermsOption = None,
    within: Annotated[str, typer.Option("--within", metavar="DURATION", help="How long what is due may wait for the next run.")] = "2d",
    most: MostOption = 50, output: OutputOption = Output.table,
) -> int:  # fmt: skip
    """Whether anything is overdue, and whether each deletion that the audit log tells of was right by the rules that held then. Exit code 1 where not."""
    from presage.durations import parse_duration
    from presage.governance.retention.verifying import Finding, Verified
    from presage.governance.retention.verifying import verify as judge

    now = datetime.now(UTC)
    found, counted = _open(log, releases, terms, now), Verified()
    tolerance, audit = parse_duration(within), found.state.root / "audit"
    findings: Iterator[Finding] = judge(found.chosen(store), found.terms, audit, found.journal, now=now, tolerance=tolerance, counted=counted)
    shown = list(islice(findings, most))
    total = len(shown) + sum(1 for _ in findings)
    if (store is None or Named.packages in store) and _lifecycle(found, change=False) == "another":
        total += 1
        shown.append(Finding("lifecycle", str(releases), f"the lifecycle of {releases} is not the policy's", "Run `presage retention apply`"))
    if output is Output.json:
        print_json({
            "good": not total, "policy": found.terms.digest, "entries": counted.entries, "items": counted.items, "overdue": counted.overdue,
            "findings": [{"code": one.code, "subject": one.subject, "fact": one.fact, "remedy": one.remedy} for one in shown], "more": total > len(shown),
        })  # fmt: skip
    else:
        for one in shown:
            print(_line(one.fact))
        if total > len(shown):
            print(f"and {total - len(shown)} more")
        print(f"{counted.entries} deletions told of, {counted.items} things here, {counted.overdue} overdue; {total} finding{'s' * (total != 1)}")
    for remedy in dict.fromkeys(one.remedy for one in shown):
        say(f"{remedy}.")
    say("whether the entries are genuine: `presage audit verify`")
    return 1 if total else 0


def changes(
    against: Annotated[str, typer.Option("--against", metavar="REF|FOLDER", help="What to compare with: a commit, or a folder that holds policies/.")] = "HEAD",
    log: LogOption = None, releases: ReleasesOption = None, output: OutputOption = Output.table,
) -> None:  # fmt: skip
    """What the policies here change: every compiled object, which times become others, and what lies here and falls due by it."""
    from presage.governance.repository import Policies
    from presage.governance.retention.changes import compiled_changes, counted, times

    now, root = datetime.now(UTC), _root()
    if root is None:
        raise UsageError("there is no policies/ here. Run this in a checkout of the repository.")
    found = _open(log, releases, None, now)
    with _tree(root, against) as before:
        old = Policies.read(before).retention_terms
        objects = compiled_changes(before, root, now)
    sentences, here = list(times(old, found.terms, now)), [one for one in counted(found.stores, old, found.terms, now) if one.due or one.due_no_more]
    if output is Output.json:
        print_json({
            "against": against, "times": sentences,
            "objects": [{"object": one.label, "path": one.path, "how": one.how, "says": one.sentences, "applications": one.applications} for one in objects],
            "here": [{"store": one.store, "due": one.due, "due_bytes": one.due_bytes, "due_no_more": one.due_no_more} for one in here],
        })  # fmt: skip
        return
    for sentence in sentences:
        print(sentence)
    print(f"{len(objects)} compiled object{' is another' if len(objects) == 1 else 's are others'}{':' if objects else '.'}")
    for one in objects:
        print(f"  {one.label} is {one.how}{': ' if one.sentences else ''}{'; '.join(one.sentences)}.{_where(one.path, one.label, one.applications)}")
    for more in here:
        print(f"In {more.store} here {more.due} more are due now ({_size(more.due_bytes)}), and {more.due_no_more} are due no more.")


@dataclass(frozen=True)
class _Found:
    state: "State"
    terms: "Terms"
    stores: "list[Store]"
    bucket: "Bucket | None"

    @property
    def journal(self) -> Any:
        from presage.governance.retention.journal import Journal

        return Journal(self.state.root / "retention")

    def chosen(self, named: list[Named] | None) -> "list[Store]":
        return [one for one in self.stores if named is None or Named(one.name) in named]


def _open(log: Path | None, releases: str | None, terms: Path | None, now: datetime) -> _Found:
    """Every store there is here, and what they are judged by."""
    from presage.governance.repository import Policies
    from presage.governance.retention.in_use import in_use
    from presage.governance.retention.stores.mlflow_runs import MlflowRuns
    from presage.governance.retention.stores.packages import Leftovers, Packages
    from presage.governance.retention.stores.prediction_log import PredictionLog
    from presage.governance.retention.stores.snapshots import Snapshots
    from presage.governance.retention.terms import LIMIT, Terms
    from presage.package.store import ReleaseStore
    from presage.state import State
    from presage.storage.s3 import Bucket

    state, root = State.open(), _root()
    policies: Policies | None = None
    if terms is not None:
        if not terms.is_file():
            raise InputError(f"{terms}: there is no compiled policy here. Name what `presage policies render` wrote, or leave --terms out.")
        with terms.open("rb") as handle:
            by = Terms.parse(handle.read(LIMIT + 1), str(terms))
    elif root is None:
        raise UsageError("there is no policies/ here. Run this in a checkout of the repository, or name a compiled policy: --terms.")
    else:
        policies = Policies.read(root)
        by = policies.retention_terms
    if releases is not None:
        from presage import hosts

        hosts.install()
    layout = ReleaseStore.open(releases or str(state.root / "releases"), os.environ).layout
    used = in_use(root, policies, state, now)

    def clock() -> datetime:
        return datetime.now(UTC)

    stores: list[Store] = [
        *(PredictionLog(folder, by) for folder in _logs(log, state)),
        Packages(layout, by, used, clock), Leftovers(layout, by, clock),
        Snapshots(state.root / "runs", state.root / "cache", by, used), MlflowRuns(state.root / "mlflow", by, used),
    ]  # fmt: skip
    return _Found(state, by, stores, layout.storage if isinstance(layout.storage, Bucket) else None)


def _logs(named: Path | None, state: "State") -> list[Path]:
    """The one that is named, else the first there is; at least one, so that the store has a name."""
    places = [named] if named is not None else [state.root / "predictions", state.root / "plane" / "volumes" / "prediction-log"]
    return [next((place for place in places if (place / "decisions").is_dir()), places[0])]


def _root() -> Path | None:
    from presage.manifests.render import manifests_folder

    try:
        root = manifests_folder().parent
    except UsageError:
        return None
    return root if (root / "policies").is_dir() else None


@contextmanager
def _tree(root: Path, against: str) -> Iterator[Path]:
    if (Path(against) / "policies").is_dir():
        yield Path(against)
        return
    from presage.release.repository import Repository

    repository = Repository(root, "HEAD")
    with repository.tree(repository.commit_of(against)) as tree:
        yield tree


def _lifecycle(found: _Found, *, change: bool) -> str | None:
    """`set`, `as it was`, `another`, or None where the store is no bucket of the policy's."""
    from presage.governance.retention.lifecycles import current, ended, lifecycle_of, set_lifecycle

    text = None if found.bucket is None else lifecycle_of(found.terms.policy, found.bucket.bucket)
    if text is None or found.bucket is None:
        return None
    if change:
        return "set" if set_lifecycle(found.bucket, text) else "as it was"
    return "as it was" if current(found.bucket) == ended(text) else "another"


@contextmanager
def _disk() -> Iterator[None]:
    """A failing disk, told as such."""
    from presage.errors import StateError

    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        raise StateError(f"{place}{error.strerror}. Mend that and run the command again: it goes on where it was.") from None


def _moment(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--at {text[:60]!r} is no day. Write 2027-01-01.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _counts(name: str, counted: "Counted") -> dict[str, Any]:
    words = {verdict.replace(" ", "_"): number for verdict, number in counted.items.items()}
    return {"store": name, **words, "due_bytes": counted.due_bytes, "deleted": counted.deleted, "deleted_bytes": counted.deleted_bytes}


def _told(decision: "Decision") -> dict[str, Any]:
    item = decision.item
    return {
        "store": item.store, "id": item.id, "rule": decision.rule, "born": item.born, "due": decision.due, "model": item.model or None,
        "tier": item.tier, "region": item.region or None, "bytes": item.bytes, "because": decision.because,
    }  # fmt: skip


def _print_counts(stores: "dict[Any, Counted]") -> None:
    print(f"{'STORE':<15}  {'YOUNG':>7}  {'HELD':>5}  {'IN USE':>6}  {'LAST':>5}  {'DUE':>7}  BYTES DUE")
    for name, counted in stores.items():
        of = counted.items
        print(f"{name:<15}  {of['young']:>7}  {of['held']:>5}  {of['in use']:>6}  {of['last']:>5}  {of['due']:>7}  {_size(counted.due_bytes)}")


def _where(path: str, name: str, applications: tuple[str, ...]) -> str:
    place = "" if name == path else f" ({path})"
    return f"{place}{' It reaches ' + ', '.join(applications) + '.' if applications else ''}"


def _size(count: int) -> str:
    return f"{count / (1 << 20):.1f} MiB" if count >= 1 << 20 else f"{count} B"


def _line(text: str) -> str:
    """What others had a say in, without marks that a terminal acts on."""
    return "".join(mark if mark.isprintable() else repr(mark)[1:-1] for mark in text)
