"""Pods as the plane runs them: what is left of core objects once they are read (presage.local.reading)."""

from dataclasses import dataclass, replace
from typing import Literal

from presage.local.cron import Schedule
from presage.local.probe import Probe
from presage.local.rollout import Strategy


@dataclass(frozen=True)
class Variable:
    """One environment variable: a value (with $(NAME) inside), a field of the Pod, or a key of a ConfigMap or Secret."""

    name: str
    value: str = ""
    pod_field: str = ""
    config_map: str = ""
    secret: str = ""
    key: str = ""


@dataclass(frozen=True)
class Container:
    """memory_limit in bytes, None without one. mounts: (volume, mountPath, path inside the volume). sources: (kind, name) of envFrom.
    lingers: seconds that it goes on before it is told to end (preStop sleep)."""

    name: str
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[Variable, ...]
    sources: tuple[tuple[Literal["ConfigMap", "Secret"], str], ...]
    mounts: tuple[tuple[str, str, str], ...]
    ports: tuple[tuple[str, int], ...]
    startup: Probe | None
    readiness: Probe | None
    liveness: Probe | None
    memory_limit: int | None
    lingers: float = 0


@dataclass(frozen=True)
class TokenSource:
    """A projected service account token: its file in the volume, for whom it is, how long it lives (seconds)."""

    path: str
    audience: str
    seconds: int


@dataclass(frozen=True)
class FileSource:
    """Files of a ConfigMap or Secret: all keys under their own names, or `items` (key, path) alone."""

    kind: Literal["ConfigMap", "Secret"]
    name: str
    items: tuple[tuple[str, str], ...] = ()
    optional: bool = False


@dataclass(frozen=True)
class Volume:
    """claim: the PersistentVolumeClaim's name; memory: an emptyDir of medium Memory; files, tokens: what a mounted or projected volume shows."""

    name: str
    kind: Literal["persistentVolumeClaim", "emptyDir", "files"]
    claim: str = ""
    memory: bool = False
    files: tuple[FileSource, ...] = ()
    tokens: tuple[TokenSource, ...] = ()

    @property
    def secret(self) -> bool:
        """Whether what it holds is never written to a disk."""
        return bool(self.tokens) or any(source.kind == "Secret" for source in self.files)


@dataclass(frozen=True)
class Pod:
    """One Pod. workload: the Deployment (or Pod) it comes from; serves: the InferenceService behind it, if any; grace in seconds.

    proxy: whether a proxy of the mesh stands before it (sidecar), or a program of the plane is all it is (a gateway's proxy, Prometheus).
    revision: digest of the template it is made of.
    """

    name: str
    workload: str
    namespace: str
    service_account: str
    labels: dict[str, str]
    revision: str
    init_containers: tuple[Container, ...]
    containers: tuple[Container, ...]
    volumes: tuple[Volume, ...]
    grace: float
    serves: str | None
    proxy: Literal["none", "sidecar", "gateway", "prometheus"] = "none"
    gateway_ports: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name`, unique in a plane."""
        return f"{self.namespace}/{self.name}"

    @property
    def meshed(self) -> bool:
        """Whether it has a proxy of the mesh, and so an identity."""
        return self.proxy in ("sidecar", "gateway")

    @property
    def release(self) -> str | None:
        """The release that its storage container is asked for."""
        return next((word for container in self.init_containers for word in container.args if word.startswith("presage://")), None)


@dataclass(frozen=True)
class Workload:
    """A Deployment: a Pod to be made `strategy.replicas` times. A bare Pod is one, replaced as a whole. kind: for sentences."""

    kind: Literal["Deployment", "Pod", "Gateway", "Prometheus"]
    template: Pod
    strategy: Strategy

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return (self.template.namespace, self.template.workload)

    def pod(self, ordinal: int) -> Pod:
        """Its Pod of that number; a bare Pod is called as it is."""
        return self.template if self.kind == "Pod" else replace(self.template, name=f"{self.template.workload}-{ordinal}")


@dataclass(frozen=True)
class Periodic:
    """A CronJob: a Pod whose containers run to their end at each time of the schedule. retries: after failures of one run."""

    template: Pod
    schedule: Schedule
    suspended: bool
    overlap: Literal["Allow", "Forbid", "Replace"]
    retries: int
    deadline: float | None

    @property
    def key(self) -> tuple[str, str]:
        return (self.template.namespace, self.template.workload)
