"""Every malformed request gets a 4xx that says what is wrong, and the process answers the next one."""

import json
import socket
import struct
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INFER, PREDICT = "/v2/models/incident/infer", "/predict"


def tensor(**fields):
    return {"name": "x", "shape": [1, 132], "datatype": "FP32", **fields}


def body(*tensors, **fields):
    return {"inputs": list(tensors), **fields}


@pytest.fixture(scope="module")
def good(serving_site):
    return np.nan_to_num(serving_site.x[0]).tolist()


@pytest.fixture(autouse=True)
def still_answers(server, client, good):
    """After each of these the same process answers a good request."""
    yield
    assert server.process.poll() is None
    assert client.post(INFER, json=body(tensor(data=good))).status_code == 200


def refused(response, status=400):
    assert response.status_code == status, (response.status_code, response.text[:300])
    assert response.headers["content-type"] == "application/json"
    return response.json()["error"]


def changed(good, index, value):
    return [*good[:index], value, *good[index + 1 :]]


JSON_CASES = {
    "shape product overflow": (tensor(shape=[2**31, 2**31], data=[1.0]), "Sizes are 0 or more"),
    "shape beyond 64 bits": (tensor(shape=[2**70, 1], data=[1.0]), "shape"),
    "negative sizes that multiply to the right count": (tensor(shape=[-1, -132], data=[0.0] * 132), "Sizes are 0 or more"),
    "no rows": (tensor(shape=[0, 132], data=[]), "asks for 0 rows"),
    "too many rows": (tensor(shape=[5000, 132], data=[0.0] * 5000 * 132), "Send 1 to 4096"),
    "a shape that the data does not fill": (tensor(data=[1.0] * 131), "must agree"),
    "nested data of another shape": (tensor(shape=[2, 66], data=[[1.0] * 132]), "must agree"),
    "ragged rows": (tensor(shape=[2, 132], data=[[1.0] * 132, [1.0] * 131]), "different lengths"),
    "another width": (tensor(shape=[1, 131], data=[1.0] * 131), "reads [n, 132]"),
    "one dimension": (tensor(shape=[132], data=[1.0] * 132), "Send [rows, inputs]"),
    "a fractional size": (tensor(shape=[1.5, 88], data=[1.0] * 132), "it is 1.5"),
    "integers announced": (tensor(datatype="INT32", data=[1] * 132), "it is \"INT32\""),
    "double precision announced": (tensor(datatype="FP64", data=[1.0] * 132), "FP64"),
    "text announced": (tensor(datatype="BYTES", data=["1.0"] * 132), "Send FP32"),
    "text among numbers": (tensor(data=["1.5", *[1.0] * 131]), "it is \"1.5\""),
    "true among numbers": (tensor(data=[True, *[1.0] * 131]), "it is true"),
    "null among numbers": (tensor(data=[None, *[1.0] * 131]), "it is null"),
    "a number beyond float32": (tensor(data=[0.0] * 131 + [1e39]), "not finite in float32"),
    "no data": (tensor(), "neither data nor binary_data_size"),
    "binary announced in a JSON body": (tensor(parameters={"binary_data_size": 528}), "0 are left"),
    "a negative binary size": (tensor(parameters={"binary_data_size": -4}), "-4"),
    "a textual binary size": (tensor(parameters={"binary_data_size": "528"}), "'528'"),
    "data and binary size together": (tensor(data=[1.0] * 132, parameters={"binary_data_size": 0}), "no data beside it"),
    "an unknown tensor": (tensor(name="y", data=[1.0] * 132), "'y'"),
    "a server that is a number": ({"name": "server", "shape": [1], "datatype": "FP32", "data": [1.0]}, "Send BYTES"),
    "an empty server name": ({"name": "server", "shape": [1], "datatype": "BYTES", "data": [""]}, "1 to 253"),
    "an endless server name": ({"name": "server", "shape": [1], "datatype": "BYTES", "data": ["a" * 1000]}, "1 to 253"),
}  # fmt: skip


