"""What rules look at: an overlay as a whole, each object as it is written, each Pod and container as they will run.

A rule names the one it wants by the type of its parameter:

    def one_claim(container: Container) -> Iterator[Flaw]:
        if ...:
            yield container.flaw("image", "has no tag")
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from presage.manifests.fields import FieldError
from presage.manifests.objects import Manifest, group, label
from presage.manifests.verify.findings import Flaw
from presage.manifests.verify.selectors import selects
from presage.manifests.verify.templates import template_of

if TYPE_CHECKING:
    from presage.manifests.verify.schemas import Schemas

SERVICE_LABEL, GATEWAY_LABEL = "serving.kserve.io/inferenceservice", "gateway.networking.k8s.io/gateway-name"


@dataclass(frozen=True, eq=False)
class Object:
    """One object. place: the overlay or the file it is from; application: its folder; made: whether a controller makes it."""

    overlay: "Overlay"
    manifest: Manifest
    place: str
    application: str
    made: bool = False

    @cached_property
    def label(self) -> str:
        """`production: Deployment models/incident`, as findings and waivers name it."""
        return f"{self.place}: {label(self.manifest)}" if self.place else label(self.manifest)

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @cached_property
    def group(self) -> str:
        return group(self.manifest)

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Empty for an object without one."""
        return str(self.manifest["metadata"].get("namespace") or "")

    @property
    def labels(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.manifest["metadata"].get("labels") or {}
        return found

    @property
    def annotations(self) -> Mapping[str, str]:
        found: Mapping[str, str] = self.manifest["metadata"].get("annotations") or {}
        return found

    @property
    def spec(self) -> dict[str, Any]:
        found = self.manifest.get("spec")
        return found if isinstance(found, dict) else {}

    def flaw(self, path: str, message: str) -> Flaw:
        return Flaw(self.label, path, message)


class Written(Object):
    """An object as it stands in Git, custom or not."""


@dataclass(frozen=True, eq=False)
class Pod:
    """One Pod template. owner: the object that holds it; path: where it does."""

    owner: Object
    path: str
    template: dict[str, Any]

    @property
    def overlay(self) -> "Overlay":
        return self.owner.overlay

    @property
    def label(self) -> str:
        return self.owner.label

    @property
    def namespace(self) -> str:
        return self.owner.namespace

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.template.get("spec") or {}
        return found

    @property
    def labels(self) -> Mapping[str, str]:
        found: Mapping[str, str] = (self.template.get("metadata") or {}).get("labels") or {}
        return found

    @property
    def annotations(self) -> Mapping[str, str]:
        found: Mapping[str, str] = (self.template.get("metadata") or {}).get("annotations") or {}
        return found

    @property
    def account(self) -> str:
        return str(self.spec.get("serviceAccountName") or self.spec.get("serviceAccount") or "default")

    @cached_property
    def containers(self) -> "list[Container]":
        """Init containers first, in their order."""
        found = []
        for kind in ("initContainers", "containers", "ephemeralContainers"):
            items = self.spec.get(kind)
            for position, container in enumerate(items if isinstance(items, list) else []):
                if isinstance(container, dict):  # else its schema says so
                    found.append(Container(self, f"{self.path}spec.{kind}[{position}]", container, kind == "initContainers"))
        return found

    @property
    def serving(self) -> bool:
        """Whether KServe made it of an InferenceService."""
        return SERVICE_LABEL in self.labels

    def flaw(self, path: str, message: str) -> Flaw:
        """path: below the Pod's own spec, such as `spec.hostNetwork`."""
        return Flaw(self.label, f"{self.path}{path}", message)


@dataclass(frozen=True, eq=False)
class Container:
    pod: Pod
    path: str
    manifest: dict[str, Any]
    init: bool

    @property
    def label(self) -> str:
        return self.pod.owner.label

    @property
    def name(self) -> str:
        return str(self.manifest.get("name", ""))

    @property
    def image(self) -> str:
        return str(self.manifest.get("image", ""))

    @property
    def ports(self) -> list[dict[str, Any]]:
        return self.manifest.get("ports") or []

    @property
    def env(self) -> list[dict[str, Any]]:
        return self.manifest.get("env") or []

    @property
    def security(self) -> dict[str, Any]:
        found: dict[str, Any] = self.manifest.get("securityContext") or {}
        return found

    @property
    def words(self) -> list[str]:
        """Command and arguments."""
        return [str(word) for word in [*(self.manifest.get("command") or []), *(self.manifest.get("args") or [])]]

    @property
    def probes(self) -> list[tuple[str, dict[str, Any]]]:
        """(field, probe) of each probe it has."""
        return [(name, self.manifest[name]) for name in ("startupProbe", "readinessProbe", "livenessProbe") if isinstance(self.manifest.get(name), dict)]

    def flaw(self, field_name: str, message: str) -> Flaw:
        return Flaw(self.label, f"{self.path}.{field_name}" if field_name else self.path, message)


@dataclass(frozen=True)
class Workload:
    """Whoever runs under a namespace, labels and an account: Pods here, and the proxy that Istio makes of each Gateway."""

    namespace: str
    labels: Mapping[str, str]
    account: str


@dataclass(frozen=True)
class Stale:
    """A committed rendering that is not what its overlay renders to. label: the overlay; path: the file."""

    label: str
    path: str


@dataclass(eq=False)
class Overlay:
    """All objects of one overlay (or of the files named), written and made.

    failures: what could not be expanded. find_stale: waits for kustomize. release: whether it is about to be released. schemas: None where none are checked.
    metrics: what programs export; None where that is not told.
    """

    name: str
    release: bool = False
    written: list[Written] = field(default_factory=list)
    objects: list[Object] = field(default_factory=list)
    failures: list[tuple[Written, FieldError]] = field(default_factory=list)
    find_stale: Callable[[], list[Stale]] = list
    schemas: "Schemas | None" = None
    metrics: frozenset[str] | None = None

    def of_kind(self, *kinds: str) -> Iterator[Object]:
        """What a cluster would hold of these kinds, written and made."""
        for kind in kinds:
            yield from self._by_kind.get(kind, ())

    def written_of(self, *kinds: str) -> Iterator[Written]:
        return (found for found in self.written if found.kind in kinds)

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """The object of this name, as a cluster would hold it; a custom one as it is written."""
        return self._by_name.get((kind, namespace, name))

    @property
    def label(self) -> str:
        return self.name or "the files"

    @property
    def of_one_machine(self) -> bool:
        """Whether the plane runs it: overlay local, and its variants."""
        return self.name == "local" or self.name.startswith("local-")

    @cached_property
    def pods(self) -> list[Pod]:
        return [Pod(found, *place) for found in self.objects if (place := template_of(found.manifest)) is not None]

    @cached_property
    def namespaces(self) -> Mapping[str, Object]:
        """Namespaces that this overlay makes, by name."""
        return {found.name: found for found in self.of_kind("Namespace")}

    @cached_property
    def inhabited(self) -> list[str]:
        """Namespaces in which something runs, sorted."""
        return sorted({workload.namespace for workload in self.workloads})

    @cached_property
    def recorded(self) -> set[str]:
        """Names of the series that PrometheusRules record."""
        groups = [group for found in self.of_kind("PrometheusRule") for group in found.spec.get("groups") or []]
        return {str(one["record"]) for group in groups for one in group.get("rules") or [] if "record" in one}

    @cached_property
    def doubtful(self) -> set[str]:
        """Namespaces in which something could not be expanded: that a Pod, a Service or a Secret is missing there says nothing."""
        return {written.namespace for written, _ in self.failures}

    @cached_property
    def workloads(self) -> list[Workload]:
        found = [Workload(pod.namespace, pod.labels, pod.account) for pod in self.pods]
        for gateway in self.of_kind("Gateway"):
            if gateway.group == "gateway.networking.k8s.io":
                account = f"{gateway.name}-{gateway.spec.get('gatewayClassName', '')}"
                found.append(Workload(gateway.namespace, {GATEWAY_LABEL: gateway.name}, account))
        return found

    def selected(self, namespace: str, selector: Mapping[str, Any]) -> list[Workload]:
        """Whoever a selector of `namespace` finds."""
        return [one for one in self.workloads if one.namespace == namespace and selects(selector, one.labels)]

    def has_account(self, namespace: str, name: str) -> bool:
        """Whether a ServiceAccount is there: written, the namespace's default, or made by Istio for a Gateway."""
        if name == "default" or self.find("ServiceAccount", namespace, name) is not None:
            return True
        return any((one.namespace, one.account) == (namespace, name) and GATEWAY_LABEL in one.labels for one in self.workloads)

    @cached_property
    def _by_kind(self) -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        for one in self.objects:
            found.setdefault(one.kind, []).append(one)
        return found

    @cached_property
    def _by_name(self) -> dict[tuple[str, str, str], Object]:
        every: Iterable[Object] = (*self.written, *self.objects)
        return {(found.kind, found.namespace, found.name): found for found in every}
