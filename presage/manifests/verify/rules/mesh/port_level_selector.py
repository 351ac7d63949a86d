"""A port is excepted for a workload: without a selector Istio ignores the exception."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import selector_of
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("mesh/port-level-selector", severity=Severity.error, remedy="write a selector", kinds=("PeerAuthentication",))
def port_level_selector(policy: Written) -> Iterator[Flaw]:
    if policy.spec.get("portLevelMtls") and not selector_of(policy):
        yield policy.flaw("spec.portLevelMtls", "stands without a selector, and is ignored")
