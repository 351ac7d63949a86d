"""The Open Inference Protocol v2: tensors in, tensors out, as JSON or with binary contents behind a JSON head.

in    `server` BYTES [n], rows are looked up, or `x` FP32 [n, inputs], rows are given
out   `risk` FP32 [n], `interval` FP32 [n, 2], `tier` BYTES [n]; on request `reasons` BYTES [n] (JSON)
"""

from typing import Any

import msgspec
import numpy as np

from inference.path.request import F32, PathRequest
from inference.path.served import ServedRelease
from inference.server.exchange import HttpRequest, HttpResponse
from inference.server.json_body import decode
from inference.server.tensors import element_count, read_bytes_tensor, read_floats, write_bytes_tensor
from presage.errors import RequestRefused

HEADER_LENGTH = b"inference-header-content-length"
OUTPUTS = ("risk", "interval", "tier", "reasons")
Parameters = dict[str, str | int | float | bool]
Unset = msgspec.UnsetType
UNSET = msgspec.UNSET


class FloatTensor(msgspec.Struct, tag_field="datatype", tag="FP32", gc=False):
    name: str
    shape: list[int]
    data: list[float | list[float | list[float]]] | Unset = UNSET
    parameters: Parameters | Unset = UNSET


class BytesTensor(msgspec.Struct, tag_field="datatype", tag="BYTES", gc=False):
    name: str
    shape: list[int]
    data: list[str | list[str]] | Unset = UNSET
    parameters: Parameters | Unset = UNSET


class WantedOutput(msgspec.Struct, gc=False):
    name: str
    parameters: Parameters | Unset = UNSET


class InferBody(msgspec.Struct, gc=False):
    inputs: list[FloatTensor | BytesTensor]
    id: str | Unset = UNSET
    outputs: list[WantedOutput] | Unset = UNSET
    parameters: Parameters | Unset = UNSET


_decoder = msgspec.json.Decoder(InferBody)
_encode = msgspec.json.Encoder().encode


class Wanted:
    """Which outputs go back, and which of them as binary contents."""

    __slots__ = ("binary", "id", "names")

    def __init__(self, names: list[str], binary: frozenset[str], id: str | None) -> None:
        self.names, self.binary, self.id = names, binary, id


_PLAIN = Wanted(list(OUTPUTS[:3]), frozenset(), None)


def read_infer(request: HttpRequest, always_explained: bool) -> tuple[PathRequest, Wanted]:
    """One request in either form. Raises RequestRefused(400) naming field, value and what is expected."""
    head, contents = _split(request)
    body = decode(_decoder, head, _keys)
    wanted = _wanted(body, always_explained)
    found: dict[str, FloatTensor | BytesTensor] = {}
    asked = PathRequest(explain="reasons" in wanted.names, endpoint="infer", caller_id=(wanted.id or "")[:128])
    position = 0
    for tensor in body.inputs[:3]:
        if tensor.name not in ("server", "x") or tensor.name in found:
            twice = " twice" if tensor.name in found else ""
            raise RequestRefused(400, "input", f"inputs names {tensor.name[:60]!r}{twice}; this model reads server or x.")
        found[tensor.name] = tensor
        size = _binary_size(tensor)
        if size is None and tensor.data is UNSET:
            raise RequestRefused(400, "input", f"{tensor.name} has neither data nor binary_data_size. Send its values.")
        part = None if size is None else contents[position : position + size]
        position += size or 0
        if part is not None and len(part) != size:
            raise RequestRefused(400, "binary", f"{tensor.name} announces {size} bytes, {len(part)} are left in the body. Send all of them.")
        if tensor.name == "x":
            asked.x = _floats(tensor, part)
        else:
            asked.servers = _texts(tensor, part)
    if position != len(contents):
        raise RequestRefused(400, "binary", f"The body holds {len(contents) - position} bytes that no input announces in binary_data_size. Leave them out.")
    return asked, wanted


def _split(request: HttpRequest) -> tuple[bytes, bytes]:
    announced = request.headers.get(HEADER_LENGTH)
    if announced is None:
        return request.body, b""
    if not announced.isdigit() or len(announced) > 12 or not 0 < (length := int(announced)) <= len(request.body):
        text = announced[:20].decode("latin-1")
        size = len(request.body)
        raise RequestRefused(400, "binary", f"Inference-Header-Content-Length is {text!r}, the body has {size} bytes. Send the length of the JSON head.")
    return request.body[:length], request.body[length:]


def _binary_size(tensor: FloatTensor | BytesTensor) -> int | None:
    if tensor.parameters is UNSET or (size := tensor.parameters.get("binary_data_size")) is None:
        return None
    if type(size) is not int or size < 0 or tensor.data is not UNSET:
        raise RequestRefused(400, "binary", f"{tensor.name}: binary_data_size is {size!r}; give a whole number of bytes, and no data beside it.")
    return size


def _floats(tensor: FloatTensor | BytesTensor, part: bytes | None) -> F32:
    if not isinstance(tensor, FloatTensor):
        raise RequestRefused(400, "datatype", "x has datatype BYTES. Send FP32.")
    if len(tensor.shape) not in (2, 3):
        raise RequestRefused(400, "shape", f"x has shape {tensor.shape[:8]}. Send [rows, inputs].")
    return read_floats(tensor.shape, tensor.data if part is None else part)


