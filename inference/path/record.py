"""Gives each answer its name and writes its record: an answer leaves only after this."""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from inference.journal.record import AnyRecord, Decision, Snapshot
from inference.path.request import TOP, PathRequest
from presage.features.store import OnlineRow

REMEMBERED = 65536
"""Most servers whose newest written row is remembered; beyond them a row may be written again, and readers drop it."""


class Recorder:
    """Records of answered requests. wall: Unix seconds; identity: a fresh request id."""

    def __init__(self, feature_version: str, wall: Callable[[], float], identity: Callable[[], str]) -> None:
        self._version, self._wall, self._identity = feature_version, wall, identity
        self._written: OrderedDict[str, float] = OrderedDict()

    def records(self, batch: list[PathRequest]) -> list[AnyRecord]:
        """What is to be kept before these leave, in order: rows of the store that were not written yet, then the decisions."""
        made: list[AnyRecord] = []
        for request in batch:
            request.prediction_id = request.prediction_id or self._identity()  # doors that may ask twice name their requests themselves
            request.wall = self._wall()
            for row in request.online:
                if self._written.get(row.entity) != row.time:
                    made.append(_snapshot(row))
                    self._remember(row)
            made.extend(self._decisions(request))
        return made

    def forget(self, batch: list[PathRequest]) -> None:
        """These records were not kept: rows that only they carried must be written again."""
        for request in batch:
            for row in request.online:
                self._written.pop(row.entity, None)

    def _remember(self, row: OnlineRow) -> None:
        self._written[row.entity] = row.time
        self._written.move_to_end(row.entity)
        if len(self._written) > REMEMBERED:
            self._written.popitem(last=False)

    def _decisions(self, request: PathRequest) -> Iterator[Decision]:
        servers, given = request.servers, request.x if request.servers is None else None
        rows = request.rows
        for index in range(rows):
            yield Decision(
                request.row_id(index),
                request.wall,
                request.endpoint,
                request.caller,
                request.caller_id,
                request.context,
                request.rung[index],
                request.because[index],
                request.used,
                None if servers is None else servers[index],
                None if servers is None else self._version,
                request.time[index],
                b"" if given is None else (given if rows == 1 else given[index]).tobytes(),
                None if request.score is None else request.score[index],
                request.risk[index],
                request.low[index],
                request.high[index],
                request.tier[index],
                request.warming[index] is not None,
                request.clipped,
                request.distance[index] if request.distance else None,
                request.doubts[index] if request.doubts else [],
                [(reason.feature, reason.contribution) for reason in request.reasons[index][:TOP]],
                request.trace_id,
                f"{request.shadow_of}-{index}" if request.shadow_of else "",
            )


def _snapshot(row: OnlineRow) -> Snapshot:
    return Snapshot(row.entity, row.time, row.version, row.values.tobytes(), row.coverage.tobytes(), row.history.tobytes(), len(row.history))
