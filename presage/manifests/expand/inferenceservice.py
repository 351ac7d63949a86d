"""InferenceService → Deployments, Services, autoscalers and HTTPRoutes, as KServe's controller makes them in Standard mode.

Stable predictor first, then each canary (taken as ready: it has its full share, and its replicas are subtracted from the stable's
minimum), then the routes.
"""

from dataclasses import dataclass, replace
from math import ceil
from typing import Any

from presage.manifests.expand.merge import laid_over
from presage.manifests.expand.parts import Parts
from presage.manifests.expand.pod import pod_of
from presage.manifests.expand.predictor import Predictor, Role, read_predictor
from presage.manifests.expand.refusals import MissingReference, NotExpanded
from presage.manifests.expand.routes import VISIBILITY, Routed, routes_of
from presage.manifests.expand.runtime import find_runtime
from presage.manifests.expand.settings import NAME, NAMESPACE, Settings
from presage.manifests.expand.storage import INITIALIZER, add_initializer, choose
from presage.manifests.expand.webhook import INTERNAL, MODE, STOP, check_canaries, check_keys, check_metadata
from presage.manifests.expand.workload import Replicas, autoscaler_of, deployment_of, describe, service_of
from presage.manifests.fields import Fields
from presage.manifests.objects import Manifest, label

# Left out by KServe wherever it passes annotations on.
_NOT_PASSED_ON = frozenset({
    "kubectl.kubernetes.io/last-applied-configuration", "modelFormat", f"{INTERNAL}storage-initializer-sourceuri",
    "autoscaling.knative.dev/min-scale", "autoscaling.knative.dev/max-scale",
})  # fmt: skip


@dataclass(frozen=True)
class _Service:
    """One InferenceService: labels and annotations as KServe passes them on."""

    place: str
    metadata: dict[str, Any]
    annotations: dict[str, str]
    parts: Parts
    settings: Settings

    @property
    def name(self) -> str:
        return str(self.metadata["name"])

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.metadata.get("labels") or {})


def expand_inference_service(manifest: Manifest, parts: Parts) -> list[Manifest]:
    """What KServe makes of one InferenceService. Raises FieldError."""
    place, metadata = label(manifest), manifest["metadata"]
    whole = Fields.of(manifest)
    whole.optional("status", dict)
    spec = whole.inside("spec")
    whole.finish()
    check_metadata(place, metadata)
    for component in ("transformer", "explainer"):
        if component in spec:
            why = "makes a component that a canary's traffic goes past. Put it into the predictor's Pod, as the container transformer-container."
            raise NotExpanded(place, f"spec.{component}", why)
    stable_fields, entries = spec.inside("predictor"), spec.each("canary")
    spec.finish()
    written = {key: value for key, value in (metadata.get("annotations") or {}).items() if key not in _NOT_PASSED_ON}
    settings = _settings(place, metadata, parts)
    if (mode := written.get(MODE, settings.default_mode)) not in ("Standard", "RawDeployment"):
        raise NotExpanded(place, f"metadata.annotations[{MODE}]", f"is {mode!r}; only Standard is expanded. Write it on the object.")
    written[MODE] = "Standard"
    service = _Service(place, metadata, written, parts, settings)
    stable = read_predictor(stable_fields.copy())
    canaries = []
    for fields, percent in check_canaries(place, metadata.get("annotations") or {}, stable_fields.copy(), entries):
        laid = Fields(place, fields.path, laid_over(stable_fields.raw(), fields.raw()))
        canaries.append((read_predictor(laid, "canary"), fields.raw().get("minReplicas"), percent))
    if written.get(STOP) == "true":
        return []
    return _objects(service, stable, canaries)


def _objects(service: _Service, stable: Predictor, canaries: list[tuple[Predictor, int | None, int]]) -> list[Manifest]:
    least = 1 if stable.min_replicas is None else stable.min_replicas
    fixed = [ceil(least * percent / 100) if wished is None else wished for _, wished, percent in canaries]
    reduced = None if stable.min_replicas is None else stable.min_replicas if not sum(fixed) else max(stable.min_replicas - sum(fixed), 1)
    made = _component(service, stable, Replicas(reduced, stable.max_replicas), "stable")
    backend, shares = made[1], []
    for (canary, _, percent), replicas in zip(canaries, fixed, strict=True):
        made += _component(service, canary, Replicas(replicas), "canary")
        shares.append((canary.object_name(service.name), percent))
    return [*made, *routes_of(Routed(service.metadata, service.annotations, stable.timeout, service.settings), backend, shares)]


def _component(service: _Service, predictor: Predictor, replicas: Replicas, role: Role) -> list[Manifest]:
    """Deployment, Service and autoscaler of one predictor, in this order."""
    place, metadata, parts = service.place, service.metadata, service.parts
    check_keys(place, f"{predictor.path}.labels", predictor.labels)
    check_keys(place, f"{predictor.path}.annotations", {key: value for key, value in predictor.annotations.items() if key != STOP})
    if STOP in predictor.annotations:
        raise NotExpanded(place, f"{predictor.path}.annotations[{STOP}]", "would stop one Deployment and leave its route. Write it on the object.")
    runtime = find_runtime(place, f"{predictor.path}.model", predictor.runtime, metadata.get("namespace"), parts.runtimes)
    check_keys(runtime.place, "spec.labels", runtime.labels)
    check_keys(runtime.place, "spec.annotations", runtime.annotations)
    runtime.check(place, f"{predictor.path}.model", predictor.model_format, predictor.protocol)
    if any(container.get("name") == INITIALIZER for container in predictor.pod.get("initContainers", [])):
        why = f"holds one named {INITIALIZER}: KServe would then run no storage container. Remove it."
        raise NotExpanded(place, f"{predictor.path}.initContainers", why)
    storage = choose(place, predictor, parts.storage_containers)
    parts.check_account(place, predictor.path, metadata.get("namespace"), predictor.pod.get("serviceAccountName"))
    internal = {f"{INTERNAL}storage-initializer-sourceuri": predictor.uri}
    if predictor.storage_container:
        internal[f"{INTERNAL}storage-container-name"] = predictor.storage_container
    passed_on = {key: value for key, value in predictor.annotations.items() if key not in _NOT_PASSED_ON}
    described = describe(
        place, predictor.object_name(service.name), metadata.get("namespace"),
        {**runtime.labels, **service.labels, **predictor.labels, "serving.kserve.io/inferenceservice": service.name, "component": "predictor"},
        {**runtime.annotations, **service.annotations, **internal, **passed_on},
    )  # fmt: skip
    pod = pod_of(place, metadata, predictor, runtime, service.settings.mounts_token)
    add_initializer(pod, storage, predictor.uri, service.settings, described["annotations"])
    strategy = predictor.strategy if role == "stable" else None  # KServe passes a canary's replicas on, and nothing else of its extension
    return [
        deployment_of(described, pod, strategy, replicas, service.settings),
        service_of(described, pod, service.settings),
        *autoscaler_of(place, predictor if role == "stable" else replace(predictor, scaling={}), described, replicas, service.settings),
    ]


def _settings(place: str, metadata: dict[str, Any], parts: Parts) -> Settings:
    if parts.settings is not None:
        return parts.settings
    if (metadata.get("labels") or {}).get(VISIBILITY) == "cluster-local":
        return Settings()
    why = f"has routes, and ConfigMap {NAMESPACE}/{NAME} is not among the objects: which Gateway and domain they have is unknown. Add it."
    raise MissingReference(place, f"metadata.labels[{VISIBILITY}]", why)
