"""Laying one container over another, as a strategic merge patch does."""

from copy import deepcopy
from typing import Any

# Lists whose items are matched by a key; every other list is replaced whole.
_KEYED = {"env": "name", "volumeMounts": "mountPath", "ports": "containerPort", "volumeDevices": "devicePath", "volumes": "name", "imagePullSecrets": "name"}


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`: maps merge, keyed lists merge item by item, everything else replaces. Neither is changed."""
    result = deepcopy(base)
    for name, value in over.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        elif name in _KEYED and isinstance(result.get(name), list):
            result[name] = _merged_list(result[name], value, _KEYED[name])
        else:
            result[name] = deepcopy(value)
    return result


def merged_container(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A runtime's container under a model's: as `merged`, but args are appended, and value and valueFrom exclude each other."""
    result = merged(base, over)
    if args := [*base.get("args", []), *over.get("args", [])]:
        result["args"] = args
    laid = {item["name"]: item for item in over.get("env", [])}
    for item in result.get("env", []):
        if "value" in item and "valueFrom" in item:
            item.pop("value" if "valueFrom" in laid.get(item["name"], {}) else "valueFrom")
    return result


def _merged_list(base: list[Any], over: list[Any], key: str) -> list[Any]:
    result = deepcopy(base)
    places = {item[key]: place for place, item in enumerate(result)}
    for item in over:
        if item[key] in places:
            result[places[item[key]]] = merged(result[places[item[key]]], item)
        else:
            result.append(deepcopy(item))
    return result
