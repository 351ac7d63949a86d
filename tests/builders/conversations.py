"""What callers send, well and badly: HTTP/1.1 requests as bytes, generated (hypothesis)."""

import json
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from inference.server.tensors import write_bytes_tensor

INFER = b"/v2/models/incident/infer"
READS = (
    b"/", b"/v2", b"/v2/health/live", b"/v2/health/ready", b"/v2/models", b"/v2/models/incident", b"/v2/models/incident/ready", b"/servers", b"/openapi.json",
)  # fmt: skip
PATHS = (
    *READS, b"/predict", INFER, b"/predict?x=1&y", b"/v2?#f", b"http://host/v2", b"http://host:8080/predict", b"http://host", b"//v2", b"/v2/", b"/v%32",
    b"/%ff%00%2f", b"/predict%2f", b"*", b"/v2/models/other/infer", b"/v2/repository/index", b"/v2/models/incident/versions/1", b"/" + b"long" * 100,
    b"/;a=b", b"/%",
)  # fmt: skip
METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"PROPFIND")
XFCC = (
    b"By=spiffe://a/b;URI=spiffe://a/c", b'Subject="CN=x,O=y";URI=spiffe://cluster.local/ns/gateway/sa/presage-istio', b"URI", b"nonsense", b"",
    b"URI=spiffe://a/b;URI=spiffe://a/c",
)  # fmt: skip
BAD = (
    b"\0", b"GET\r\n\r\n", b"GET /\r\n", b"GET / HTTP/1.1\n\n", b"GET  / HTTP/1.1\r\n\r\n", b"get / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.2\r\n\r\n",
    b"GET / HTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\na b: c\r\n\r\n", b"GET / HTTP/1.1\r\na : b\r\n\r\n", b"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n",
    b"GET / HTTP/1.1\r\n: b\r\n\r\n", b"GET / HTTP/1.1\r\na: \x01\r\n\r\n", b"GET / HTTP/1.1\r\na\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET /\xc3\xa4 HTTP/1.1\r\n\r\n", b"FETCH / HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd", b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\ncontent-length: 0x3\r\n\r\nabc", b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n0\r\n\r\n", b"POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n",
    b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n", b"POST / HTTP/1.1\r\ntransfer-encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
)  # fmt: skip
"""Heads and framings that are no HTTP/1.1. Each ends a conversation."""

_token = st.text("abcdefghijklmnopqrstuvwxyz-0123456789_!#$%&'*+.^`|~", min_size=1, max_size=12).map(lambda name: b"x-" + name.encode())
_value = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=40).map(str.encode)


class Asked(NamedTuple):
    """head: with its empty line. body: as framed, in pieces."""

    head: bytes
    body: tuple[bytes, ...] = ()

    @property
    def raw(self):
        return self.head + b"".join(self.body)


def documents(servers, width):
    """Bodies and the headers they need: (content, headers); predictions that are answered, and every way of not being one."""
    name = st.sampled_from([*servers, "newcomer", "nobody", ""])
    names = st.lists(name, max_size=3)
    predict = st.fixed_dictionaries({"servers": names}, optional={"explain": st.booleans(), "top": st.integers(0, 3), "more": st.none()})
    tensor = names.map(lambda names: {"name": "server", "shape": [len(names)], "datatype": "BYTES", "data": names})
    infer = st.fixed_dictionaries({"inputs": st.lists(tensor, min_size=1, max_size=2)}, optional={"id": st.text(max_size=9)})
    plain = (predict | infer | st.just({})).map(lambda document: (json.dumps(document).encode(), ()))
    anything = st.binary(max_size=60).map(lambda body: (body, ()))
    return plain | st.builds(_binary, names, st.integers(0, 2)) | st.builds(_rows, st.integers(1, 2), st.just(width)) | anything


def _binary(names, wrong):
    content = write_bytes_tensor(names)
    parameters = {"binary_data_size": len(content) + (wrong == 1)}
    head = json.dumps({"inputs": [{"name": "server", "shape": [len(names)], "datatype": "BYTES", "parameters": parameters}]}).encode()
    return head + content, ((b"inference-header-content-length", b"%d" % (len(head) + (wrong == 2))), (b"content-type", b"application/octet-stream"))


def _rows(count, width):
    tensor = {"name": "x", "shape": [count, width], "datatype": "FP32", "data": np.zeros(count * width).tolist()}
    return json.dumps({"inputs": [tensor]}).encode(), ()


