"""What is known of one metric. Apart from the tables, so that a unit can be looked up without loading them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """What a metric is and what is believable of it. `low`, `high`: physical bounds in `unit`; None = unbounded.
    `max_rate`: largest believable change a second, in `unit`/s; None = unchecked. `stuck_after`: this many equal
    samples in a row are a stuck sensor; None = may stand still (a configured size, a counter of nothing)."""

    name: str
    unit: str
    low: float | None = None
    high: float | None = None
    max_rate: float | None = None
    stuck_after: int | None = None
    description: str = ""
