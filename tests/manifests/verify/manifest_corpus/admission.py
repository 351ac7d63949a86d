"""Admission policies that judge less than they seem to."""

from manifest_corpus.world import DROP, add, alike, broken, drop, move, put

POLICY, BINDING = "ValidatingAdmissionPolicy/releases", "ValidatingAdmissionPolicyBinding/releases"


def variable(expression):
    return put(POLICY, "spec.variables[+]", {"name": "extra", "expression": expression})


def validation(expression):
    return put(POLICY, "spec.validations[+]", {"expression": expression, "message": "say why"})


BROKEN = [
    broken("admission/fails-closed", "a policy that allows what it cannot judge", put(POLICY, "spec.failurePolicy", "Ignore")),
    broken("admission/bound", "a policy that nobody bound", drop(BINDING)),
    broken("admission/denies", "a binding that only writes a line", put(BINDING, "spec.validationActions", ["Audit"])),
    broken("admission/names-namespaces", "namespaces by a label that a tenant can change",
           put(BINDING, "spec.matchResources.namespaceSelector", {"matchLabels": {"presage.io/models": "true"}})),
    broken("admission/names-namespaces", "objects by a label that they can leave off",
           put(POLICY, "spec.matchConstraints.objectSelector", {"matchLabels": {"tier": "high"}})),
    broken("admission/equivalent", "one served version of two", put(POLICY, "spec.matchConstraints.matchPolicy", "Exact")),
    broken("admission/subresources-named", "all resources but their subresources", put(POLICY, "spec.matchConstraints.resourceRules[0].resources", ["*"]),
           put(POLICY, "spec.matchConstraints.resourceRules[0].apiGroups", ["apps"])),
    broken("admission/no-built-in-params admission/params-placed", "limits in a ConfigMap of each namespace",
           put(POLICY, "spec.paramKind", {"apiVersion": "v1", "kind": "ConfigMap"}),
           put(BINDING, "spec.paramRef", {"name": "limits", "parameterNotFoundAction": "Deny"})),
    broken("admission/params-placed", "parameters that may be absent", put(POLICY, "spec.paramKind", {"apiVersion": "presage.io/v1", "kind": "Limits"}),
           put(BINDING, "spec.paramRef", {"name": "limits", "namespace": "edge", "parameterNotFoundAction": "Allow"})),
    broken("admission/says-why", "a denial without a word", put(POLICY, "spec.validations[0].message", DROP)),
    broken("admission/says-why", "a message of two lines", put(POLICY, "spec.validations[0].message", "no\nrelease")),
    broken("admission/settled-variable", "a variable that holds an optional field", variable("object.metadata.?labels.?tier")),
    broken("admission/settled-variable", "a variable that holds an optional key", variable("{'high': 2}[?object.metadata.name]")),
    broken("admission/quantity-text", "a quantity that may be a number", variable("quantity(object.spec.limits.cpu)")),
    broken("admission/compiles", "a bracket too few", validation("object.spec.replicas < (5")),
    broken("admission/compiles", "a field by a reserved word", validation("object.spec.in == 1")),
    broken("admission/typed", "a validation that may be anything", validation("object.spec.hostNetwork")),
    broken("admission/typed", "a message that may be anything", put(POLICY, "spec.validations[0].messageExpression", "object.metadata.name")),
    broken("admission/controller-passes", "KServe's own updates are judged", put(POLICY, "spec.matchConditions", DROP)),
    broken("admission/controller-passes", "specs that did not change are judged", put(POLICY, "spec.matchConditions[1]", DROP)),
    broken("gitops/policy-apart", "a policy in the model's application", move(POLICY, "models")),
    broken("gitops/policy-apart", "its binding in the model's application", move(BINDING, "models")),
]  # fmt: skip
ALIKE = [
    alike("failurePolicy left out is Fail", put(POLICY, "spec.failurePolicy", DROP)),
    alike("matchPolicy said to be Equivalent", put(POLICY, "spec.matchConstraints.matchPolicy", "Equivalent")),
    alike("empty selectors, as the server fills them in",
          put(POLICY, "spec.matchConstraints.objectSelector", {}), put(POLICY, "spec.matchConstraints.namespaceSelector", {})),
    alike("a variable that ends in orValue", variable("object.metadata.?labels.?tier.orValue('')")),
    alike("a list of what is there", variable("[?object.metadata.?labels, ?object.metadata.?annotations]")),
    alike("a limit by tier, ended", variable("{'high': 2}[?object.metadata.name].orValue(1)")),
    alike("a quantity from text", variable("quantity(string(object.spec.limits.cpu))")),
    alike("a quantity of a literal", variable("quantity('1Gi')")),
    alike("a has() on a map", validation("!has(object.spec.hostNetwork) || object.spec.hostNetwork == false")),
    alike("a validation of a variable, whose type the server knows", variable("true"), validation("variables.extra")),
    alike("a message made text", put(POLICY, "spec.validations[0].messageExpression", "string(object.metadata.name)")),
    alike("two validations, each with its word", validation("object.spec.predictor.minReplicas >= 1")),
    alike("a policy of another kind than InferenceServices lets no controller pass", add("policies", """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: pods}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/ephemeralcontainers]}]}
  validations: [{expression: "object.spec.?hostNetwork.orValue(false) == false", message: remove hostNetwork}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: pods}
spec: {policyName: pods, validationActions: [Deny, Audit], matchResources: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: models}}}}
""")),
    alike("a policy beside what it does not judge", move("Role/engineer", "policies"), move("RoleBinding/engineer", "policies")),
]  # fmt: skip
