"""Gives the answer its name and writes its record: an answer leaves only after this."""

from collections.abc import Callable

from inference.journal.record import Record
from inference.journal.writer import Journal
from inference.path.request import TOP, PathRequest, Step
from presage.errors import RequestRefused, StateError


def append_journal(journal: Journal, feature_version: str, wall: Callable[[], float], identity: Callable[[], str]) -> Step:
    """`identity`: a fresh request id. Raises RequestRefused(503, "journal") where the record cannot be kept."""

    def step(request: PathRequest) -> None:
        request.prediction_id = identity()
        request.wall = wall()
        looked_up = request.servers is not None
        records = [
            Record(
                prediction_id=request.row_id(index),
                time=request.wall,
                endpoint=request.endpoint,
                caller_id=request.caller_id,
                rung=request.rung[index],
                server=request.servers[index] if request.servers is not None else None,
                feature_version=feature_version if looked_up else None,
                feature_time=request.time[index],
                score=None if request.score is None else request.score[index],
                risk=request.risk[index],
                low=request.low[index],
                high=request.high[index],
                tier=request.tier[index],
                warming=request.warming[index] is not None,
                clipped=request.clipped,
                reasons=[(reason.feature, reason.contribution) for reason in request.reasons[index][:TOP]],
            )
            for index in range(request.rows)
        ]
        try:
            journal.append(records)
        except StateError as error:
            raise RequestRefused(503, "journal", "The prediction cannot be recorded, so it is not given. Free space where the journal lies.") from error

    return step
