"""A token that is checked is also asked for: RequestAuthentication lets a request without one pass."""

from collections.abc import Iterator
from typing import Any

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import istio
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Object, Written


@rule(
    "mesh/token-required", severity=Severity.error, kinds=("RequestAuthentication",),
    remedy="ask requestPrincipals in each allow of the same target, or deny notRequestPrincipals",
)  # fmt: skip
def token_required(authentication: Written) -> Iterator[Flaw]:
    policies = [
        policy for policy in istio(authentication.overlay, "AuthorizationPolicy")
        if policy.namespace == authentication.namespace and _same_target(policy, authentication)
    ]  # fmt: skip
    if any(policy.spec.get("action") == "DENY" and any(_sources(one, "notRequestPrincipals") for one in policy.spec.get("rules") or []) for policy in policies):
        return
    allows = [one for policy in policies if policy.spec.get("action", "ALLOW") == "ALLOW" for one in policy.spec.get("rules") or []]
    if not allows or not all(_asks(one) for one in allows):
        yield authentication.flaw("spec.jwtRules", "check tokens, and a request without one is allowed")


def _same_target(policy: Object, authentication: Written) -> bool:
    targets = policy.spec.get("targetRefs")
    if not targets and not policy.spec.get("selector"):
        return bool(policy.spec.get("rules"))
    return targets == authentication.spec.get("targetRefs") and policy.spec.get("selector") == authentication.spec.get("selector")


def _asks(one: dict[str, Any]) -> bool:
    asked = any(str(condition.get("key", "")).startswith("request.auth.") for condition in one.get("when") or [])
    origins = one.get("from") or []
    return asked or (bool(origins) and all((origin.get("source") or {}).get("requestPrincipals") for origin in origins))


def _sources(one: dict[str, Any], field: str) -> bool:
    return any((origin.get("source") or {}).get(field) for origin in one.get("from") or [])
