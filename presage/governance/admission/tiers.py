"""The policy presage-tiers: what a model's risk tier allows, as CEL over an InferenceService.

An InferenceService is a model by its name (`incident-shadow` is incident's shadow), never by a label: labels are the author's own words. Optionals
end in orValue: a variable that holds one reads as absent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from presage.governance.tiers import RISK_TIERS, RiskTiers

_API = "admissionregistration.k8s.io/v1"
_CONTROLLER = "system:serviceaccount:kserve:kserve-controller-manager"


@dataclass(frozen=True)
class Literals:
    """What stands in the policy itself. models: name of an InferenceService → its tier; approved: digest → `incident:7`; revoked: digests;
    served: releases that were promoted before, `incident:6@sha256:…`: one may go back to them at any time."""

    tiers: RiskTiers
    models: Mapping[str, str]
    approved: Mapping[str, str]
    revoked: tuple[str, ...]
    served: tuple[str, ...] = ()


def tiers_policy(literals: Literals) -> dict[str, Any]:
    """The ValidatingAdmissionPolicy."""
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {},
            "resourceRules": [{
                "apiGroups": ["serving.kserve.io"], "apiVersions": ["v1beta1"], "operations": ["CREATE", "UPDATE"], "resources": ["inferenceservices"],
                "scope": "*",
            }],
        },
        "matchConditions": [
            {"name": "not-kserve-on-its-own-object", "expression": f"request.userInfo.username != '{_CONTROLLER}'"},
            # An old object that a newer rule refuses may still lose its finalizers.
            {"name": "says-something-new", "expression": "request.operation == 'CREATE' || object.spec != oldObject.spec"},
        ],
        "variables": [{"name": name, "expression": expression} for name, expression in _variables(literals).items()],
        "validations": list(_validations()),
    }  # fmt: skip
    return {"apiVersion": _API, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "presage-tiers"}, "spec": spec}


def _variables(literals: Literals) -> dict[str, str]:
    rules = {tier: literals.tiers.of(tier) for tier in RISK_TIERS}
    old = "request.operation == 'CREATE' ? {empty} : dyn(oldObject)"
    return {
        "local": "false",  # true in overlay local's render alone
        "tiers": _map(literals.models),
        "needsApproval": _list(tier for tier, rule in rules.items() if rule.approvals.roles or rule.approvals.people),
        "straight": _list(tier for tier, rule in rules.items() if rule.straight_to_stable),
        "replicas": "{" + ", ".join(f"{_text(tier)}: {rule.replicas}" for tier, rule in rules.items()) + "}",
        "steps": "{" + ", ".join(f"{_text(tier)}: [{', '.join(str(step.percent) for step in rule.canary.steps)}]" for tier, rule in rules.items()) + "}",
        "approved": _map(literals.approved),
        "revoked": _list(literals.revoked),
        "served": _list(f"presage://{release}" for release in literals.served),
        "shadow": "object.metadata.name.endsWith('-shadow')",
        "model": "variables.shadow ? object.metadata.name.substring(0, object.metadata.name.size() - 7) : object.metadata.name",
        "tier": "variables.tiers[?variables.model].orValue('')",
        "stable": "dyn(object).spec.predictor.?model.?storageUri.orValue('')",
        "canaries": "dyn(object).spec.?canary.orValue([])",
        "uris": "[variables.stable] + variables.canaries.map(c, c.predictor.?model.?storageUri.orValue(variables.stable))",
        "oldStable": old.format(empty="''") + ".spec.predictor.?model.?storageUri.orValue('')",
        "oldCanaries": old.format(empty="[]") + ".spec.?canary.orValue([])",
        "calledBack": "variables.uris.filter(u, u.contains('@') && u.split('@')[1] in variables.revoked)",
        "unapproved": (
            "variables.tier in variables.needsApproval ? variables.uris.filter(u, !u.contains('@')"
            " || 'presage://' + variables.approved[?u.split('@')[1]].orValue('') + '@' + u.split('@')[1] != u) : []"
        ),
        "wanted": "variables.replicas[?variables.tier].orValue(1000)",
        # A canary leaps where a step below its percent was never reached by the same release.
        "leaps": (
            "variables.tier in variables.straight ? [] : variables.canaries.filter(c, variables.steps[?variables.tier].orValue([0]).exists(s,"
            " s < c.trafficPercent && !variables.oldCanaries.exists(o, o.trafficPercent >= s"
            " && o.predictor.?model.?storageUri.orValue('') == c.predictor.?model.?storageUri.orValue(''))))"
        ),
    }


def _validations() -> Iterable[dict[str, str]]:
    def rule(expression: str, message: str, words: str = "") -> dict[str, str]:
        found = {"expression": expression, "message": message, "reason": "Forbidden"}
        return {"expression": expression, "messageExpression": words, "message": message, "reason": "Forbidden"} if words else found

    yield rule(
        "variables.tier != ''",
        "no policy says what this model is for: write policies/models/NAME.yaml, then run presage policies render",
        "'no policy says what ' + variables.model + ' is for: write policies/models/' + variables.model + '.yaml, then run presage policies render'",
    )
    yield rule(
        "variables.calledBack.size() == 0",
        "the release was revoked (policies/revocations.yaml): name another one",
        "'revoked: ' + variables.calledBack.map(u, string(u)).join(', ') + ' (policies/revocations.yaml): name another release'",
    )
    yield rule(
        "variables.unapproved.size() == 0",
        "the release is not approved as its tier asks: presage release approve NAME:VERSION --role ROLE, presage policies render, and commit both first",
        "'not approved for tier ' + variables.tier + ': ' + variables.unapproved.map(u, string(u)).join(', ')"
        " + ': presage release approve NAME:VERSION --role ROLE, presage policies render, and commit both first'",
    )
    yield rule(
        "variables.local || variables.shadow || dyn(object).spec.predictor.?minReplicas.orValue(1) >= variables.wanted",
        "fewer replicas than the model's tier asks for: raise spec.predictor.minReplicas (policies/risk-tiers.yaml, replicas)",
        "'tier ' + variables.tier + ' asks for ' + string(variables.wanted) + ' replicas: raise spec.predictor.minReplicas'",
    )
    yield rule("variables.canaries.size() <= 1", "more than one canary: a judge compares one release with the stable one; leave one entry in spec.canary")
    yield rule(
        "variables.leaps.size() == 0",
        "the canary's share rises by more than its tier's next step: write that step (policies/risk-tiers.yaml, canary.steps)",
        "'the canary\\'s share rises by more than one step: tier ' + variables.tier + ' goes '"
        " + variables.steps[?variables.tier].orValue([0]).map(s, string(s)).join(', ')"
        " + ' percent, one after the other'",
    )
    yield rule(
        "variables.shadow || request.operation == 'CREATE' || variables.stable == variables.oldStable || variables.tier in variables.straight"
        " || variables.oldStable.endsWith('@unresolved') || variables.stable in variables.served"
        " || variables.oldCanaries.exists(o, o.trafficPercent == 100 && o.predictor.?model.?storageUri.orValue('') == variables.stable)",
        "the stable predictor takes a release that its canary served at 100 percent, or one that served before: presage release start",
    )


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _list(values: Iterable[str]) -> str:
    """Of texts; an empty list takes its type from where it is used."""
    return "[" + ", ".join(_text(value) for value in values) + "]"


def _map(values: Mapping[str, str]) -> str:
    """An empty map would have no type, so one entry that nothing is called stands in it."""
    return "{" + ", ".join(f"{_text(key)}: {_text(value)}" for key, value in sorted(values.items()) or [("-", "-")]) + "}"
