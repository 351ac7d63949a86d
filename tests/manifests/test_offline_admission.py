"""Admission policies asked offline answer as the API server does: who is asked, what an error means, in which words it is refused."""

from copy import deepcopy

import pytest

from presage.errors import InputError
from presage.manifests.admission import AdmissionPolicies, OfflinePolicy, Refusal
from presage.manifests.selecting import plural

API = "admissionregistration.k8s.io/v1"
RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]}


def policy(expression="false", *, rule=None, constraints=None, **spec):
    matching = {"resourceRules": [RULE | (rule or {})], **(constraints or {})}
    return {
        "apiVersion": API, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "p"},
        "spec": {"matchConstraints": matching, "validations": [{"expression": expression, "message": "no"}], **spec},
    }  # fmt: skip


def binding(**spec):
    written = {"policyName": "p", "validationActions": ["Deny"], **spec}
    return {"apiVersion": API, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": written}


def thing(namespace: str | None = "one", kind="ConfigMap", api="v1", labels=None, **fields):
    metadata = {"name": "x", **({"namespace": namespace} if namespace else {}), **({"labels": labels} if labels else {})}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **fields}


def namespace(**labels):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "one", "labels": labels}}


def refused(manifests, new, old=None, operation=None, around=None):
    chosen = operation or ("DELETE" if new is None else "UPDATE" if old else "CREATE")
    return [one.message for one in AdmissionPolicies.of(manifests).judge(new, old, chosen, around)]


def test_a_refusal_reads_as_the_servers():
    (found,) = AdmissionPolicies.of([policy(), binding()]).judge(thing(), None, "CREATE")
    assert found == Refusal("p", "b", "no")
    assert str(found) == "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"


@pytest.mark.parametrize("bindings", [[], [binding(validationActions=["Audit"])], [binding(policyName="another")]], ids=["none", "audit", "another's"])
def test_a_policy_that_nothing_binds_to_deny_judges_nothing(bindings):
    assert refused([policy(), *bindings], thing()) == []


