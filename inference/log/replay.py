"""History decided again: the log's decisions, on the very inputs they had, by the path of another release.

    release = verified("incident:8", store, trust, keys=keys)
    replayed = replay(log, ready(release), subjects, since=date(2026, 3, 1))
    replayed.tier_changes, replayed.largest

It is the server's own path in this process (`build_path`), over the online rows that the log kept and the rows that callers gave. Nothing of
then is imitated that is no part of a release: no model is slow, none has drifted, no breaker is open. A decision that a lower rung made for
such a reason is decided by the first rung here, and counts among `rung_changes`.
"""

import tempfile
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import count
from math import fsum
from pathlib import Path

import msgspec
import numpy as np

from inference.collector import collector_at_rest
from inference.journal.levels import Then
from inference.journal.record import AnyRecord, Decision, Snapshot
from inference.log.folder import LogFile, files
from inference.log.reading import Key, Logged, Snapshots, read_decisions
from inference.log.subjects import Subjects
from inference.metrics.catalogue import ServingMetrics
from inference.path.chain import Backends, build_path
from inference.path.online import OnlineFeatures
from inference.path.request import PathRequest
from inference.path.served import ServedRelease, ready_release
from inference.path.shape import PathLimits, row_shape
from presage.errors import InputError, UsageError
from presage.features.store import Floats, OnlineRow
from presage.package.gate import admit
from presage.package.keys import Trust
from presage.package.reference import Reference, is_name, parse_reference
from presage.package.release import Release, verify_folder
from presage.package.sealing import KeyWrapper
from presage.package.store import ReleaseStore

BATCH = 128
ROUNDING = 1e-6
"""A model that runs rows in other company may add in another order; below this the answers count as the same, and are counted apart."""


class Change(msgspec.Struct, frozen=True):
    """So many decisions went from one tier or rung to another."""

    was: str
    now: str
    decisions: int


class Difference(msgspec.Struct, frozen=True):
    """One decision, then and now. time: when it was answered."""

    prediction_id: str
    time: datetime
    server: str | None
    risk: float
    new_risk: float
    tier: str
    new_tier: str
    rung: str
    new_rung: str


class Cause(msgspec.Struct, frozen=True):
    """Why so many decisions could not be decided again."""

    cause: str
    decisions: int


class Replayed(msgspec.Struct, frozen=True):
    """release: under which history was decided again; releases: who had decided, with how many. same: score, risk, interval, tier and rung equal to
    the bit; rounding: equal but for less than 1e-6; different: the rest. mean_difference: of new risk − risk, over all that were decided again."""

    release: str
    releases: dict[str, int]
    decisions: int
    replayed: int
    same: int
    rounding: int
    different: int
    reasons_changed: int
    mean_difference: float | None
    tier_changes: list[Change]
    rung_changes: list[Change]
    not_replayed: list[Cause]
    largest: list[Difference]


@dataclass
class _Tally:
    """What has been seen so far."""

    most: int
    decisions: int = 0
    same: int = 0
    rounding: int = 0
    reasons: int = 0
    differences: list[float] = field(default_factory=list)
    releases: Counter[str] = field(default_factory=Counter)
    tiers: Counter[tuple[str, str]] = field(default_factory=Counter)
    rungs: Counter[tuple[str, str]] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    largest: list[Difference] = field(default_factory=list)

    def add(self, old: Decision, new: Decision) -> None:
        moved = new.risk - old.risk
        self.differences.append(moved)
        self.reasons += bool(old.reasons) and [name for name, _ in old.reasons] != [name for name, _ in new.reasons]
        if old.tier != new.tier:
            self.tiers[old.tier, new.tier] += 1
        if old.rung != new.rung:
            self.rungs[old.rung, new.rung] += 1
        if _outcome(old) == _outcome(new):
            self.same += 1
            return
        if old.tier == new.tier and old.rung == new.rung and all(_near(a, b) for a, b in zip(_numbers(old), _numbers(new), strict=True)):
            self.rounding += 1
            return
        self.largest.append(
            Difference(old.prediction_id, datetime.fromtimestamp(old.time, UTC), old.server, old.risk, new.risk, old.tier, new.tier, old.rung, new.rung)
        )
        if len(self.largest) > 4 * self.most + 1000:
            self._trim()

    def _trim(self) -> None:
        self.largest.sort(key=lambda one: (-abs(one.new_risk - one.risk), one.prediction_id))
        del self.largest[self.most :]

    def replayed(self, release: str) -> Replayed:
        self._trim()
        done = len(self.differences)
        return Replayed(
            release, dict(sorted(self.releases.items())), self.decisions, done, self.same, self.rounding, done - self.same - self.rounding, self.reasons,
            fsum(self.differences) / done if done else None, _changes(self.tiers), _changes(self.rungs),
            [Cause(cause, number) for cause, number in self.causes.most_common()], self.largest,
        )  # fmt: skip


