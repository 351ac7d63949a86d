"""What is committed is what its overlay renders to."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Stale


@rule("gitops/current", severity=Severity.error, remedy="run `presage manifests render` and commit the result")
def current(stale: Stale) -> Iterator[Flaw]:
    yield Flaw(stale.label, stale.path, "is not what the overlay renders to")
