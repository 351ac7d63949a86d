"""KServe's own updates pass: a finalizer on an object that a newer rule refuses would hold it for ever."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_CONTROLLER = "system:serviceaccount:kserve:kserve-controller-manager"


@rule(
    "admission/controller-passes", severity=Severity.error, kinds=("ValidatingAdmissionPolicy",),
    remedy="add matchConditions: the spec changed (object.spec != oldObject.spec), and the user is not KServe's controller",
)  # fmt: skip
def controller_passes(policy: Written) -> Iterator[Flaw]:
    rules = (policy.spec.get("matchConstraints") or {}).get("resourceRules") or []
    judged = any("inferenceservices" in (one.get("resources") or []) and {"UPDATE", "*"} & set(one.get("operations") or []) for one in rules)
    conditions = [str(one.get("expression", "")) for one in policy.spec.get("matchConditions") or []]
    if judged and not (any(_CONTROLLER in one for one in conditions) and any("oldObject.spec" in one for one in conditions)):
        yield policy.flaw("spec.matchConditions", "let updates of KServe's controller, or of a spec that did not change, be denied")
