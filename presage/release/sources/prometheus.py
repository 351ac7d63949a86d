"""A cluster as a judge sees it: Prometheus, over the series that its predictors are scraped for (manifests/base/observability).

    PrometheusSource("https://prometheus.monitoring.svc:9090", place, ca=…, token=…)

Series carry namespace, inferenceservice, predictor, pod and track (stable or canary). Counters are read as they are, a Pod each, and subtracted here:
`increase()` extrapolates to the ends of its window, which at two scrapes a window doubles what was counted, and a test would be that much too sure.
What is live is told by presage_build_info, which names the release's digest, and by the share of requests that the canary gets.
"""

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from presage.errors import StateError
from presage.package.reference import parse_reference
from presage.release.sources.counters import ENDPOINTS, Counts, is_failure
from presage.release.sources.since import Seen, Since
from presage.release.sources.source import Look
from presage.release.standing import Place, Standing

_SECONDS = 10.0
_SHARE_WINDOW = timedelta(minutes=2)
_SHARE_DEVIATIONS = 5.0
_HISTOGRAMS = {"seconds": "presage_request_seconds", "risks": "presage_risk", "differences": "presage_shadow_difference"}


class PrometheusSource:
    """ca: PEM of whoever issued its certificate; token: file of a bearer token, read at each look."""

    def __init__(self, url: str, place: Place, *, ca: Path | None = None, token: Path | None = None) -> None:
        self._url, self._place, self._token = url.rstrip("/"), place, token
        self._client = httpx2.Client(timeout=_SECONDS, trust_env=False, verify=_trust(ca))
        self._since = Since()

    def live(self, standing: Standing) -> str:
        now = datetime.now(UTC)
        series = self._query(f"presage_build_info{{{self._of()}}}", now)
        found: dict[str, list[str]] = {"stable": [], "canary": []}
        for one in series:
            found.setdefault(one["metric"].get("track", "stable"), []).append(one["metric"].get("digest", ""))
        wanted = parse_reference(standing.stable).digest
        if not found["stable"] or any(digest != wanted for digest in found["stable"]):
            return f"the stable predictor does not run {standing.stable[:60]}… in all of its Pods yet"
        if standing.canary is None:
            return "the canary's Pods are still there" if found["canary"] else ""
        ready = sum(digest == parse_reference(standing.canary.uri).digest for digest in found["canary"])
        if ready < standing.canary.replicas:
            return f"{ready} of {standing.canary.replicas} canary Pods are scraped with its release"
        return self._share(standing.canary.percent, now)

    def capacity(self) -> int:
        series = self._query(f'count(presage_build_info{{{self._of()},track="stable"}})', datetime.now(UTC))
        return max(1, int(float(series[0]["value"][1]))) if series else 1

    def bound(self, uri: str) -> str:
        return uri  # a cluster runs nothing that is not pinned

    def begin(self, standing: Standing, now: datetime) -> None:
        self._since.begin(self._seen(now))

    def look(self, standing: Standing, now: datetime) -> Look:
        return self._since.look(self._seen(now), now)

    def remember(self) -> dict[str, Any]:
        return self._since.remember()

    def recall(self, document: dict[str, Any]) -> None:
        self._since.recall(document)

    def _seen(self, now: datetime) -> list[Seen]:
        counted: dict[tuple[str, str], dict[str, Any]] = {}

        def of(labels: dict[str, str]) -> dict[str, Any]:
            empty = {"requests": 0.0, "failed": 0.0, **{name: {} for name in _HISTOGRAMS}}
            return counted.setdefault((labels.get("track", ""), labels.get("pod", labels.get("instance", ""))), empty)

        only = f'{self._of()},endpoint=~"{"|".join(ENDPOINTS)}"'
        for one in self._query(f"sum by (track, pod, instance, code, rung) (presage_requests_total{{{only}}})", now):
            labels, value, pod = one["metric"], _number(one), of(one["metric"])
            pod["requests"] += value
            pod["failed"] += value if is_failure(labels.get("code", ""), labels.get("rung", "")) else 0.0
        for field, name in _HISTOGRAMS.items():
            which = only if name == "presage_request_seconds" else self._of()
            for one in self._query(f"sum by (track, pod, instance, le) ({name}_bucket{{{which}}})", now):
                of(one["metric"])[field][float(one["metric"]["le"])] = _number(one)
        return [Seen(track, f"{track}/{pod}", Counts(**found)) for (track, pod), found in counted.items()]

    def _share(self, percent: int, now: datetime) -> str:
        """Whether the canary's share of the last requests is what it should be, but for chance."""
        window = f"[{round(_SHARE_WINDOW.total_seconds())}s]"
        series = self._query(f"sum by (track) (increase(presage_requests_total{{{self._of()}}}{window}))", now)
        counted = {one["metric"].get("track", ""): _number(one) for one in series}
        total = sum(counted.values())
        if total < 1:
            return "nobody has asked for anything, so nothing says which share the canary gets"
        share, wanted = counted.get("canary", 0.0) / total, percent / 100
        allowed = _SHARE_DEVIATIONS * math.sqrt(max(wanted * (1 - wanted), 0.01) / total) + 0.01
        if abs(share - wanted) > allowed:
            return f"the canary gets {100 * share:.1f} percent of {total:.0f} requests, and {percent} are due"
        return ""

    def _of(self) -> str:
        return f'namespace="{self._place.application}",inferenceservice="{self._place.model}"'

    def _query(self, query: str, at: datetime) -> list[dict[str, Any]]:
        headers = {"authorization": f"Bearer {self._token.read_text().strip()}"} if self._token else {}
        try:
            answer = self._client.post(f"{self._url}/api/v1/query", data={"query": query, "time": f"{at.timestamp():.3f}"}, headers=headers)
            document = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise StateError(f"{self._url} does not answer as Prometheus does ({type(error).__name__}: {str(error)[:200]}). It is asked again.") from None
        if answer.status_code != 200 or document.get("status") != "success":
            said = str(document.get("error", answer.status_code))[:300]
            raise StateError(f"{self._url} refuses a query: {said}. Is it the Prometheus that scrapes the predictors?")
        return list(document["data"]["result"])


def _number(series: dict[str, Any]) -> float:
    value = float(series["value"][1])
    return value if math.isfinite(value) and value > 0 else 0.0


def _trust(ca: Path | None) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(ca)) if ca else True
