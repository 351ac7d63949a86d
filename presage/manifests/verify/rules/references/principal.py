"""A principal of an AuthorizationPolicy is an account that is there."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_PRINCIPAL = re.compile(r"[^/]+/ns/([^/*]+)/sa/([^/*]+)")


@rule("references/principal", severity=Severity.error, remedy="add the ServiceAccount, or take the principal out", kinds=("AuthorizationPolicy",))
def principal(found: Written) -> Iterator[Flaw]:
    for position, one in enumerate(found.spec.get("rules") or []):
        for place, origin in enumerate(one.get("from") or []):
            for name in ((origin.get("source") or {}).get("principals")) or []:
                match = _PRINCIPAL.fullmatch(str(name))
                if match and match[1] in found.overlay.namespaces and not found.overlay.has_account(match[1], match[2]):
                    path = f"spec.rules[{position}].from[{place}].source.principals"
                    yield found.flaw(path, f"name {name}, and {match[1]} has no ServiceAccount {match[2]}")