@pytest.mark.parametrize("case", JSON_CASES)
def test_a_lying_tensor_is_refused_by_name(client, case):
    sent, says = JSON_CASES[case]
    assert says in refused(client.post(INFER, json=body(sent)))


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "0x10", "01"])
def test_a_word_that_is_no_json_number_is_refused(client, word):
    sent = json.dumps(body(tensor(data=[0.25] * 132))).replace("0.25", word, 1)
    refused(client.post(INFER, content=sent, headers={"content-type": "application/json"}))


def test_a_value_outside_the_contract_names_field_value_and_range(client, serving_site, good):
    index, field = next((index, field) for index, field in enumerate(serving_site.contract.inputs) if field.high is not None)
    error = refused(client.post(INFER, json=body(tensor(data=changed(good, index, 1e6)))))
    assert field.name in error and "1e+06" in error and str(field.high) in error


RAW_CASES = {
    "nothing": b"",
    "no JSON": b"\x00\x01\x02",
    "half of it": b'{"inputs": [{"name": "x"',
    "an array": b"[]",
    "a bare number": b"7",
    "no inputs": b"{}",
    "inputs that are null": b'{"inputs": null}',
    "no tensor": b'{"inputs": []}',
    "not UTF-8": b'{"inputs": [{"name": "\xff\xfe", "shape": [1], "datatype": "FP32"}]}',
    "a lone surrogate": b'{"inputs": [{"name": "\\ud800", "shape": [1], "datatype": "FP32"}]}',
    "deep arrays": b'{"inputs": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "deep arrays in a field that nobody reads": b'{"extra": ' + b"[" * 200_000 + b"]" * 200_000 + b', "inputs": []}',
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a key twice": b'{"inputs": [], "inputs": []}',
    "a key twice, once escaped": b'{"inputs": [], "\\u0069nputs": []}',
    "a tensor's key twice": json.dumps(body(tensor(data=[0.5] * 132))).encode().replace(b'"shape": [1, 132]', b'"shape": [1, 132], "shape": [1, 132]'),
    "a parameter twice": b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1], "parameters": {"a": 1, "a": 2}}]}',
    "parameters that are a list": b'{"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1], "parameters": []}]}',
    "an id that is a number": b'{"id": 7, "inputs": []}',
}  # fmt: skip


@pytest.mark.parametrize("case", RAW_CASES)
@pytest.mark.parametrize("path", [INFER, PREDICT])
def test_a_body_that_is_no_request_is_refused(client, path, case):
    refused(client.post(path, content=RAW_CASES[case], headers={"content-type": "application/json"}))


def test_a_million_outputs_are_refused(client, good):
    outputs = [{"name": "risk"}] * 1_000_000
    assert refused(client.post(INFER, json=body(tensor(data=good), outputs=outputs[:400_000])), 400).startswith("outputs asks for 400000")
    refused(client.post(INFER, json=body(tensor(data=good), outputs=outputs, id="a" * 5_000_000)), 413)


@pytest.mark.parametrize("outputs", [[{"name": "secret"}], [{"name": "risk"}, {"name": "risk"}], [{"name": "risk", "parameters": {"classification": 3}}]])
def test_outputs_that_do_not_exist_are_refused(client, good, outputs):
    refused(client.post(INFER, json=body(tensor(data=good), outputs=outputs)))


def test_a_server_and_a_row_together_are_refused(client, good):
    server = {"name": "server", "shape": [1], "datatype": "BYTES", "data": ["newcomer"]}
    assert "exactly one" in refused(client.post(INFER, json=body(tensor(data=good), server)))
    assert "twice" in refused(client.post(INFER, json=body(server, server)))


def head_of(size, **fields):
    return json.dumps(body(tensor(parameters={"binary_data_size": size}, **fields))).encode()


