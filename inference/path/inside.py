"""The path without a socket: how batch scoring and the stream's consumer ask it.

    inside = Inside(ready_release(verified, clock=(clock := RunClock())), journal, "batch", clock=clock)
    [answer] = inside.looked_up([("0123", row)])         # a PathRequest a row: complete and in the journal, or refused
    [answer] = inside.given([("0124", x)])

Every row is a request of its own, as online: what is wrong with one touches no other. Many are run together, as in one loop tick. Nobody
waits here, so a model is never too slow.
"""

import platform
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Literal

import msgspec
import numpy as np

from inference.journal.levels import Journal
from inference.metrics.catalogue import ServingMetrics
from inference.path.chain import Backends, build_path
from inference.path.online import OnlineFeatures
from inference.path.request import F32, TOP, PathRequest
from inference.path.served import ServedRelease
from inference.path.shape import PathLimits
from presage.errors import RunFailed, StateError
from presage.features.store import OnlineRow

RUN = 256
"""Most rows that are run together."""
_OUR_FAULT = 500


class RunClock:
    """Seconds for members' breakers: time stands while a model runs, and a second passes between runs."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class HeldRows(OnlineFeatures):
    """Online rows that somebody in this process holds, in the store's place."""

    def __init__(self) -> None:
        super().__init__(None, "")
        self._rows: dict[str, OnlineRow] = {}

    def hold(self, rows: Sequence[OnlineRow]) -> None:
        self._rows = {row.entity: row for row in rows}

    def read(self, entities: Sequence[str], wall: float) -> tuple[list[OnlineRow | None], float]:
        """The event time is that of the newest row asked for (of a run, those of all its rows): a row is not old when it is scored later."""
        rows = [self._rows.get(entity) for entity in entities]
        return rows, max((row.time for row in rows if row is not None), default=wall)


class Scored(msgspec.Struct, frozen=True):
    """One answered row, as batch and stream write it. time: the row's tick (Unix seconds), None for a given row. refused: the sentence
    where there is no answer, and then nothing but the names before it is filled. reasons: (feature, value, contribution, metric)."""

    prediction_id: str
    entity: str | None
    time: float | None
    release: str
    refused: str | None = None
    risk: float | None = None
    low: float | None = None
    high: float | None = None
    tier: str | None = None
    rung: str | None = None
    because: str | None = None
    used: str | None = None
    score: float | None = None
    warming: str | None = None
    distance: float | None = None
    doubts: list[str] = []
    reasons: list[tuple[str, float | None, float, str | None]] = []


class Inside:
    """One release's path for a door in this process. clock: the one that the release was made ready with."""

    def __init__(
        self, release: ServedRelease, journal: Journal, endpoint: Literal["batch", "stream"], *, clock: RunClock, explain: bool = False,
        top: int = TOP, wall: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        np.seterr(over="ignore")  # a number beyond float32 becomes infinite and is refused by the guard
        self.release, self.endpoint = release, endpoint
        self._explain, self._top, self._clock = explain, top, clock
        self._rows = HeldRows()
        self.metrics = ServingMetrics(release.name, release.version, release.contract.view.view.name, _build(release), journal.lag)
        self._path = build_path(release, Backends(self._rows, journal, self.metrics, wall, _unnamed, clock=clock), PathLimits(explained_rows=RUN))

    def looked_up(self, asked: Sequence[tuple[str, OnlineRow]]) -> list[PathRequest]:
        """asked: (id of the prediction, row of the online store). Raises StateError where records cannot be kept, RunFailed on a fault of ours."""
        answers: list[PathRequest] = []
        for run in _runs(asked):
            self._rows.hold([row for _, row in run])
            answers += self._run([self._request(id, servers=[row.entity]) for id, row in run])
        return answers

    def given(self, asked: Sequence[tuple[str, F32]]) -> list[PathRequest]:
        """asked: (id of the prediction, one row of the model's input). Raises as above."""
        runs = (asked[start : start + RUN] for start in range(0, len(asked), RUN))
        return [answer for run in runs for answer in self._run([self._request(id, x=row[None]) for id, row in run])]

    def scored(self, answer: PathRequest, entity: str | None = None, at: float | None = None) -> Scored:
        """entity, at (its time): of the row, as far as they are known and the answer does not say."""
        if answer.servers is not None:
            entity = answer.servers[0]
        if answer.refused is not None:
            return Scored(answer.row_id(0), entity, at, self.release.digest, answer.refused.message)
        time = answer.time[0] if answer.time[0] is not None else at
        return Scored(
            answer.row_id(0), entity, time, self.release.digest, None,
            answer.risk[0], answer.low[0], answer.high[0], answer.tier[0], answer.rung[0], answer.because[0], answer.used,
            None if answer.score is None else answer.score[0], answer.warming[0], answer.distance[0] if answer.distance else None,
            answer.doubts[0] if answer.doubts else [], [(reason.feature, reason.value, reason.contribution, reason.metric) for reason in answer.reasons[0]],
        )  # fmt: skip

    def _request(self, id: str, servers: list[str] | None = None, x: F32 | None = None) -> PathRequest:
        request = PathRequest(servers=servers, x=x, explain=self._explain, top=self._top, endpoint=self.endpoint)
        request.prediction_id = id
        return request

    def _run(self, requests: list[PathRequest]) -> list[PathRequest]:
        done: list[PathRequest] = []
        self._path.run(requests, done.extend)
        self._clock.now += 1.0
        if len(done) != len(requests):
            raise RunFailed(f"{len(requests) - len(done)} of {len(requests)} rows got no answer. This is a fault of presage; please report it.")
        for request in requests:
            self._count(request)
        return requests

    def _count(self, request: PathRequest) -> None:
        metrics, name, refused = self.metrics, self.release.name, request.refused
        if refused is not None and refused.reason == "journal":
            raise StateError("The journal cannot keep the predictions. Free space where it lies, then start again: it goes on from here.")
        if refused is not None and refused.status == _OUR_FAULT:
            raise RunFailed("A row could not be scored. The log above says why; this is a fault of presage, please report it.")
        code, rung = ("200", request.rung[0]) if refused is None else (str(refused.status), "")
        metrics.requests.add(name, self.release.version, self.endpoint, code, rung)
        if refused is not None:
            metrics.refused.add(name, refused.reason)
            return
        metrics.journal_records.add()
        metrics.tiers.add(name, request.tier[0])
        for score in request.score or ():
            metrics.score.observe(score)
        metrics.risk.observe(request.risk[0])


def _runs(asked: Sequence[tuple[str, OnlineRow]]) -> Iterator[list[tuple[str, OnlineRow]]]:
    """In order; no entity twice in one run, as a store has one row of each."""
    run: dict[str, tuple[str, OnlineRow]] = {}
    for one in asked:
        entity = one[1].entity
        if entity in run or len(run) == RUN:
            yield list(run.values())
            run = {}
        run[entity] = one
    if run:
        yield list(run.values())


def _unnamed() -> str:
    raise RunFailed("A row has no prediction id. This is a fault of presage; please report it.")


def _build(release: ServedRelease) -> dict[str, str]:
    import onnxruntime

    return {
        "version": version("presage"), "python": platform.python_version(), "onnxruntime": onnxruntime.__version__, "model": release.name,
        "release": f"{release.name}:{release.version}", "digest": release.digest, "family": release.family,
    }  # fmt: skip
