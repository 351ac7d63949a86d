"""CEL of admission policies, compiled offline with Google's cel-cpp (the package cel-expr-python).

Enabled are exactly the extensions that the API server has and this library knows; an expression that uses what the library lacks is not
judged: transformMap, indexOf of lists, quantity, ip and cidr, semver, format, url, authorizer.
"""

import re
from collections.abc import Iterator
from functools import cache

from presage.manifests.cel import environment
from presage.manifests.verify.subjects import Object

_LACKING = re.compile(r"\b(transformMap\w*|indexOf|quantity|isQuantity|cidr|ip|isIP|semver|format|url|isURL|find|findAll|sum|min|max|isSorted|authorizer)\b")
_LONGEST = 300


def expressions(policy: Object) -> Iterator[tuple[str, str]]:
    """(path, expression) of each condition, variable, validation and message of a policy."""
    for field, key in (("matchConditions", "expression"), ("variables", "expression"), ("validations", "expression"), ("validations", "messageExpression"),
                       ("auditAnnotations", "valueExpression")):  # fmt: skip
        for position, one in enumerate(policy.spec.get(field) or []):
            if isinstance(one, dict) and isinstance(one.get(key), str):
                yield f"spec.{field}[{position}].{key}", one[key]


def compile_problem(expression: str) -> str:
    """What is wrong with an expression, as the compiler says it; empty for nothing that is known here."""
    return _compiled(expression)[1]


def result_type(expression: str) -> str:
    """The type that an expression has whatever the object: BOOL, STRING, INT, …; empty where it is not known here.

    A variable of the policy has a type on the server and none here, so an expression that is nothing else is not judged.
    """
    found = _compiled(expression)[0]
    return "" if found == "DYN" and "variables." in expression else found


@cache
def _compiled(expression: str) -> tuple[str, str]:
    """(type, problem): one of them is empty."""
    if _LACKING.search(expression):
        return "", ""
    try:
        return str(environment().compile(expression).return_type()), ""
    except Exception as error:  # the library raises its own, ValueError and RuntimeError
        return "", " ".join(str(error).split())[:_LONGEST]