@pytest.mark.parametrize(
    ("head", "tail", "announced", "says"),
    [
        (head_of(528), b"\0" * 500, None, "500 are left"),
        (head_of(528), b"\0" * 600, None, "72 bytes that no input announces"),
        (head_of(524), b"\0" * 524, None, "528 bytes of FP32"),
        (head_of(528), b"\0" * 528, b"9999999", "Send the length of the JSON head"),
        (head_of(528), b"\0" * 528, b"0", "Send the length of the JSON head"),
        (head_of(528), b"\0" * 528, b"-1", "Send the length of the JSON head"),
        (head_of(528), b"\0" * 528, b"12abc", "Send the length of the JSON head"),
        (head_of(528), b"\0" * 528, b"17", "not JSON"),
        (head_of(528), struct.pack("<f", float("inf")) * 132, None, "not finite"),
        (head_of(528), struct.pack("<f", float("nan")) * 132, None, "no value at all"),
        (head_of(2**40, shape=[2**20, 2**18]), b"", None, "are left in the body"),
    ],
)
def test_truncated_or_lying_binary_tensors_are_refused(client, head, tail, announced, says):
    headers = {"inference-header-content-length": announced or str(len(head)).encode(), "content-type": "application/octet-stream"}
    assert says in refused(client.post(INFER, content=head + tail, headers=headers))


@pytest.mark.parametrize("content", [b"", b"\x05", b"\x05\0\0\0ab", b"\xff\xff\xff\xffabcd", b"\x02\0\0\0\xff\xfe", b"\x01\0\0\0a\x01\0\0\0b"])
def test_truncated_or_lying_byte_strings_are_refused(client, content):
    head = json.dumps(body({"name": "server", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(content)}})).encode()
    refused(client.post(INFER, content=head + content, headers={"inference-header-content-length": str(len(head))}))


PLAIN_CASES = {
    "neither servers nor rows": ({}, 400, "exactly one"),
    "both": ({"servers": ["newcomer"], "rows": [{}]}, 400, "exactly one"),
    "no server": ({"servers": []}, 400, "asks for 0 rows"),
    "a server that is a number": ({"servers": [7]}, 400, "it is 7"),
    "an unknown server": ({"servers": ["newcomer", "no-such-server"]}, 404, "'no-such-server'"),
    "an unknown key": ({"servers": ["newcomer"], "explian": True}, 400, "explian"),
    "explain that is text": ({"servers": ["newcomer"], "explain": "yes"}, 400, '"yes"'),
    "an unknown feature": ({"rows": [{"system.cpu.utilization.mean_51m": 1}]}, 400, "Is it 'system.cpu.utilization.mean_15m'?"),
    "an empty row": ({"rows": [{}]}, 400, "no value at all"),
    "a cell that is text": ({"rows": [{"system.cpu.utilization.mean_15m": "0.5"}]}, 400, '"0.5"'),
    "a cell beyond float32": ({"rows": [{"system.cpu.utilization.slope_15m": 1e300}]}, 400, "not finite"),
    "too many explained": ({"servers": ["newcomer"] * 300, "explain": True}, 400, "at most 256"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLAIN_CASES)
def test_a_wrong_plain_request_is_refused_by_name(client, case):
    document, status, says = PLAIN_CASES[case]
    assert says in refused(client.post(PREDICT, json=document), status)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/xml", "\xe9"])
@pytest.mark.parametrize("path", [INFER, PREDICT])
def test_another_content_type_is_refused(client, path, content_type):
    refused(client.post(path, content=b'{"servers": ["newcomer"]}', headers={"content-type": content_type.encode("latin-1")}), 415)


def test_a_compressed_body_is_refused_unread(client):
    import gzip

    bomb = gzip.compress(b" " * 50_000_000)
    refused(client.post(INFER, content=bomb, headers={"content-type": "application/json", "content-encoding": "gzip"}), 415)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", INFER, 405), ("PUT", INFER, 405), ("DELETE", PREDICT, 405), ("POST", "/metrics", 405), ("POST", "/v2/health/live", 405),
        ("POST", "/v2/models/other/infer", 404), ("GET", "/v2/models/other", 404), ("GET", "/v2/models/other/ready", 404), ("POST", "/v2/models//infer", 404),
        ("GET", "/nothing", 404), ("GET", "/../../etc/passwd", 404), ("GET", "/%00", 404), ("POST", "/v1/models/incident:predict", 404),
        ("POST", "/v2/models/incident/versions/9/infer", 404), ("POST", "/v2/repository/models/incident/load", 501), ("POST", "/v2/repository/index", 501),
        ("POST", "/v2/systemsharedmemory/region/a/register", 404),
    ],
)  # fmt: skip
def test_wrong_methods_paths_and_models_are_refused(client, method, path, status):
    refused(client.request(method, path, content=b"{}" if method == "POST" else None), status)


