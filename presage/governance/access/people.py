"""People's Roles and RoleBindings. The words of the policy stand for kinds; Secrets have no word, and changing a model has none."""

from collections.abc import Iterable, Iterator
from typing import Any

from presage.governance.access.compiled import COMMON, Compiled, manifest
from presage.governance.access.document import AccessPolicy, People

# word -> (API group, resources)
KINDS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "accounts": (("", ("serviceaccounts",)),),
    "configmaps": (("", ("configmaps",)),),
    "deployments": (("apps", ("deployments", "replicasets")),),
    "events": (("", ("events",)), ("events.k8s.io", ("events",))),
    "inferenceservices": (("serving.kserve.io", ("inferenceservices", "servingruntimes")),),
    "jobs": (("batch", ("cronjobs", "jobs")),),
    "logs": (("", ("pods/log",)),),
    "mesh policies": (
        ("networking.istio.io", ("destinationrules", "envoyfilters", "sidecars")),
        ("security.istio.io", ("authorizationpolicies", "peerauthentications", "requestauthentications")),
    ),
    "network policies": (("networking.k8s.io", ("networkpolicies",)),),
    "pods": (("", ("pods",)),),
    "roles": (("rbac.authorization.k8s.io", ("rolebindings", "roles")),),
    "routes": (("gateway.networking.k8s.io", ("gateways", "httproutes")),),
    "services": (("", ("services",)),),
}  # fmt: skip
_API = "rbac.authorization.k8s.io"


def roles(policy: AccessPolicy) -> Iterator[Compiled]:
    """Role and RoleBinding of each clause in each of its namespaces."""
    places = {namespace: domain for domain, namespace in policy.domains.items()}
    for people in policy.people:
        for namespace in people.namespaces:
            place = places.get(namespace, COMMON)
            because = f"{people.title}. {people.rationale}"
            role = manifest(f"{_API}/v1", "Role", people.name, namespace, rules=_rules(people))
            yield Compiled(place, (people.id,), because, role)
            binding = manifest(
                f"{_API}/v1", "RoleBinding", people.name, namespace,
                roleRef={"apiGroup": _API, "kind": "Role", "name": people.name},
                subjects=[{"apiGroup": _API, "kind": "Group", "name": group} for group in people.groups],
            )  # fmt: skip
            yield Compiled(place, (people.id,), because, binding)


def _rules(people: People) -> list[dict[str, Any]]:
    return [*_verbs(people.may.see, ["get", "list", "watch"]), *_verbs(people.may.remove, ["delete"])]


def _verbs(words: Iterable[str], verbs: list[str]) -> list[dict[str, Any]]:
    """One rule an API group, resources sorted."""
    resources: dict[str, set[str]] = {}
    for word in words:
        for group, names in KINDS[word]:
            resources.setdefault(group, set()).update(names)
    return [{"apiGroups": [group], "resources": sorted(resources[group]), "verbs": verbs} for group in sorted(resources)]
