"""No role hands out more than it is: no impersonation, no binding, no Pods by exec."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_VERBS = frozenset({"bind", "escalate", "impersonate"})
_DOORS = frozenset({"pods/exec", "pods/attach", "pods/ephemeralcontainers", "pods/portforward", "serviceaccounts/token"})


@rule("rbac/no-escalation", severity=Severity.error, remedy="take it out of the role", kinds=("Role", "ClusterRole"))
def no_escalation(role: Written) -> Iterator[Flaw]:
    for position, one in enumerate(role.manifest.get("rules") or []):
        for verb in sorted(_VERBS & set(one.get("verbs") or [])):
            yield role.flaw(f"rules[{position}].verbs", f"hold {verb}")
        for door in sorted(_DOORS & set(one.get("resources") or [])):
            yield role.flaw(f"rules[{position}].resources", f"hold {door}")
