"""Rules: one file, one claim, one remedy, under `presage/manifests/verify/rules/<area>/`.

    @rule("pods/fixed-tag", severity=Severity.error, remedy="name the image by a tag, better by its digest")
    def fixed_tag(container: Container) -> Iterator[Flaw]: ...

The rule's id is its area and its file. Which subject it looks at (presage.manifests.verify.subjects) is the type of its parameter;
`kinds` narrows a rule about written objects to some kinds. Rules are found by walking the package: a new file is a new rule.
"""

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from presage.manifests.verify.findings import Finding, Flaw, Severity

Check = Callable[[Any], Iterator[Flaw]]
_ATTRIBUTE = "presage_rule"


@dataclass(frozen=True)
class Rule:
    """release: the severity where an overlay is about to be released; the same as otherwise unless it is given."""

    id: str
    claim: str
    severity: Severity
    release: Severity
    remedy: str
    kinds: frozenset[str]
    subject: type
    check: Check

    def findings(self, subject: Any, release: bool) -> Iterator[Finding]:
        """What the rule finds in one subject of its type."""
        severity = self.release if release else self.severity
        for flaw in self.check(subject):
            yield Finding(severity, self.id, flaw.object, flaw.path, flaw.message, self.remedy)


def rule(
    identity: str, *, severity: Severity, remedy: str, kinds: tuple[str, ...] = (), release: Severity | None = None,
) -> Callable[[Check], Check]:  # fmt: skip
    """Make a function a rule. Its module's docstring is the claim."""

    def register(check: Check) -> Check:
        (subject,) = (kind for name, kind in check.__annotations__.items() if name != "return")
        claim = (import_module(check.__module__).__doc__ or "").strip()
        found = Rule(identity, claim, severity, release or severity, remedy, frozenset(kinds), subject, check)
        setattr(check, _ATTRIBUTE, found)
        return check

    return register


def all_rules() -> list[Rule]:
    """Every rule of the package, by id."""
    from presage.manifests.verify import rules

    found = []
    for module in pkgutil.walk_packages(rules.__path__, f"{rules.__name__}."):
        if not module.ispkg:
            found += [item for value in vars(import_module(module.name)).values() if isinstance(item := getattr(value, _ATTRIBUTE, None), Rule)]
    return sorted(found, key=lambda one: one.id)
