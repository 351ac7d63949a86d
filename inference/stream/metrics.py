"""What the stream counts and times, under the names of the metric catalogue."""

from collections.abc import Callable
from importlib.metadata import version

from inference.metrics.instruments import Counter, Gauge, Histogram, Observations, exposition

OUTCOMES = ("applied", "late", "duplicate", "dead_letter")
STAGES = ("append", "apply", "features", "write")
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class StreamMetrics:
    """Instruments of one stream. Each is written by one thread; every label exists from the start, so that a scrape never
    meets a growing table. age: seconds of event time since the newest row's tick, NaN before the first."""

    def __init__(self, source: str, view: str, age: Callable[[], float]) -> None:
        self._view, self._age = view, age
        self._events = Counter("presage_events_total", "Readings consumed, by what became of them.", ("source", "outcome"))
        self._events.values.update({(source, outcome): 0 for outcome in OUTCOMES})
        self._feature_age = Gauge("presage_feature_age_seconds", "Event time since the newest feature row's tick.", ("view",))
        self._stage_seconds = Histogram(
            "presage_stage_seconds",
            "Time in each stage: append (batch to durable log), apply (log to buffer), features (a tick's windows), write (online store).",
            _SECONDS, ("stage",),
        )  # fmt: skip
        self.stages: dict[str, Observations] = {stage: self._stage_seconds.child(stage) for stage in STAGES}
        self._build = Gauge("presage_build_info", "What runs here.", ("program", "version"))
        self._build.set(1, "stream", version("presage"))
        self._source = source

    def count(self, outcome: str) -> None:
        """One reading more with this outcome."""
        self._events.add(self._source, outcome)

    def counted(self, outcome: str) -> int:
        """How many readings had this outcome."""
        return int(self._events.values[self._source, outcome])

    def exposition(self) -> bytes:
        """Prometheus text."""
        self._feature_age.set(self._age(), self._view)
        return exposition([self._events, self._feature_age, self._stage_seconds, self._build])
