"""Whoever shows metrics is scraped."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.monitors import monitored
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("observability/everybody-scraped", severity=Severity.warning, remedy="select it in a PodMonitor")
def everybody_scraped(overlay: Overlay) -> Iterator[Flaw]:
    monitors = list(overlay.written_of("PodMonitor"))
    watched = {id(pod) for monitor in monitors for pod in monitored(monitor)}
    for pod in overlay.pods:
        if monitors and id(pod) not in watched and any(port.get("name") == "metrics" for container in pod.containers for port in container.ports):
            yield pod.flaw("spec.containers", "have a port metrics, and no PodMonitor selects the Pod")
