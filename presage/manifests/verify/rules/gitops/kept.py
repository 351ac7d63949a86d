"""What holds state, or all else, is not pruned by a commit that forgot it."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written

_OPTIONS = "argocd.argoproj.io/sync-options"


@rule(
    "gitops/kept", severity=Severity.error, kinds=("Namespace", "PersistentVolumeClaim", "Kafka", "KafkaTopic", "CustomResourceDefinition"),
    remedy="annotate it argocd.argoproj.io/sync-options: Prune=false",
)  # fmt: skip
def kept(found: Written) -> Iterator[Flaw]:
    options = [option.strip() for option in found.annotations.get(_OPTIONS, "").split(",")]
    if "Prune=false" not in options:
        yield found.flaw(f"metadata.annotations[{_OPTIONS}]", "does not say Prune=false")