_HEADERS = st.one_of(
    st.tuples(_token, _value),
    st.tuples(st.just(b"x-forwarded-client-cert"), st.sampled_from(XFCC)),
    st.sampled_from([
        (b"content-type", b"application/json"), (b"content-type", b"text/plain"), (b"content-type", b"Application/JSON; charset=utf-8"),
        (b"content-encoding", b"gzip"), (b"x-envoy-expected-rq-timeout-ms", b"0"), (b"x-envoy-expected-rq-timeout-ms", b"soon"),
        (b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        (b"host", b"presage"), (b"accept", b""), (b"connection", b"keep-alive"), (b"connection", b"te"), (b"keep-alive", b"timeout=5"),
    ]),
)  # fmt: skip


@st.composite
def requests(draw, contents, most_body=4096):
    """One whole request, of any method and path, framed in any way that HTTP/1.1 knows."""
    method, path = draw(st.sampled_from(METHODS) | st.just(b"POST")), draw(st.sampled_from(PATHS) | st.sampled_from([b"/predict", INFER]))
    body, headers = draw(contents) if method not in (b"GET", b"HEAD") or draw(st.integers(0, 9)) == 0 else (b"", ())
    if draw(st.integers(0, 19)) == 0:
        body = b"x" * draw(st.sampled_from([most_body - 1, most_body, most_body + 1, most_body + 500]))
    named = [*headers, *draw(st.lists(_HEADERS, max_size=5))]
    if draw(st.integers(0, 19)) == 0:
        named += [(b"x-%d" % number, b"v" * draw(st.sampled_from([1, 80, 300]))) for number in range(draw(st.sampled_from([15, 19, 20, 21, 30])))]
    if body and draw(st.integers(0, 4)) == 0:
        named.append((b"expect", draw(st.sampled_from([b"100-continue", b"100-Continue", b"200-ok"]))))
    framed: tuple[bytes, ...] = ()
    if body or draw(st.booleans()):
        if draw(st.booleans()):
            named.append((b"content-length", b"%d" % len(body)))
            framed = tuple(body[at : at + 1000] for at in range(0, len(body), 1000))
        else:
            named.append((b"transfer-encoding", draw(st.sampled_from([b"chunked", b"Chunked", b"gzip, chunked"]))))
            framed = draw(_chunks(body))
    close = draw(st.integers(0, 19))
    if close == 0:
        named.append((b"connection", draw(st.sampled_from([b"close", b"Close", b"te, close"]))))
    version = b"1.0" if close == 1 and all(name != b"expect" for name, _ in named) else b"1.1"
    named = draw(st.permutations(named))
    cased = draw(st.booleans())
    lines = b"".join(b"%b:%b%b\r\n" % (name.title() if cased else name, b"" if cased else b" ", value) for name, value in named)
    return Asked(b"%b %b HTTP/%b\r\n%b\r\n" % (method, path, version, lines), framed)


@st.composite
def _chunks(draw, body):
    """The body in chunks, with extensions and sizes as odd as the standard allows."""
    chunks, at = [], 0
    while at < len(body):
        size = draw(st.integers(1, 1000))
        part = body[at : at + size]
        length = draw(st.sampled_from([b"%x", b"%X", b"00%x"])) % len(part)
        chunks.append(length + draw(st.sampled_from([b"", b";a", b';a="b"'])) + b"\r\n" + part + b"\r\n")
        at += size
    return (*chunks, b"0\r\n\r\n")


@st.composite
def spoiled(draw, whole):
    """A request with one byte changed, dropped or doubled, or cut short."""
    raw = draw(whole).raw[:400]
    at = draw(st.integers(0, len(raw) - 1))
    kind = draw(st.sampled_from(["changed", "dropped", "doubled", "cut"]))
    if kind == "changed":
        return raw[:at] + draw(st.binary(min_size=1, max_size=1)) + raw[at + 1 :]
    return {"dropped": raw[:at] + raw[at + 1 :], "doubled": raw[:at] + raw[at : at + 1] * 2 + raw[at + 1 :], "cut": raw[:at]}[kind]


@st.composite
def cut(draw, raw):
    """The same bytes, cut at random places."""
    places = sorted(draw(st.lists(st.integers(1, max(1, len(raw) - 1)), max_size=12)))
    return [part for part in (raw[a:b] for a, b in zip([0, *places], [*places, len(raw)], strict=True)) if part]
