"""Every container drops all capabilities, and adds at most NET_BIND_SERVICE."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container


@rule("pod-security/capabilities", severity=Severity.error, remedy="write capabilities: {drop: [ALL]}")
def capabilities(container: Container) -> Iterator[Flaw]:
    found = container.security.get("capabilities") or {}
    if "ALL" not in (found.get("drop") or []):
        yield container.flaw("securityContext.capabilities.drop", "does not hold ALL")
    for name in found.get("add") or []:
        if name != "NET_BIND_SERVICE":
            yield container.flaw("securityContext.capabilities.add", f"adds {name}")
