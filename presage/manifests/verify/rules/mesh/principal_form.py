"""A principal is written as Istio reads it: trust domain, ns, sa, without spiffe://."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_FORM = re.compile(r"[a-z0-9.-]+/ns/[a-z0-9-]+/sa/[a-z0-9-]+")


@rule("mesh/principal-form", severity=Severity.error, remedy="write cluster.local/ns/NAMESPACE/sa/ACCOUNT", kinds=("AuthorizationPolicy",))
def principal_form(policy: Written) -> Iterator[Flaw]:
    for position, one in enumerate(policy.spec.get("rules") or []):
        for place, origin in enumerate(one.get("from") or []):
            for field in ("principals", "notPrincipals"):
                for name in (origin.get("source") or {}).get(field) or []:
                    if "*" not in str(name) and not _FORM.fullmatch(str(name)):
                        yield policy.flaw(f"spec.rules[{position}].from[{place}].source.{field}", f"name {name!r}, which matches nobody")
