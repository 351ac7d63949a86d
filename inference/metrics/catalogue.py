"""The metric catalogue of a serving process: ours, and the four histograms that KServe's dashboards expect."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from inference.metrics.instruments import Counter, Gauge, Histogram, Instrument, exposition

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SCORES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_RISKS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Two releases are compared by these: scores of two models are on scales of their own."""
_DIFFERENCES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_STAGES = (("preprocess", "contract, features, guard"), ("predict", "model"), ("postprocess", "interval, tier, journal"), ("explain", "reasons"))
RUNGS = ("primary", "last_good", "simpler", "rules", "default")


class Watched(Protocol):
    """A breaker, as far as a metric goes."""

    @property
    def state(self) -> str: ...


class ServingMetrics:
    """Every instrument of one server that serves one model under one name."""

    def __init__(self, model: str, version: str, view: str, build: dict[str, str], journal_lag: Callable[[], float]) -> None:
        self.model, self.version, self.view = model, version, view
        by = ("model", "version", "endpoint", "code", "rung")
        self.requests = Counter("presage_requests_total", "Requests by endpoint, status and the rung that answered.", by)
        self.refused = Counter("presage_refused_total", "Requests refused, by reason.", ("model", "reason"))
        self.inflight = 0
        self.queue_depth: Callable[[], float] = lambda: 0.0
        self.limits_shared: Callable[[], float] = lambda: 0.0
        self.beside: Callable[[], bytes] = lambda: b""  # text of another program of the Pod
        self.tiers = Counter("presage_tier_total", "Predictions by escalation tier.", ("model", "tier"))
        self.feature_age = Gauge("presage_feature_age_seconds", "Age of the oldest row in the latest look-up, event time.", ("view",))
        self.features_missing = Counter("presage_features_missing_total", "Servers asked for without a usable row.", ("view",))
        self.features_clipped = Counter("presage_features_clipped_total", "Looked-up values outside the contract's range, moved to its edge.", ("view",))
        self.rung = Gauge("presage_rung", "Rung of the latest answer: 0 primary, 1 last good, 2 simpler, 3 rules, 4 default.", ("model",))
        self.breaker_open = Gauge("presage_breaker_open", "Whether a member is left alone: 0 asked, 0.5 on trial, 1 left alone.", ("model", "target"))
        self.journal_records = Counter("presage_journal_records_total", "Predictions appended to the journal.")
        self.shadow = Counter("presage_shadow_total", "Requests offered to the shadow, by what came of it.", ("model", "outcome"))
        self.shadow.add(model, "answered", by=0)
        self._shadow_difference = Histogram("presage_shadow_difference", "How far the shadow's risk lies from ours.", _DIFFERENCES, ("model",))
        self.shadow_difference = self._shadow_difference.child(model)
        self._request_seconds = Histogram("presage_request_seconds", "Time from body to answer.", _SECONDS, ("model", "version", "endpoint"))
        self._risk = Histogram("presage_risk", "Risks as they were answered.", _RISKS, ("model", "version"))
        self._score = Histogram("presage_score", "Model scores, before calibration.", _SCORES, ("model", "version"))
        stages = [
            Histogram(f"request_{stage}_seconds", f"KServe's name: {meaning}.", _SECONDS, ("model_name",))
            for stage, meaning in _STAGES
        ]
        self.preprocess, self.predict, self.postprocess, self.explain = (stage.child(model) for stage in stages)
        self.score, self.risk = self._score.child(model, version), self._risk.child(model, version)
        self.seconds = {endpoint: self._request_seconds.child(model, version, endpoint) for endpoint in ("infer", "predict", "grpc", "batch", "stream")}
        build_info = Gauge("presage_build_info", "What runs here.", tuple(build))
        build_info.set(1, *build.values())
        self.rung.set(0, model)
        self.journal_records.values[()] = 0
        self.features_missing.values[(view,)] = 0
        self.features_clipped.values[(view,)] = 0
        self._all: list[Instrument] = [
            self.requests, self._request_seconds, self.refused,
            Gauge("presage_inflight_requests", "Requests being read or answered.", read=lambda: self.inflight),
            Gauge("presage_queue_depth", "Rows that wait for the path, or are on it.", read=lambda: float(self.queue_depth())),
            Gauge("presage_limits_shared", "Limits of clients: 1 counted with the other replicas, 0 alone.", read=lambda: float(self.limits_shared())),
            self._score, self._risk, self.tiers, self.feature_age, self.features_missing, self.features_clipped, self.rung, self.breaker_open,
            self.shadow, self._shadow_difference, self.journal_records,
            Gauge("presage_journal_lag_records", "Records in the journal that the prediction log has not yet.", read=journal_lag),
            build_info, *stages,
        ]  # fmt: skip

    def watch_breakers(self, breakers: Mapping[str, Watched]) -> None:
        """Shown from now on, by member id."""
        for id, breaker in breakers.items():
            self.breaker_open.watch[self.model, id] = partial(_openness, breaker)

    def exposition(self) -> bytes:
        return exposition(self._all) + self.beside()


def _openness(breaker: Watched) -> float:
    return {"closed": 0.0, "half open": 0.5}.get(breaker.state, 1.0)
