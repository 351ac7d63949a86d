"""CEL as the API server has it, by Google's cel-cpp (the package cel-expr-python): the one environment that policies are compiled in offline."""

from functools import cache
from typing import Any

EXTENSIONS = ("optional", "strings", "two-var-comprehensions", "sets", "lists")
"""Exactly these: with more, expressions would pass here that the API server refuses."""
VARIABLES = ("object", "oldObject", "params", "request", "namespaceObject", "variables")


@cache
def environment() -> Any:
    """What compiles expressions; each variable is of type dyn."""
    from cel_expr_python import cel

    extensions = "".join(f"- name: {name}\n" for name in EXTENSIONS)
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml("name: kubernetes\nextensions:\n" + extensions), variables=dict.fromkeys(VARIABLES, cel.Type.DYN),
    )  # fmt: skip
