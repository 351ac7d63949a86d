"""Looks the servers' feature rows up; checks that they are of the version the model was trained on.

An unknown server is the caller's mistake (404). Where the store is out, a row that was read before goes on being used as long as its windows
reach, its age told and remarked; a server without one, and a row of another feature version, cannot be given to a model: the rungs below
answer, and say why. A row whose windows are less than half covered is `warming`; it still goes on.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from inference.metrics.catalogue import ServingMetrics
from inference.path.each import each
from inference.path.online import OnlineFeatures, StoreOut
from inference.path.request import BatchStep, PathRequest, Step
from presage.errors import RequestRefused
from presage.features.store import OnlineRow
from presage.features.warming import warming_text
from presage.logs import get_logger
from presage.package.contract import Contract

REMEMBERED = 2048
"""Most rows that are kept for the time when the store is out; each is some kilobytes."""
OUT = "the online store is out"
_log = get_logger("presage.path")


class Remembered:
    """The newest row of each server that was asked for."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._rows: OrderedDict[str, OnlineRow] = OrderedDict()
        self._most = most

    def keep(self, row: OnlineRow) -> None:
        self._rows[row.entity] = row
        if len(self._rows) > self._most:
            self._rows.popitem(last=False)

    def of(self, servers: Sequence[str]) -> list[OnlineRow] | None:
        """All of them, or None where one is not known."""
        rows = [self._rows.get(server) for server in servers]
        return [row for row in rows if row is not None] if None not in rows else None


def look_up_features(store: OnlineFeatures, contract: Contract, metrics: ServingMetrics, wall: Callable[[], float]) -> BatchStep:
    """Fills row, history, time, age, coverage, warming of requests that name servers; `wall`: Unix seconds. Leaves `row` None where no
    model can be asked, and says why in `went_down`. The store is read once for all of a tick: in a network that is one round trip."""
    ahead: dict[int, tuple[list[OnlineRow | None], float]] = {}  # what was read for the requests of the present tick, by their id()

    def read(request: PathRequest, servers: list[str]) -> tuple[list[OnlineRow | None], float]:
        return ahead.pop(id(request), None) or store.read(servers, wall())

    one_by_one = each(_look_up(read, contract, metrics))

    def run(batch: list[PathRequest]) -> None:
        named = [(request, request.servers) for request in batch if request.servers is not None]
        if len(named) > 1:
            try:
                rows, now = store.read([server for _, servers in named for server in servers], wall())
            except Exception:  # it may be one row that cannot be read: each request asks for its own, and hears why
                rows, now = [], 0.0
            start = 0
            for request, servers in named if rows else ():
                ahead[id(request)] = rows[start : start + len(servers)], now
                start += len(servers)
        try:
            one_by_one(batch)
        finally:
            ahead.clear()

    return run


def _look_up(read: Callable[[PathRequest, list[str]], tuple[list[OnlineRow | None], float]], contract: Contract, metrics: ServingMetrics) -> Step:
    view = contract.view.view
    enough = float(np.float32(view.min_coverage))
    version = contract.feature_version
    remembered, oldest = Remembered(), view.longest.total_seconds()

    def without(request: PathRequest, why: str) -> None:
        """No row that a model could read."""
        metrics.features_missing.add(metrics.view, by=request.rows)
        _nothing(request)
        request.history = []
        request.went_down.append(f"features: {why}")

    def step(request: PathRequest) -> None:
        servers = request.servers
        if servers is None:
            _nothing(request)
            return
        try:
            rows, now = read(request, servers)
        except StoreOut as out:
            known = remembered.of(servers)
            if known is None or any(out.now - row.time > oldest for row in known):
                without(request, OUT)
                return
            found, now = known, out.now
            request.doubts = [[f"{OUT}; the row is {max(0.0, now - row.time):.0f} s old"] for row in found]
        else:
            found = _known(servers, rows, metrics)
            for row in found:
                remembered.keep(row)
        for index, row in enumerate(found):
            if row.version != version:
                _log.error("a row of another feature version", server=row.entity, version=row.version, reads=version)
                without(request, f"the online row has version {row.version}, the model reads {version}")
                return
            if request.ticks is not None and request.ticks[index : index + 1] != [row.time]:
                raise RequestRefused(409, "moved", f"The row of {_quoted(servers[index])} is of another tick than the one asked about.")
        _fill(request, found, now)
        metrics.feature_age.set(max(age for age in request.age if age is not None), metrics.view)

    def _fill(request: PathRequest, found: Sequence[OnlineRow], now: float) -> None:
        coverages = [row.coverage.tolist() for row in found]
        request.online = list(found)
        request.row = found[0].values[None] if len(found) == 1 else np.stack([row.values for row in found])
        request.history = [row.history for row in found]
        request.time = [row.time for row in found]
        request.age = [max(0.0, now - row.time) for row in found]
        request.coverage = list(coverages)
        request.warming = [None if min(shares) >= enough else warming_text(row.coverage, view) for row, shares in zip(found, coverages, strict=True)]

    return step


def _nothing(request: PathRequest) -> None:
    """None of what only a looked-up row has."""
    rows = request.rows
    request.time, request.age, request.coverage, request.warming = [None] * rows, [None] * rows, [None] * rows, [None] * rows


def _known(servers: Sequence[str], read: Sequence[OnlineRow | None], metrics: ServingMetrics) -> list[OnlineRow]:
    """Raises RequestRefused(404) where the store knows one of them not."""
    for index, row in enumerate(read):
        if row is None:
            metrics.features_missing.add(metrics.view)
            message = f"server[{index}] is {_quoted(servers[index])}: the online store has no such server. GET /servers names them."
            raise RequestRefused(404, "unknown_server", message)
    return [row for row in read if row is not None]


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
