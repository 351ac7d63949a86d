"""Which Pods a PodMonitor scrapes."""

from presage.manifests.verify.selectors import selects
from presage.manifests.verify.subjects import Object, Pod


def monitored(monitor: Object) -> list[Pod]:
    """The Pods that its selectors find."""
    wished = monitor.spec.get("namespaceSelector")
    spaces = None if isinstance(wished, dict) and wished.get("any") else {monitor.namespace}
    if isinstance(wished, dict) and wished.get("matchNames"):
        spaces = set(wished["matchNames"])
    selector = monitor.spec.get("selector") or {}
    return [pod for pod in monitor.overlay.pods if (spaces is None or pod.namespace in spaces) and selects(selector, pod.labels)]
