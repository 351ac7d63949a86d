"""A hook is in no queue: the sync would wait until there is room, and every later commit with it."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import HOOK, QUEUE
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/no-queued-hook", severity=Severity.error, remedy="remove the queue's label from the hook")
def no_queued_hook(found: Written) -> Iterator[Flaw]:
    if HOOK in found.annotations and QUEUE in found.labels:
        yield found.flaw(f"metadata.labels[{QUEUE}]", f"is {found.labels[QUEUE]}, on a hook of phase {found.annotations[HOOK]}")
