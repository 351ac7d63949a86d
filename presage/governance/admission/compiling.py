"""Both policies with their bindings, as files in the repository."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from presage.governance.access.compiling import comment, to_yaml
from presage.governance.admission.tiers import Literals, tiers_policy

MANIFESTS = "manifests/base/policies/generated"
_FROM = "Compiled by `presage policies render`: change it there."
_API = "admissionregistration.k8s.io/v1"


def compile_admission(literals: Literals, namespaces: Sequence[str]) -> dict[str, str]:
    """Path in the repository → text. namespaces: where models run."""
    releases = (files("presage.governance.admission") / "releases.yaml").read_text(encoding="utf-8")
    tiers = comment(
        "What a model's risk tier allows: which digests are approved, how many replicas there are, how fast a release gets traffic. From policies/models/, "
        "risk-tiers.yaml, approvals.yaml with what lies in policies/approvals/, and revocations.yaml.", _FROM,
    )  # fmt: skip
    found = {
        "validatingadmissionpolicy.presage-releases.yaml": comment("From presage/governance/admission/releases.yaml.", _FROM) + releases,
        "validatingadmissionpolicy.presage-tiers.yaml": tiers + to_yaml(tiers_policy(literals)),
        "validatingadmissionpolicybinding.presage-releases.yaml": _binding("presage-releases", namespaces),
        "validatingadmissionpolicybinding.presage-tiers.yaml": _binding("presage-tiers", namespaces),
    }
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": sorted(found)}
    found["kustomization.yaml"] = comment("The policies and where they hold.", _FROM) + to_yaml(kustomization)
    return {f"{MANIFESTS}/{name}": text for name, text in found.items()}


def _binding(policy: str, namespaces: Sequence[str]) -> str:
    selector: Mapping[str, Any] = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}]}
    spec = {
        "policyName": policy, "validationActions": ["Deny"],
        "matchResources": {"matchPolicy": "Equivalent", "namespaceSelector": selector, "objectSelector": {}},
    }  # fmt: skip
    because = "Where it holds: in the namespaces where models run (policies/access.yaml, domains). By the one label of a namespace that nobody can change."
    return comment(because, _FROM) + to_yaml({"apiVersion": _API, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": policy}, "spec": spec})
