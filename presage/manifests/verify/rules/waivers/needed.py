"""A waiver covers something: what was mended is not waived any more."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.waivers import Waiver


@rule("waivers/needed", severity=Severity.error, remedy="take it out of the file")
def needed(waiver: Waiver) -> Iterator[Flaw]:
    if waiver.complete and not waiver.matched:
        yield Flaw(waiver.place, "object", f"is {waiver.object!r}, and {waiver.rule} finds nothing there")
