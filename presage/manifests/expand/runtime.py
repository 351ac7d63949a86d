"""ServingRuntimes: what a model's Pod is before the model says anything."""

from dataclasses import dataclass
from typing import Any

from presage.manifests.expand.core import CONTAINER, RUNTIME_POD
from presage.manifests.expand.refusals import MissingReference, NotAdmitted, NotExpanded
from presage.manifests.expand.shapes import take_rest
from presage.manifests.fields import Fields
from presage.manifests.objects import Manifest, label

MAIN, TRANSFORMER = "kserve-container", "transformer-container"
_MODELMESH = ("replicas", "grpcEndpoint", "grpcDataEndpoint", "httpDataEndpoint", "builtInAdapter", "storageHelper")
_SERVER_TYPE = "serving.kserve.io/server-type"
# Names by which KServe knows a server where the annotation does not say it.
_KNOWN_NAMES = {
    "kserve-mlserver": "mlserver", "kserve-torchserve": "torchserve", "kserve-tensorflow-serving": "tensorflow-serving",
    "kserve-huggingfaceserver": "huggingfaceserver", "kserve-vllmserver": "vllmserver", "kserve-tritonserver": "tritonserver",
}  # fmt: skip


@dataclass(frozen=True)
class Runtime:
    """A ServingRuntime, taken apart. pod: the pod-level fields it gives; formats: (name, version or None)."""

    place: str
    name: str
    formats: tuple[tuple[str, str | None], ...]
    protocols: tuple[str, ...]
    containers: list[dict[str, Any]]
    pod: dict[str, Any]
    labels: dict[str, str]
    annotations: dict[str, str]
    disabled: bool

    def check(self, place: str, path: str, wanted: tuple[str, str | None], protocol: str | None) -> None:
        """Raise NotAdmitted where the controller would say NoSupportingRuntime of a model of this format and protocol."""
        if self.disabled:
            raise NotAdmitted(place, f"{path}.runtime", f"names {self.name!r}, which is disabled. Enable it, or name another.")
        supported = {*self.formats, *((name, None) for name, _ in self.formats)}
        if wanted not in supported:
            said = " ".join(filter(None, wanted))
            listed = ", ".join(" ".join(filter(None, one)) for one in self.formats)
            raise NotAdmitted(place, f"{path}.modelFormat", f"is {said!r}; the runtime {self.name} supports {listed}. Name another.")
        if protocol is not None and self.protocols and protocol not in self.protocols:
            raise NotAdmitted(place, f"{path}.protocolVersion", f"is {protocol!r}; the runtime {self.name} speaks {', '.join(self.protocols)}. Name one.")


def find_runtime(place: str, path: str, name: str, namespace: str | None, runtimes: list[Manifest]) -> Runtime:
    """The ServingRuntime `name` of `namespace`, else the ClusterServingRuntime of that name. Raises MissingReference."""
    for kind, where in (("ServingRuntime", namespace), ("ClusterServingRuntime", None)):
        for found in runtimes:
            if (found["kind"], found["metadata"]["name"], found["metadata"].get("namespace")) == (kind, name, where):
                return read_runtime(found)
    raise MissingReference(place, f"{path}.runtime", f"names {name!r}; no ServingRuntime in its namespace is called so. Add it, or name another.")


def read_runtime(manifest: Manifest) -> Runtime:
    """A ServingRuntime or ClusterServingRuntime. Raises FieldError."""
    place = label(manifest)
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    whole.finish()
    annotations = manifest["metadata"].get("annotations") or {}
    server_type = annotations.get(_SERVER_TYPE) or _KNOWN_NAMES.get(manifest["metadata"]["name"], "")
    if server_type not in ("", "tritonserver"):
        # the others get env, labels or image tags of their own; Triton's one addition is for a model without a URI, which is refused anyway
        why = f"is {server_type!r}, for which KServe adds what is not expanded. Known: tritonserver."
        raise NotExpanded(place, f"metadata.annotations[{_SERVER_TYPE}]", why)
    for other in _MODELMESH:
        if other in spec:
            raise NotExpanded(place, f"spec.{other}", "is ModelMesh's, which is not KServe's Standard mode. Remove it.")
    if spec.take("multiModel", bool, False):
        raise NotExpanded(place, "spec.multiModel", "is true; a Pod here holds one release. Set it false.")
    if spec.optional("hostIPC", bool):
        raise NotAdmitted(place, "spec.hostIPC", "is true, and KServe does not take it from a runtime. Write it on the predictor, or remove it.")
    if spec.optional("workerSpec", dict) is not None:
        raise NotExpanded(place, "spec.workerSpec", "makes a server of several nodes, which is not expanded. Remove it.")
    formats = []
    for one in spec.each("supportedModelFormats"):
        formats.append((one.take("name", str), one.optional("version", str)))
        one.optional("autoSelect", bool)
        one.optional("priority", int)
        one.finish()
    containers = [take_rest(container, CONTAINER) for container in spec.each("containers")]
    if not any(container.get("name") == MAIN for container in containers):
        raise NotAdmitted(place, "spec.containers", f"has none named {MAIN}. KServe merges the model into that one; name it so.")
    return Runtime(
        place, manifest["metadata"]["name"], tuple(formats), spec.texts("protocolVersions"), containers,
        disabled=spec.take("disabled", bool, False), labels=spec.mapping("labels"), annotations=spec.mapping("annotations"), pod=take_rest(spec, RUNTIME_POD),
    )  # fmt: skip

