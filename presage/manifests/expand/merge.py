"""The two ways in which KServe lays one piece of a Pod over another.

    strategic(base, over)          a strategic merge patch: runtime under predictor, default under storage container
    merged_container(base, over)   the same for a runtime's container under a model's: args are appended
    laid_over(stable, canary)      a canary's predictor over a copy of the stable one: maps merge, lists replace, empties override nothing
"""

from copy import deepcopy
from typing import Any

# Lists whose items are matched by a key (core/v1's patchMergeKey); every other list is replaced whole.
KEYED = {
    "env": "name", "volumeMounts": "mountPath", "ports": "containerPort", "volumeDevices": "devicePath", "volumes": "name", "imagePullSecrets": "name",
    "initContainers": "name", "hostAliases": "ip", "topologySpreadConstraints": "topologyKey", "resourceClaims": "name",
}  # fmt: skip


def strategic(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` as a strategic merge patch on `base`. Neither is changed.

    Order in a keyed list is the API machinery's: items that only `over` has come first, before those that only `base` has. So a model's own
    variable cannot use one of the runtime's by $(NAME), and a port that a model adds becomes the first one.
    """
    result = deepcopy(base)
    for name, value in over.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = strategic(result[name], value)
        elif name in KEYED and isinstance(result.get(name), list) and isinstance(value, list):
            result[name] = _merged_list(result[name], value, KEYED[name])
        else:
            result[name] = deepcopy(value)
    return result


def merged_container(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A runtime's container under a model's: args are appended, and value and valueFrom exclude each other."""
    result = with_one_source(strategic(base, over), over)
    if args := [*(base.get("args") or []), *(over.get("args") or [])]:
        result["args"] = args
    return result


def with_one_source(container: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """A merged container whose variables each have a value or a valueFrom, not both: the one that `over` names."""
    laid = {item["name"]: item for item in over.get("env", [])}
    for item in container.get("env", []):
        if "value" in item and "valueFrom" in item:
            item.pop("value" if "valueFrom" in laid.get(item["name"], {}) else "valueFrom")
    return container


def laid_over(stable: dict[str, Any], canary: dict[str, Any]) -> dict[str, Any]:
    """What KServe makes of a canary's predictor (a deep merge of Go structs). Neither is changed."""
    result = deepcopy(stable)
    for name, value in canary.items():
        if _empty(value):
            continue
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = laid_over(result[name], value)
        elif name == "port" and isinstance(value, int) and isinstance(result.get(name), str):
            continue  # an int-or-string's type "number" is 0, so empty: a probe keeps the stable's port name
        else:
            result[name] = deepcopy(value)
    return result


def _empty(value: Any) -> bool:
    return value is None or value is False or value in ("", 0) or (isinstance(value, dict | list) and not value)


def _merged_list(base: list[Any], over: list[Any], key: str) -> list[Any]:
    before = {item[key]: item for item in base}
    order = {item[key]: place for place, item in enumerate(base)}
    laid = [strategic(before[item[key]], item) if item[key] in before else deepcopy(item) for item in over]
    kept = [deepcopy(item) for item in base if item[key] not in {one[key] for one in over}]
    result: list[Any] = []
    while laid and kept:
        place = order.get(laid[0][key])
        result.append(kept.pop(0) if place is not None and order[kept[0][key]] < place else laid.pop(0))
    return [*result, *laid, *kept]
