"""Are the values believable? A caller's are refused by name; looked-up ones are moved to the edge and counted."""

import numpy as np

from inference.metrics.catalogue import ServingMetrics
from inference.path.request import F32, PathRequest, Step
from presage.errors import RequestRefused
from presage.package.contract import Contract

_LARGEST = float(np.finfo(np.float32).max)


def guard_values(contract: Contract, metrics: ServingMetrics) -> Step:
    """Every value finite and within its field's range; missing (NaN) only where the contract says nullable."""
    low = np.array([-_LARGEST if field.low is None else field.low for field in contract.inputs], dtype=np.float32)
    high = np.array([_LARGEST if field.high is None else field.high for field in contract.inputs], dtype=np.float32)
    required = np.array([not field.nullable for field in contract.inputs])
    any_required = bool(required.any())

    def step(request: PathRequest) -> None:
        x = request.x
        assert x is not None
        moved = np.minimum(np.maximum(x, low), high)  # a missing value stays one
        if moved.tobytes() != x.tobytes() and (outside := (x < low) | (x > high)).any():
            if request.servers is None:
                raise _refusal(contract, x, outside)
            request.clipped = int(outside.sum())
            metrics.features_clipped.add(metrics.view, by=request.clipped)
            request.x = moved
        if any_required and (missing := np.isnan(x) & required).any():
            if request.servers is None:
                raise _refusal(contract, x, missing)
            name = contract.inputs[int(np.argwhere(missing)[0, -1])].name
            raise RequestRefused(503, "features", f"{name} is missing in a looked-up row, and the model cannot do without it.")
        if request.servers is None and (len(x) > 1 or x.flat[0] != x.flat[0]):  # one row is the usual case, and NaN is not itself
            empty = np.isnan(x).reshape(len(x), -1).all(axis=1)
            if empty.any():
                raise RequestRefused(400, "empty_row", f"Row {int(np.argmax(empty))} has no value at all. Give at least one.")

    return step


def _refusal(contract: Contract, x: F32, wrong: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> RequestRefused:
    place = tuple(int(index) for index in np.argwhere(wrong)[0])
    field = contract.inputs[place[-1]]
    value = float(x[place])
    where = f"row {place[0]}" + (f", tick {place[1]}" if len(place) > 2 else "")
    if np.isnan(value):
        return RequestRefused(400, "missing", f"{field.name} is missing in {where}; the contract requires it.")
    if not np.isfinite(value):
        return RequestRefused(400, "not_finite", f"{field.name} is {value} in {where}: not finite in float32. Leave a missing value out.")
    bounds = f"{'-inf' if field.low is None else field.low} to {'inf' if field.high is None else field.high}"
    return RequestRefused(400, "range", f"{field.name} is {value:g} in {where}, outside {bounds} {field.unit}. Check its unit.")
