"""ValidatingAdmissionPolicies asked offline: the API server's CEL as cel-expr-python has it, on objects as they are written.

    policies = AdmissionPolicies.of(objects)                               # policies with their bindings, out of an overlay
    policies.judge(new, old, "UPDATE", namespace, user=…)                  # [Refusal(policy, binding, message)]
    OfflinePolicy(manifest).ask(new, old, user="engineer").messages        # one policy, whatever is bound

What cannot be judged here is refused where the policy's failurePolicy is Fail, as the API server does: an expression that errs, parameters.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from presage.errors import InputError
from presage.manifests.cel import environment
from presage.manifests.objects import Manifest, group
from presage.manifests.selecting import Selected, plural

Operation = Literal["CREATE", "UPDATE", "DELETE"]
_LONGEST = 5120  # bytes of a message; a longer one falls back to the plain text


@dataclass(frozen=True)
class Verdict:
    """judged: whether the policy's conditions let it judge at all. messages: of every validation that failed, or could not be evaluated."""

    judged: bool
    messages: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        return not self.messages


@dataclass(frozen=True)
class Refusal:
    """What an API server answers: `ValidatingAdmissionPolicy 'P' with binding 'B' denied request: MESSAGE`."""

    policy: str
    binding: str
    message: str

    def __str__(self) -> str:
        return f"ValidatingAdmissionPolicy '{self.policy}' with binding '{self.binding}' denied request: {self.message}"


@dataclass(frozen=True)
class Request:
    """object: None for a DELETE; old: None for a CREATE. namespace: the Namespace object, as far as it is known; user: who asks."""

    object: Manifest | None
    old: Manifest | None
    operation: Operation
    namespace: Manifest | None = None
    user: str = "engineer"

    @property
    def subject(self) -> Manifest:
        """Whichever there is."""
        found = self.object if self.object is not None else self.old
        assert found is not None
        return found

    def known(self) -> dict[str, Any]:
        """The variables of CEL. `request` holds a namespace and a name only where there is one, as on the server."""
        subject = self.subject
        metadata, (version, of) = subject["metadata"], (subject["apiVersion"].rpartition("/")[2], group(subject))
        request: dict[str, Any] = {
            "operation": self.operation, "name": metadata["name"], "userInfo": {"username": self.user, "groups": []}, "dryRun": False,
            "kind": {"group": of, "version": version, "kind": subject["kind"]},
            "resource": {"group": of, "version": version, "resource": plural(subject["kind"])},
        }  # fmt: skip
        if metadata.get("namespace"):
            request["namespace"] = metadata["namespace"]
        return {"object": self.object, "oldObject": self.old, "request": request, "namespaceObject": self.namespace, "variables": {}}


