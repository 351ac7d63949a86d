"""A Pod has an account of its own: what it may do is told by who it is."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import in_mesh
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("pods/own-account", severity=Severity.error, remedy="write a ServiceAccount for it and name that")
def own_account(pod: Pod) -> Iterator[Flaw]:
    if pod.account == "default" and in_mesh(pod.overlay, pod):
        yield pod.flaw("spec.serviceAccountName", "is the namespace's default, which every other Pod there has too")
