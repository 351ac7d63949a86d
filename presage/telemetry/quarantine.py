"""Where refused rows go, each with its reason, so that nothing disappears in silence.

    quarantine = Quarantine()
    telemetry = source.read(quarantine)
    quarantine.frame()     # QUARANTINE_SCHEMA, a row a refusal
"""

from dataclasses import dataclass, field
from typing import Literal

import polars as pl

from presage.errors import RowsRefused
from presage.telemetry.schema import TIME, Columns

QUARANTINE_SCHEMA: Columns = {
    "place": pl.String,  # file:line
    "entity": pl.String,
    "time": TIME,  # null where it could not be read
    "metric": pl.String,  # null = the whole row was refused; else this cell alone, and the row went on without it
    "value": pl.String,  # as it was written
    "rule": pl.String,
    "reason": pl.String,  # a sentence
}


@dataclass
class Quarantine:
    """Collects refusals. With `on_bad_row="fail"` the first refusal ends the reading instead (RowsRefused)."""

    on_bad_row: Literal["quarantine", "fail"] = "quarantine"
    _frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, refused: pl.DataFrame) -> None:
        """Take refusals: the columns of QUARANTINE_SCHEMA, those that are absent become null."""
        if refused.is_empty():
            return
        columns = [
            pl.col(name).cast(kind) if name in refused.columns else pl.lit(None, dtype=kind).alias(name)
            for name, kind in QUARANTINE_SCHEMA.items()
        ]
        frame = refused.select(columns)
        if self.on_bad_row == "fail":
            first = frame.row(0, named=True)
            raise RowsRefused(f"{first['place']}: {first['reason']} Mend it, or let such rows go to the quarantine (--on-bad-row quarantine).")
        self._frames.append(frame)

    def frame(self) -> pl.DataFrame:
        """Every refusal so far, in the order of arrival."""
        return pl.concat(self._frames) if self._frames else pl.DataFrame(schema=QUARANTINE_SCHEMA)

    def __len__(self) -> int:
        return sum(frame.height for frame in self._frames)

    @property
    def refused_rows(self) -> int:
        """How many whole rows were refused (cells refused alone are not counted)."""
        return sum(int(frame["metric"].is_null().sum()) for frame in self._frames)
