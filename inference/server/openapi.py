"""`GET /openapi.json`: every version of both dialects, made from the very types that parse and write them, with examples from the contract."""

from typing import Any, Literal

import msgspec

from inference.path.served import ServedRelease
from inference.server.oip import InferBody, Parameters
from inference.server.plain import FeaturesUsed, ModelName, Parts, PredictBody, Prediction, Predictions, ReasonView, Servers
from inference.server.versions import DEPRECATED, V1, V2, LastRungs, PredictionsV2, PredictionV2, last_rungs
from presage.contracts.requests import example_infer, example_predict


class Refusal(msgspec.Struct):
    """What was wrong, where, and what to send instead."""

    error: str


class AnsweredTensor(msgspec.Struct, omit_defaults=True):
    """data: flat; left out where parameters give a binary_data_size."""

    name: str
    shape: list[int]
    datatype: Literal["FP32", "BYTES"]
    parameters: Parameters = {}
    data: list[float | str] = []


class InferAnswer(msgspec.Struct):
    """parameters: prediction_id, rung, because, used."""

    model_name: str
    model_version: str
    id: str
    parameters: dict[str, str]
    outputs: list[AnsweredTensor]


class TensorView(msgspec.Struct):
    name: str
    datatype: Literal["FP32", "BYTES"]
    shape: list[int]


class ModelView(msgspec.Struct):
    """shape: -1 = as many rows as are asked for."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorView]
    outputs: list[TensorView]


class ServerView(msgspec.Struct):
    name: str
    version: str
    extensions: list[str]


class Live(msgspec.Struct):
    live: bool


class Ready(msgspec.Struct):
    ready: bool


class ModelReady(msgspec.Struct):
    name: str
    ready: bool


class Models(msgspec.Struct):
    models: list[str]


_TYPES = (
    PredictBody, Predictions, PredictionsV2, Servers, LastRungs, InferBody, InferAnswer, ModelView, ServerView, Live, Ready, ModelReady, Models, Refusal,
)  # fmt: skip
_REFUSALS = {
    "400": "The request is outside the contract.", "403": "The caller's certificate is revoked.", "404": "A server has no row.",
    "405": "Another method is due.", "408": "The body came too slowly.",
    "413": "The body is too large.", "415": "Another content type is due.", "422": "A row is too far from the training data, and the policy refuses such.",
    "429": "Asked too often; Retry-After says when to ask again.", "431": "The head is too large.",
    "503": "Not ready, no features, too much to do, or the journal is full; Retry-After says when to ask again.",
    "504": "The answer would come after the deadline that the request named.",
}  # fmt: skip
_READS = ("403", "405", "429", "431")


class _Writer:
    """Paths of one document. references: type → `{"$ref": …}`."""

    def __init__(self, references: dict[type, dict[str, Any]]) -> None:
        self._references = references
        self.paths: dict[str, dict[str, Any]] = {}

    def get(self, path: str, operation: str, summary: str, answer: type, *codes: str, example: Any = None) -> None:
        responses = {"200": {"description": summary, "content": self._content(answer, example)}, **self._refusals(*_READS, *codes)}
        self._add(path, "get", {"operationId": operation, "summary": summary, "responses": responses})

    def post(self, path: str, operation: str, summary: str, types: tuple[type, type], *, examples: dict[str, Any], answered: Any) -> None:
        """types: of body and answer."""
        body, answer = types
        content = self._content(body)
        content["application/json"]["examples"] = {name: {"value": value} for name, value in examples.items()}
        responses = {"200": {"description": summary, "content": self._content(answer, answered)}, **self._refusals(*_REFUSALS)}
        self._add(path, "post", {
            "operationId": operation, "summary": summary, "parameters": [_DEADLINE, _TRACE],
            "requestBody": {"required": True, "content": content}, "responses": responses,
        })  # fmt: skip

    def _add(self, path: str, method: str, operation: dict[str, Any]) -> None:
        marks = DEPRECATED.get(path)
        if marks is not None:
            operation["deprecated"] = True
            described = {name.decode().title(): {"schema": {"type": "string"}, "example": value.decode()} for name, value in marks}
            operation["responses"]["200"]["headers"] = described
        self.paths[path] = {method: operation}

    def _content(self, answer: type, example: Any = None) -> dict[str, Any]:
        return {"application/json": {"schema": self._references[answer], **({} if example is None else {"example": msgspec.to_builtins(example)})}}

    def _refusals(self, *codes: str) -> dict[str, Any]:
        return {code: {"description": _REFUSALS[code], "content": self._content(Refusal)} for code in codes}


_DEADLINE = {
    "name": "x-envoy-expected-rq-timeout-ms", "in": "header", "required": False, "schema": {"type": "integer", "minimum": 0, "maximum": 600_000},
    "description": "How long the caller still waits, in milliseconds.", "example": 5000,
}  # fmt: skip
_TRACE = {
    "name": "traceparent", "in": "header", "required": False, "description": "W3C trace context.",
    "schema": {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"}, "example": f"00-{'4b' * 16}-{'00f0' * 4}-01",
}  # fmt: skip


def openapi_document(release: ServedRelease, program: str, served_name: str) -> dict[str, Any]:
    """OpenAPI 3.1. The contract's inputs and outputs, with unit, range and meaning, are listed as `x-inputs` and `x-outputs`."""
    contract = release.contract
    references, components = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    mapping = components["InferBody"]["properties"]["inputs"]["items"]["discriminator"]["mapping"]
    mapping |= {datatype: place.replace("#/$defs/", "#/components/schemas/") for datatype, place in mapping.items()}  # the template is not used there
    writer = _Writer(dict(zip(_TYPES, references, strict=True)))
    _plain(writer, release)
    _oip(writer, release, served_name, program)
    promise = f"contract {contract.name} {contract.version}: risk of an incident within {contract.horizon}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"presage: {release.name}",
            "version": program,
            "description": f"Release {release.name}:{release.version}, {promise}.",
        },
        "paths": writer.paths,
        "components": {"schemas": components},
        "x-contract": {"name": contract.name, "version": contract.version, "entity": contract.entity, "horizon": contract.horizon},
        "x-inputs": msgspec.to_builtins(contract.inputs),
        "x-outputs": msgspec.to_builtins(contract.outputs),
    }


