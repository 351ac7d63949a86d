"""How many replicas a ScaledObject asks for: KEDA's triggers, decided as the HorizontalPodAutoscaler behind them decides.

    scaling = read_scaling(manifest, deployment)
    decision, course = decide(scaling, course, now=…, current=2, measured=[Load(1.4), Used((95.0, 110.0))])

Pure: what is measured and the time go in, a number comes out with the sentence that says why. Rules, from Kubernetes' own controller:
the trigger that asks for most decides; within a tenth of its threshold nothing changes; a trigger that cannot be measured never lets a
replica go; what was asked for within the stabilisation window holds a step down (or up) back; at most twice as many, or four more, at once.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, inf, isnan
from typing import Any

from presage.manifests.fields import FieldError, Fields
from presage.manifests.objects import Manifest, label

TOLERANCE = 0.1
CALM_DOWN = 300.0  # seconds, where a ScaledObject says nothing
_MOST, _MORE = 2, 4  # times as many, or so many more, in one step up


@dataclass(frozen=True)
class Trigger:
    """query: PromQL, empty for the processor's time. threshold: for each replica; of the processor in percent of what the Pods request."""

    query: str
    threshold: float

    @property
    def name(self) -> str:
        return self.query or "cpu"


@dataclass(frozen=True)
class Scaling:
    """One ScaledObject. workload: the Deployment it scales; request: processors that each of its Pods requests; calm_up, calm_down in seconds."""

    namespace: str
    workload: str
    least: int
    most: int
    triggers: tuple[Trigger, ...]
    request: float
    calm_up: float = 0.0
    calm_down: float = CALM_DOWN

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name of what is scaled."""
        return (self.namespace, self.workload)


@dataclass(frozen=True)
class Load:
    """What a query gives: one number for all replicas together; None where it cannot be had."""

    value: float | None


@dataclass(frozen=True)
class Used:
    """The processor's time of each Pod, in percent of its request; None for one that was not ready the whole time it was looked at."""

    shares: tuple[float | None, ...]


@dataclass(frozen=True)
class Course:
    """What was asked for, and when: (seconds, replicas), oldest first, no longer than the windows."""

    asked: tuple[tuple[float, int], ...] = ()


@dataclass(frozen=True)
class Decision:
    replicas: int
    because: str


def decide(scaling: Scaling, course: Course, *, now: float, current: int, measured: Sequence[Load | Used]) -> tuple[Decision, Course]:
    """measured: one of each trigger, in their order. current: replicas that are wanted now; now: seconds of a clock that never goes back."""
    if current < scaling.least or current > scaling.most:
        bounded = min(max(current, scaling.least), scaling.most)
        return Decision(bounded, f"{scaling.least} to {scaling.most} replicas are allowed"), course
    wishes = [(wish(trigger, current, found), trigger, found) for trigger, found in zip(scaling.triggers, measured, strict=True)]
    known = [(replicas, trigger, found) for replicas, trigger, found in wishes if replicas is not None]
    if not known:
        return Decision(current, "nothing can be measured"), course
    asked, trigger, found = max(known, key=lambda one: one[0])
    because = _sentence(trigger, found, asked)
    if len(known) < len(wishes) and asked < current:
        blind = next(trigger.name for replicas, trigger, _ in wishes if replicas is None)
        return Decision(current, f"{blind} cannot be measured, so no replica goes"), course
    before = course.asked or ((now, current),)  # the first look remembers what there was
    held = _stabilised(scaling, before, now, current, asked)
    limited = min(held, max(current * _MOST, current + _MORE), scaling.most)
    kept = tuple(one for one in before if one[0] > now - max(scaling.calm_up, scaling.calm_down))
    replicas = max(limited, scaling.least)
    if replicas != asked and replicas == held:
        because = f"{because}; held at {replicas} for now"
    return Decision(replicas, because), Course((*kept, (now, asked)))


def wish(trigger: Trigger, current: int, found: Load | Used) -> int | None:
    """Replicas that one trigger asks for; None where it could not be measured."""
    return _by_load(trigger.threshold, current, found.value) if isinstance(found, Load) else _by_use(trigger.threshold, current, found.shares)


def _by_load(threshold: float, current: int, value: float | None) -> int | None:
    if value is None:
        return None
    ratio = value / (threshold * current)
    return current if abs(1 - ratio) <= TOLERANCE else ceil(value / threshold)


def _by_use(target: float, current: int, shares: tuple[float | None, ...]) -> int | None:
    """A Pod that is not ready yet counts as one that does nothing, where that keeps replicas from being added too early."""
    counted = [share for share in shares if share is not None]
    if not counted:
        return None
    ratio = sum(counted) / len(counted) / target
    if ratio <= 1 or len(counted) == len(shares):
        return current if abs(1 - ratio) <= TOLERANCE else ceil(ratio * len(counted))
    ratio = sum(counted) / len(shares) / target
    return current if ratio <= 1 + TOLERANCE else max(current, ceil(ratio * len(shares)))


