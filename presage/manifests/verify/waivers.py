"""Findings that somebody answers for: `policies/waivers.yaml`.

    waivers:
      - rule: pods/read-only-root
        object: "local: Deployment vault/openbao"     # as findings name it; without the overlay: in every overlay
        reason: writes its pid beside its program
        owner: platform team
        expires: 2027-03-31

A waived finding is shown and not counted. A waiver that expired, or that nothing matches, is a finding itself.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

from presage.documents import parse_yaml
from presage.errors import InputError
from presage.manifests.fields import Fields
from presage.manifests.verify.findings import Finding


@dataclass
class Waiver:
    """matched: whether it met a finding in this run. complete: whether every overlay was looked at."""

    place: str
    rule: str
    object: str
    reason: str
    owner: str
    expires: date
    today: date
    complete: bool = False
    matched: bool = field(default=False)

    @property
    def expired(self) -> bool:
        """It holds through the day it names."""
        return self.today > self.expires

    def covers(self, finding: Finding) -> bool:
        return finding.rule == self.rule and self.object in (finding.object, finding.object.partition(": ")[2])


def read_waivers(path: Path, today: date) -> list[Waiver]:
    """None where there is no such file. Raises InputError."""
    if not path.is_file():
        return []
    document = parse_yaml(path.read_bytes(), str(path))
    if not isinstance(document, dict):
        raise InputError(f"{path}: holds no mapping with `waivers`. Write `waivers: []`.")
    whole = Fields(str(path), "", document)
    waivers = [_read(one, today) for one in whole.each("waivers")]
    whole.finish()
    return waivers


def apply_waivers(findings: Iterable[Finding], waivers: list[Waiver]) -> list[Finding]:
    """The findings, those that a waiver in force covers marked as waived."""
    result = []
    for finding in findings:
        covering = [waiver for waiver in waivers if waiver.covers(finding)]
        for waiver in covering:
            waiver.matched = True
        in_force = any(not waiver.expired for waiver in covering)
        result.append(msgspec.structs.replace(finding, waived=True) if in_force else finding)
    return result


def _read(one: Fields, today: date) -> Waiver:
    words = {name: one.take(name, str) for name in ("rule", "object", "reason", "owner")}
    for name, text in words.items():
        if not text.strip():
            one.refuse(name, "is empty. Say it: a waiver without is none.")
    expires = one.take("expires", object)
    one.finish()
    if isinstance(expires, str):
        try:
            expires = date.fromisoformat(expires)
        except ValueError:
            one.refuse("expires", f"is {expires!r}, no date. Write YEAR-MM-DD.")
    if not isinstance(expires, date):
        one.refuse("expires", f"is {expires!r}, no date. Write YEAR-MM-DD.")
    return Waiver(f"{one.place}: {one.path}", words["rule"], words["object"], words["reason"], words["owner"], expires, today)
