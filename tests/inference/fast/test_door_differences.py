"""Where the two doors differ, by name, and why: in each the ASGI door is the laxer one, or the one that loses an answer."""

from typing import NamedTuple

import pytest
from builders.http_doors import SMALL, Doors, connected, quiet, read_into

ALIVE = b'{"status":"alive"}'
XFCC = b"x-forwarded-client-cert: nonsense"
CHUNKED = b"POST /v2 HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Difference(NamedTuple):
    """pieces: what is sent; asgi, fast: what the answer of each door holds, in this order, and nothing of `never` in the fast one's."""

    name: str
    reason: str
    pieces: list[bytes]
    asgi: tuple[bytes, ...]
    fast: tuple[bytes, ...]
    never: bytes = b"\0"


DIFFERENCES = [
    Difference(
        "what is no HTTP, in one packet with a whole request", "uvicorn answers the bad one at once, and closes under the answer that is due before it",
        [b"GET / HTTP/1.1\r\n\r\n\0"], (b"HTTP/1.1 400",), (b"HTTP/1.1 200", ALIVE, b"HTTP/1.1 400"),
    ),
    Difference(
        "trailers", "uvicorn adds a chunked body's trailers to the headers, where a caller could name itself; here nobody reads them",
        [CHUNKED.replace(b"/v2", b"/predict") + b"2\r\n{}\r\n0\r\n" + XFCC + b"\r\n\r\n"],
        (b"HTTP/1.1 400", b"x-forwarded-client-cert does not read"), (b"HTTP/1.1 400",), never=b"x-forwarded-client-cert",
    ),
    Difference(
        "a request that asks for another protocol", "a wish that may be ignored (RFC 9110, 7.8); uvicorn loses the body, as Java's client sends one",
        [b'POST /predict HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\ncontent-length: 25\r\n\r\n{"servers": ', b'["newcomer"]}GET / HTTP/1.1\r\n\r\n'],
        (b"HTTP/1.1 400", b"This is not HTTP"), (b"HTTP/1.1 200", b'"server":"newcomer"', b"HTTP/1.1 200", ALIVE),
    ),
    Difference(
        "CONNECT", "nothing is tunnelled here, so what follows is nobody's; uvicorn drops the packet's rest and keeps the connection",
        [b"CONNECT http://host/v2 HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"], (b"HTTP/1.1 405", b"HTTP/1.1 200", ALIVE),
        (b"HTTP/1.1 405", b"connection: close"), never=b"HTTP/1.1 200",
    ),
    Difference(
        "`expect: 100-continue` in HTTP/1.0", "it is to be ignored there (RFC 9110, 10.1.1)",
        [b"POST / HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 0\r\n\r\n"], (CONTINUE, b"HTTP/1.1 405"), (b"HTTP/1.1 405",), never=CONTINUE,
    ),
    Difference(
        "`expect` twice", "of a repeated header the last counts here, as of every other",
        [b"POST / HTTP/1.1\r\nexpect: 100-continue\r\nexpect: x\r\ncontent-length: 0\r\n\r\n"], (CONTINUE, b"HTTP/1.1 405"), (b"HTTP/1.1 405",), never=CONTINUE,
    ),
    Difference(
        "a long request target", "it is part of the head, and of its budget", [b"GET /?" + b"x" * SMALL.head + b" HTTP/1.1\r\n\r\n"],
        (b"HTTP/1.1 200", ALIVE), (b"HTTP/1.1 431", b"more than the 2048 bytes"),
    ),
    Difference(
        "which of the two sentences about a large head", "the fast door and the ASGI door both say how large it is only where it came whole in one packet",
        [b"GET / HTTP/1.1\r\nx: " + b"y" * SMALL.head, b"\r\n\r\n"],
        (b"HTTP/1.1 431", b"more than the 2048 bytes"), (b"HTTP/1.1 431", b"more than the 2048 bytes"),
    ),
    Difference(
        "whole requests before half a head, more together than a head may have", "uvicorn's guard counts the packet, not the head",
        [b"GET / HTTP/1.1\r\n\r\n" * 200 + b"GET / HTTP/1.1\r\n", b"connection: close\r\n\r\n"], (b"HTTP/1.1 431",), (ALIVE,) * 201, never=b"HTTP/1.1 431",
    ),
    Difference(
        "chunks that are nearly all extension", "what is not body has a budget too", [CHUNKED + b"1;", b"e" * 3000, b"\r\n{\r\n0\r\n\r\n"],
        (b"HTTP/1.1 405",), (b"HTTP/1.1 413", b"Beside the body"),
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def doors(serving_site, tmp_path_factory):
    with Doors(serving_site, tmp_path_factory.mktemp("doors")) as doors:
        yield doors


def holds(answer, parts):
    """Whether `answer` holds all parts, one behind the other."""
    at = 0
    for part in parts:
        found = answer.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda difference: difference.name)
def test_they_differ(doors, difference):
    answers = [doors.run(door.conversation(difference.pieces)) for door in (doors.asgi, doors.fast)]
    assert holds(answers[0], difference.asgi), answers[0]
    assert holds(answers[1], difference.fast) and difference.never not in answers[1], answers[1]


def test_a_peer_that_ends_its_side_still_gets_its_answer_from_the_fast_door(doors):
    """uvicorn closes with the peer's end of sending; half-closing is how some callers say that they have asked all they will."""

    async def ask(door):
        peer, answer = await connected(door.address), bytearray()
        peer.send(b'POST /predict HTTP/1.1\r\ncontent-length: 25\r\n\r\n{"servers": ["newcomer"]}')
        peer.shutdown(1)
        await read_into(answer, peer)
        peer.close()
        return bytes(answer)

    assert doors.run(ask(doors.asgi)) == b""
    assert doors.run(ask(doors.fast)).startswith(b"HTTP/1.1 200")


def test_beyond_the_cap_the_fast_door_turns_away_newcomers_and_the_asgi_door_everybody(doors):
    """Whoever was there first is served on: else a crowd that says nothing would silence all."""

    async def crowd(door, count):
        first = await connected(door.address)
        answers = [bytearray() for _ in range(count)]
        others = [await connected(door.address) for _ in range(count - 1)]
        reading = [door_read(answer, peer) for answer, peer in zip(answers, [first, *others], strict=True)]
        for peer in (others[-1], first):
            peer.send(b"GET / HTTP/1.1\r\n\r\n")
            await quiet(answers[0], reading[0])
        for task in reading:
            task.cancel()
        for peer in (first, *others):
            peer.close()
        await quiet(answers[0], reading[0])
        return bytes(answers[0]), bytes(answers[-1])

    def door_read(answer, peer):
        return doors.runner.get_loop().create_task(read_into(answer, peer))

    first, last = doors.run(crowd(doors.asgi, SMALL.connections + 1))
    assert first.startswith(b"HTTP/1.1 503") and last.startswith(b"HTTP/1.1 503")
    first, last = doors.run(crowd(doors.fast, SMALL.connections + 1))
    assert first.startswith(b"HTTP/1.1 200") and last.startswith(b"HTTP/1.1 503") and b"retry-after: 1" in last


def test_a_chunked_body_beyond_the_limit_is_refused_however_it_arrives(doors):
    body = CHUNKED + b"1388\r\n" + b"x" * 5000 + b"\r\n0\r\n\r\n"
    for door in (doors.fast, doors.asgi):
        assert doors.run(door.conversation([body])).startswith(b"HTTP/1.1 413")
        assert doors.run(door.conversation([body[:3000], body[3000:]])).startswith(b"HTTP/1.1 413")


def test_an_idle_connection_that_sends_empty_lines_is_idle(doors):
    """uvicorn forgets the idle time with every byte and does not begin to count again until a request is answered."""

    async def ask(door):
        peer, answer = await connected(door.address), bytearray()
        reading = doors.runner.get_loop().create_task(read_into(answer, peer))
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
        await quiet(answer, reading)
        door.pass_time(60)
        peer.send(b"\r\n\r\n")
        await quiet(answer, reading)
        assert not reading.done()
        door.pass_time(60)
        assert await reading
        peer.close()
        return bytes(answer)

    assert doors.run(ask(doors.fast)).endswith(ALIVE)
