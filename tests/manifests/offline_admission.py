"""A ValidatingAdmissionPolicy asked offline: the API server's CEL as cel-expr-python has it, on objects as they are written."""

from dataclasses import dataclass
from typing import Any

from cel_expr_python import cel

# Exactly these: with more, expressions would pass here that the API server refuses.
_EXTENSIONS = ("optional", "strings", "two-var-comprehensions", "sets", "lists")
_NAMES = ("object", "oldObject", "request", "variables")


@dataclass(frozen=True)
class Verdict:
    """judged: whether the policy's conditions let it judge at all. messages: of every validation that failed, or could not be evaluated."""

    judged: bool
    messages: tuple[str, ...]

    @property
    def allowed(self) -> bool:
        return not self.messages


class OfflinePolicy:
    def __init__(self, manifest: dict[str, Any]) -> None:
        settings = "name: kubernetes\nextensions:\n" + "".join(f"- name: {name}\n" for name in _EXTENSIONS)
        self._environment = cel.NewEnv(config=cel.NewEnvConfigFromYaml(settings), variables=dict.fromkeys(_NAMES, cel.Type.DYN))
        spec = manifest["spec"]
        self._rules = spec["matchConstraints"]["resourceRules"]
        self._conditions = [self._environment.compile(one["expression"]) for one in spec["matchConditions"]]
        self._variables = [(one["name"], self._environment.compile(one["expression"])) for one in spec["variables"]]
        self.validations = [
            (self._environment.compile(one["expression"]), one["message"], self._compiled(one.get("messageExpression"))) for one in spec["validations"]
        ]

    def _compiled(self, expression: str | None) -> Any:
        return self._environment.compile(expression) if expression else None

    def ask(self, manifest: dict[str, Any], old: dict[str, Any] | None = None, user: str = "engineer") -> Verdict:
        """old: the object before, for an update."""
        request = {"operation": "UPDATE" if old else "CREATE", "userInfo": {"username": user, "groups": []}}
        known: dict[str, Any] = {"object": manifest, "oldObject": old, "request": request, "variables": {}}
        if not self.matches(manifest) or not all(condition.eval(data=known).value() is True for condition in self._conditions):
            return Verdict(False, ())
        for name, expression in self._variables:
            value = expression.eval(data=known)
            if value.type() != cel.Type.ERROR:  # lazy on the server: one that nobody reads does no harm, one that is read errs there
                known["variables"][name] = value.plain_value()
        messages = []
        for expression, message, words in self.validations:
            outcome = expression.eval(data=known)
            if outcome.type() == cel.Type.ERROR:
                messages.append(f"error: {outcome.value()} ({message})")
            elif outcome.value() is not True:
                messages.append(str(words.eval(data=known).value()) if words else message)
        return Verdict(True, tuple(messages))

    def matches(self, manifest: dict[str, Any]) -> bool:
        """Whether the policy is asked about this kind at all."""
        group, _, version = manifest["apiVersion"].rpartition("/")
        plural = f"{manifest['kind'].lower()}s"
        fitting = (rule for rule in self._rules if group in rule["apiGroups"] and plural in rule["resources"])
        return any(version in rule["apiVersions"] or rule["apiVersions"] == ["*"] for rule in fitting)
