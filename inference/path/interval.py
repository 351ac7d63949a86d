"""From a score to a risk and the interval it may lie in: each model's own Venn-Abers steps."""

from collections.abc import Sequence

from inference.path.request import PathRequest, Step
from presage.package.calibration import VennAbers


def add_interval(calibrations: Sequence[VennAbers]) -> Step:
    """Fills risk, low, high of rows that a model scored; `calibrations` in the order of the ladder's models."""

    def step(request: PathRequest) -> None:
        if request.score is None:
            return
        one = calibrations[request.member].one
        intervals = [one(score) for score in request.score]
        request.risk = [interval[0] for interval in intervals]
        request.low = [interval[1] for interval in intervals]
        request.high = [interval[2] for interval in intervals]

    return step
