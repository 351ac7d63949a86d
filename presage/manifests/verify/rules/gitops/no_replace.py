"""Nothing is replaced or forced: that beats server-side apply, takes fields from who owns them, and deletes what runs."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import sync_options
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/no-replace", severity=Severity.error, remedy="remove it; give what is immutable another name")
def no_replace(found: Written) -> Iterator[Flaw]:
    for path, options in sync_options(found):
        for option in sorted(options & {"Replace=true", "Force=true"}):
            yield found.flaw(path, f"says {option}")
