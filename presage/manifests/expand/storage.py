"""The storage container: how KServe's Pod webhook adds the init container that brings the model.

It is built from KServe's own defaults with the ClusterStorageContainer's container laid over; its arguments are the URI and
/mnt/models, shared with the model's containers through the volume `kserve-provision-location`.
"""

import re
from typing import Any

from presage.manifests.expand.core import CONTAINER
from presage.manifests.expand.merge import merged
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

INITIALIZER, VOLUME, MODELS = "storage-initializer", "kserve-provision-location", "/mnt/models"
_READERS = ("kserve-container", "transformer-container")


def add_storage_initializer(manifest: Manifest, pod: dict[str, Any], uri: str, chosen: str | None, storage_containers: list[Manifest]) -> None:
    """Add init container, mounts and volume to `pod`. Raises FieldError where no storage container, or more than one, takes the URI."""
    place = label(manifest)
    if any(container["name"] == INITIALIZER for container in pod.get("initContainers", [])):
        raise FieldError(place, "spec.predictor.initContainers", f"holds one named {INITIALIZER}: KServe would then run no storage container. Remove it.")
    candidates = [_read(one) for one in storage_containers]
    fitting = [(name, container) for name, takes, container in candidates if takes(uri) and chosen in (None, name)]
    if len(fitting) != 1:
        names = ", ".join(name for name, _ in fitting) or "none"
        wanted = f" named {chosen}" if chosen else ""
        raise FieldError(place, "spec.predictor.model.storageUri", f"is {uri!r}; storage containers{wanted} that take it: {names}. There must be exactly one.")
    name, container = fitting[0]
    resources = container.get("resources", {})
    for kind in ("requests", "limits"):
        if missing := {"cpu", "memory"} - resources.get(kind, {}).keys():
            problem = f"lacks {', '.join(sorted(missing))}: the cluster's ConfigMap would fill it in. Write it."
            raise FieldError(f"ClusterStorageContainer {name}", f"spec.container.resources.{kind}", problem)
    mounts = [{"name": VOLUME, "mountPath": MODELS}]
    default = {"name": INITIALIZER, "args": [uri, MODELS], "terminationMessagePolicy": "FallbackToLogsOnError", "volumeMounts": mounts}
    pod.setdefault("initContainers", []).append(merged(default, container))
    for reader in pod["containers"]:
        if reader["name"] in _READERS and not any(mount["mountPath"] == MODELS for mount in reader.get("volumeMounts", [])):
            reader.setdefault("volumeMounts", []).append({"name": VOLUME, "mountPath": MODELS, "readOnly": True})
    volumes = pod.setdefault("volumes", [])
    if not any(volume["name"] == VOLUME for volume in volumes):
        volumes.append({"name": VOLUME, "emptyDir": {}})


def _read(manifest: Manifest) -> tuple[str, Any, dict[str, Any]]:
    """Name, which URIs it takes, and the container of one ClusterStorageContainer."""
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    disabled = whole.take("disabled", bool, False)
    whole.finish()
    kind = spec.take("workloadType", str, "initContainer")
    spec.take("supportsMultiModelDownload", bool, False)
    formats = [(one.optional("prefix", str), one.optional("regex", str)) for one in spec.each("supportedUriFormats")]
    inner = spec.inside("container")
    container = inner.rest(CONTAINER)
    spec.finish()
    if container.get("name") != INITIALIZER:
        raise FieldError(label(manifest), "spec.container.name", f"is {container.get('name')!r}; KServe merges only {INITIALIZER!r}. Rename it.")
    if container.get("args"):
        raise FieldError(label(manifest), "spec.container.args", "would replace the URI and the target that KServe gives. Remove them.")

    def takes(uri: str) -> bool:
        fits = any((prefix and uri.startswith(prefix)) or (regex and re.search(regex, uri)) for prefix, regex in formats)
        return fits and not disabled and kind == "initContainer"

    return manifest["metadata"]["name"], takes, container
