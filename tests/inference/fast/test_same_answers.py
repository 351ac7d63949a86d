"""The fast door answers what the ASGI door answers, byte for byte, however the bytes of the requests arrive."""

import re

import pytest
from builders.conversations import BAD, cut, documents, requests, spoiled
from builders.http_doors import SMALL, Doors
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

EXAMPLES = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def doors(serving_site, tmp_path_factory):
    with Doors(serving_site, tmp_path_factory.mktemp("doors")) as doors:
        yield doors


@pytest.fixture(scope="module")
def whole(serving_site):
    return requests(documents(serving_site.servers, len(serving_site.contract.inputs)))


def reference(doors, asked, odd=b""):
    """What the ASGI door answers to the same requests, one at a time, the head of each at once; what is odd byte by byte."""
    pieces = [piece for request in asked for piece in (request.head, *request.body)]
    return doors.run(doors.asgi.conversation([*pieces, *(odd[at : at + 1] for at in range(len(odd)))], settle=True))


def may_be_cut(asked):
    """Where a head that is too large is cut, a door may have said so before it has seen what else is wrong with the request."""
    return all(len(request.head) <= SMALL.head for request in asked)


def comparable(answer):
    """Of a refused head only the status: see "which of the two sentences about a large head"."""
    return re.sub(rb"(HTTP/1.1 431 [^\r]*).*", rb"\1", answer, flags=re.DOTALL)


@pytest.mark.long
@EXAMPLES
@given(data=st.data())
def test_one_request_at_a_time(doors, whole, data):
    asked = data.draw(st.lists(whole, min_size=1, max_size=3))
    pieces = [piece for request in asked for piece in (request.head, *request.body)]
    assert comparable(doors.run(doors.fast.conversation(pieces, settle=True))) == comparable(reference(doors, asked))


@pytest.mark.long
@EXAMPLES
@given(data=st.data())
def test_all_at_once_and_cut_anywhere(doors, whole, data):
    asked = data.draw(st.lists(whole, min_size=1, max_size=6))
    assume(may_be_cut(asked))
    pieces = data.draw(cut(b"".join(request.raw for request in asked)))
    assert comparable(doors.run(doors.fast.conversation(pieces))) == comparable(reference(doors, asked))


@pytest.mark.slow
@EXAMPLES
@given(data=st.data())
def test_what_is_no_http_after_whole_requests(doors, whole, data):
    asked, odd = data.draw(st.lists(whole, max_size=2)), data.draw(st.sampled_from(BAD))
    assume(may_be_cut(asked))
    pieces = data.draw(cut(b"".join(request.raw for request in asked) + odd))
    assert comparable(doors.run(doors.fast.conversation(pieces))) == comparable(reference(doors, asked, odd))


@pytest.mark.slow
@settings(EXAMPLES, max_examples=300)
@given(data=st.data())
def test_a_spoiled_request_after_whole_ones(doors, whole, data):
    asked, odd = data.draw(st.lists(whole, max_size=2)), data.draw(spoiled(whole))
    assume(not _differs(odd))
    assume(may_be_cut(asked))
    pieces = data.draw(cut(b"".join(request.raw for request in asked) + odd))
    assert comparable(doors.run(doors.fast.conversation(pieces))) == comparable(reference(doors, asked, odd))


def _differs(odd):
    """Whether spoiling made one of the differences of test_door_differences.py of it."""
    return b"expect" in odd.lower() and b"HTTP/1.1" not in odd


def test_what_counts_and_times_is_shown_by_both_alike(doors):
    """Numbers of the whole process are no part of the generated requests; here both doors have answered the same."""
    read = [b"GET /metrics HTTP/1.1\r\n\r\n"]
    answers = [doors.run(door.conversation(read)) for door in (doors.asgi, doors.fast)]
    heads, names = zip(*(_head_and_names(answer) for answer in answers), strict=True)
    assert heads[0] == heads[1] and heads[0].startswith(b"HTTP/1.1 200 OK") and names[0] == names[1]
    assert all(b"\npresage_inflight_requests 1.0\n" in answer for answer in answers)
    assert [door.service.metrics.inflight for door in (doors.asgi, doors.fast)] == [0, 0]


def _head_and_names(answer):
    """The head without its length, and which metrics there are."""
    head, _, text = answer.partition(b"\r\n\r\n")
    return re.sub(rb"content-length: \d+", b"", head), [line for line in text.splitlines() if line.startswith(b"#")]
