"""The Open Inference Protocol v2: tensors in, tensors out, as JSON or with binary contents behind a JSON head.

in    `server` BYTES [n], rows are looked up, or `x` FP32 [n, inputs], rows are given
out   `risk` FP32 [n], `interval` FP32 [n, 2], `tier` BYTES [n]; on request `reasons` BYTES [n] (JSON)
"""

import struct
from collections.abc import Callable, Mapping
from functools import cache
from math import inf
from typing import Any

import msgspec

from inference.path.request import F32, PathRequest
from inference.path.served import ServedRelease
from inference.server.context import check_context
from inference.server.exchange import HttpRequest, HttpResponse
from inference.server.infer_answer import plain_answer
from inference.server.json_body import decode
from inference.server.tensors import element_count, read_bytes_tensor, read_floats, write_bytes_tensor
from presage.errors import RequestRefused

HEADER_LENGTH = b"inference-header-content-length"
OUTPUTS = ("risk", "interval", "tier", "reasons")
DATATYPES = {"risk": "FP32", "interval": "FP32", "tier": "BYTES", "reasons": "BYTES"}
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


PartOf = Callable[[FloatTensor | BytesTensor], bytes | None]
_decoder = msgspec.json.Decoder(InferBody)
_encode = msgspec.json.Encoder().encode


class Wanted:
    """Which outputs go back, and which of them as binary contents."""

    __slots__ = ("binary", "id", "names")

    def __init__(self, names: list[str], binary: frozenset[str], id: str | None) -> None:
        self.names, self.binary, self.id = names, binary, id


_PLAIN = Wanted(list(OUTPUTS[:3]), frozenset(), None)


def read_infer(request: HttpRequest, always_explained: bool, clock: Callable[[], float]) -> tuple[PathRequest, Wanted]:
    """One request in either form. Raises RequestRefused(400) naming field, value and what is expected."""
    head, contents = _split(request)
    position = 0

    def part_of(tensor: FloatTensor | BytesTensor) -> bytes | None:
        nonlocal position
        size = _binary_size(tensor)
        if size is None:
            if tensor.data is UNSET:
                raise RequestRefused(400, "input", f"{tensor.name} has neither data nor binary_data_size. Send its values.")
            return None
        part = contents[position : position + size]
        position += size
        if len(part) != size:
            raise RequestRefused(400, "binary", f"{tensor.name} announces {size} bytes, {len(part)} are left in the body. Send all of them.")
        return part

    asked, wanted = ask(decode(_decoder, head, _keys), part_of, always_explained, clock)
    if position != len(contents):
        raise RequestRefused(400, "binary", f"The body holds {len(contents) - position} bytes that no input announces in binary_data_size. Leave them out.")
    return asked, wanted


def ask(body: InferBody, part_of: PartOf, always_explained: bool, clock: Callable[[], float]) -> tuple[PathRequest, Wanted]:
    """What a parsed body asks for, whichever wire it came by. part_of: a tensor's raw bytes, None where its values are in `data`; asked
    once a tensor, in order. Raises RequestRefused(400)."""
    wanted = _wanted(body, always_explained)
    found: dict[str, FloatTensor | BytesTensor] = {}
    asked = PathRequest(explain="reasons" in wanted.names, endpoint="infer", caller_id=(wanted.id or "")[:128])
    if body.parameters is not UNSET:
        asked.context, asked.deadline = read_context(body.parameters), read_timeout(body.parameters, clock)
    for tensor in body.inputs[:3]:
        if tensor.name not in ("server", "x") or tensor.name in found:
            twice = " twice" if tensor.name in found else ""
            raise RequestRefused(400, "input", f"inputs names {tensor.name[:60]!r}{twice}; this model reads server or x.")
        found[tensor.name] = tensor
        part = part_of(tensor)
        if tensor.name == "x":
            asked.x = _floats(tensor, part)
        else:
            asked.servers = _texts(tensor, part)
    return asked, wanted


def read_context(parameters: Mapping[str, object]) -> dict[str, str]:
    """What the router chooses by: parameters with text in them. Raises RequestRefused(400)."""
    return check_context({key: value for key, value in parameters.items() if isinstance(value, str)})


def read_timeout(parameters: Mapping[str, object], clock: Callable[[], float]) -> float:
    """`timeout`, as Triton has it: microseconds from now. inf where there is none; Raises RequestRefused(400)."""
    timeout = parameters.get("timeout")
    if timeout is None:
        return inf
    if type(timeout) is not int or not 0 <= timeout < 1 << 53:
        raise RequestRefused(400, "deadline", f"timeout is {str(timeout)[:40]!r}. Send whole microseconds.")
    return clock() + timeout / 1e6


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
    if wanted is _PLAIN and n == 1:
        return HttpResponse(200, _plain(served_name, version)(answer))
    outputs: list[dict[str, Any]] = []
    contents: list[bytes] = []
    for name in wanted.names:
        output: dict[str, Any] = {"name": name, "shape": [n, 2] if name == "interval" else [n], "datatype": DATATYPES[name]}
        values = output_values(answer, name)
        if name in wanted.binary:
            content = raw_output(name, values)
            output["parameters"] = {"binary_data_size": len(content)}
            contents.append(content)
        else:
            output["data"] = values
        outputs.append(output)
    document = {
        "model_name": served_name,
        "model_version": version,
        "id": wanted.id if wanted.id is not None else answer.prediction_id,
        "parameters": answer_parameters(answer),
        "outputs": outputs,
    }
    head = _encode(document)
    if not wanted.binary:
        return HttpResponse(200, head)
    return HttpResponse(200, head + b"".join(contents), b"application/octet-stream", ((HEADER_LENGTH, str(len(head)).encode()),))


_plain = cache(plain_answer)


def answer_parameters(answer: PathRequest) -> dict[str, str]:
    """Which prediction this is, and who made it; `mixed` and the first row's reason where rows differ."""
    one = len(set(answer.rung)) == 1
    return {"prediction_id": answer.prediction_id, "rung": answer.rung[0] if one else "mixed", "because": answer.because[0], "used": answer.used}


def raw_output(name: str, values: list[Any]) -> bytes:
    """The values of an output as little-endian FP32, or as length-prefixed texts."""
    return struct.pack(f"<{len(values)}f", *values) if DATATYPES[name] == "FP32" else write_bytes_tensor(values)


def output_values(answer: PathRequest, name: str) -> list[Any]:
    """Floats or texts, flat."""
    if name == "risk":
        return answer.risk
    if name == "tier":
        return answer.tier
    if name == "interval":
        return [bound for pair in zip(answer.low, answer.high, strict=True) for bound in pair]
    return [_encode([reason._asdict() for reason in reasons]).decode() for reasons in answer.reasons]


def model_metadata(release: ServedRelease, served_name: str) -> dict[str, object]:
    """What `GET /v2/models/{m}` says."""
    return {
        "name": served_name,
        "versions": [release.version],
        "platform": "presage_onnxruntime",
        "inputs": [{"name": "server", "datatype": "BYTES", "shape": [-1]}, {"name": "x", "datatype": "FP32", "shape": release.contract.input_shape}],
        "outputs": [
            {"name": "risk", "datatype": "FP32", "shape": [-1]}, {"name": "interval", "datatype": "FP32", "shape": [-1, 2]},
            {"name": "tier", "datatype": "BYTES", "shape": [-1]}, {"name": "reasons", "datatype": "BYTES", "shape": [-1]},
        ],
    }  # fmt: skip
