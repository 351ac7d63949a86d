"""A DestinationRule is for a host that is there; one for nobody does nothing. (A canary's may lie there before the canary.)"""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("references/destination", severity=Severity.error, remedy="name a Service of the overlay, or write a ServiceEntry", kinds=("DestinationRule",))
def destination(found: Written) -> Iterator[Flaw]:
    host = str(found.spec.get("host", ""))
    name, _, rest = host.partition(".")
    namespace = rest.partition(".")[0] or found.namespace
    overlay = found.overlay
    if "*" in host or namespace not in overlay.namespaces or namespace in overlay.doubtful or overlay.find("Service", namespace, name) is not None:
        return
    services = [one.name for one in found.overlay.written_of("InferenceService") if one.namespace == namespace]
    if name.endswith("-predictor") and any(name.startswith(f"{service}-") for service in services):
        return
    if not any(host in (one.spec.get("hosts") or []) for one in found.overlay.of_kind("ServiceEntry")):
        yield found.flaw("spec.host", f"is {host!r}, and no Service in {namespace} is called so")
