"""The one schema of telemetry, in its two equal forms.

A **reading** is what one entity reported at one instant: several metrics, one event time (the form that travels through
the event log). A **Telemetry** is a table of readings, wide: a row an entity and instant, a column a metric (the form
that files and training use). Metric names are OpenTelemetry's semantic conventions where there is one; units are UCUM as
OpenTelemetry writes them (`1` = ratio, `By`, `s`, `{request}/s`).
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl

from presage.files import read_json, write_json, written_aside
from presage.telemetry.metric import Metric as Metric  # noqa: PLC0414  offered here too

TIME = pl.Datetime("us", "UTC")


class Reading(msgspec.Struct, frozen=True, array_like=True, tag=False):
    """One entity at one instant: the record of the event log (msgpack)."""

    entity: str
    time: datetime  # UTC, event time
    values: dict[str, float]  # metric name -> value in the metric's unit
    source: str
    trace_id: str = ""
    attributes: dict[str, str] = msgspec.field(default_factory=dict)


Columns = dict[str, pl.DataType | type[pl.DataType]]

INCIDENT_SCHEMA: Columns = {"entity": pl.String, "start": TIME, "end": TIME, "cause": pl.String}
"""Incidents: both ends inclusive, `cause` null where nobody said."""
INTERVAL_SCHEMA: Columns = {"entity": pl.String, "start": TIME, "end": TIME}
ENTITY_SCHEMA: Columns = {"entity": pl.String, "domain": pl.String, "system_type": pl.String, "depends_on": pl.List(pl.String)}


@dataclass(frozen=True)
class Telemetry:
    """A table of readings and what is known about it.

    readings:  entity String, time Datetime[us, UTC], one Float64 column a metric in the order of `metrics`
               (null = not seen); sorted by (entity, time), one row an entity and time.
    period:    how often the source says it samples; coverage is counted against it.
    entities:  ENTITY_SCHEMA, a row an entity (domain `unknown` where nobody said).
    incidents: INCIDENT_SCHEMA, or None where the source has no labels.
    labelled:  INTERVAL_SCHEMA: where absence of an incident means that there was none; None with `incidents`.
    """

    readings: pl.DataFrame
    metrics: tuple[Metric, ...]
    period: timedelta
    source: str
    entities: pl.DataFrame
    incidents: pl.DataFrame | None = None
    labelled: pl.DataFrame | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def metric_names(self) -> list[str]:
        return [metric.name for metric in self.metrics]

    def save(self, folder: Path) -> None:
        """Write the folder form: readings, entities, incidents, labelled as Parquet and telemetry.json; whole or not at all."""
        with written_aside(folder) as aside:
            aside.mkdir(parents=True)
            for name in ("readings", "entities", "incidents", "labelled"):
                table = getattr(self, name)
                if table is not None:
                    table.write_parquet(aside / f"{name}.parquet")
            write_json(
                aside / "telemetry.json",
                {
                    "metrics": [msgspec.to_builtins(metric) for metric in self.metrics],
                    "period_seconds": self.period.total_seconds(),
                    "source": self.source,
                    "notes": list(self.notes),
                },
            )

    @classmethod
    def load(cls, folder: Path) -> "Telemetry":
        """Read what `save` wrote."""
        about = read_json(folder / "telemetry.json")

        def table(name: str) -> pl.DataFrame | None:
            path = folder / f"{name}.parquet"
            return pl.read_parquet(path) if path.exists() else None

        readings, entities = table("readings"), table("entities")
        assert readings is not None and entities is not None
        return cls(
            readings=readings,
            metrics=tuple(Metric(**metric) for metric in about["metrics"]),
            period=timedelta(seconds=about["period_seconds"]),
            source=about["source"],
            entities=entities,
            incidents=table("incidents"),
            labelled=table("labelled"),
            notes=tuple(about["notes"]),
        )
