"""What KServe's validating webhook refuses of an InferenceService, beyond what reading it finds."""

import re
from collections.abc import Mapping
from typing import Any

from presage.manifests.expand.refusals import NotAdmitted, NotExpanded
from presage.manifests.fields import Fields

MODE, CLASS, STOP = "serving.kserve.io/deploymentMode", "serving.kserve.io/autoscalerClass", "serving.kserve.io/stop"
READ_ONLY, INITIALIZER_UID = "storage.kserve.io/readonly", "serving.kserve.io/storage-initializer-uid"
INTERNAL = "internal.serving.kserve.io/"
CLASSES = ("hpa", "external", "keda", "none")
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_KNOWN = frozenset({MODE, CLASS, STOP, INITIALIZER_UID, "serving.kserve.io/disable-auto-update", "serving.kserve.io/disable-localmodel"})
_SCRAPING = ("serving.kserve.io/enable-prometheus-scraping", "serving.kserve.io/enable-metric-aggregation")
_CANARY_REFUSED = ("workerSpec", "maxReplicas", "scaleTarget", "scaleMetric", "autoScaling")


def check_metadata(place: str, metadata: Mapping[str, Any]) -> None:
    """Name, labels and annotations of an InferenceService. Raises FieldError."""
    if not _NAME.fullmatch(metadata["name"]):
        raise NotAdmitted(place, "metadata.name", f"is {metadata['name']!r}; KServe wants a lower-case letter first, then letters, digits and -. Rename it.")
    for kind in ("labels", "annotations"):
        if not isinstance(metadata.get(kind) or {}, dict):
            raise NotAdmitted(place, f"metadata.{kind}", f"is {metadata[kind]!r}, not a mapping.")
        check_keys(place, f"metadata.{kind}", metadata.get(kind) or {})
    annotations = metadata.get("annotations") or {}
    if annotations.get(CLASS, "hpa") not in CLASSES:
        raise NotAdmitted(place, f"metadata.annotations[{CLASS}]", f"is {annotations[CLASS]!r}; it may be {', '.join(CLASSES)}.")


def check_keys(place: str, path: str, found: Mapping[str, Any]) -> None:
    """Labels or annotations that KServe reads must be known here. Raises FieldError."""
    for key, value in found.items():
        if not isinstance(value, str):
            raise NotAdmitted(place, f"{path}[{key}]", f"is {value!r}, not text. Quote it.")
        if key.startswith(INTERNAL):
            why = "is one of KServe's internal keys: such a key swaps the model, the storage container or the log's sink. Remove it."
            raise NotExpanded(place, f"{path}[{key}]", why)
        if key in _SCRAPING and value == "true":
            raise NotExpanded(place, f"{path}[{key}]", "points at 9091 or 9088, Knative's ports: nothing is there. Write a PodMonitor.")
        if key.startswith("serving.kserve.io/") and key not in _KNOWN and key not in _SCRAPING:
            raise NotExpanded(place, f"{path}[{key}]", "is a key of KServe's that is not understood here. Remove it.")


def check_canaries(place: str, annotations: Mapping[str, Any], stable: Fields, entries: list[Fields]) -> list[tuple[Fields, int]]:
    """Each canary entry's predictor with its percent, as far as the webhook looks. Raises FieldError."""
    if entries and annotations.get(MODE) != "Standard":
        path = f"metadata.annotations[{MODE}]"
        raise NotAdmitted(place, path, f"is {annotations.get(MODE)!r}; a canary needs Standard on the object itself. Write it.")
    named = {stable.take("name", str, "")}
    least = stable.take("minReplicas", int, 1)
    found: list[tuple[Fields, int]] = []
    for entry in entries:
        percent, predictor = entry.take("trafficPercent", int), entry.inside("predictor")
        entry.finish()
        if not 0 <= percent <= 100:
            raise NotAdmitted(place, f"{entry.path}.trafficPercent", f"is {percent}. Write 0 to 100.")
        _check_canary(predictor, named, least)
        found.append((predictor, percent))
    if (total := sum(percent for _, percent in found)) > 100:
        raise NotAdmitted(place, "spec.canary", f"takes {total} % of the traffic together. Lower trafficPercent until it is 100 or less.")
    return found


def _check_canary(predictor: Fields, named: set[str], least: int) -> None:
    own = predictor.copy()
    name = own.take("name", str, "")
    if not name:
        raise NotAdmitted(own.place, f"{own.path}.name", "is missing: a canary is known by it. Write one.")
    if name in named:
        raise NotAdmitted(own.place, f"{own.path}.name", f"is {name!r}, which another predictor of this object has. Rename it.")
    named.add(name)
    if "model" not in own:
        raise NotAdmitted(own.place, f"{own.path}.model", "is missing: each canary has one implementation of its own. Write it.")
    for field in _CANARY_REFUSED:
        if field in own and own.raw()[field] != 0:
            raise NotAdmitted(own.place, f"{own.path}.{field}", "is refused in a canary: its replicas are fixed. Remove it.")
    replicas = own.take("minReplicas", int, 0)
    if not 0 <= replicas <= least:
        raise NotAdmitted(own.place, f"{own.path}.minReplicas", f"is {replicas}; it must lie between 0 and the stable's {least}.")
