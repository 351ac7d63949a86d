"""A Pod of a namespace of ours is in the mesh, or says that it is not."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.mesh import INJECT, in_mesh
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Pod


@rule("mesh/injected", severity=Severity.error, remedy='label the Namespace istio-injection: enabled, or the Pod sidecar.istio.io/inject: "false"')
def injected(pod: Pod) -> Iterator[Flaw]:
    if pod.namespace in pod.overlay.namespaces and not in_mesh(pod.overlay, pod) and pod.labels.get(INJECT) != "false":
        yield pod.flaw("metadata.labels", "are of no Pod with a proxy, and its namespace injects none")