class OfflinePolicy:
    """One policy, compiled once."""

    def __init__(self, manifest: Mapping[str, Any]) -> None:
        """Raises InputError naming the expression that does not compile, or says neither yes nor no."""
        self.name = str(manifest["metadata"]["name"])
        spec = manifest.get("spec") or {}
        self.fails_closed = spec.get("failurePolicy", "Fail") != "Ignore"
        self._asks_parameters = "paramKind" in spec
        self.selected = Selected.of(spec.get("matchConstraints") or {})
        self._conditions = [(one["name"], self._yes_or_no(one["expression"])) for one in spec.get("matchConditions") or []]
        self._variables = [(one["name"], self._compiled(one["expression"])) for one in spec.get("variables") or []]
        self.validations = [
            (
                self._yes_or_no(one["expression"]), one.get("message") or f"failed expression: {one['expression'].strip()}",
                self._compiled(one["messageExpression"]) if one.get("messageExpression") else None,
            )
            for one in spec.get("validations") or []
        ]  # fmt: skip

    def ask(self, manifest: Manifest | None, old: Manifest | None = None, user: str = "engineer", *, namespace: Manifest | None = None) -> Verdict:
        """manifest: None for a deletion; old: the object before, for an update. Whether a binding selects the object is not asked here."""
        operation: Operation = "DELETE" if manifest is None else "CREATE" if old is None else "UPDATE"
        return self.judge(Request(manifest, old, operation, namespace, user))

    def judge(self, request: Request) -> Verdict:
        """What the policy says to a request."""
        from cel_expr_python import cel

        if not self.selected.takes(request.subject, request.old, request.operation, request.namespace):
            return Verdict(False, ())
        if self._asks_parameters:
            return self._failed("asks for parameters (spec.paramKind), and none are known here")
        known = request.known()
        outcomes = [(name, condition.eval(data=known)) for name, condition in self._conditions]
        if any(outcome.type() != cel.Type.ERROR and outcome.value() is not True for _, outcome in outcomes):
            return Verdict(False, ())  # one that says no decides, whatever errs beside it
        if erring := next(((name, outcome) for name, outcome in outcomes if outcome.type() == cel.Type.ERROR), None):
            return self._failed(f"match condition {erring[0]}: {erring[1].value()}")
        for name, expression in self._variables:
            value = expression.eval(data=known)
            if value.type() != cel.Type.ERROR:  # lazy on the server: one that nobody reads does no harm, one that is read errs there
                known["variables"][name] = value.plain_value()
        messages = []
        for expression, message, words in self.validations:
            outcome = expression.eval(data=known)
            if outcome.type() == cel.Type.ERROR:
                messages += [f"error: {outcome.value()} ({message})"] if self.fails_closed else []
            elif outcome.value() is not True:
                messages.append(_said(words, known) or message)
        return Verdict(True, tuple(messages))

    def matches(self, manifest: Manifest) -> bool:
        """Whether the policy is asked about this kind at all."""
        return self.selected.takes(manifest, None, "CREATE", None)

    def _failed(self, why: str) -> Verdict:
        return Verdict(self.fails_closed, (f"error: {why}",) if self.fails_closed else ())

    def _yes_or_no(self, expression: str) -> Any:
        from cel_expr_python import cel

        compiled = self._compiled(expression)
        if compiled.return_type() not in (cel.Type.BOOL, cel.Type.DYN):  # a variable of the policy is dyn here and has its type on the server
            raise InputError(f"ValidatingAdmissionPolicy {self.name}: {expression.strip()[:200]!r} says neither true nor false. Write a comparison.")
        return compiled

    def _compiled(self, expression: str) -> Any:
        try:
            return environment().compile(expression)
        except Exception as error:  # the library raises its own, ValueError and RuntimeError
            said = " ".join(str(error).split())[:300]
            raise InputError(f"ValidatingAdmissionPolicy {self.name}: {expression.strip()[:120]!r} does not compile: {said}. Mend it.") from None


@dataclass(frozen=True)
class AdmissionPolicies:
    """bound: (policy, the binding's name, what it selects)."""

    bound: tuple[tuple[OfflinePolicy, str, Selected], ...]

    @classmethod
    def of(cls, objects: Iterable[Manifest]) -> "AdmissionPolicies":
        """Those that a binding denies by. A policy without one judges nothing. Raises InputError where one does not compile, bound or not."""
        known = list(objects)
        policies = {found["metadata"]["name"]: OfflinePolicy(found) for found in known if found["kind"] == "ValidatingAdmissionPolicy"}
        bound = []
        for binding in (found for found in known if found["kind"] == "ValidatingAdmissionPolicyBinding"):
            spec = binding.get("spec") or {}
            if "Deny" in (spec.get("validationActions") or []) and spec.get("policyName") in policies:
                bound.append((policies[spec["policyName"]], binding["metadata"]["name"], Selected.of(spec.get("matchResources") or {})))
        return cls(tuple(bound))

    def judge(
        self, object: Manifest | None, old: Manifest | None, operation: Operation, namespace: Manifest | None = None, *, user: str = "engineer",
    ) -> list[Refusal]:
        """Everything that is said against a request. object: None for a DELETE; old: None for a CREATE; namespace: the Namespace object around it."""
        request = Request(object, old, operation, namespace, user)
        found = []
        for policy, binding, selected in self.bound:
            if selected.takes(request.subject, old, operation, namespace):
                found += [Refusal(policy.name, binding, message) for message in policy.judge(request).messages]
        return found


def _said(words: Any, known: dict[str, Any]) -> str:
    """A message expression's text; empty where the server, too, falls back to the plain message."""
    from cel_expr_python import cel

    outcome = words.eval(data=known) if words is not None else None
    if outcome is None or outcome.type() == cel.Type.ERROR:
        return ""
    value = outcome.value()
    return value if isinstance(value, str) and value.strip() and "\n" not in value and len(value.encode()) <= _LONGEST else ""
