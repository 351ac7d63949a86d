"""A Deployment's next step: which Pods to make and which to end, as Kubernetes' controller decides it.

    step(RollingUpdate(replicas=2, surge=1, unavailable=0), "b", [PodState("web-0", "a", ready=True, ending=False), …])

Pure: what is there and what is wanted go in, names come out. Pods that are ending count no more (Kubernetes' meaning too).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from presage.manifests.fields import FieldError, Fields


@dataclass(frozen=True)
class Strategy:
    """replicas wanted; surge: Pods above them, unavailable: ready Pods below them, that an update may cause."""

    kind: Literal["RollingUpdate", "Recreate"]
    replicas: int
    surge: int = 1
    unavailable: int = 0


@dataclass(frozen=True)
class PodState:
    """revision: digest of the template it was made of. ending: told to stop, and counted no more."""

    name: str
    revision: str
    ready: bool
    ending: bool = False


@dataclass(frozen=True)
class Step:
    """create: how many Pods of the wanted revision; end: names of Pods to stop now."""

    create: int = 0
    end: tuple[str, ...] = ()


def read_strategy(spec: Fields, replicas: int) -> Strategy:
    """`spec.strategy` of a Deployment; absent fields as the API server fills them. Raises FieldError."""
    found = spec.inside("strategy")
    kind = found.take("type", str, "RollingUpdate")
    rolling = found.inside("rollingUpdate")
    if kind not in ("RollingUpdate", "Recreate"):
        found.refuse("type", f"is {kind!r}; a Deployment knows RollingUpdate and Recreate. Write one of them.")
    surge = _amount(rolling, "maxSurge", replicas, math.ceil)
    unavailable = _amount(rolling, "maxUnavailable", replicas, math.floor)
    rolling.finish()
    found.finish()
    if kind == "RollingUpdate" and not surge and not unavailable:
        raise FieldError(spec.place, f"{spec.path}.strategy.rollingUpdate", "has maxSurge and maxUnavailable 0: no Pod could be replaced. Raise one of them.")
    return Strategy("Recreate" if kind == "Recreate" else "RollingUpdate", replicas, surge, unavailable)


def step(strategy: Strategy, wanted: str, pods: Iterable[PodState]) -> Step:
    """What to do now towards `replicas` ready Pods of revision `wanted`; an empty Step where nothing is left, or something must be waited for."""
    every = list(pods)
    living = [pod for pod in every if not pod.ending]
    new = [pod for pod in living if pod.revision == wanted]
    old = [pod for pod in living if pod.revision != wanted]
    if strategy.kind == "Recreate":
        if old:
            return Step(end=tuple(pod.name for pod in old))
        if any(pod.ending and pod.revision != wanted for pod in every):
            return Step()  # the old ones must be gone, not only going
        return _scaled(strategy, new)
    if not old:
        return _scaled(strategy, new)
    room = strategy.replicas + strategy.surge - len(living)
    create = max(0, min(room, strategy.replicas - len(new)))
    if len(new) > strategy.replicas:
        return Step(end=tuple(pod.name for pod in _least_useful(new)[: len(new) - strategy.replicas]))
    # Old Pods that are not ready serve nobody: they go first and free. Of the ready ones only so many that enough stay ready.
    unready = [pod for pod in old if not pod.ready]
    ready_total = sum(pod.ready for pod in living)
    spare = max(0, ready_total - (strategy.replicas - strategy.unavailable))
    ending = unready + [pod for pod in old if pod.ready][:spare]
    return Step(create, tuple(pod.name for pod in ending))


def _scaled(strategy: Strategy, new: Sequence[PodState]) -> Step:
    if len(new) <= strategy.replicas:
        return Step(create=strategy.replicas - len(new))
    return Step(end=tuple(pod.name for pod in _least_useful(new)[: len(new) - strategy.replicas]))


def _least_useful(pods: Sequence[PodState]) -> list[PodState]:
    return sorted(pods, key=lambda pod: (pod.ready, pod.name), reverse=False)


def _amount(fields: Fields, name: str, replicas: int, rounded: Any) -> int:
    """A number, or a percentage of the replicas (25% where absent)."""
    value = fields.take(name, object, "25%")
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and value.endswith("%") and value[:-1].isdigit():
        return int(rounded(replicas * int(value[:-1]) / 100))
    raise FieldError(fields.place, f"{fields.path}.{name}", f"is {value!r}; write a number of Pods, or a percentage like 25%.")
