"""A selector of predictor Pods survives a promotion and finds canaries: it uses inferenceservice and component, not app."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.serving import selectors
from presage.manifests.verify.subjects import Written

_KINDS = (
    "PodDisruptionBudget", "NetworkPolicy", "PeerAuthentication", "AuthorizationPolicy", "RequestAuthentication", "PodMonitor", "Service",
    "InferenceService",
)  # fmt: skip


@rule("kserve/selector-survives", severity=Severity.error, remedy="select serving.kserve.io/inferenceservice and component: predictor", kinds=_KINDS)
def selector_survives(found: Written) -> Iterator[Flaw]:
    for path, selector in selectors(found):
        values = {**(selector.get("matchLabels") or {}), **{str(one.get("key")): one.get("values") for one in selector.get("matchExpressions") or []}}
        if "isvc." in str(values.get("app", "")):
            yield found.flaw(path, f"selects app {values['app']}, which a promotion changes and a canary does not have")
