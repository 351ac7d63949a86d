"""One predictor of an InferenceService, stable or canary, taken apart field by field."""

from dataclasses import dataclass
from typing import Any, Literal

from presage.manifests.expand.core import CONTAINER, POD
from presage.manifests.expand.refusals import NotAdmitted, NotExpanded
from presage.manifests.expand.runtime import MAIN
from presage.manifests.expand.shapes import take_rest
from presage.manifests.fields import Fields

Role = Literal["stable", "canary"]

_FRAMEWORKS = frozenset({"huggingface", "lightgbm", "onnx", "paddle", "pmml", "pytorch", "sklearn", "tensorflow", "triton", "xgboost"})
_REFUSED = {
    "canaryTrafficPercent": "is Knative's: Standard mode ignores it in silence. Write a canary entry.",
    "containerConcurrency": "is Knative's: Standard mode ignores it in silence. Remove it.",
    "scaleMetricType": "is read by nobody: KServe drops it in silence. Write autoScaling.metrics.",
    "workerSpec": "makes a server of several nodes, which is not expanded. Remove it.",
    "logger": "injects KServe's agent, which is not expanded (and which a canary's traffic goes past). The request path writes the prediction log itself.",
    "batcher": "injects KServe's agent, which is not expanded. The request path batches itself.",
}
_MODEL_REFUSED = {
    "storage": "runs KServe's default image past our storage container. Write storageUri.",
    "confidential": "adds what is not expanded. Our gate decrypts.",
}


@dataclass(frozen=True)
class Predictor:
    """container: the model's own part of kserve-container; containers: `predictor.containers`; pod: its pod-level fields.
    scaling: scaleMetric, scaleTarget and autoScaling, read by the autoscaler alone. timeout in seconds."""

    path: str
    name: str
    runtime: str
    runtime_version: str | None
    model_format: tuple[str, str | None]
    protocol: str | None
    uri: str
    container: dict[str, Any]
    containers: list[dict[str, Any]]
    pod: dict[str, Any]
    storage_container: str | None
    min_replicas: int | None
    max_replicas: int
    scaling: dict[str, Any]
    strategy: dict[str, Any] | None
    timeout: int | None
    labels: dict[str, str]
    annotations: dict[str, str]

    def object_name(self, service: str) -> str:
        """The name of its Deployment, Service and autoscaler."""
        return f"{service}-{self.name}-predictor" if self.name else f"{service}-predictor"


def read_predictor(fields: Fields, role: Role = "stable") -> Predictor:
    """Raises FieldError. A canary is read laid over the stable predictor (presage.manifests.expand.merge); what KServe ignores in it is ignored."""
    _one_implementation(fields)
    for name, why in _REFUSED.items():
        if name in fields:
            raise NotExpanded(fields.place, f"{fields.path}.{name}", why)
    several = fields.optional("storageUris", list)
    if several and role == "stable":
        raise NotExpanded(fields.place, f"{fields.path}.storageUris", "names several; our storage container takes one. Write model.storageUri.")
    model = fields.inside("model")
    for name, why in _MODEL_REFUSED.items():
        if name in model:
            raise NotExpanded(fields.place, f"{model.path}.{name}", why)
    named = model.optional("name", str)
    if named and role == "stable":
        raise NotAdmitted(model.place, f"{model.path}.name", f"is {named!r}; KServe's webhook allows no name there. Remove it.")
    if role == "canary" and named != MAIN:
        raise NotAdmitted(model.place, f"{model.path}.name", f"is {named!r}; a canary's model must be named {MAIN} (its CRD demands a name). Write that.")
    if "runtime" not in model:
        raise NotExpanded(model.place, f"{model.path}.runtime", "is missing: KServe would take the newest that fits. Name one.")
    if "storageUri" not in model:
        raise NotExpanded(model.place, f"{model.path}.storageUri", "is missing: KServe would make a server of many models. Write it.")
    model_format = model.inside("modelFormat")
    runtime, version = model.take("runtime", str), model.optional("runtimeVersion", str)
    protocol, uri = model.optional("protocolVersion", str), model.take("storageUri", str)
    container = take_rest(model, CONTAINER)
    wanted = (model_format.take("name", str), model_format.optional("version", str))
    model_format.finish()
    predictor = Predictor(
        path=fields.path, name=fields.take("name", str, ""), runtime=runtime, runtime_version=version, model_format=wanted, protocol=protocol, uri=uri,
        container=container, containers=[take_rest(one, CONTAINER) for one in fields.each("containers")],
        storage_container=fields.optional("storageContainerName", str) or None,
        min_replicas=fields.optional("minReplicas", int), max_replicas=fields.take("maxReplicas", int, 0),
        scaling={name: value for name in ("scaleMetric", "scaleTarget", "autoScaling") if (value := fields.optional(name, object)) is not None},
        strategy=fields.optional("deploymentStrategy", dict), timeout=fields.optional("timeout", int),
        labels=fields.mapping("labels"), annotations=fields.mapping("annotations"), pod=take_rest(fields, POD),
    )  # fmt: skip
    _check_replicas(fields, predictor)
    if role == "stable":
        _check_environment(fields, predictor)
    return predictor


def _one_implementation(fields: Fields) -> None:
    for name in sorted(_FRAMEWORKS):
        if name in fields:
            why = "is the old form, which KServe rewrites (a permanent difference in Argo CD). Write it as `model`."
            raise NotExpanded(fields.place, f"{fields.path}.{name}", why)
    if "model" not in fields:
        why = "is missing: the form with `containers` is refused by our admission policy (it can go past the gate). Write `model` and a runtime."
        raise NotExpanded(fields.place, f"{fields.path}.model", why)


def _check_replicas(fields: Fields, predictor: Predictor) -> None:
    least = 1 if predictor.min_replicas is None else predictor.min_replicas
    if least < 0:
        raise NotAdmitted(fields.place, f"{fields.path}.minReplicas", f"is {least}. Write 0 or more.")
    if predictor.max_replicas < 0:
        raise NotAdmitted(fields.place, f"{fields.path}.maxReplicas", f"is {predictor.max_replicas}. Write 0 or more.")
    if 0 < predictor.max_replicas < least:
        raise NotAdmitted(fields.place, f"{fields.path}.minReplicas", f"is {least}, more than maxReplicas, {predictor.max_replicas}. Lower it.")


def _check_environment(fields: Fields, predictor: Predictor) -> None:
    every = [(f"{fields.path}.model", predictor.container)]
    every += [(f"{fields.path}.containers[{place}]", one) for place, one in enumerate(predictor.containers)]
    every += [(f"{fields.path}.initContainers[{place}]", one) for place, one in enumerate(predictor.pod.get("initContainers", []))]
    for path, container in every:
        if any(variable.get("name") == "PYTHONPATH" for variable in container.get("env", [])):
            raise NotAdmitted(fields.place, f"{path}.env", "sets PYTHONPATH, which KServe's webhook refuses. Remove it.")
    for place, one in enumerate(predictor.containers):
        if one.get("name") == MAIN:
            why = f"is named {MAIN} beside a model: two implementations. Write its fields in `model`."
            raise NotAdmitted(fields.place, f"{fields.path}.containers[{place}].name", why)
        if one.get("name") == "transformer-container" and any(variable.get("name") == "STORAGE_URI" for variable in one.get("env", [])):
            raise NotAdmitted(fields.place, f"{fields.path}.containers[{place}].env", "sets STORAGE_URI, which KServe's webhook refuses there. Remove it.")
