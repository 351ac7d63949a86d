"""What webhooks add is left out of a comparison: taking it in shows Secrets to whoever may see differences."""

from collections.abc import Iterator

from presage.manifests.verify.argocd import COMPARE, words
from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Written


@rule("gitops/no-mutation-webhook", severity=Severity.error, remedy="remove it")
def no_mutation_webhook(found: Written) -> Iterator[Flaw]:
    if "IncludeMutationWebhook=true" in words(found.annotations.get(COMPARE, "")):
        yield found.flaw(f"metadata.annotations[{COMPARE}]", "says IncludeMutationWebhook=true")
