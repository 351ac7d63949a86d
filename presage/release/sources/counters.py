"""What predictors have counted, as the judge compares it: requests, failures, durations, risks, and how far the shadow was away.

    counts = Counts.parse(text)                 one Pod's /metrics
    counts.since(before)                        what was added; a Pod that started anew counts from nothing
    sum_of([...])                               of all Pods of an arm
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

ENDPOINTS = ("infer", "predict", "grpc")
"""Answers to callers; probes and descriptions are none."""
RELEASED_RUNG = "primary"
_BUCKETS = ("seconds", "risks", "differences")
Buckets = Mapping[float, float]
"""Upper bound → how many lay at or below it (cumulative), as Prometheus has it; the last bound is infinite."""


@dataclass(frozen=True)
class Counts:
    """requests: asked of the endpoints; failed: answered with 5xx, or by a lower rung than what was released. seconds, risks, differences: buckets.
    decided, wrong: of decisions, those whose outcome became known, and of these the wrong ones."""

    requests: float = 0.0
    failed: float = 0.0
    seconds: Buckets = field(default_factory=dict)
    risks: Buckets = field(default_factory=dict)
    differences: Buckets = field(default_factory=dict)
    decided: float = 0.0
    wrong: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Counts":
        """From the text of /metrics. What is not there counts as nothing."""
        requests = failed = 0.0
        buckets: dict[str, dict[float, float]] = {"presage_request_seconds": {}, "presage_risk": {}, "presage_shadow_difference": {}}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = sample.labels
                if labels.get("endpoint", ENDPOINTS[0]) not in ENDPOINTS:
                    continue
                if sample.name == "presage_requests_total":
                    requests += sample.value
                    failed += sample.value if is_failure(labels["code"], labels["rung"]) else 0.0
                elif sample.name.endswith("_bucket") and family.name in buckets:
                    found = buckets[family.name]
                    bound = float(labels["le"])
                    found[bound] = found.get(bound, 0.0) + sample.value
        return cls(requests, failed, buckets["presage_request_seconds"], buckets["presage_risk"], buckets["presage_shadow_difference"])

    def since(self, before: "Counts | None") -> "Counts":
        """What was added since `before`; all of it where a counter fell, which a Pod's restart makes it do."""
        if before is None or self.requests < before.requests or self.failed < before.failed:
            return self
        if _fell(self.seconds, before.seconds) or _fell(self.risks, before.risks):
            return self
        return Counts(
            self.requests - before.requests, self.failed - before.failed, _minus(self.seconds, before.seconds), _minus(self.risks, before.risks),
            _minus(self.differences, before.differences), self.decided - before.decided, self.wrong - before.wrong,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        buckets = {name: {repr(bound): count for bound, count in getattr(self, name).items()} for name in _BUCKETS}
        return {"requests": self.requests, "failed": self.failed, "decided": self.decided, "wrong": self.wrong, **buckets}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> "Counts":
        buckets = {name: {float(bound): float(count) for bound, count in document[name].items()} for name in _BUCKETS}
        return cls(document["requests"], document["failed"], **buckets, decided=document["decided"], wrong=document["wrong"])


def is_failure(code: str, rung: str) -> bool:
    """Whether an answer was none of the release's first rung: a server's fault, or a lower rung's answer. A refusal (4xx) is the caller's."""
    return code.startswith("5") or (code == "200" and rung not in ("", RELEASED_RUNG))


def sum_of(counts: Iterable[Counts]) -> Counts:
    """Of several Pods."""
    total = Counts()
    for one in counts:
        total = Counts(
            total.requests + one.requests, total.failed + one.failed, _plus(total.seconds, one.seconds), _plus(total.risks, one.risks),
            _plus(total.differences, one.differences), total.decided + one.decided, total.wrong + one.wrong,
        )  # fmt: skip
    return total


def _fell(now: Buckets, before: Buckets) -> bool:
    return any(now.get(bound, 0.0) < count for bound, count in before.items())


def _minus(now: Buckets, before: Buckets) -> dict[float, float]:
    return {bound: count - before.get(bound, 0.0) for bound, count in now.items()}


def _plus(one: Buckets, other: Buckets) -> dict[float, float]:
    return {bound: one.get(bound, 0.0) + other.get(bound, 0.0) for bound in sorted({*one, *other})}
