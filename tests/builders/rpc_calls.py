"""Calls of `inference.GRPCInferenceService` as a test makes them: messages of our own, any bytes for the rest."""

import grpc
import numpy as np

from inference.server.rpc.protocol import MESSAGES, SERVICE


def infer_request(x=None, servers=None, *, raw=True, parameters=None, outputs=(), model="incident", **fields):
    """A ModelInferRequest for rows `x` or for servers; parameters: name → Python value."""
    message = MESSAGES["ModelInferRequest"](model_name=model, **fields)
    for name, value in (parameters or {}).items():
        kind = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}[type(value)]
        setattr(message.parameters[name], kind, value)
    for name in outputs:
        message.outputs.add(name=name)
    if x is not None:
        tensor = message.inputs.add(name="x", datatype="FP32", shape=x.shape)
        _fill(message, tensor.contents.fp32_contents, x.ravel().tolist(), x.astype("<f4").tobytes(), raw)
    if servers is not None:
        tensor = message.inputs.add(name="server", datatype="BYTES", shape=[len(servers)])
        names = [name.encode() for name in servers]
        _fill(message, tensor.contents.bytes_contents, names, b"".join(len(name).to_bytes(4, "little") + name for name in names), raw)
    if raw:
        for tensor in message.inputs:
            tensor.ClearField("contents")
    return message


def _fill(message, typed, values, content, raw):
    if raw:
        message.raw_input_contents.append(content)
    else:
        typed.extend(values)


class Refused(Exception):
    """code: of grpc; hints: trailing metadata."""

    def __init__(self, error):
        super().__init__(error.details())
        self.code, self.message, self.hints = error.code(), error.details(), dict(error.trailing_metadata())


def call(channel, method, message, service=SERVICE, response=None, **options):
    """The answer's message, and trailing metadata. message: of the protocol, or bytes. Raises Refused."""
    content = message if isinstance(message, bytes) else message.SerializeToString()
    try:
        answer, done = channel.unary_unary(f"/{service}/{method}").with_call(content, timeout=options.pop("timeout", 20), **options)
    except grpc.RpcError as error:
        raise Refused(error) from None
    return MESSAGES[response or f"{method}Response"].FromString(answer), dict(done.trailing_metadata())


def infer(channel, message, **options):
    """Outputs by name: an array of floats, or a list of texts."""
    return outputs_of(call(channel, "ModelInfer", message, **options)[0])


def outputs_of(answer):
    values = {}
    for place, output in enumerate(answer.outputs):
        raw = answer.raw_output_contents[place] if answer.raw_output_contents else None
        if output.datatype == "FP32":
            flat = np.frombuffer(raw, "<f4") if raw is not None else np.array(output.contents.fp32_contents, np.float32)
            values[output.name] = flat.reshape(output.shape)
        else:
            values[output.name] = _texts(raw) if raw is not None else [value.decode() for value in output.contents.bytes_contents]
    return values


def _texts(raw):
    texts = []
    while raw:
        end = 4 + int.from_bytes(raw[:4], "little")
        texts.append(raw[4:end].decode())
        raw = raw[end:]
    return texts
