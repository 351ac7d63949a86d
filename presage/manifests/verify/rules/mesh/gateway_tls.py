"""A gateway speaks TLS alone: a route of KServe names no listener, so it attaches to every one."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("mesh/gateway-tls", severity=Severity.error, remedy="remove the listener", kinds=("Gateway",))
def gateway_tls(gateway: Written) -> Iterator[Flaw]:
    for position, listener in enumerate(gateway.spec.get("listeners") or []):
        if listener.get("protocol") not in ("HTTPS", "TLS"):
            yield gateway.flaw(f"spec.listeners[{position}].protocol", f"is {listener.get('protocol')}")
