"""What cannot be answered is refused with a code and a sentence, and the server goes on; nothing that a caller sends is an INTERNAL error."""

import random

import grpc
import numpy as np
import psutil
import pytest
from builders.rpc_calls import Refused, call, infer, infer_request

from inference.server.rpc.protocol import MESSAGES


def tensor(message, place=0):
    return message.inputs[place]


def reshaped(rows, *shape):
    message = infer_request(rows)
    tensor(message).shape[:] = shape
    return message


def lying(rows, datatype, raw=True):
    message = infer_request(rows, raw=raw)
    tensor(message).datatype = datatype
    return message


def in_another_field(rows):
    message = infer_request(rows, raw=False)
    tensor(message).contents.ClearField("fp32_contents")
    tensor(message).contents.fp64_contents.extend(rows.ravel().tolist())
    return message


def in_two_fields(rows):
    message = infer_request(rows, raw=False)
    tensor(message).contents.int_contents.append(1)
    return message


def with_both_contents(rows):
    message = infer_request(rows, raw=False)
    message.raw_input_contents.append(rows.tobytes())
    return message


def with_raw(message, *contents):
    message.raw_input_contents[:] = contents
    return message


def with_tensors(message, *names):
    for name in names:
        message.inputs.add(name=name, datatype="FP32", shape=[1, 1])
        message.raw_input_contents.append(b"\0" * 4)
    return message


def nothing_of(name, datatype="FP32"):
    message = MESSAGES["ModelInferRequest"](model_name="incident")
    message.inputs.add(name=name, datatype=datatype, shape=[1, 2])
    return message


def with_parameter(rows, **parameters):
    return infer_request(rows, parameters=parameters)


def valueless(rows):
    message = infer_request(rows)
    message.parameters["domain"].SetInParent()
    return message


