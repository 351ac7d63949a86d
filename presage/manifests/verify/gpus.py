"""GPUs as Pods ask for them, and as NVIDIA's device plugin is told to offer them.

    nvidia.com/gpu            a whole one
    nvidia.com/mig-1g.10gb    a slice, under the strategy `mixed`
    nvidia.com/gpu.shared     a turn on one, under time-slicing with renameByDefault

The plugin's configuration is a ConfigMap whose keys are named by the node's label `nvidia.com/device-plugin.config`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from presage.documents import parse_yaml
from presage.errors import InputError
from presage.manifests.verify.subjects import Container, Object, Overlay, Pod

DOMAIN = "nvidia.com/"
WHOLE, SHARED, SLICE = "nvidia.com/gpu", ".shared", "nvidia.com/mig-"
NODE_LABEL = "nvidia.com/device-plugin.config"


@dataclass(frozen=True)
class PluginConfig:
    """One key of a ConfigMap that configures the device plugin. shared: resource → among how many; problem: why it is none, empty where it is one."""

    found: Object
    key: str
    strategy: str
    shared: dict[str, int]
    renamed: bool
    problem: str = ""

    def offers(self, resource: str) -> bool:
        """Whether a node under this configuration has the resource."""
        if resource.startswith(SLICE):
            return self.strategy == "mixed" and not self.shared.get(resource)
        if resource.endswith(SHARED):
            return self.renamed and resource.removesuffix(SHARED) in self.shared
        return not (self.renamed and resource in self.shared)


def asked(container: Container) -> dict[str, str]:
    """Resource of NVIDIA's → how many, as its limits say."""
    limits = (container.manifest.get("resources") or {}).get("limits") or {}
    return {str(name): str(amount) for name, amount in limits.items() if str(name).startswith(DOMAIN)}


def asks(pod: Pod) -> bool:
    return any(asked(container) for container in pod.containers)


def plugin_configs(overlay: Overlay) -> dict[str, PluginConfig]:
    """By key: those of the ConfigMaps that an object's node label can name."""
    return {config.key: config for found in overlay.of_kind("ConfigMap") for config in _configs(found)}


def _configs(found: Object) -> Iterator[PluginConfig]:
    if not found.name.startswith("device-plugin-"):
        return
    for key, text in (found.manifest.get("data") or {}).items():
        yield _config(found, str(key), str(text))


def _config(found: Object, key: str, text: str) -> PluginConfig:
    try:
        document: Any = parse_yaml(text, f"{found.label}: data.{key}")
    except InputError as error:
        return PluginConfig(found, key, "", {}, False, error.message)
    if not isinstance(document, dict) or document.get("version") != "v1":
        return PluginConfig(found, key, "", {}, False, "is no device plugin configuration (version: v1)")
    strategy = str((document.get("flags") or {}).get("migStrategy", "none"))
    slicing = (document.get("sharing") or {}).get("timeSlicing") or {}
    listed = [one for one in slicing.get("resources") or [] if isinstance(one, dict)]
    shared = {str(one.get("name")): replicas if isinstance(replicas := one.get("replicas"), int) else 0 for one in listed}
    problem = ""
    if strategy not in ("none", "single", "mixed"):
        problem = f"has migStrategy {strategy!r}; it may be none, single or mixed"
    elif any(replicas < 2 for replicas in shared.values()):
        problem = "shares a GPU among fewer than two (timeSlicing.resources[].replicas)"
    elif shared and slicing.get("failRequestsGreaterThanOne") is not True:
        problem = "gives a Pod several turns on one GPU (timeSlicing.failRequestsGreaterThanOne is not true), which are no faster than one"
    return PluginConfig(found, key, strategy, shared, slicing.get("renameByDefault") is True, problem)
