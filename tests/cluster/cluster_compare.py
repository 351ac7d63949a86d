"""What the expander says against what a cluster holds: every field that is wanted is there with its value; more may be there (defaults, status).

In a Deployment lists have the same items in the same order. In a Pod, into which others put containers and volumes too, the wanted items
are among them in their order.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from presage.manifests.objects import Manifest

INITIALIZER, VOLUME = "storage-initializer", "kserve-provision-location"
_UNITS = {"": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|Ki|Mi|Gi)?")
_NAMES = ("name", "mountPath", "containerPort")


def differences(wanted: Any, live: Any, path: str = "", *, among: bool = False) -> Iterator[str]:
    """Each field of `wanted` that `live` does not have so. among: further items may stand in lists."""
    if _empty(wanted) and _empty(live):
        return
    if isinstance(wanted, dict) and isinstance(live, dict):
        for name, value in wanted.items():
            yield from differences(value, live.get(name), f"{path}.{name}" if path else name, among=among)
    elif isinstance(wanted, list) and isinstance(live, list):
        yield from _of_lists(wanted, live, path, among)
    elif _plain(wanted) != _plain(live):
        yield f"{path}: wanted {wanted!r}, there is {live!r}"


def before_webhook(deployment: Manifest) -> Manifest:
    """A Deployment as KServe's controller writes it: the expander's template has what the Pod webhook adds to each Pod, too."""
    template = deployment["spec"]["template"]["spec"]
    pod = dict(template)
    pod["initContainers"] = [one for one in template.get("initContainers", []) if one["name"] != INITIALIZER]
    containers = []
    for container in template["containers"]:
        mounts = [mount for mount in container.get("volumeMounts", []) if mount["name"] != VOLUME]
        containers.append({**container, "volumeMounts": mounts})
    pod["containers"] = containers
    spec = {**deployment["spec"], "template": {**deployment["spec"]["template"], "spec": pod}}
    return {**deployment, "spec": spec}


def _of_lists(wanted: list[Any], live: list[Any], path: str, among: bool) -> Iterator[str]:
    if not among:
        if len(wanted) != len(live):
            yield f"{path}: wanted {len(wanted)} items {_names(wanted)}, there are {len(live)} {_names(live)}"
            return
        for position, (one, other) in enumerate(zip(wanted, live, strict=True)):
            yield from differences(one, other, f"{path}[{position}]")
        return
    place = -1
    for position, one in enumerate(wanted):
        found = next((index for index, other in enumerate(live) if _same(one, other)), None)
        if found is None:
            yield f"{path}[{position}]: wanted {_names([one])}, there are {_names(live)}"
            continue
        if found < place:
            yield f"{path}[{position}]: {_names([one])} stands before what it should follow"
        place = max(place, found)
        yield from differences(one, live[found], f"{path}[{position}]", among=True)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in _NAMES:
            if name in one:
                return bool(one[name] == other.get(name))
        return not list(differences(one, other, among=True))
    return bool(_plain(one) == _plain(other))


def _names(items: list[Any]) -> list[Any]:
    return [next((item[name] for name in _NAMES if name in item), item) if isinstance(item, dict) else item for item in items]


def _plain(value: Any) -> Any:
    """Quantities by their amount: 1000m is 1, and `1` is 1."""
    if isinstance(value, str) and (match := _QUANTITY.fullmatch(value)):
        return Decimal(match[1]) * _UNITS[match[2] or ""]
    if isinstance(value, bool):
        return str(value)  # to Python true is 1
    return Decimal(value) if isinstance(value, int) else value


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, dict | list) and not value)
