"""Which requests an admission policy, or its binding, is asked about: matchConstraints and matchResources, as the API server reads them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from presage.manifests.objects import Manifest, group

_VOWELS = "aeiou"
_NAME = "kubernetes.io/metadata.name"


def plural(kind: str) -> str:
    """The resource of a kind: `networkpolicies` of NetworkPolicy, `gateways` of Gateway."""
    name = kind.lower()
    if name.endswith("y") and name[-2] not in _VOWELS:
        return f"{name[:-1]}ies"
    return f"{name}es" if name.endswith(("s", "x", "ch", "sh")) else f"{name}s"


@dataclass(frozen=True)
class Selected:
    """rules: None where every resource is meant (a binding without rules of its own)."""

    rules: tuple[Mapping[str, Any], ...] | None
    excluded: tuple[Mapping[str, Any], ...]
    namespaces: Mapping[str, Any]
    objects: Mapping[str, Any]
    exact: bool

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> "Selected":
        """Of a policy's matchConstraints, or a binding's matchResources."""
        rules = spec.get("resourceRules")
        return cls(
            None if rules is None else tuple(rules), tuple(spec.get("excludeResourceRules") or ()), spec.get("namespaceSelector") or {},
            spec.get("objectSelector") or {}, spec.get("matchPolicy") == "Exact",
        )  # fmt: skip

    def takes(self, subject: Manifest, old: Manifest | None, operation: str, namespace: Manifest | None) -> bool:
        """Whether a request is meant. subject: the object, or the one that is deleted; old: before; namespace: the Namespace object around it."""
        if self.rules is not None and not any(self._fits(rule, subject, operation) for rule in self.rules):
            return False
        if any(self._fits(rule, subject, operation) for rule in self.excluded):
            return False
        if (labels := _namespace_labels(subject, namespace)) is not None and not _selects(self.namespaces, labels):
            return False
        return any(_selects(self.objects, _labels(found)) for found in (subject, old) if found is not None)

    def _fits(self, rule: Mapping[str, Any], subject: Manifest, operation: str) -> bool:
        """By matchPolicy Equivalent (the default) an object of another version is converted and judged, so its version decides nothing."""
        version = subject["apiVersion"].rpartition("/")[2]
        scope, namespaced = rule.get("scope", "*"), bool(subject["metadata"].get("namespace"))
        names = rule.get("resourceNames") or []
        return (
            _listed(group(subject), rule.get("apiGroups")) and _listed(operation, rule.get("operations"))
            and (not self.exact or _listed(version, rule.get("apiVersions")))
            and any(one in ("*", "*/*", plural(subject["kind"])) for one in rule.get("resources") or [])
            and (scope == "*" or (scope == "Namespaced") == namespaced) and (not names or subject["metadata"]["name"] in names)
        )  # fmt: skip


def _listed(value: str, allowed: Any) -> bool:
    return any(one in ("*", value) for one in allowed or [])


def _labels(found: Manifest) -> Mapping[str, str]:
    return found["metadata"].get("labels") or {}


def _namespace_labels(subject: Manifest, namespace: Manifest | None) -> Mapping[str, str] | None:
    """Those of the namespace that it lies in, or of itself where it is one; None for what lies in none: no selector leaves that out."""
    if subject["kind"] == "Namespace" and not group(subject):
        return {**_labels(subject), _NAME: subject["metadata"]["name"]}
    name = subject["metadata"].get("namespace")
    if not name:
        return None
    return {**(_labels(namespace) if namespace is not None else {}), _NAME: name}


def _selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A LabelSelector; an empty one takes everything. An operator that is not known takes everything, too: then the policy judges."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(one, labels) for one in selector.get("matchExpressions") or [])


def _meets(one: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = one.get("key", ""), one.get("values") or []
    match one.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    return True