def _texts(tensor: FloatTensor | BytesTensor, part: bytes | None) -> list[str]:
    if not isinstance(tensor, BytesTensor):
        raise RequestRefused(400, "datatype", "server has datatype FP32. Send BYTES.")
    if len(tensor.shape) != 1 and not (len(tensor.shape) == 2 and tensor.shape[1] == 1):
        raise RequestRefused(400, "shape", f"server has shape {tensor.shape[:8]}. Send [rows].")
    count = element_count("server", tensor.shape)
    if part is not None:
        return read_bytes_tensor(part, count)
    data = tensor.data
    assert data is not UNSET
    texts = [text for item in data for text in ([item] if isinstance(item, str) else item)]
    if len(texts) != count:
        raise RequestRefused(400, "shape", f"server has shape {tensor.shape} and {len(texts)} values. Send as many as the shape says.")
    return texts


def _wanted(body: InferBody, always_explained: bool) -> Wanted:
    binary_default = body.parameters is not UNSET and body.parameters.get("binary_data_output") is True
    if body.outputs is UNSET or not body.outputs:
        if not (binary_default or always_explained) and body.id is UNSET:
            return _PLAIN
        names = list(OUTPUTS if always_explained else OUTPUTS[:3])
        return Wanted(names, frozenset(names if binary_default else ()), None if body.id is UNSET else body.id)
    if len(body.outputs) > len(OUTPUTS):
        raise RequestRefused(400, "outputs", f"outputs asks for {len(body.outputs)} tensors; this model has {', '.join(OUTPUTS)}.")
    names, binary = [], []
    for output in body.outputs:
        if output.name not in OUTPUTS or output.name in names:
            twice = " twice" if output.name in names else ""
            raise RequestRefused(400, "outputs", f"outputs names {output.name[:60]!r}{twice}; this model has {', '.join(OUTPUTS)}.")
        parameters: Parameters = {} if output.parameters is UNSET else output.parameters
        if "classification" in parameters:
            raise RequestRefused(400, "outputs", f"outputs asks for a classification of {output.name}. This model has none; leave the parameter out.")
        names.append(output.name)
        if parameters.get("binary_data", binary_default) is True:
            binary.append(output.name)
    return Wanted(names, frozenset(binary), None if body.id is UNSET else body.id)


def _keys(body: InferBody) -> int:
    count = 1 + (body.id is not UNSET)
    for tensor in body.inputs:
        count += 3 + (tensor.data is not UNSET) + (0 if tensor.parameters is UNSET else 1 + len(tensor.parameters))
    if body.outputs is not UNSET:
        count += 1 + sum(1 + (0 if output.parameters is UNSET else 1 + len(output.parameters)) for output in body.outputs)
    return count + (0 if body.parameters is UNSET else 1 + len(body.parameters))


def write_infer(answer: PathRequest, wanted: Wanted, served_name: str, version: str) -> HttpResponse:
    """The answer in the form asked for. Its parameters name the prediction and the rung that answered."""
    n = answer.rows
    outputs: list[dict[str, Any]] = []
    contents: list[bytes] = []
    for name in wanted.names:
        shape = [n, 2] if name == "interval" else [n]
        output: dict[str, Any] = {"name": name, "shape": shape, "datatype": "FP32" if name in ("risk", "interval") else "BYTES"}
        values = _values(answer, name)
        if name in wanted.binary:
            content = np.asarray(values, dtype="<f4").tobytes() if output["datatype"] == "FP32" else write_bytes_tensor([str(value) for value in values])
            output["parameters"] = {"binary_data_size": len(content)}
            contents.append(content)
        else:
            output["data"] = values
        outputs.append(output)
    document = {
        "model_name": served_name,
        "model_version": version,
        "id": wanted.id if wanted.id is not None else answer.prediction_id,
        "parameters": {"prediction_id": answer.prediction_id, "rung": answer.rung[0] if len(set(answer.rung)) == 1 else "mixed"},
        "outputs": outputs,
    }
    head = _encode(document)
    if not wanted.binary:
        return HttpResponse(200, head)
    return HttpResponse(200, head + b"".join(contents), b"application/octet-stream", ((HEADER_LENGTH, str(len(head)).encode()),))


def _values(answer: PathRequest, name: str) -> list[Any]:
    if name == "risk":
        return answer.risk
    if name == "tier":
        return answer.tier
    if name == "interval":
        return [bound for pair in zip(answer.low, answer.high, strict=True) for bound in pair]
    return [_encode([reason._asdict() for reason in reasons]).decode() for reasons in answer.reasons]


def model_metadata(release: ServedRelease, served_name: str) -> dict[str, object]:
    """What `GET /v2/models/{m}` says."""
    contract = release.contract
    width = [contract.history, len(contract.inputs)] if contract.kind == "sequence" else [len(contract.inputs)]
    return {
        "name": served_name,
        "versions": [release.version],
        "platform": "presage_onnxruntime",
        "inputs": [{"name": "server", "datatype": "BYTES", "shape": [-1]}, {"name": "x", "datatype": "FP32", "shape": [-1, *width]}],
        "outputs": [
            {"name": "risk", "datatype": "FP32", "shape": [-1]}, {"name": "interval", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "tier", "datatype": "BYTES", "shape": [-1]}, {"name": "reasons", "datatype": "BYTES", "shape": [-1]},
        ],
    }  # fmt: skip
