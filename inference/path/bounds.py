"""How much the path takes on at once, and how fast it has been."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """wait: seconds a request may wait for its turn; least: rows that may wait however slow the path is, as so many callers at once are no
    overload. deadline: seconds within which it is answered where its caller named none.
    rows: most rows that wait or are being answered, whatever their speed."""

    wait: float = 0.005
    least: int = 64
    deadline: float = 10.0
    rows: int = 1 << 14


class Capacity:
    """Seconds a row, measured: the mean of recent runs, weighted by their rows. One run counts for at most twice what was known, so that a
    moment in which the machine stood still does not turn callers away; a path that has become slow is known after a few runs."""

    def __init__(self, first: float = 50e-6) -> None:
        self.seconds_per_row = first

    def ran(self, rows: int, seconds: float) -> None:
        weight = rows / (rows + 256)
        self.seconds_per_row += weight * (min(seconds / rows, 2 * self.seconds_per_row) - self.seconds_per_row)
