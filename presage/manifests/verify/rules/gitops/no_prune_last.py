"""In a model's Application nothing is pruned last: that makes a wave of its own, before which the InferenceService is waited for."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import brings_models, sync_options
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/no-prune-last", severity=Severity.error, remedy="remove PruneLast")
def no_prune_last(found: Written) -> Iterator[Flaw]:
    models = brings_models(found) if found.kind == "Application" else any(
        one.application == found.application for one in found.overlay.written_of("InferenceService")
    )  # fmt: skip
    for path, options in sync_options(found):
        if models and "PruneLast=true" in options:
            yield found.flaw(path, "says PruneLast=true, where models are")
