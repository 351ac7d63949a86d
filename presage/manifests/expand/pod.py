"""The Pod of a predictor: runtime and model merged, containers in KServe's order, its defaults, then what its Pod webhook adds.

A Deployment in the cluster holds the Pod without the storage initializer, which the webhook adds to each Pod as it is made. Here the
template is the Pod as it will run.
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from presage.manifests.expand.merge import merged_container, strategic
from presage.manifests.expand.predictor import Predictor
from presage.manifests.expand.refusals import NotAdmitted
from presage.manifests.expand.runtime import MAIN, TRANSFORMER, Runtime
from presage.manifests.fields import FieldError

_PLACEHOLDER = re.compile(r"\{\{\s*\.(Name|Namespace|(?:Annotations|Labels)\.\w+)\s*\}\}")
_TAG = re.compile(r":[\w.\-]*$")


def pod_of(place: str, metadata: Mapping[str, Any], predictor: Predictor, runtime: Runtime, mounts_token: bool) -> dict[str, Any]:
    """The Pod's spec before the Pod webhook. Raises FieldError.

    mounts_token: KServe's setting; false is written where the predictor does not say.
    """
    pod = strategic(runtime.pod, predictor.pod)
    pod["containers"] = _containers(place, metadata, predictor, runtime)
    if not mounts_token:
        pod.setdefault("automountServiceAccountToken", False)
    for container in pod["containers"]:
        _set_variable(container, "INFERENCE_SERVICE_NAME", metadata["name"])
    _write_defaults(pod)
    return pod


def serving_container(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The container whose ports the Service has: transformer-container, else the first."""
    containers: list[dict[str, Any]] = pod["containers"]
    return next((container for container in containers if container["name"] == TRANSFORMER), containers[0])


def _containers(place: str, metadata: Mapping[str, Any], predictor: Predictor, runtime: Runtime) -> list[dict[str, Any]]:
    """kserve-container, transformer-container, the runtime's others, the predictor's others."""
    given, added = _by_name(runtime.place, "spec.containers", runtime.containers), _by_name(place, f"{predictor.path}.containers", predictor.containers)
    main = _filled(place, merged_container(given.pop(MAIN), {**predictor.container, "name": MAIN}), metadata)
    ordered = [_tagged(main, predictor.runtime_version)]
    if TRANSFORMER in given or TRANSFORMER in added:
        base, over = given.pop(TRANSFORMER, {}), added.pop(TRANSFORMER, {})
        ordered.append(_filled(place, merged_container(base, over), metadata))
    if both := given.keys() & added.keys():
        path = f"{predictor.path}.containers"
        raise NotAdmitted(place, path, f"names {', '.join(sorted(both))}, which the runtime has already: a Pod's containers have different names. Rename it.")
    return ordered + deepcopy([*given.values(), *added.values()])


def _by_name(place: str, path: str, containers: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for position, container in enumerate(containers):
        name = container.get("name")
        if not isinstance(name, str) or name in found:
            raise NotAdmitted(place, f"{path}[{position}].name", f"is {name!r}; each container of a Pod has a name of its own. Write one.")
        found[name] = container
    return found


def _filled(place: str, value: Any, metadata: Mapping[str, Any]) -> Any:
    """Go-template placeholders of a container, replaced by the InferenceService's metadata. Raises FieldError for any other `{{`."""
    if isinstance(value, dict):
        return {key: _filled(place, item, metadata) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(place, item, metadata) for item in value]
    if not isinstance(value, str) or "{{" not in value:
        return value

    def fill(match: re.Match[str]) -> str:
        field, _, key = match[1].partition(".")
        known = {"Name": metadata["name"], "Namespace": metadata.get("namespace", "default")}
        found = (metadata.get(field.lower()) or {}).get(key) if key else known[field]
        if found is None:
            raise FieldError(place, f"metadata.{field.lower()}", f"has nothing for the placeholder {match[0]} of its runtime. Add {key!r}.")
        return str(found)

    filled = _PLACEHOLDER.sub(fill, value)
    if "{{" in filled:
        problem = f"has a container that says {value!r}: KServe reads {{{{ as its own template. Use .Name, .Namespace, .Annotations.x or .Labels.x."
        raise FieldError(place, "spec.predictor", problem)
    return filled


def _tagged(container: dict[str, Any], version: str | None) -> dict[str, Any]:
    """`runtimeVersion` replaces the image's tag, unless the image is named by its digest."""
    image = container.get("image", "")
    if version is not None and "@sha256:" not in image:
        container["image"] = f"{_TAG.sub('', image)}:{version}"
    return container


def _set_variable(container: dict[str, Any], name: str, value: str) -> None:
    for variable in container.get("env", []):
        if variable["name"] == name:
            variable["value"] = value
            return
    container.setdefault("env", []).append({"name": name, "value": value})


def _write_defaults(pod: dict[str, Any]) -> None:
    """What KServe itself fills in; the API server's own defaults are not written."""
    pod.setdefault("dnsPolicy", "ClusterFirst")
    pod.setdefault("restartPolicy", "Always")
    pod.setdefault("terminationGracePeriodSeconds", 30)
    pod.setdefault("securityContext", {})
    pod.setdefault("schedulerName", "default-scheduler")
    for container in pod["containers"]:
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        container.setdefault("imagePullPolicy", "IfNotPresent")
        if container["name"] in (MAIN, TRANSFORMER) and "readinessProbe" not in container:
            port = container["ports"][0]["containerPort"] if container.get("ports") else 8080
            container["readinessProbe"] = {"tcpSocket": {"port": port}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}
