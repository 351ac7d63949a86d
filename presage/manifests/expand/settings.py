"""KServe's own settings: ConfigMap kserve/inferenceservice-config, whose values are JSON texts.

Read are the keys that decide what is made of an InferenceService. A key that the ConfigMap here leaves out stays as KServe ships it
(server-side apply owns only what is written).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from presage.manifests.expand.refusals import NotAdmitted, NotExpanded
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

NAMESPACE, NAME = "kserve", "inferenceservice-config"
DOMAIN_TEMPLATE = "{{ .Name }}-{{ .Namespace }}.{{ .IngressDomain }}"
CLUSTER_LOCAL = "svc.cluster.local"
_NOT_READ = frozenset({
    "_example", "agent", "batcher", "credentials", "explainers", "inferenceService", "localModel", "logger", "metricsAggregator",
    "multiNode", "opentelemetryCollector", "router",
})  # fmt: skip
# Of `ingress`: what other modes and kinds read, and what only changes a status.
_OF_OTHER_MODES = (
    "knativeLocalGatewayService", "localGateway", "localGatewayService", "ingressClassName", "urlScheme", "disableIstioVirtualHost",
    "enableLLMInferenceServiceTLS", "modelBasedRoutingHeaderName", "modelBasedRoutingMode",
)  # fmt: skip
_PLACEHOLDER = re.compile(r"\{\{\s*\.(.*?)\s*\}\}")
_HOST = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)+")


@dataclass(frozen=True)
class Settings:
    """gateway: (namespace, name); None where routes are Ingresses. strategy: maxUnavailable and maxSurge of a Deployment that writes none.
    initializer: image and resources of the init container before a storage container is laid over; None where the ConfigMap here has none.
    calm_up, calm_down: seconds that class keda waits before it follows the load up or down; None: Kubernetes' own."""

    gateway: tuple[str, str] | None = None
    routes: bool = True
    domain: str = "example.com"
    domain_template: str = DOMAIN_TEMPLATE
    further_domains: tuple[str, ...] = ()
    timeouts: bool = True
    default_mode: str = "Knative"
    strategy: Mapping[str, str] | None = None
    mounts_token: bool = True
    headless: bool = False
    initializer: Mapping[str, Any] | None = None
    calm_up: int | None = 0
    calm_down: int | None = 300

    def host(self, name: str, metadata: Mapping[str, Any]) -> str:
        """The host of a route: `domainTemplate` filled in. Raises FieldError."""
        known = {"Name": name, "Namespace": metadata.get("namespace", "default"), "IngressDomain": self.domain}
        place = f"ConfigMap {NAMESPACE}/{NAME}"

        def fill(match: re.Match[str]) -> str:
            field, _, key = match[1].partition(".")
            value = known.get(field) if not key else (metadata.get(field.lower()) or {}).get(key) if field in ("Annotations", "Labels") else None
            if value is None:
                problem = f"uses {match[0]}, which is nothing of {name}. Use .Name, .Namespace and .IngressDomain."
                raise FieldError(place, "data.ingress.domainTemplate", problem)
            return str(value)

        host = _PLACEHOLDER.sub(fill, self.domain_template)
        if not _HOST.fullmatch(host) or len(host) > 253:
            problem = f"makes the host {host!r} of {name}, no DNS name (a label has at most 63 characters). Shorten a name."
            raise NotAdmitted(place, "data.ingress.domainTemplate", problem)
        return host


def find_settings(objects: list[Manifest]) -> Manifest | None:
    """KServe's ConfigMap among `objects`, if it is there."""
    for found in objects:
        if found["kind"] == "ConfigMap" and (found["metadata"].get("namespace"), found["metadata"]["name"]) == (NAMESPACE, NAME):
            return found
    return None


