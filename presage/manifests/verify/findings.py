"""What verifying finds: one claim that does not hold, where, and what to do about it."""

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """error: an overlay that must not be applied. warning: something to know, that a release may have to mend first."""

    error = "error"
    warning = "warning"


class Flaw(msgspec.Struct, frozen=True):
    """What a rule yields. object: `production: Deployment models/incident`; path: the field; message: the rest of the sentence, without a remedy."""

    object: str
    path: str
    message: str


class Finding(msgspec.Struct, frozen=True, order=True):
    """One flaw under its rule, as `-o json` prints it. `message` begins in lower case and ends without a stop: object and path precede it."""

    severity: Severity
    rule: str
    object: str
    path: str
    message: str
    remedy: str
    waived: bool = False


class Verification(msgspec.Struct, frozen=True):
    """findings: sorted, errors first. objects: how many were looked at, written and made. seconds: how long that took.

    unchecked: what was left out, in words (schemas that are not here).
    """

    findings: list[Finding]
    objects: int
    seconds: float
    unchecked: list[str] = []

    @property
    def errors(self) -> list[Finding]:
        """Those that count: errors that nobody waived."""
        return [found for found in self.findings if found.severity is Severity.error and not found.waived]

    @property
    def warnings(self) -> list[Finding]:
        return [found for found in self.findings if found.severity is Severity.warning and not found.waived]

    @property
    def waived(self) -> list[Finding]:
        return [found for found in self.findings if found.waived]
