"""An allow names who may call: an empty rule, or one for every principal, allows everybody."""

from collections.abc import Iterator
from typing import Any

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_WHO = ("principals", "requestPrincipals", "namespaces", "ipBlocks", "remoteIpBlocks", "serviceAccounts")


@rule("mesh/no-allow-all", severity=Severity.error, remedy="name the principals that may call", kinds=("AuthorizationPolicy",))
def no_allow_all(policy: Written) -> Iterator[Flaw]:
    if policy.spec.get("action", "ALLOW") != "ALLOW":
        return
    for position, one in enumerate(policy.spec.get("rules") or []):
        origins = [origin.get("source") or {} for origin in one.get("from") or []]
        anybody = not origins or any(all(source.get(field) in (None, [], ["*"]) for field in _WHO) for source in origins)
        if anybody and not _conditions(one):
            yield policy.flaw(f"spec.rules[{position}].from", "lets everybody in")


def _conditions(one: dict[str, Any]) -> bool:
    # a port of metrics takes plain text, so nobody there has a name; the network policy says who comes that far
    ports = [port for target in one.get("to") or [] for port in (target.get("operation") or {}).get("ports") or []]
    return bool(one.get("when")) or (bool(ports) and set(ports) <= {"9090", "15021"})