def read_settings(manifest: Manifest) -> Settings:
    """KServe's settings as one ConfigMap has them. Raises FieldError."""
    place, data = label(manifest), manifest.get("data") or {}
    if not isinstance(data, dict):
        raise NotAdmitted(place, "data", f"is {data!r}, not a mapping.")
    for key in data:
        if key not in _NOT_READ | {"autoscaler", "deploy", "ingress", "security", "service", "storageInitializer"}:
            raise FieldError(place, f"data.{key}", "is a key that KServe does not read. Remove it.")
    ingress, deploy = _fields(place, data, "ingress"), _fields(place, data, "deploy")
    security, service = _fields(place, data, "security"), _fields(place, data, "service")
    autoscaler = _fields(place, data, "autoscaler")
    settings = Settings(
        gateway=_gateway(ingress, "ingress" in data), routes=not ingress.take("disableIngressCreation", bool, False),
        domain=ingress.take("ingressDomain", str, "") or "example.com", domain_template=ingress.take("domainTemplate", str, "") or DOMAIN_TEMPLATE,
        further_domains=tuple(dict.fromkeys(ingress.texts("additionalIngressDomains"))),
        timeouts=not ingress.take("disableHTTPRouteTimeout", bool, False), default_mode=_mode(deploy), strategy=_strategy(deploy),
        mounts_token=security.take("autoMountServiceAccountToken", bool, "security" not in data),
        headless=service.take("serviceClusterIPNone", bool, False), initializer=_initializer(place, data),
        calm_up=_calm(autoscaler, "scaleUpStabilizationWindowSeconds", 0 if "autoscaler" not in data else None),
        calm_down=_calm(autoscaler, "scaleDownStabilizationWindowSeconds", 300 if "autoscaler" not in data else None),
    )  # fmt: skip
    for fields in (autoscaler, ingress, deploy, security, service):
        fields.finish()
    return settings


def _calm(autoscaler: Fields, name: str, default: int | None) -> int | None:
    """Seconds, which KServe wants in text and leaves out where they are no number."""
    text = autoscaler.take(name, str, "")
    return int(text) if re.fullmatch(r"\d+", text) else default


def _fields(place: str, data: Mapping[str, Any], key: str) -> Fields:
    text = data.get(key)
    if text is None:
        return Fields(place, f"data.{key}", {})
    try:
        found = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError as error:
        raise NotAdmitted(place, f"data.{key}", f"is no JSON ({error}). KServe's controller would not start with it.") from None
    if not isinstance(found, dict):
        raise NotAdmitted(place, f"data.{key}", f"is {text!r}, not a JSON object in text. KServe's controller would not start with it.")
    return Fields(place, f"data.{key}", found)


def _gateway(ingress: Fields, written: bool) -> tuple[str, str] | None:
    if written and not ingress.take("ingressGateway", str, ""):
        raise NotAdmitted(ingress.place, f"{ingress.path}.ingressGateway", "is empty: KServe wants it even where nothing uses it. Write the Gateway's name.")
    for other in _OF_OTHER_MODES:
        ingress.optional(other, object)
    if ingress.optional("pathTemplate", str):
        ingress.refuse("pathTemplate", "is set: the entry route would catch the whole domain's traffic. Remove it.")
    enabled, named = ingress.take("enableGatewayApi", bool, False), ingress.take("kserveIngressGateway", str, "")
    if not enabled:
        return None
    namespace, slash, name = named.partition("/")
    if not slash or not namespace or not name or "/" in name:
        raise NotAdmitted(ingress.place, f"{ingress.path}.kserveIngressGateway", f"is {named!r}, not <namespace>/<name> of a Gateway. Write that.")
    return namespace, name


def _mode(deploy: Fields) -> str:
    mode = deploy.take("defaultDeploymentMode", str, "Knative")
    return {"Serverless": "Knative", "RawDeployment": "Standard"}.get(mode, mode)


def _strategy(deploy: Fields) -> Mapping[str, str] | None:
    rollout = deploy.inside("deploymentRolloutStrategy")
    wished = rollout.inside("defaultRollout")
    rollout.finish()
    found = {name: wished.take(name, str, "") for name in ("maxUnavailable", "maxSurge")}
    wished.finish()
    return {name: value for name, value in found.items() if value} or None


def _initializer(place: str, data: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if "storageInitializer" not in data:
        return None
    fields = _fields(place, data, "storageInitializer")
    for modelcar in ("enableModelcar", "enableOciModelSupport", "ociModelMode", "cpuModelcar", "memoryModelcar", "uidModelcar", "caBundleVolumeMountPath"):
        fields.optional(modelcar, object)
    if fields.take("caBundleConfigMapName", str, ""):
        why = "is set: KServe would mount it into every storage container. Give the container its own authority."
        raise NotExpanded(place, f"{fields.path}.caBundleConfigMapName", why)
    image = fields.take("image", str, "")
    amounts = {name: fields.take(name, str) for name in ("cpuRequest", "memoryRequest", "cpuLimit", "memoryLimit")}
    fields.finish()
    return {
        **({"image": image} if image else {}),
        "resources": {
            "requests": {"cpu": amounts["cpuRequest"], "memory": amounts["memoryRequest"]},
            "limits": {"cpu": amounts["cpuLimit"], "memory": amounts["memoryLimit"]},
        },
    }
