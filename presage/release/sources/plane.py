"""The laptop plane as a judge sees it: which Pods run and are ready with which release, the weights in force, each Pod's own /metrics."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx2

from presage.errors import StateError
from presage.local.record import PlaneRecord, ProcessRecord, read_record
from presage.release.sources.counters import Counts
from presage.release.sources.since import Seen, Since
from presage.release.sources.source import Look
from presage.release.standing import Place, Standing
from presage.state import State

_SECONDS = 2.0
METRICS_PORT = 9090


class PlaneSource:
    """One model on the plane of `state`."""

    def __init__(self, state: State, place: Place) -> None:
        self._state, self._place = state, place
        self._since = Since()

    def live(self, standing: Standing) -> str:
        record = self._record()
        stable, canary = list(self._pods(record, "stable")), list(self._pods(record, "canary"))
        wanted = record.bindings.get(standing.stable, standing.stable)
        if not stable or any(not pod.ready or pod.release != wanted for pod in stable):
            return f"the stable predictor does not run {wanted[:60]}… in all of its Pods yet"
        if record.trouble:
            return record.trouble
        if standing.canary is None:
            return "the canary's Pods are still there" if canary else ""
        ready = [pod for pod in canary if pod.ready and pod.release == standing.canary.uri]
        if len(ready) < standing.canary.replicas or len(ready) < len(canary):
            said = next((pod.ended or pod.message for pod in canary if not pod.ready and (pod.ended or pod.message)), "")
            return f"{len(ready)} of {standing.canary.replicas} canary Pods are ready{f' ({said})' if said else ''}"
        if (share := self._share(record)) != standing.canary.percent:
            return f"the route gives the canary {share} percent, and {standing.canary.percent} are due"
        return ""

    def capacity(self) -> int:
        return max(1, len(list(self._pods(self._record(), "stable"))))

    def bound(self, uri: str) -> str:
        return self._record().bindings.get(uri, uri)

    def begin(self, standing: Standing, now: datetime) -> None:
        self._since.begin(self._seen())

    def look(self, standing: Standing, now: datetime) -> Look:
        return self._since.look(self._seen(), now)

    def remember(self) -> dict[str, Any]:
        return self._since.remember()

    def recall(self, document: dict[str, Any]) -> None:
        self._since.recall(document)

    def _seen(self) -> list[Seen]:
        record = self._record()
        return [
            Seen(role, f"{pod.namespace}/{pod.pod}/{pod.created}", self._counted(pod))
            for role in ("stable", "canary") for pod in self._pods(record, role) if pod.ready
        ]  # fmt: skip

    def _counted(self, pod: ProcessRecord) -> Counts:
        url = f"http://{pod.inner}:{pod.ports.get('metrics', METRICS_PORT)}/metrics"
        try:
            text = httpx2.get(url, timeout=_SECONDS, trust_env=False).raise_for_status().text
        except httpx2.HTTPError as error:
            raise StateError(f"{pod.name} does not say what it counted ({type(error).__name__}). It is asked again.") from None
        return Counts.parse(text)

    def _pods(self, record: PlaneRecord, role: str) -> Iterator[ProcessRecord]:
        """Serving containers of the model's Pods, by what their workload is called."""
        stable = f"{self._place.model}-predictor"
        for process in record.processes:
            ours = process.namespace == self._place.application and process.serves == self._place.model
            if not ours or process.initializes or not process.ports.get("metrics") or process.phase in ("stopping", "stopped", "done"):
                continue
            if (process.workload == stable) == (role == "stable"):
                yield process

    def _share(self, record: PlaneRecord) -> int:
        """Percent of the requests that the entry route gives to whatever is not the stable predictor."""
        stable = f"{self._place.model}-predictor"
        route = next((one for one in record.routes if one.name == f"{self._place.application}/{self._place.model}"), None)
        if route is None:
            return 0
        total = sum(weight for _, weight in route.backends) or 1
        return round(100 * sum(weight for name, weight in route.backends if name.rpartition("/")[2] != stable) / total)

    def _record(self) -> PlaneRecord:
        record = read_record(self._state.plane)
        if record is None or not record.alive:
            raise StateError(f"nothing runs in {self._state.root}. `presage up` starts the plane.")
        return record
