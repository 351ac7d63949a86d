"""Rules applied to telemetry: refused cells become null, each is listed, and too many of them end the run."""

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl

from components.validate.gaps import find_gaps
from components.validate.rules import CELL_RULES, clock_skew, clock_skew_reason
from components.validate.schema import check_schema
from presage.errors import RowsRefused
from presage.files import write_json, written_aside
from presage.telemetry.quarantine import QUARANTINE_SCHEMA
from presage.telemetry.schema import Metric, Telemetry

MOST_REFUSED = 0.5
"""Of a metric's samples, or of all rows: past this the source is wrong, not a sensor."""


@dataclass(frozen=True)
class Validated:
    """telemetry: refused cells null, refused rows gone. refused: QUARANTINE_SCHEMA. quality: the document of quality.json."""

    telemetry: Telemetry
    refused: pl.DataFrame
    quality: dict[str, object]


def validate(telemetry: Path, validated: Path, quality: Path, now: datetime) -> None:
    """Folder to folders (docs/architecture.md). The quality report is written even when RowsRefused ends the run."""
    result = apply_rules(Telemetry.load(telemetry), now)
    with written_aside(quality) as aside:
        aside.mkdir(parents=True)
        write_json(aside / "quality.json", result.quality)
        result.refused.write_parquet(aside / "quarantine.parquet")
    refuse_too_much(result, quality)
    result.telemetry.save(validated)


def apply_rules(telemetry: Telemetry, now: datetime) -> Validated:
    """Pure: every rule over every metric. Raises InputError where the table itself has the wrong shape."""
    check_schema(telemetry)
    readings = telemetry.readings
    rows = readings.height
    seen = {name: rows - readings[name].null_count() for name in telemetry.metric_names}
    skewed = readings.filter(clock_skew(now))
    refusals = [_listed(skewed.with_columns(value=pl.col("time").cast(pl.String)), telemetry.source, None, "clock_skew", clock_skew_reason(now))]
    if skewed.height:
        readings = readings.filter(~clock_skew(now))
    columns = []
    for metric in telemetry.metrics:
        column, found = _clean(readings, metric, telemetry.source)
        columns.append(column)
        refusals.extend(found)
    readings = readings.with_columns(columns)
    refused = pl.concat(refusals)
    kept = replace(telemetry, readings=readings)
    return Validated(kept, refused, _quality(kept, rows, seen, refused))


def _clean(readings: pl.DataFrame, metric: Metric, source: str) -> tuple[pl.Series, list[pl.DataFrame]]:
    """One metric's column with refused cells null, and the list of them."""
    samples = readings.select("entity", "time", value=metric.name).with_row_index("row").filter(pl.col("value").is_not_null())
    column, refusals = readings[metric.name], []
    for rule in CELL_RULES:
        if not rule.applies(metric) or samples.is_empty():
            continue
        mask = samples.select(refused=rule.refuses(metric))["refused"].fill_null(False)
        if not mask.any():
            continue
        found = samples.with_columns(reason=rule.reason(metric)).filter(mask)
        refusals.append(_listed(found.with_columns(value=pl.col("value").cast(pl.String)), source, metric.name, rule.name, pl.col("reason")))
        column = column.scatter(found["row"], None)
        samples = samples.filter(~mask)
    return column, refusals


def _listed(found: pl.DataFrame, source: str, metric: str | None, rule: str, reason: pl.Expr) -> pl.DataFrame:
    """Refused samples in QUARANTINE_SCHEMA."""
    return found.select(
        place=pl.lit(source, dtype=pl.String), entity="entity", time="time", metric=pl.lit(metric, dtype=pl.String), value="value",
        rule=pl.lit(rule, dtype=pl.String), reason=reason.cast(pl.String),
    ).select(*QUARANTINE_SCHEMA)


def _quality(kept: Telemetry, rows: int, seen: dict[str, int], refused: pl.DataFrame) -> dict[str, object]:
    cells = dict(refused.filter(pl.col("metric").is_not_null()).group_by("metric").agg(pl.len()).iter_rows())
    rules = dict(refused.group_by("rule").agg(pl.len()).iter_rows())
    touched = refused.select("entity", "time").unique().height
    return {
        "rows": rows,
        "entities": kept.readings["entity"].n_unique(),
        "metrics": [{"name": name, "seen": seen[name], "refused": cells.get(name, 0)} for name in kept.metric_names],
        "rules": [{"rule": rule, "refused": rules.get(rule, 0)} for rule in ("clock_skew", *(rule.name for rule in CELL_RULES))],
        "refused_rows": rows - kept.readings.height,
        "refused_rows_share": touched / rows if rows else 0.0,  # rows that lost at least one cell
        "gaps": find_gaps(kept.readings, kept.period),
    }


def refuse_too_much(result: Validated, quality: Path) -> None:
    """Raises RowsRefused naming the metric, its chief rule and a first reason where more than MOST_REFUSED was refused."""
    document = result.quality
    rows, skewed = document["rows"], document["refused_rows"]
    assert isinstance(rows, int) and isinstance(skewed, int)
    remedy = f"Mend the source; {quality / 'quarantine.parquet'} lists every refused cell."
    if skewed > MOST_REFUSED * rows:
        raise RowsRefused(f"{skewed} of {rows} rows were refused by the rule clock_skew: {_first_reason(result.refused, None)} {remedy}")
    metrics = document["metrics"]
    assert isinstance(metrics, list)
    for metric in metrics:
        if metric["seen"] and metric["refused"] > MOST_REFUSED * metric["seen"]:
            mine = result.refused.filter(pl.col("metric") == metric["name"])
            rule = mine.group_by("rule").agg(pl.len()).sort("len", descending=True)["rule"][0]
            raise RowsRefused(f"{metric['refused']} of {metric['seen']} samples of {metric['name']} were refused, most by the rule {rule}: "
                              f"{_first_reason(mine, rule)} {remedy}")


def _first_reason(refused: pl.DataFrame, rule: str | None) -> str:
    found = refused.filter(pl.col("rule") == rule) if rule else refused
    first = found.row(0, named=True)
    return f"{first['entity']} at {first['time']:%Y-%m-%d %H:%M}: {first['reason']}"
