"""A variable used as $(NAME) is declared before its use; else the text stays as it is."""

import re
from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Container

_USED = re.compile(r"(?<!\$)\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


@rule("pods/env-declared", severity=Severity.error, remedy="declare the variable before (a model's own stand before its runtime's)")
def env_declared(container: Container) -> Iterator[Flaw]:
    if container.manifest.get("envFrom"):
        return  # a source may bring any name
    declared: set[str] = set()
    for position, variable in enumerate(container.env):
        for name in _USED.findall(str(variable.get("value", ""))):
            if name not in declared:
                yield container.flaw(f"env[{position}].value", f"uses $({name}), which is not declared before it")
        declared.add(str(variable.get("name")))
    for word in container.words:
        for name in _USED.findall(word):
            if name not in declared:
                yield container.flaw("args", f"use $({name}), which env does not declare")