def _stabilised(scaling: Scaling, before: tuple[tuple[float, int], ...], now: float, current: int, asked: int) -> int:
    upwards = min([asked, *(replicas for at, replicas in before if at > now - scaling.calm_up)])
    downwards = max([asked, *(replicas for at, replicas in before if at > now - scaling.calm_down)])
    return min(max(current, upwards), downwards)


def _sentence(trigger: Trigger, found: Load | Used, asked: int) -> str:
    if isinstance(found, Load):
        return f"{trigger.query} is {found.value or 0:.4g}, {trigger.threshold:g} a replica: {asked}"
    counted = [share for share in found.shares if share is not None]
    return f"cpu is {sum(counted) / len(counted):.0f} % of what is requested, {trigger.threshold:g} % is wanted: {asked}"


def read_value(answer: Any) -> float | None:
    """The number of an answer of `/api/v1/query`, as KEDA takes it: no series and no number are 0, several series are none (None)."""
    if not isinstance(answer, dict) or answer.get("status") != "success":
        return None
    try:
        found = answer["data"]["result"]
        if answer["data"]["resultType"] == "scalar":
            found = [{"value": found}]
        if len(found) > 1:
            return None
        value = float(found[0]["value"][1]) if found else 0.0
    except (KeyError, IndexError, TypeError, ValueError):
        return None
    return 0.0 if isnan(value) or abs(value) == inf else value


def read_scaling(manifest: Manifest, deployment: Manifest | None) -> Scaling:
    """A ScaledObject, strictly. deployment: what it names. Raises FieldError for what would be passed over otherwise."""
    spec = Fields.of(manifest).inside("spec")
    target = spec.inside("scaleTargetRef")
    name, kind = target.take("name", str), target.take("kind", str, "Deployment")
    target.optional("apiVersion", str)
    target.finish()
    if kind != "Deployment" or deployment is None:
        raise FieldError(label(manifest), "spec.scaleTargetRef.name", f"is {kind} {name!r}, which is no Deployment of the plan. Name one.")
    least, most = spec.take("minReplicaCount", int, 0), spec.take("maxReplicaCount", int, 100)
    behavior = spec.inside("advanced")
    behavior.optional("scalingModifiers", dict)
    rules = behavior.inside("horizontalPodAutoscalerConfig")
    behavior.finish()
    windows = rules.inside("behavior")
    rules.finish()
    calm_down, calm_up = _window(windows, "scaleDown", CALM_DOWN), _window(windows, "scaleUp", 0.0)
    windows.finish()
    triggers = tuple(_trigger(fields) for fields in spec.each("triggers"))
    spec.finish()
    if not triggers:
        raise FieldError(label(manifest), "spec.triggers", "is empty. Write one.")
    scaling = Scaling(str(manifest["metadata"].get("namespace", "default")), name, max(least, 1), max(most, least, 1), triggers, 0.0, calm_up, calm_down)
    if any(not trigger.query for trigger in triggers):
        return replace(scaling, request=_request(deployment))
    return scaling


def _window(windows: Fields, name: str, default: float) -> float:
    rules = windows.inside(name)
    seconds = rules.take("stabilizationWindowSeconds", int, int(default))
    rules.finish()
    return float(seconds)


def _trigger(fields: Fields) -> Trigger:
    kind, metadata = fields.take("type", str), fields.inside("metadata")
    for silent in ("name", "metricType", "authenticationRef"):
        fields.optional(silent, object)
    fields.finish()
    if kind == "cpu":
        found = Trigger("", _number(metadata, "value"))
    elif kind == "prometheus":
        found = Trigger(metadata.take("query", str), _number(metadata, "threshold"))
        for silent in ("serverAddress", "namespace", "authModes"):  # it is the plane's own Prometheus that is asked
            metadata.optional(silent, str)
    else:
        fields.refuse("type", f"is {kind!r}; the plane measures prometheus and cpu. Write one of them.")
    metadata.finish()
    return found


def _number(metadata: Fields, name: str) -> float:
    text = metadata.take(name, str)
    if not re.fullmatch(r"\d+(\.\d+)?|\.\d+", text) or not float(text):
        metadata.refuse(name, f"is {text!r}, no number above 0. Write one.")
    return float(text)


def _request(deployment: Manifest) -> float:
    """Processors that one Pod of a Deployment requests. Raises FieldError where a container says nothing: there is no share of nothing."""
    total = 0.0
    for place, container in enumerate(deployment["spec"]["template"]["spec"]["containers"]):
        resources = container.get("resources") or {}
        text = str((resources.get("requests") or {}).get("cpu") or (resources.get("limits") or {}).get("cpu") or "")
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(m?)", text)
        if match is None or not float(match[1]):
            path = f"spec.template.spec.containers[{place}].resources.requests.cpu"
            raise FieldError(label(deployment), path, f"is {text!r}, and a ScaledObject scales by its share. Write how many processors, like 500m.")
        total += float(match[1]) / (1000 if match[2] else 1)
    return total
