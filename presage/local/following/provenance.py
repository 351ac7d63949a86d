"""Which application what runs comes from: expansion mixes them, as a model is one application's and its runtime's settings another's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from presage.manifests.expand import expand_one
from presage.manifests.expand.parts import Parts
from presage.manifests.objects import Manifest, label, parse_objects

_PODS = frozenset({"Deployment", "CronJob", "Pod"})


@dataclass(frozen=True)
class Runs:
    """workloads, routes: `namespace/name`; objects: as sentences call them."""

    workloads: list[str] = field(default_factory=list)
    routes: list[str] = field(default_factory=list)
    objects: set[str] = field(default_factory=set)


def runs_of(texts: Mapping[str, bytes]) -> dict[str, Runs]:
    """By application. texts: YAML that was expanded before, so it can be."""
    return dict(_runs_of(tuple(sorted(texts.items()))))


@lru_cache(2)
def _runs_of(texts: tuple[tuple[str, bytes], ...]) -> tuple[tuple[str, Runs], ...]:
    objects = {name: parse_objects(text, name) for name, text in texts}
    parts = Parts([one for found in objects.values() for one in found])
    made = []
    for name, found in objects.items():
        runs = Runs()
        for one in (result for written in found for result in expand_one(written, parts)):
            runs.objects.add(label(one))
            if one["kind"] in _PODS:
                runs.workloads.append(_place(one))
            elif one["kind"] == "Gateway":
                runs.workloads.append(f"{_place(one)}-istio")  # the plane's own name of its Pod
            elif one["kind"] == "HTTPRoute":
                runs.routes.append(_place(one))
        made.append((name, runs))
    return tuple(made)


def _place(found: Manifest) -> str:
    return f"{found['metadata'].get('namespace', 'default')}/{found['metadata']['name']}"
