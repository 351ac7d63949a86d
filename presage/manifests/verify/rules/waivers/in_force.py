"""A waiver ends: past its day it covers nothing."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.waivers import Waiver


@rule("waivers/in-force", severity=Severity.error, remedy="mend what it waives, or have its owner renew it with a new reason")
def in_force(waiver: Waiver) -> Iterator[Flaw]:
    if waiver.expired:
        yield Flaw(waiver.place, "expires", f"was {waiver.expires.isoformat()}, and {waiver.rule} of {waiver.object!r} is not waived any more ({waiver.owner})")
