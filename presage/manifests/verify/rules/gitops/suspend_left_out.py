"""A Job that a queue admits says nothing of `suspend`: the queue writes it, and each sync would stop what was admitted."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import QUEUE
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/suspend-left-out", severity=Severity.error, remedy="remove suspend", kinds=("Job", "SparkApplication"))
def suspend_left_out(found: Written) -> Iterator[Flaw]:
    if QUEUE in found.labels and "suspend" in found.spec:
        yield found.flaw("spec.suspend", f"is {str(found.spec['suspend']).lower()}, and queue {found.labels[QUEUE]} writes it")
