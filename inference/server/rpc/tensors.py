"""ModelInferRequest and ModelInferResponse, as the request path asks and answers.

in    values all in `raw_input_contents`, or each in the field of its input's `contents` that belongs to its datatype; never both
out   in the form in which they came
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from inference.path.request import PathRequest
from inference.server.oip import (
    DATATYPES,
    UNSET,
    BytesTensor,
    FloatTensor,
    InferBody,
    Parameters,
    Wanted,
    WantedOutput,
    answer_parameters,
    ask,
    output_values,
    raw_output,
)  # fmt: skip
from inference.server.rpc.protocol import CHOICE, MESSAGES
from presage.errors import RequestRefused

_CONTENTS = {"FP32": "fp32_contents", "BYTES": "bytes_contents"}
_MOST = 4  # inputs and outputs that are looked at; the protocol's names are refused before as many were read
_Response = MESSAGES["ModelInferResponse"]


def read_infer(message: Any, always_explained: bool, clock: Callable[[], float]) -> tuple[PathRequest, Wanted]:
    """message: a ModelInferRequest. `Wanted.binary` is not empty where values came raw. Raises RequestRefused(400)."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise RequestRefused(400, "raw", f"{len(raw)} raw_input_contents came for {len(message.inputs)} inputs. Send one for each input, in order.")
    parts = iter(raw)

    def part_of(tensor: FloatTensor | BytesTensor) -> bytes | None:
        part: bytes | None = next(parts, None)
        if part is None and tensor.data is UNSET:
            raise RequestRefused(400, "input", f"{tensor.name[:60]} has neither raw_input_contents nor contents. Send its values.")
        return part

    asked, wanted = ask(
        InferBody(
            inputs=[_tensor(tensor, bool(raw)) for tensor in message.inputs[:_MOST]],
            id=message.id or UNSET,
            outputs=list(_outputs(message)) or UNSET,
            parameters=_parameters(message.parameters) if message.parameters else UNSET,
        ),
        part_of,
        always_explained,
        clock,
    )
    asked.endpoint = "grpc"
    return asked, Wanted(wanted.names, frozenset(wanted.names if raw else ()), wanted.id)


def _tensor(tensor: Any, raw: bool) -> FloatTensor | BytesTensor:
    name, datatype, shape = tensor.name, tensor.datatype, list(tensor.shape)
    filled = [field.name for field, _ in tensor.contents.ListFields()] if tensor.HasField("contents") else []
    if datatype not in _CONTENTS:
        raise RequestRefused(400, "datatype", f"{name[:60]} has datatype {datatype[:20]!r}. Send FP32 for x, BYTES for server.")
    if filled and raw:
        raise RequestRefused(400, "raw", f"{name[:60]} has contents beside raw_input_contents. Send its values once.")
    if filled not in ([], [_CONTENTS[datatype]]):
        raise RequestRefused(400, "datatype", f"{name[:60]} is {datatype}, its contents are {', '.join(filled)}. Send {_CONTENTS[datatype]}.")
    if datatype == "FP32":
        return FloatTensor(name, shape, list(tensor.contents.fp32_contents) if filled else UNSET)
    return BytesTensor(name, shape, list(_texts(name, tensor.contents.bytes_contents)) if filled else UNSET)


def _texts(name: str, values: Any) -> Iterator[str]:
    for index, value in enumerate(values):
        try:
            yield value.decode()
        except UnicodeDecodeError:
            raise RequestRefused(400, "binary", f"{name[:60]}[{index}] is not UTF-8. Send names as UTF-8.") from None


def _outputs(message: Any) -> Iterator[WantedOutput]:
    for output in message.outputs[: _MOST + 1]:
        yield WantedOutput(output.name, _parameters(output.parameters) if output.parameters else UNSET)


def _parameters(entries: Any) -> Parameters:
    parameters: Parameters = {}
    for name, parameter in entries.items():
        if (choice := parameter.WhichOneof(CHOICE)) is None:
            raise RequestRefused(400, "parameter", f"The parameter {name[:60]!r} has no value. Send one, or leave it out.")
        parameters[name] = getattr(parameter, choice)
    return parameters


class InferWriter:
    """Writes ModelInferResponses of one release. Serialized messages that follow one another are one message (protobuf merges them), so
    what many answers have in common is serialized once."""

    def __init__(self, served_name: str, version: str) -> None:
        self._name, self._version = served_name, version
        self._outputs = lru_cache(64)(self._raw_outputs)
        self._maker = lru_cache(64)(_parameters_of)

    def __call__(self, answer: PathRequest, wanted: Wanted) -> bytes:
        """The serialized answer. Its parameters name the prediction and the rung that answered."""
        prediction, *rest = answer_parameters(answer).items()
        id = answer.prediction_id if wanted.id is None else wanted.id
        named = _Response(id=id, raw_output_contents=[raw_output(name, output_values(answer, name)) for name in wanted.names if wanted.binary])
        named.parameters[prediction[0]].string_param = prediction[1]
        outputs = self._outputs(tuple(wanted.names), answer.rows) if wanted.binary else self._typed_outputs(answer, wanted.names)
        return outputs + self._maker(tuple(rest)) + _bytes_of(named)

    def _raw_outputs(self, names: tuple[str, ...], rows: int) -> bytes:
        message = _Response(model_name=self._name, model_version=self._version)
        for name in names:
            message.outputs.add(name=name, datatype=DATATYPES[name], shape=_shape(name, rows))
        return _bytes_of(message)

    def _typed_outputs(self, answer: PathRequest, names: list[str]) -> bytes:
        message = _Response(model_name=self._name, model_version=self._version)
        for name in names:
            output = message.outputs.add(name=name, datatype=DATATYPES[name], shape=_shape(name, answer.rows))
            if DATATYPES[name] == "FP32":
                output.contents.fp32_contents.extend(output_values(answer, name))
            else:
                output.contents.bytes_contents.extend(text.encode() for text in output_values(answer, name))
        return _bytes_of(message)


def _shape(name: str, rows: int) -> tuple[int, ...]:
    return (rows, 2) if name == "interval" else (rows,)


def _parameters_of(texts: tuple[tuple[str, str], ...]) -> bytes:
    message = _Response()
    for key, text in texts:
        message.parameters[key].string_param = text
    return _bytes_of(message)


def _bytes_of(message: Any) -> bytes:
    content: bytes = message.SerializeToString()
    return content