MALFORMED = {
    "a shape whose product overflows": (lambda x: reshaped(x, 1 << 62, 1 << 62), "x has shape"),
    "a shape whose product wraps to its size": (lambda x: reshaped(x, 1 << 32, 1 << 32, 1), "x has shape"),
    "a negative size": (lambda x: reshaped(x, -1, x.shape[1]), "x has shape [-1"),
    "a shape of five dimensions": (lambda x: reshaped(x, 1, 1, 1, 1, 1), "Send [rows, inputs]"),
    "no shape": (lambda x: reshaped(x), "Send [rows, inputs]"),
    "a million dimensions": (lambda x: reshaped(x, *[1] * 1_000_000), "x has shape"),
    "rows of another width": (lambda x: infer_request(x[:, :-1]), "reads [n, "),
    "no rows": (lambda x: infer_request(x[:0]), "asks for 0 rows"),
    "more rows than one request may have": (lambda x: infer_request(np.zeros((4097, x.shape[1]), np.float32)), "4097 rows"),
    "raw contents that end early": (lambda x: with_raw(infer_request(x), x.tobytes()[:-1]), "bytes came"),
    "raw contents that go on": (lambda x: with_raw(infer_request(x), x.tobytes() + b"\0"), "bytes came"),
    "raw contents of no input": (lambda x: with_raw(infer_request(x), x.tobytes(), b""), "2 raw_input_contents came for 1 inputs"),
    "raw contents beside contents": (with_both_contents, "beside raw_input_contents"),
    "neither contents": (lambda x: nothing_of("x"), "neither raw_input_contents nor contents"),
    "a datatype that its contents are not": (in_another_field, "its contents are fp64_contents"),
    "contents of two types": (in_two_fields, "int_contents"),
    "a datatype that x does not have": (lambda x: lying(x, "FP64"), "has datatype 'FP64'"),
    "x as texts": (lambda x: lying(x, "BYTES"), "Send FP32"),
    "no datatype": (lambda x: lying(x, ""), "has datatype ''"),
    "a value that is no number": (lambda x: infer_request(np.full_like(x, np.inf)), "not finite"),
    "an input that the model has not": (lambda x: with_tensors(infer_request(), "y"), "reads server or x"),
    "an input twice": (lambda x: with_tensors(infer_request(x), "x"), "'x' twice"),
    "a thousand inputs": (lambda x: with_tensors(infer_request(), *["z"] * 1000), "reads server or x"),
    "no input": (lambda x: infer_request(), "exactly one of server"),
    "rows and servers": (lambda x: infer_request(x, servers=["a", "b", "c"]), "exactly one of server"),
    "a name longer than its bytes": (lambda x: with_raw(infer_request(servers=["a"]), b"\xff\xff\xff\xffab"), "longer than the bytes"),
    "half a length": (lambda x: with_raw(infer_request(servers=["a"]), b"\x01\0"), "longer than the bytes"),
    "fewer names than the shape says": (lambda x: with_raw(infer_request(servers=["a", "b"]), b"\x01\0\0\0a"), "1 values in its bytes and 2 in its shape"),
    "a name that is not UTF-8": (lambda x: with_raw(infer_request(servers=["a"]), b"\x01\0\0\0\xff"), "not UTF-8"),
    "an empty name": (lambda x: infer_request(servers=[""], raw=False), "has 0 characters"),
    "a name of a megabyte": (lambda x: infer_request(servers=["a" * (1 << 20)]), "1048576 characters"),
    "an output that the model has not": (lambda x: infer_request(x, outputs=["risk", "y"]), "outputs names 'y'"),
    "a million outputs": (lambda x: infer_request(x, outputs=["risk"] * 1_000_000), "outputs asks for"),
    "a deadline in the past": (lambda x: with_parameter(x, timeout=-1), "timeout is '-1'"),
    "a deadline that is a word": (lambda x: with_parameter(x, timeout="soon"), "timeout is 'soon'"),
    "a context of nine words": (lambda x: with_parameter(x, **{f"word{n}": "a" for n in range(9)}), "at most 8"),
    "a context of a page": (lambda x: with_parameter(x, domain="a" * 5000), "64 characters"),
    "a parameter without a value": (valueless, "'domain' has no value"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_a_malformed_request_is_an_invalid_argument_that_says_what_is_wrong(what, channel, rows):
    build, said = MALFORMED[what]
    with pytest.raises(Refused) as refused:
        call(channel, "ModelInfer", build(rows[:1]))
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    assert said in refused.value.message and len(refused.value.message) < 1600


def test_typed_texts_that_are_not_utf8_are_an_invalid_argument(channel):
    message = infer_request(servers=["a"], raw=False)
    tensor(message).contents.bytes_contents[0] = b"\xff"
    with pytest.raises(Refused, match=r"server\[0\] is not UTF-8") as refused:
        call(channel, "ModelInfer", message)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT


def test_bytes_that_are_no_message_are_an_invalid_argument(channel, rows):
    whole = infer_request(rows).SerializeToString()
    chance = random.Random(0)
    for content in (whole[:-3], b"\xff" * 40, b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 2000, b"\x0a\x02\xff\xfe"):
        with pytest.raises(Refused, match="is no ModelInferRequest") as refused:
            call(channel, "ModelInfer", content)
        assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    for _ in range(300):  # a byte here or there: refused or answered, never a failure
        spoilt = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            spoilt[chance.randrange(80)] = chance.randrange(256)
        try:
            call(channel, "ModelInfer", bytes(spoilt))
        except Refused as refused:
            assert refused.code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND), refused.message


def test_a_model_or_a_version_that_is_not_here_is_not_found(channel, rows):
    for message, said in ((infer_request(rows, model="other"), "no model 'other'"), (infer_request(rows, model_version="99"), "no version '99'")):
        with pytest.raises(Refused, match=said) as refused:
            call(channel, "ModelInfer", message)
        assert refused.value.code is grpc.StatusCode.NOT_FOUND
    for method in ("ModelReady", "ModelMetadata"):
        with pytest.raises(Refused, match="no model 'other'"):
            call(channel, method, MESSAGES[f"{method}Request"](name="other"))


def test_a_server_that_is_not_known_is_not_found(channel):
    with pytest.raises(Refused, match="no such server") as refused:
        call(channel, "ModelInfer", infer_request(servers=["nobody"]))
    assert refused.value.code is grpc.StatusCode.NOT_FOUND


def test_what_is_too_large_is_refused_unread_and_memory_stays(rpc_server, channel, rows, risk):
    process = psutil.Process(rpc_server.process.pid)
    before = process.memory_info().rss
    for _ in range(5):
        with pytest.raises(Refused, match="larger than max") as refused:
            call(channel, "ModelInfer", infer_request(rows, id="a" * (8 << 20)))
        assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(Refused, match="metadata size exceeds") as refused:
            call(channel, "ModelInfer", infer_request(rows), metadata=(("x-large", "a" * 20_000),))
        assert refused.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert infer(channel, infer_request(rows))["risk"].tolist() == risk
    assert process.memory_info().rss - before < 32 << 20


def test_a_message_that_unpacks_to_more_than_it_is_is_not_unpacked(channel, rows):
    with pytest.raises(Refused, match="gzip") as refused:
        call(channel, "ModelInfer", infer_request(rows, id="a" * (7 << 20)), compression=grpc.Compression.Gzip)
    assert refused.value.code is grpc.StatusCode.UNIMPLEMENTED
