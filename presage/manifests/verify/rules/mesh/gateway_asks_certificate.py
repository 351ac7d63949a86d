"""A client at the gateway shows a certificate."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_OPTION = "gateway.istio.io/tls-terminate-mode"


@rule("mesh/gateway-asks-certificate", severity=Severity.error, remedy="write the option gateway.istio.io/tls-terminate-mode: MUTUAL", kinds=("Gateway",))
def gateway_asks_certificate(gateway: Written) -> Iterator[Flaw]:
    for position, listener in enumerate(gateway.spec.get("listeners") or []):
        tls = listener.get("tls") or {}
        if listener.get("protocol") == "HTTPS" and (tls.get("options") or {}).get(_OPTION) != "MUTUAL":
            yield gateway.flaw(f"spec.listeners[{position}].tls.options[{_OPTION}]", f"is {(tls.get('options') or {}).get(_OPTION)!r}")
