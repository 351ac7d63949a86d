"""Which column of a table is what.

A mapping file (YAML) names them; every key is optional, what is left out is guessed:

    entity: server            # which server a row is about
    time: timestamp
    timezone: Europe/Berlin   # of times written without one; without this key such times are refused
    metric: name              # a long table: the metric's name …
    value: value              # … and its value
    label: anomaly            # true, false, or empty where nobody looked
    cause: cause              # of an incident
    ignore: [region, rack]
    metrics:                  # other names, units or scales
      cpu_percent: {name: system.cpu.utilization, scale: 0.01}
      queue: {name: queue.depth, unit: "{message}"}
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from presage.errors import InputError

GUESSES: dict[str, tuple[str, ...]] = {
    "entity": ("entity", "server", "host", "hostname", "host.name", "instance", "node", "machine"),
    "time": ("time", "timestamp", "datetime", "date", "ts", "event_time", "@timestamp"),
    "metric": ("metric", "metric_name", "name", "__name__"),
    "value": ("value", "val"),
    "label": ("label", "anomaly", "incident", "is_anomaly", "is_incident"),
    "cause": ("cause", "incident_cause"),
}
IGNORED = ("split",)  # the public data sets' own partition, which says nothing about a server
_KEYS = (*GUESSES, "timezone", "ignore", "metrics")


@dataclass(frozen=True)
class MetricMapping:
    """What a column or metric name of the file means: telemetry value = file value × scale, in `unit` (None = the catalogue's)."""

    name: str
    unit: str | None = None
    scale: float = 1.0


@dataclass(frozen=True)
class Layout:
    """Roles of columns. Complete after `resolve`: entity and time set; metric and value both set (long) or both None (wide)."""

    entity: str | None = None
    time: str | None = None
    metric: str | None = None
    value: str | None = None
    label: str | None = None
    cause: str | None = None
    timezone: str | None = None
    ignore: tuple[str, ...] = ()
    metrics: dict[str, MetricMapping] = field(default_factory=dict)

    @property
    def long(self) -> bool:
        return self.metric is not None

    def metric_columns(self, columns: list[str]) -> list[str]:
        """The columns of a wide table that hold metrics, in the file's order."""
        taken = {self.entity, self.time, self.label, self.cause, *self.ignore}
        return [column for column in columns if column not in taken]


def load_mapping(path: Path) -> Layout:
    """Read a mapping file. Raises InputError naming file, key, value and remedy."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the mapping file cannot be read ({getattr(error, 'strerror', None) or 'it is no UTF-8 text'}). Check mapping=.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({' '.join(str(error).split())}). Mend the file.") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: holds no mapping. Write keys such as `entity: server`.")
    if unknown := [key for key in document if key not in _KEYS]:
        raise InputError(f"{path}: unknown key {unknown[0]!r}. Known: {', '.join(_KEYS)}.")
    names: dict[str, str] = {}
    for key in (*GUESSES, "timezone"):
        if key in document:
            if not isinstance(document[key], str) or not document[key]:
                raise InputError(f"{path}: {key} is {document[key]!r}, not a name. Give the column's name as text.")
            names[key] = document[key]
    if "timezone" in names:
        try:
            ZoneInfo(names["timezone"])
        except (KeyError, ValueError, OSError):
            raise InputError(f"{path}: timezone is {names['timezone']!r}, which is no zone. Write UTC or one such as Europe/Berlin.") from None
    ignore = document.get("ignore", [])
    if not isinstance(ignore, list) or not all(isinstance(item, str) for item in ignore):
        raise InputError(f"{path}: ignore is {ignore!r}, not a list of columns. Write ignore: [region].")
    metrics = document.get("metrics", {})
    if not isinstance(metrics, dict):
        raise InputError(f"{path}: metrics is {metrics!r}, not a mapping. Write metrics: {{cpu: {{name: system.cpu.utilization}}}}.")
    return Layout(**names, ignore=tuple(ignore), metrics={str(column): _metric(path, column, entry) for column, entry in metrics.items()})


def _metric(path: Path, column: object, entry: Any) -> MetricMapping:
    if isinstance(entry, str):
        entry = {"name": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or not entry["name"] or entry.keys() - {"name", "unit", "scale"}:
        raise InputError(f"{path}: metrics.{column} is {entry!r}. Write {{name: system.cpu.utilization, scale: 0.01}}, with unit where it has no public name.")
    scale, unit = entry.get("scale", 1.0), entry.get("unit")
    if isinstance(scale, bool) or not isinstance(scale, (int, float)) or not 0 < abs(scale) < float("inf"):
        raise InputError(f"{path}: metrics.{column}.scale is {scale!r}. Give a number other than 0 (0.01 turns percent into a ratio).")
    if unit is not None and not isinstance(unit, str):
        raise InputError(f"{path}: metrics.{column}.unit is {unit!r}. Give a UCUM unit as text, such as s or By/s.")
    return MetricMapping(entry["name"], unit, float(scale))


def resolve(layout: Layout, columns: list[str], place: str) -> Layout:
    """Complete `layout` for a table with these columns. Raises InputError where a column is missing or two would do."""
    for role in GUESSES:
        column = getattr(layout, role)
        if column is not None and column not in columns:
            raise InputError(f"{place}: has no column {column!r}, which the mapping names as {role}. It has {', '.join(columns)}.")
    found = {role: getattr(layout, role) or _guess(role, layout, columns, place) for role in GUESSES}
    for role, what in (("entity", "which server a row is about"), ("time", "when it was")):
        if found[role] is None:
            known = ", ".join(GUESSES[role])
            raise InputError(f"{place}: no column says {what}. Call it one of {known}, or name it in a mapping (mapping=FILE with `{role}: COLUMN`).")
    if (found["metric"] is None) != (found["value"] is None):
        lacking = "value" if found["value"] is None else "metric"
        if layout.metric is not None or layout.value is not None:
            raise InputError(f"{place}: a long table needs a metric and a value column, {lacking} is missing. Name both in the mapping.")
        found["metric"] = found["value"] = None  # a wide table that happens to have a metric called `value` or `name`
    ignore = (*layout.ignore, *(column for column in IGNORED if column in columns))
    complete = replace(layout, entity=found["entity"], time=found["time"], metric=found["metric"], value=found["value"], label=found["label"],
                       cause=found["cause"], ignore=ignore)
    if not complete.long and (missing := [column for column in layout.metrics if column not in columns]):
        raise InputError(f"{place}: has no column {missing[0]!r}, which the mapping lists under metrics. It has {', '.join(columns)}.")
    if not complete.long and not complete.metric_columns(columns):
        raise InputError(f"{place}: holds no metric besides {', '.join(columns)}. Add a column a metric, or the columns metric and value.")
    return complete


def _guesses(layout: Layout, columns: list[str]) -> dict[str, list[str]]:
    """Role → columns that would do, of those that the mapping has not given a role."""
    named = {getattr(layout, role) for role in GUESSES} | set(layout.ignore) | set(layout.metrics)
    free = [column for column in columns if column not in named]
    return {role: hits for role, names in GUESSES.items() if (hits := [column for column in free if column.strip().lower() in names])}


def _guess(role: str, layout: Layout, columns: list[str], place: str) -> str | None:
    hits = _guesses(layout, columns).get(role, [])
    if len(hits) > 1:
        raise InputError(f"{place}: {' and '.join(hits)} could each be the {role} column. Say which in a mapping (mapping=FILE with `{role}: {hits[0]}`).")
    return hits[0] if hits else None