def replay(
    log: Path, release: ServedRelease, subjects: Subjects | None, *, since: date | None = None, until: date | None = None,
    rung: str | None = None, shadows: bool = False, most: int = 20,
) -> Replayed:  # fmt: skip
    """rung: only what this rung had answered. shadows: those that answered nobody, too. most: differences that are listed."""
    tally, path = _Tally(most), _Replayer(release)
    snapshots = Snapshots(log, subjects)
    for file in files(log, "decisions", since, until):
        with collector_at_rest():
            logged = [one for one in read_decisions(file, subjects) if (rung is None or one.decision.rung == rung) and (shadows or not one.decision.shadow_of)]
            tally.decisions += len(logged)
            for part in _parts(logged, file, path, tally):
                rows = snapshots.of(part, file.day)
                for one, decided in zip(part, path.decide(part, rows), strict=True):
                    if isinstance(decided, str):
                        tally.causes[decided] += 1
                    else:
                        tally.add(one.decision, decided)
    return tally.replayed(f"{release.name}:{release.version}@{release.digest}")


def _parts(logged: list[Logged], file: LogFile, path: "_Replayer", tally: _Tally) -> Iterator[list[Logged]]:
    part = []
    for one in logged:
        tally.releases[f"{one.writer.model}:{one.writer.version}"] += 1
        cause = path.cannot(one)
        if cause is not None:
            tally.causes[cause] += 1
            continue
        part.append(one)
    for start in range(0, len(part), 8192):
        yield part[start : start + 8192]


class _Rows(OnlineFeatures):
    """The online store as it was: gives the rows that were laid out for the next requests, in their order. What it says of the present time
    is one row's; ages are no part of a decision."""

    def __init__(self) -> None:
        super().__init__(None, "")
        self.next: deque[OnlineRow] = deque()

    def read(self, entities: Sequence[str], wall: float) -> tuple[list[OnlineRow | None], float]:
        found: list[OnlineRow | None] = []
        for entity in entities:
            while (row := self.next.popleft()).entity != entity:
                pass  # of a request that was refused before its row was looked up
            found.append(row)
        return found, row.time


class _Kept:
    """A journal that keeps what the path wrote for as long as it is compared."""

    level, folder = "process", Path()

    def __init__(self) -> None:
        self.decisions: dict[int, Decision] = {}

    def append(self, records: Sequence[AnyRecord], then: Then) -> None:
        for record in records:
            if isinstance(record, Decision):
                self.decisions[int(record.prediction_id.partition("-")[0])] = record
        then(None)

    def lag(self) -> int:
        return 0

    def close(self) -> None:
        """Nothing is held."""


