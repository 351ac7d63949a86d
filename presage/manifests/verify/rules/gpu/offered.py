"""A Pod that asks for a part of a GPU goes to nodes whose device plugin is configured to offer that part."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.gpus import NODE_LABEL, SHARED, SLICE, asked, plugin_configs
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("gpu/offered", severity=Severity.error, remedy=f"select nodes by {NODE_LABEL}, and add the ConfigMap of that key to the platform")
def offered(overlay: Overlay) -> Iterator[Flaw]:
    configs = plugin_configs(overlay)
    for pod in overlay.pods:
        key = str((pod.spec.get("nodeSelector") or {}).get(NODE_LABEL, ""))
        for container in pod.containers:
            for name in asked(container):
                part = name.startswith(SLICE) or name.endswith(SHARED)
                if key not in configs:
                    if part or key:
                        yield pod.flaw("spec.nodeSelector", f"leads {name} to nodes of the configuration {key!r}, which no ConfigMap of the platform has")
                elif not configs[key].offers(name):
                    yield pod.flaw("spec.nodeSelector", f"leads {name} to nodes of the configuration {key!r}, which does not offer it")
