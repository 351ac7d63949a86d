"""Pods as the plane runs them: what is left of core objects once they are read (presage.local.reading)."""

from dataclasses import dataclass
from typing import Literal

from presage.local.probe import Probe


@dataclass(frozen=True)
class Variable:
    """One environment variable: a value (with $(NAME) inside), a field of the Pod, or a key of a ConfigMap."""

    name: str
    value: str = ""
    pod_field: str = ""
    config_map: str = ""
    key: str = ""


@dataclass(frozen=True)
class Container:
    """memory_limit in bytes, None without one. mounts: (volume, mountPath)."""

    name: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[Variable, ...]
    config_maps: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]
    ports: tuple[tuple[str, int], ...]
    startup: Probe | None
    readiness: Probe | None
    liveness: Probe | None
    memory_limit: int | None


@dataclass(frozen=True)
class Volume:
    """source: the claim's or ConfigMap's name; `Memory` or empty for an emptyDir."""

    name: str
    kind: Literal["persistentVolumeClaim", "configMap", "emptyDir"]
    source: str = ""


@dataclass(frozen=True)
class Pod:
    """One Pod. workload: the Deployment (or Pod) it comes from; serves: the InferenceService behind it, if any; grace in seconds."""

    name: str
    workload: str
    namespace: str
    labels: dict[str, str]
    init_containers: tuple[Container, ...]
    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...]
    grace: float
    serves: str | None