SELECTORS = {
    "by the name that nobody can change": ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["one"]}]}, True),
    "another's name": ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["two"]}]}, False),
    "not in": ({"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["one"]}]}, False),
    "a label": ({"matchLabels": {"team": "network"}}, True),
    "another value": ({"matchLabels": {"team": "databases"}}, False),
    "exists": ({"matchExpressions": [{"key": "team", "operator": "Exists"}]}, True),
    "does not exist": ({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}, False),
    "all of them": ({"matchLabels": {"team": "network"}, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
    "nothing is asked": ({}, True),
}


@pytest.mark.parametrize("where", ["binding", "policy"])
@pytest.mark.parametrize("what", SELECTORS)
def test_a_namespace_is_selected_by_its_labels(where, what):
    selector, asked = SELECTORS[what]
    own = policy(constraints={"namespaceSelector": selector}) if where == "policy" else policy()
    bound = binding(matchResources={"namespaceSelector": selector}) if where == "binding" else binding()
    assert refused([own, bound], thing(), around=namespace(team="network")) == (["no"] if asked else [])


def test_no_namespace_selector_leaves_out_what_lies_in_none():
    own = policy(rule={"resources": ["namespaces", "clusterroles"], "apiGroups": ["*"]})
    bound = binding(matchResources={"namespaceSelector": {"matchLabels": {"team": "network"}}})
    assert refused([own, bound], thing(None, "ClusterRole", "rbac.authorization.k8s.io/v1")) == ["no"]
    assert refused([own, bound], namespace(team="databases")) == []  # a Namespace is selected by its own labels


def test_an_object_is_selected_by_its_labels_before_or_after():
    bound = binding(matchResources={"objectSelector": {"matchLabels": {"held": "yes"}}})
    held = thing(labels={"held": "yes"})
    assert refused([policy(), bound], thing()) == []
    assert refused([policy(), bound], held) == ["no"]
    assert refused([policy(), bound], thing(), held) == ["no"]


RULES = {
    "the operation": ({"operations": ["UPDATE"]}, False),
    "any operation": ({"operations": ["*"]}, True),
    "another group": ({"apiGroups": ["apps"]}, False),
    "any group": ({"apiGroups": ["*"]}, True),
    "another version is converted": ({"apiVersions": ["v1beta1"]}, True),
    "any resource": ({"resources": ["*"]}, True),
    "a subresource alone": ({"resources": ["configmaps/status"]}, False),
    "of namespaces": ({"scope": "Namespaced"}, True),
    "of the cluster": ({"scope": "Cluster"}, False),
    "a name": ({"resourceNames": ["x"]}, True),
    "another name": ({"resourceNames": ["y"]}, False),
}


@pytest.mark.parametrize("what", RULES)
def test_a_rule_says_what_is_asked(what):
    rule, asked = RULES[what]
    assert refused([policy(rule=rule), binding()], thing()) == (["no"] if asked else [])


def test_what_is_excluded_is_not_asked_and_an_exact_policy_knows_its_version_alone():
    assert refused([policy(constraints={"excludeResourceRules": [RULE]}), binding()], thing()) == []
    assert refused([policy(rule={"apiVersions": ["v2"]}, constraints={"matchPolicy": "Exact"}), binding()], thing()) == []


@pytest.mark.parametrize(
    ("kind", "resource"),
    [("ConfigMap", "configmaps"), ("NetworkPolicy", "networkpolicies"), ("Gateway", "gateways"), ("Ingress", "ingresses"), ("GatewayClass", "gatewayclasses"),
     ("ServiceEntry", "serviceentries"), ("InferenceService", "inferenceservices"), ("LocalModelCache", "localmodelcaches")],
)  # fmt: skip
def test_a_kind_is_asked_by_its_resource(kind, resource):
    assert plural(kind) == resource


@pytest.mark.parametrize(("failure", "says"), [("Fail", True), ("Ignore", False), (None, True)])
@pytest.mark.parametrize(
    "broken",
    [
        {"validations": [{"expression": "object.data.absent == 'x'", "message": "no"}]},
        {"matchConditions": [{"name": "c", "expression": "object.data.absent == 'x'"}]},
        {"variables": [{"name": "v", "expression": "object.data.absent"}], "validations": [{"expression": "variables.v == 'x'", "message": "no"}]},
        {"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}},
    ],
    ids=["a validation", "a condition", "a variable that is read", "parameters"],
)
def test_what_cannot_be_judged_is_refused_unless_failures_are_to_be_ignored(broken, failure, says):
    spec = broken | ({"failurePolicy": failure} if failure else {})
    messages = refused([policy("true", **spec), binding()], thing(data={}))
    assert [message.startswith("error: ") for message in messages] == ([True] if says else [])


def test_a_condition_that_says_no_decides_whatever_errs_beside_it_and_a_variable_that_nobody_reads_does_no_harm():
    conditions = [{"name": "errs", "expression": "object.data.absent == 'x'"}, {"name": "no", "expression": "false"}]
    assert refused([policy(matchConditions=conditions), binding()], thing(data={})) == []
    assert refused([policy("true", variables=[{"name": "v", "expression": "object.data.absent"}]), binding()], thing(data={})) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [("'have ' + object.data.value", "have 1"), ("object.data.absent", "no"), ("''", "no"), ("'two\\nlines'", "no"), ("'x' + string(object.data)", "no")],
    ids=["written", "errs", "is empty", "has lines", "is no text"],
)
def test_a_message_expression_says_it_or_the_plain_message_does(words, said):
    validations = [{"expression": "false", "message": "no", "messageExpression": words}]
    assert refused([policy(validations=validations), binding()], thing(data={"value": "1"})) == [said]


def test_a_deletion_has_an_old_object_alone_and_an_update_both():
    every = {"operations": ["*"]}
    says = "request.operation == 'DELETE' ? object == null && oldObject != null : request.operation == 'UPDATE' ? object != oldObject : oldObject == null"
    manifests = [policy(says, rule=every), binding()]
    assert refused(manifests, None, thing()) == refused(manifests, thing(data={}), thing()) == refused(manifests, thing()) == []
    assert refused([policy("request.operation != 'DELETE'", rule=every), binding()], None, thing()) == ["no"]


def test_a_request_tells_who_asks_for_what():
    says = (
        "request.userInfo.username == 'me' && request.name == 'x' && request.namespace == 'one' && request.kind.kind == 'ConfigMap'"
        " && request.resource.resource == 'configmaps' && namespaceObject.metadata.labels.team == 'network'"
    )
    manifests = AdmissionPolicies.of([policy(says), binding()])
    assert manifests.judge(thing(), None, "CREATE", namespace(team="network"), user="me") == []
    assert len(manifests.judge(thing(), None, "CREATE", namespace(team="network"), user="you")) == 1


def test_a_policy_says_everything_that_is_wrong_at_once():
    validations = [{"expression": "false", "message": "first"}, {"expression": "true"}, {"expression": "1 == 2"}]
    assert refused([policy(validations=validations), binding()], thing()) == ["first", "failed expression: 1 == 2"]


@pytest.mark.parametrize("expression", ["object.", "'text'", "1 + 1"])
def test_an_expression_that_is_none_or_no_yes_or_no_is_refused_by_name(expression):
    with pytest.raises(InputError, match="ValidatingAdmissionPolicy p: "):
        OfflinePolicy(policy(expression))


def test_nothing_that_is_asked_is_changed():
    new, old = thing(data={"value": "1"}), thing(data={"value": "2"})
    before = deepcopy((new, old))
    refused([policy("object.data.value == oldObject.data.value"), binding()], new, old)
    assert (new, old) == before
