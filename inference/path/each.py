"""A step for one request, as a step for all of a tick."""


from inference.path.request import BatchStep, PathRequest, Step
from presage.errors import RequestRefused
from presage.logs import get_logger

_log = get_logger("presage.path")


def each(step: Step) -> BatchStep:
    """What the step refuses, or fails on, ends that request alone."""

    def run(batch: list[PathRequest]) -> None:
        for request in batch:
            try:
                step(request)
            except RequestRefused as refusal:
                request.refused = refusal.with_traceback(None)  # it holds the frame that holds the request: a ring, with the whole body in it
            except Exception:
                _log.exception("a request failed inside", endpoint=request.endpoint)
                failed([request])

    return run


def failed(batch: list[PathRequest]) -> list[PathRequest]:
    """These end with 500; the log says why."""
    for request in batch:
        request.refused = RequestRefused(500, "failed", "The server failed. Its log says why.")
    return batch
