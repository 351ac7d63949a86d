"""Feature declarations: data, free of any engine.

A declaration names windows, aggregations, lags and calendar terms; binding it to a source's metrics gives the ordered
list of feature names that every engine, the online store and the model's contract share. A window feature at tick *t*
covers (t − w, t]. Names read `<metric>.<aggregation>_<window>`, `<metric>.lag_<lag>`, `calendar.<term>`.
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

import yaml

from presage.durations import format_duration, parse_duration
from presage.errors import InputError
from presage.files import canonical_json, read_text, sha256_bytes

Aggregation = Literal["mean", "std", "min", "max", "last", "slope", "delta"]
CalendarTerm = Literal["hour_sin", "hour_cos", "weekday_sin", "weekday_cos"]
AGGREGATIONS: tuple[str, ...] = get_args(Aggregation)
CALENDAR_TERMS: tuple[str, ...] = get_args(CalendarTerm)


@dataclass(frozen=True)
class FeatureView:
    """One declaration, as its YAML file holds it.

    std is the population standard deviation; slope is least squares in unit an hour; delta is last − first sample of the
    window; a lag is the mean of the tick interval (t − lag − tick, t − lag]. history: how many ticks of per-tick means,
    oldest first and ending at t, travel with the row (for sequence models and detectors).
    """

    name: str
    entity: str
    tick: timedelta
    windows: tuple[timedelta, ...]
    aggregations: tuple[str, ...]
    lags: tuple[timedelta, ...]
    calendar: tuple[str, ...]
    history: int
    min_coverage: float

    @property
    def longest(self) -> timedelta:
        return max(self.windows)

    def bind(self, metrics: list[str]) -> "BoundView":
        """The declaration over these metrics, in this order."""
        return BoundView(view=self, metrics=tuple(metrics))


@dataclass(frozen=True)
class BoundView:
    """A declaration and the metrics it is computed over: fixes names, order and version of the feature row."""

    view: FeatureView
    metrics: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Feature names in row order: per metric its windows × aggregations, then its lags; calendar terms last."""
        return [*(name for metric in self.metrics for name in self._names_of(metric)), *(f"calendar.{term}" for term in self.view.calendar)]

    @property
    def metric_of(self) -> dict[str, str]:
        """Feature name → the metric it is computed from; calendar terms are of none."""
        return {name: metric for metric in self.metrics for name in self._names_of(metric)}

    def _names_of(self, metric: str) -> list[str]:
        view = self.view
        return [
            *(f"{metric}.{aggregation}_{format_duration(window)}" for window in view.windows for aggregation in view.aggregations),
            *(f"{metric}.lag_{format_duration(lag)}" for lag in view.lags),
        ]

    def as_document(self) -> dict[str, object]:
        """The JSON form that packages carry; `BoundView.from_document` reads it back."""
        view = self.view
        return {
            "name": view.name,
            "entity": view.entity,
            "tick": format_duration(view.tick),
            "windows": [format_duration(window) for window in view.windows],
            "aggregations": list(view.aggregations),
            "lags": [format_duration(lag) for lag in view.lags],
            "calendar": list(view.calendar),
            "history": view.history,
            "min_coverage": view.min_coverage,
            "metrics": list(self.metrics),
        }

    @classmethod
    def from_document(cls, document: dict[str, object]) -> "BoundView":
        """The inverse of `as_document`."""
        fields = dict(document)
        metrics = fields.pop("metrics")
        assert isinstance(metrics, list)
        return cls(view=_view("features.json", fields), metrics=tuple(metrics))

    @property
    def version(self) -> str:
        """First 16 hex digits of the declaration's digest: rows of another version are never mixed."""
        return sha256_bytes(canonical_json(self.as_document()))[:16]


def load_view(path: Path) -> FeatureView:
    """Read one declaration. Raises InputError naming file, key and remedy."""
    return parse_view(read_text(path, "feature view", "Give the path of a YAML file in feature_store/views/."), str(path))


def parse_view(text: str, where: str) -> FeatureView:
    """A declaration from its YAML text; `where` names its place in errors."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not YAML ({error}). Mend the file.") from None
    if not isinstance(document, dict):
        raise InputError(f"{where}: holds no mapping. Start from feature_store/views/server_windows.yaml.")
    return _view(where, document)


_KEYS = {"name", "entity", "tick", "windows", "aggregations", "lags", "calendar", "history", "min_coverage"}


def _view(where: str, document: dict[str, object]) -> FeatureView:
    document = {key: value for key, value in document.items() if key != "description"}
    if missing := _KEYS - document.keys():
        raise InputError(f"{where}: {', '.join(sorted(missing))} missing. Add the key.")
    if unknown := document.keys() - _KEYS:
        raise InputError(f"{where}: unknown key {', '.join(sorted(unknown))}. Known: {', '.join(sorted(_KEYS))}.")

    def listed(key: str) -> list[str]:
        value = document[key]
        if not isinstance(value, list):
            raise InputError(f"{where}: {key} is {value!r}, not a list.")
        return [str(item) for item in value]

    def chosen(key: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
        for item in listed(key):
            if item not in allowed:
                raise InputError(f"{where}: {key} holds {item!r}. Choose among {', '.join(allowed)}.")
        return tuple(listed(key))

    def number(key: str, kind: type[int] | type[float], least: int, most: float) -> float:
        try:
            value = kind(str(document[key]))
        except ValueError:
            value = -1
        if not least <= value <= most:
            raise InputError(f"{where}: {key} is {document[key]!r}. Give a {'whole ' if kind is int else ''}number from {least} to {most}.")
        return value

    def duration(key: str, text: object) -> timedelta:
        try:
            return parse_duration(str(text))
        except InputError as error:
            raise InputError(f"{where}: {key}: {error.message}") from None

    tick = duration("tick", document["tick"])
    view = FeatureView(
        name=str(document["name"]),
        entity=str(document["entity"]),
        tick=tick,
        windows=tuple(duration("windows", window) for window in listed("windows")),
        aggregations=chosen("aggregations", AGGREGATIONS),
        lags=tuple(duration("lags", lag) for lag in listed("lags")),
        calendar=chosen("calendar", CALENDAR_TERMS),
        history=int(number("history", int, 0, 10_000)),
        min_coverage=number("min_coverage", float, 0, 1),
    )
    if not view.windows:
        raise InputError(f"{where}: windows is empty. Name at least one, a whole multiple of the tick.")
    for span in (*view.windows, *view.lags):
        if span % tick:
            raise InputError(f"{where}: {format_duration(span)} is no whole multiple of the tick {format_duration(tick)}.")
    for lag in view.lags:
        if lag + tick > view.longest:
            raise InputError(f"{where}: lag {format_duration(lag)} reaches past the longest window. Live rows see only {format_duration(view.longest)}.")
    if view.history * tick > view.longest:
        raise InputError(f"{where}: history of {view.history} ticks reaches past the longest window {format_duration(view.longest)}.")
    return view