class _Replayer:
    """One release's path, over rows of the log."""

    def __init__(self, release: ServedRelease) -> None:
        self.release = release
        self._rows, self._kept = _Rows(), _Kept()
        self._number = count()
        self._named: list[int] = []
        metrics = ServingMetrics(release.name, release.version, release.contract.view.view.name, {"version": "replay"}, lambda: 0)
        backends = Backends(self._rows, self._kept, metrics, wall=lambda: 0.0, identity=self._identity)
        self._path = build_path(release, backends, PathLimits())
        self._shape = row_shape(release.contract)
        self._inputs = tuple(release.input_names)

    def cannot(self, logged: Logged) -> str | None:
        """Why this decision has no inputs to decide on again; None where it has."""
        if logged.writer.model != self.release.name:
            return f"of another model: {logged.writer.model}"
        if logged.opened == "sealed":
            return "sealed: its subject was forgotten, or its key is not here"
        if logged.snapshot is None and not logged.decision.x:
            return "its inputs were masked"
        return None

    def decide(self, logged: Sequence[Logged], rows: dict[Key, Snapshot]) -> list[Decision | str]:
        """A new decision each, or why there is none."""
        decided: list[Decision | str] = []
        for start in range(0, len(logged), BATCH):
            decided += self._batch(logged[start : start + BATCH], rows)
        return decided

    def _batch(self, logged: Sequence[Logged], rows: dict[Key, Snapshot]) -> list[Decision | str]:
        found: dict[int, Decision | str] = {}
        requests: list[PathRequest] = []
        places: list[int] = []
        for place, one in enumerate(logged):
            request = self._request(one, rows)
            if isinstance(request, str):
                found[place] = request
            else:
                requests.append(request)
                places.append(place)
        self._number = count()
        ended: list[PathRequest] = []
        self._path.run(requests, ended.extend)
        alive = [place for place, request in zip(places, requests, strict=True) if request.refused is None]
        for place, request in zip(places, requests, strict=True):
            if request.refused is not None:
                found[place] = f"refused: {request.refused.reason}"
        for number, place in enumerate(alive):
            found[place] = self._kept.decisions.pop(number)
        self._rows.next.clear()
        return [found[place] for place in range(len(logged))]

    def _request(self, one: Logged, rows: dict[Key, Snapshot]) -> PathRequest | str:
        decision = one.decision
        # As the batch door asks: nobody outside waits, so what guards against floods of one row has no say.
        request = PathRequest(explain=bool(decision.reasons), endpoint="batch", context=decision.context)
        key = one.snapshot
        if key is not None:
            snapshot = rows.get(key)
            if snapshot is None:
                return "the online row that it read is not in the log"
            if snapshot.version != self.release.contract.feature_version:
                return f"its features have version {snapshot.version}, the release reads {self.release.contract.feature_version}"
            self._rows.next.append(online_row(snapshot))
            request.servers, request.ticks = [snapshot.server], [snapshot.time]
            return request
        x = self._given(one)
        if isinstance(x, str):
            return x
        request.x = x[None]
        return request

    def _given(self, one: Logged) -> Floats | str:
        """The row that a caller gave, its inputs in this release's order."""
        x = np.frombuffer(one.decision.x, "<f4")
        names = one.writer.inputs
        if names and names != self._inputs and x.size % len(names) == 0:
            place = {name: index for index, name in enumerate(names)}
            if missing := [name for name in self._inputs if name not in place]:
                return f"the release reads {missing[0]}, which callers did not give then"
            x = x.reshape(-1, len(names))[:, [place[name] for name in self._inputs]]
        if x.size != int(np.prod(self._shape)):
            return f"the row has {x.size} values, the release reads {int(np.prod(self._shape))}"
        return np.ascontiguousarray(x, np.float32).reshape(self._shape)

    def _identity(self) -> str:
        return str(next(self._number))


def online_row(snapshot: Snapshot) -> OnlineRow:
    """The row as the online store had it."""
    values, coverage, history = (np.frombuffer(part, "<f4") for part in (snapshot.values, snapshot.coverage, snapshot.history))
    return OnlineRow(snapshot.server, snapshot.time, snapshot.version, values, coverage, history.reshape(snapshot.ticks, -1 if history.size else 0))


def ready(release: Release) -> ServedRelease:
    """Made ready on a clock that stands still, so that no member is ever too slow."""
    np.seterr(over="ignore")
    return ready_release(release, clock=lambda: 0.0)


def verified(named: str, store: ReleaseStore, trust: Trust, keys: KeyWrapper | None) -> Release:
    """The release of a folder that the gate filled, or NAME, NAME:VERSION or a URI in the store: through the gate either way. Raises
    ArtifactRefused."""
    folder = Path(named)
    if folder.is_dir():
        return verify_folder(folder, trust)
    with tempfile.TemporaryDirectory(prefix="presage-replay-") as target:
        admit(str(store.pin(_reference(named))), Path(target), store, trust, keys=keys, allow_local=True)
        return verify_folder(Path(target), trust)


def _reference(named: str) -> Reference:
    if named.startswith("presage://"):
        return parse_reference(named, allow_local=True)
    name, _, tag = named.partition(":")
    if not is_name(name) or not (tag in ("", "local") or (tag.isascii() and tag.isdigit() and 0 < int(tag) < 1_000_000_000)):
        raise UsageError(f"{named[:100]!r} is no release. Write NAME, NAME:VERSION, presage://NAME:VERSION@sha256:DIGEST or a folder.")
    return Reference(name, int(tag) if tag.isdigit() else None, None)


def require_members_here(release: ServedRelease) -> None:
    """Raises InputError where a member runs in a process that is not here."""
    if release.remote:
        raise InputError(f"{release.name}:{release.version} has members that another process serves; replay runs in one. Replay it where they run here.")


def _outcome(decision: Decision) -> tuple[object, ...]:
    return (*_numbers(decision), decision.tier, decision.rung)


def _numbers(decision: Decision) -> tuple[float | None, ...]:
    return decision.score, decision.risk, decision.low, decision.high


def _near(a: float | None, b: float | None) -> bool:
    return a == b if a is None or b is None else abs(a - b) <= ROUNDING


def _changes(counted: "Counter[tuple[str, str]]") -> list[Change]:
    return [Change(was, now, number) for (was, now), number in counted.most_common()]
