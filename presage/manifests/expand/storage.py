"""The storage container: how KServe's Pod webhook adds the init container that brings the model.

It is built from KServe's own settings with the ClusterStorageContainer's container laid over; its arguments are the URI and
/mnt/models, shared with the model's containers through the volume `kserve-provision-location`. It stands after the predictor's own
init containers.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from presage.manifests.expand.core import CONTAINER
from presage.manifests.expand.merge import strategic, with_one_source
from presage.manifests.expand.predictor import Predictor
from presage.manifests.expand.refusals import MissingReference, NotAdmitted, NotExpanded
from presage.manifests.expand.runtime import MAIN, TRANSFORMER
from presage.manifests.expand.settings import Settings
from presage.manifests.expand.shapes import take_rest
from presage.manifests.expand.webhook import INITIALIZER_UID, READ_ONLY
from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

INITIALIZER, VOLUME, MODELS = "storage-initializer", "kserve-provision-location", "/mnt/models"
# Added to every storage container that does not set them (kserve#4761).
_HUGGING_FACE = {"HF_HUB_ENABLE_HF_TRANSFER": "1", "HF_XET_HIGH_PERFORMANCE": "1", "HF_XET_NUM_CONCURRENT_RANGE_GETS": "8"}
# Schemes for which KServe runs no storage container, or its default image.
_PAST = re.compile(r"(pvc|oci|oci\+native|oci\+fetch|file)://|(?!\w+://)")


@dataclass(frozen=True)
class StorageContainer:
    """formats: (prefix or "", regular expression or "")."""

    name: str
    formats: tuple[tuple[str, str], ...]
    container: dict[str, Any]
    usable: bool

    def takes(self, uri: str) -> bool:
        """Whether it lists the URI's form; the regular expression is not anchored."""
        return any(uri.startswith(prefix) if prefix else bool(regex and re.search(regex, uri)) for prefix, regex in self.formats)


def read_storage_container(manifest: Manifest) -> StorageContainer:
    """Raises FieldError."""
    place = label(manifest)
    whole = Fields.of(manifest)
    spec = whole.inside("spec")
    disabled = whole.take("disabled", bool, False)
    whole.finish()
    kind = spec.take("workloadType", str, "initContainer")
    spec.optional("supportsMultiModelDownload", bool)
    formats = []
    for one in spec.each("supportedUriFormats"):
        formats.append((one.take("prefix", str, ""), one.take("regex", str, "")))
        one.finish()
        try:
            re.compile(formats[-1][1])
        except re.error as error:
            raise NotAdmitted(place, f"{one.path}.regex", f"is {formats[-1][1]!r}, no regular expression ({error}).") from None
    inner = spec.inside("container")
    container = take_rest(inner, CONTAINER)
    spec.finish()
    if container.get("name") != INITIALIZER:
        raise NotAdmitted(place, "spec.container.name", f"is {container.get('name')!r}; KServe merges only {INITIALIZER!r}. Rename it.")
    if container.get("args"):
        raise NotAdmitted(place, "spec.container.args", "would replace the URI and the target that KServe gives. Remove them.")
    return StorageContainer(manifest["metadata"]["name"], tuple(formats), container, not disabled and kind == "initContainer")


def choose(place: str, predictor: Predictor, candidates: list[StorageContainer]) -> StorageContainer:
    """The storage container of a predictor's URI. Raises FieldError where none, or more than one, takes it."""
    uri, path = predictor.uri, f"{predictor.path}.model.storageUri"
    if _PAST.match(uri):
        raise NotExpanded(place, path, f"is {uri!r}: of that form KServe brings the model past our storage container. Write presage://NAME:VERSION@sha256:….")
    if wanted := predictor.storage_container:
        named = [one for one in candidates if one.name == wanted]
        if not named:
            why = f"is {wanted!r}; no ClusterStorageContainer is called so. Add it, or name another."
            raise MissingReference(place, f"{predictor.path}.storageContainerName", why)
        if not named[0].usable or not named[0].takes(uri):
            why = f"is {wanted!r}, which is disabled, no init container, or does not take {uri!r}. Name one that does."
            raise NotAdmitted(place, f"{predictor.path}.storageContainerName", why)
        return named[0]
    fitting = [one for one in candidates if one.usable and one.takes(uri)]
    if len(fitting) != 1:
        names = ", ".join(one.name for one in fitting) or "none"
        kind = NotAdmitted if fitting else MissingReference
        raise kind(place, path, f"is {uri!r}; storage containers that take it: {names}. There must be exactly one.")
    return fitting[0]


def add_initializer(pod: dict[str, Any], chosen: StorageContainer, uri: str, settings: Settings, annotations: Mapping[str, str]) -> None:
    """Add init container, mounts and volume to `pod`, as the Pod webhook does. annotations: the Pod's own. Raises FieldError."""
    read_only = annotations.get(READ_ONLY) != "false"
    default = {
        "name": INITIALIZER, "args": [uri, MODELS], "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": VOLUME, "mountPath": MODELS}], **(settings.initializer or {}),
    }  # fmt: skip
    container = with_one_source(strategic(default, chosen.container), chosen.container)
    place = f"ClusterStorageContainer {chosen.name}"
    if not container.get("image"):
        raise FieldError(place, "spec.container.image", "is missing: the cluster's ConfigMap would fill it in. Write it.")
    for kind in ("requests", "limits"):
        if missing := {"cpu", "memory"} - container.get("resources", {}).get(kind, {}).keys():
            problem = f"lacks {', '.join(sorted(missing))}: the cluster's ConfigMap would fill it in. Write it."
            raise FieldError(place, f"spec.container.resources.{kind}", problem)
    there = {variable["name"] for variable in container.get("env", [])}
    container.setdefault("env", []).extend({"name": name, "value": value} for name, value in _HUGGING_FACE.items() if name not in there)
    if (user := annotations.get(INITIALIZER_UID, "")).isdigit():
        container["securityContext"] = {**container.get("securityContext", {}), "runAsUser": int(user)}
    pod.setdefault("initContainers", []).append(container)
    for reader in pod["containers"]:
        if reader["name"] in (MAIN, TRANSFORMER) and not any(mount["name"] == VOLUME for mount in reader.get("volumeMounts", [])):
            reader.setdefault("volumeMounts", []).append({"name": VOLUME, "mountPath": MODELS, **({"readOnly": True} if read_only else {})})
    volumes = pod.setdefault("volumes", [])
    if not any(volume["name"] == VOLUME for volume in volumes):
        volumes.append({"name": VOLUME, "emptyDir": {}})
