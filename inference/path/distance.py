"""Does a row lie where the model was trained? Measured by the envelope in the package, for all rows of a loop tick at once.

A far row is marked, in the answer and in its record: what the model says of it is an extrapolation. Rows that a caller gave are refused
where the policy says so; looked-up rows never are, since a server in trouble is just what looks like nothing seen before.
"""

from typing import Literal

from inference.path.request import BatchStep, PathRequest, stacked
from presage.errors import RequestRefused
from presage.logs import get_logger
from presage.package.envelope import Envelope

OnFar = Literal["mark", "refuse"]
_log = get_logger("presage.path")


def measure_distance(envelope: Envelope | None, on_far: OnFar) -> BatchStep:
    """Fills distance (1 = one held-out row of training in a thousand lay farther) and adds to doubts. Without an envelope it does nothing."""

    def step(batch: list[PathRequest]) -> None:
        measured = [request for request in batch if request.x is not None]
        if envelope is None or not measured:
            return
        try:
            distances: list[float] = envelope.distances(stacked(measured)).tolist()
        except Exception:  # a guard that fails must not take the answers with it
            _log.exception("the distance from the training data was not measured")
            return
        start = 0
        for request in measured:
            end = start + request.rows
            _judge(request, distances[start:end], on_far)
            start = end

    return step


def _judge(request: PathRequest, distances: list[float], on_far: OnFar) -> None:
    request.distance = [*distances]
    if not request.doubts:
        request.doubts = [[] for _ in distances]
    if max(distances) <= 1.0:
        return
    for index, distance in enumerate(distances):
        if distance <= 1.0:
            continue
        if on_far == "refuse" and request.servers is None:
            where = f"Row {index} lies {distance:.3g} times as far from the training data as the model is to be asked about."
            request.refused = RequestRefused(422, "far", f"{where} Check its values and their units.")
            return
        request.doubts[index].append(f"far from the training data: {distance:.3g} > 1")
