"""An object of ours does not look like one of KServe: what it did not make and does not expect, it deletes."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import SERVICE_LABEL, Written


@rule("kserve/own-label", severity=Severity.error, remedy="take one of the labels off", kinds=("Deployment", "Service"))
def own_label(found: Written) -> Iterator[Flaw]:
    if SERVICE_LABEL in found.labels and found.labels.get("component") == "predictor":
        yield found.flaw("metadata.labels", f"are those of a predictor of {found.labels[SERVICE_LABEL]}: KServe deletes it")
