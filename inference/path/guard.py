"""Are the values believable? A caller's are refused by name; looked-up ones are moved to the edge and counted."""

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from inference.metrics.catalogue import ServingMetrics
from inference.path.each import each
from inference.path.request import F32, BatchStep, PathRequest, Step, stacked
from presage.errors import RequestRefused
from presage.package.contract import Contract

_LARGEST = float(np.finfo(np.float32).max)


def guard_values(contract: Contract, metrics: ServingMetrics) -> BatchStep:
    """Every value finite and within its field's range; missing (NaN) only where the contract says nullable."""
    return _together(*_guard(contract, metrics))


def _guard(contract: Contract, metrics: ServingMetrics) -> tuple[Callable[[F32], bool], Step]:
    """Whether there is nothing to say about all of these rows; and what there is to say about one request."""
    low = np.array([-_LARGEST if field.low is None else field.low for field in contract.inputs], dtype=np.float32)
    high = np.array([_LARGEST if field.high is None else field.high for field in contract.inputs], dtype=np.float32)
    required = np.array([not field.nullable for field in contract.inputs])
    any_required, width = bool(required.any()), len(required)

    def clean(x: F32) -> bool:
        if np.minimum(np.maximum(x, low), high).tobytes() != x.tobytes():
            return False
        first = x.reshape(-1, width)[:, 0]  # an empty row begins with NaN
        return not np.isnan(first).any() and not (any_required and bool((np.isnan(x) & required).any()))

    def step(request: PathRequest) -> None:
        x = request.x
        if x is None:  # no row was looked up: the rungs below the models answer
            return
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
            request.x = None
            request.went_down.append(f"features: {name} is missing in a looked-up row, and the models cannot do without it")
            return
        if request.servers is None and (len(x) > 1 or x.flat[0] != x.flat[0]):  # one row is the usual case, and NaN is not itself
            empty = np.isnan(x).reshape(len(x), -1).all(axis=1)
            if empty.any():
                raise RequestRefused(400, "empty_row", f"Row {int(np.argmax(empty))} has no value at all. Give at least one.")

    return clean, step


def _together(clean: Callable[[F32], bool], step: Step) -> BatchStep:
    """Most ticks bring nothing to say, and to see that of all their rows at once costs a fraction."""
    one_by_one = each(step)

    def run(batch: list[PathRequest]) -> None:
        with_x = [request for request in batch if request.x is not None]
        with suppress(Exception):  # one row that is no such row is met again alone
            if len(with_x) > 1 and clean(stacked(with_x)):
                return
        one_by_one(with_x)

    return run


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
