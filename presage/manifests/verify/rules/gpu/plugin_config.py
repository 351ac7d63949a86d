"""The device plugin's configuration is one that it takes, and that shares a GPU without a trap."""

from collections.abc import Iterator

from presage.manifests.verify.findings import Flaw, Severity
from presage.manifests.verify.gpus import plugin_configs
from presage.manifests.verify.registry import rule
from presage.manifests.verify.subjects import Overlay


@rule("gpu/plugin-config", severity=Severity.error, remedy="write it as manifests/components/gpu-mig and gpu-time-slicing do")
def plugin_config(overlay: Overlay) -> Iterator[Flaw]:
    for config in plugin_configs(overlay).values():
        if config.problem:
            yield config.found.flaw(f"data.{config.key}", config.problem)
