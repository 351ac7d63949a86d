"""Small fleets with known values, for tests that must know what to expect."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import polars as pl

from presage.telemetry.schema import ENTITY_SCHEMA, INCIDENT_SCHEMA, INTERVAL_SCHEMA, TIME, Metric, Telemetry

START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RATIO = Metric("system.cpu.utilization", "1", 0, 1, None, None, "share of time")


def instants(count: int, step: timedelta = MINUTE, start: datetime = START) -> list[datetime]:
    """`count` times, `step` apart."""
    return [start + step * index for index in range(count)]


def one_metric(values: Mapping[str, Sequence[float | None]], metric: Metric = RATIO, times: Sequence[datetime] | None = None) -> Telemetry:
    """Entities reporting one metric each minute from START (or at `times`); no labels."""
    frames = [
        pl.DataFrame(
            {"entity": [entity] * len(series), "time": list(times or instants(len(series))), metric.name: series},
            schema={"entity": pl.String, "time": TIME, metric.name: pl.Float64},
        )
        for entity, series in values.items()
    ]
    entities = pl.DataFrame([{"entity": entity, "domain": "unknown", "system_type": "server", "depends_on": []} for entity in values], schema=ENTITY_SCHEMA)
    return Telemetry(pl.concat(frames).sort("entity", "time"), (metric,), MINUTE, "fleet.csv", entities)


def with_incidents(telemetry: Telemetry, incidents: Sequence[tuple[str, datetime, datetime]]) -> Telemetry:
    """The same, labelled from its first sample to its last."""
    spans = telemetry.readings.group_by("entity").agg(start=pl.col("time").min(), end=pl.col("time").max()).sort("entity")
    table = pl.DataFrame([(*incident, None) for incident in incidents], schema=INCIDENT_SCHEMA, orient="row")
    return replace(telemetry, incidents=table, labelled=spans.select(*INTERVAL_SCHEMA))
