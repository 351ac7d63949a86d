"""From a score to a risk and the interval it may lie in: each model's own Venn-Abers steps."""

from collections.abc import Mapping

from inference.path.request import PathRequest, Step
from presage.package.calibration import VennAbers


def add_interval(calibrations: Mapping[str, VennAbers]) -> Step:
    """Fills risk, low, high of rows that one member scored; `calibrations` by member id. The ladder fills those of an ensemble itself."""
    one = {id: calibration.one for id, calibration in calibrations.items()}

    def step(request: PathRequest) -> None:
        if request.score is None or (calibrate := one.get(request.used)) is None:
            return
        if len(request.score) == 1:  # the usual case, in half the time
            risk, low, high = calibrate(request.score[0])
            request.risk, request.low, request.high = [risk], [low], [high]
            return
        intervals = [calibrate(score) for score in request.score]
        request.risk = [interval[0] for interval in intervals]
        request.low = [interval[1] for interval in intervals]
        request.high = [interval[2] for interval in intervals]

    return step