def _plain(writer: _Writer, release: ServedRelease) -> None:
    contract = release.contract
    examples = {"servers": example_predict(contract)}
    if contract.kind == "feature_row":
        examples["rows"] = example_predict(contract, rows=True)
    parts = _example_parts(release)
    first = Predictions([Prediction(*parts)])
    what = "One prediction a server (features looked up) or row of features, in order."
    for path, operation, answer, example in (
        (f"{V2}/predict", "predict", PredictionsV2, PredictionsV2([_second(parts)])),
        (f"{V1}/predict", "predict_v1", Predictions, first),
        ("/predict", "predict_unversioned", Predictions, first),
    ):
        writer.post(path, operation, what, (PredictBody, answer), examples=examples, answered=example)
    for path, operation in ((f"{V2}/servers", "servers"), (f"{V1}/servers", "servers_v1"), ("/servers", "servers_unversioned")):
        writer.get(path, operation, f"The {contract.entity}s that have a row in the online store, sorted.", Servers, "503", example=Servers(["web-01"]))
    writer.get(f"{V2}/rules", "rules", "What answers when no model does: rules, then the default.", LastRungs, example=last_rungs(release))


def _oip(writer: _Writer, release: ServedRelease, name: str, program: str) -> None:
    contract, model = release.contract, f"/v2/models/{name}"
    shape = contract.input_shape
    metadata = ModelView(
        name, [release.version], "presage_onnxruntime", [TensorView("server", "BYTES", [-1]), TensorView("x", "FP32", shape)],
        [TensorView("risk", "FP32", [-1]), TensorView("interval", "FP32", [-1, 2]), TensorView("tier", "BYTES", [-1]), TensorView("reasons", "BYTES", [-1])],
    )  # fmt: skip
    writer.get("/v2", "server_metadata", "Who this server is.", ServerView, example=ServerView("presage", program, ["binary_tensor_data"]))
    writer.get("/v2/health/live", "live", "Whether it lives.", Live, example=Live(True))
    writer.get("/v2/health/ready", "ready", "Whether it can answer.", Ready, "503", example=Ready(True))
    writer.get("/v2/models", "models", "What it serves.", Models, example=Models([name]))
    prediction = _second(_example_parts(release))
    answer = InferAnswer(
        name, release.version, prediction.prediction_id,
        {"prediction_id": prediction.prediction_id, "rung": prediction.rung, "because": prediction.because, "used": prediction.used},
        [
            AnsweredTensor("risk", [1], "FP32", data=[prediction.risk]), AnsweredTensor("interval", [1, 2], "FP32", data=list(prediction.interval)),
            AnsweredTensor("tier", [1], "BYTES", data=[prediction.tier]),
        ],
    )  # fmt: skip
    server = {"inputs": [{"name": "server", "datatype": "BYTES", "shape": [1], "data": example_predict(contract)["servers"]}]}
    for place, suffix in ((model, ""), (f"{model}/versions/{release.version}", "_version")):
        writer.get(place, f"model_metadata{suffix}", "What the model takes and gives.", ModelView, example=metadata)
        writer.get(f"{place}/ready", f"model_ready{suffix}", "Whether it can answer.", ModelReady, "503", example=ModelReady(name, True))
        examples = {"servers": server, "x": example_infer(contract)}
        what = "Tensors in, tensors out: risk, interval, tier; reasons where asked for."
        writer.post(f"{place}/infer", f"infer{suffix}", what, (InferBody, InferAnswer), examples=examples, answered=answer)


def _second(parts: Parts) -> PredictionV2:
    return PredictionV2(*parts, because="asked first", used="primary", doubts=[], distance=None)


def _example_parts(release: ServedRelease) -> Parts:
    """Of a prediction as it is made for a server, in the order of its fields."""
    contract = release.contract
    coverage = [1.0] * len(contract.view.view.windows)
    return (
        "web-01", "2026-11-30T06:00:00Z", 0.31, (0.22, 0.4), "act", [ReasonView(contract.inputs[0].name, 0.5, 1.25, None)],
        ModelName(release.name, release.version), FeaturesUsed(contract.feature_version, 12.5, coverage), None, "primary", "9f86d081884c7d65-0",
    )  # fmt: skip
