"""File formats checked by structure, before a parser sees them."""

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from presage.package.formats import check_json, check_safetensors, check_text

WHOLE = save({"a": np.arange(6, dtype=np.float64).reshape(2, 3), "b": np.zeros(4, np.uint8)}, metadata={"link": "logit"})


def with_header(header: dict, body: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def test_what_safetensors_writes_passes():
    check_safetensors(WHOLE)


@pytest.mark.parametrize("content", [
    WHOLE[:-1], WHOLE + b"\0", b"", b"\x80\x04K\x01.", (1 << 40).to_bytes(8, "little") + b"{}",
    with_header({"a": {"dtype": "F64", "shape": [1 << 60], "data_offsets": [0, 8]}}, b"\0" * 8),
    with_header({"a": {"dtype": "F64", "shape": [1], "data_offsets": [8, 16]}}, b"\0" * 16),
    with_header({"a": {"dtype": "F64", "shape": [-1], "data_offsets": [0, 8]}}, b"\0" * 8),
    with_header({"a": {"dtype": "BF16", "shape": [4], "data_offsets": [0, 8]}}, b"\0" * 8),
    with_header({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8], "run": "me"}}, b"\0" * 8),
    with_header({"a": [1, 2]}), with_header({"__metadata__": {"n": 1}}),
    with_header({"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}, "b": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
])
def test_what_is_no_plain_set_of_arrays_is_refused(content):
    with pytest.raises(ValueError):
        check_safetensors(content)


@given(st.binary(max_size=200))
def test_any_bytes_are_either_fine_or_refused_and_never_crash(content):
    for check in (check_safetensors, check_json, check_text):
        with contextlib.suppress(ValueError):
            check(content)


@pytest.mark.parametrize("content", [
    b"[]", b"{", b"{}{}", b'{"a":1,"a":2}', b'{"a":NaN}', b"(dp0\nS'a'\np1\n.", b"\xff{}", b'{"a":"\x00"}', b'{"a":' * 40 + b"1" + b"}" * 40,
    b'{"a":' + b"[" * 100_000, b'{"a":' + b"9" * 10_000 + b"}",
])
def test_json_bombs_and_ambiguities_are_refused(content):
    with pytest.raises(ValueError):
        check_json(content)


@pytest.mark.parametrize("content", [b"\x80\x04", b"PK\x03\x04", b"\x1f\x8b\x08", b"a\x00b", b"\x1b[2J"])
def test_text_holds_no_control_characters(content):
    with pytest.raises(ValueError):
        check_text(content)