# What HTTP libraries refuse to send goes over a plain socket.


def exchange(server, *pieces, timeout=20):
    """Send, then read until the server closes; the status codes of all answers, and the raw text."""
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        for piece in pieces:
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                break
        received = b""
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionResetError:
            pass
    return [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]], received


def post(content, *headers, path=INFER):
    lines = [f"POST {path} HTTP/1.1", "host: a", "content-type: application/json", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + content


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post(b"", "content-length: 99999999999"), 413),
        (post(b"", "content-length: " + "9" * 15), 413),
        (post(b"", "content-length: -1"), 400),
        (post(b"", "content-length: 1e3"), 400),
        (post(b"", "content-length: 5", "transfer-encoding: chunked"), 400),
        (post(b"", "transfer-encoding: chunked") + b"zz\r\n", 400),
        (post(b"", "bad header"), 400),
        (post(b"", "x: a\0b"), 400),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x-filler: " + b"a" * 1_000_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\n" + b"".join(b"x-%d: 1\r\n" % index for index in range(2000)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"a" * 20_000, 431),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"BREW /pot HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"CONNECT evil:80 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (b"GET \xff HTTP/1.1\r\nhost: a\r\n\r\n", 400),
    ],
)
def test_bytes_that_are_hardly_http_are_refused_and_closed(server, request_bytes, status):
    assert exchange(server, request_bytes)[0][:1] == [status]


@pytest.mark.long
def test_a_half_sent_head_body_or_chunk_is_closed_in_time(server):
    for pieces in ([b"POST /predict HTTP/1.1\r\nhost:"], [post(b"{", "content-length: 100")], [post(b"5\r\nab", "transfer-encoding: chunked")], [b""]):
        assert exchange(server, *pieces)[0] == [408]


def test_a_body_dripped_in_chunks_is_closed_in_time(server):
    host, port = server.address.removeprefix("http://").rsplit(":", 1)
    stop = threading.Event()
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(post(b"", "transfer-encoding: chunked"))

        def drip():
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"1\r\n \r\n")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        answer = connection.recv(65536)
        stop.set()
        thread.join()
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_chunks_that_grow_beyond_the_limit_are_refused(server):
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    assert exchange(server, post(b"", "transfer-encoding: chunked"), *[chunk] * 20)[0][:1] == [413]


def test_a_refusal_shows_nothing_of_the_inside(server, client):
    texts = [client.post(INFER, content=content, headers={"content-type": "application/json"}).text for content in RAW_CASES.values()]
    assert not any(word in text for text in texts for word in ("Traceback", "File ", "msgspec", "numpy", ".py", "0x"))
    assert not any("a request failed inside" in line for line in server.log)


KEYS = st.sampled_from(["name", "shape", "datatype", "data", "parameters", "x", "servers", "rows"])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "server", "y"]),
        "shape": st.lists(st.integers(-2, 200), max_size=4),
        "datatype": st.sampled_from(["FP32", "BYTES", "INT64"]),
    },
    optional={"data": st.lists(st.floats(width=32) | st.text(max_size=5) | st.none(), max_size=5) | JSON_VALUES, "parameters": JSON_VALUES},
)
DOCUMENTS = (
    JSON_VALUES
    | st.fixed_dictionaries({"inputs": st.lists(TENSORS, max_size=3)}, optional={"outputs": JSON_VALUES, "id": JSON_VALUES})
    | st.fixed_dictionaries({}, optional={"servers": JSON_VALUES, "rows": JSON_VALUES, "explain": JSON_VALUES})
)
BODIES = st.binary(max_size=200) | DOCUMENTS.map(lambda value: json.dumps(value).encode())


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=BODIES, path=st.sampled_from([INFER, PREDICT]), length=st.none() | st.integers(-5, 250))
def test_no_body_whatever_makes_the_server_fail(client, content, path, length):
    headers = {"content-type": "application/json"} if length is None else {"inference-header-content-length": str(length)}
    assert client.post(path, content=content, headers=headers).status_code < 500
