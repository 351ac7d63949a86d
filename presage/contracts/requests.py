"""Examples that fit a contract: a row whose every value lies in its range, and the requests that carry it."""

import struct
from typing import Any

from presage.package.contract import Contract, InputField

SERVER = "web-01"


def example_value(field: InputField) -> float:
    """A round value within the field's range, as float32 holds it too."""
    low, high = field.low, field.high
    if low is None and high is None:
        return 0.5
    if low is None or high is None:
        return float(high) - 1.0 if low is None and high is not None else float(low or 0.0) + 1.0
    middle = low + (high - low) / 2
    for digits in (0, 1, 2, 3, 4, 6):
        if low <= (value := round(middle, digits)) <= high and (digits or high - low > 2):
            return _single(value, low, high)
    return _single(middle, low, high)


def example_row(contract: Contract) -> dict[str, float]:
    """Every input by name."""
    return {field.name: example_value(field) for field in contract.inputs}


def example_predict(contract: Contract, servers: list[str] | None = None, *, rows: bool = False) -> dict[str, Any]:
    """A body of the plain endpoint: of servers by name, or of one row."""
    return {"rows": [example_row(contract)], "explain": True} if rows else {"servers": servers or [SERVER], "explain": True}


def example_infer(contract: Contract) -> dict[str, Any]:
    """A body of the Open Inference Protocol with one row as `x`."""
    row = list(example_row(contract).values())
    return {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, *contract.input_shape[1:]], "data": row * max(1, contract.history)}]}


def _single(value: float, low: float, high: float) -> float:
    held = float(struct.unpack("f", struct.pack("f", value))[0])
    return value if low <= held <= high else low
