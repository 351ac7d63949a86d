"""Callers who are slow, greedy, silent or many: the fast door's waits end, and what it holds for them is bounded."""

import asyncio
import contextlib
import re
import socket
import tracemalloc
from dataclasses import replace

import pytest
from builders.http_doors import KEEP_ALIVE, SMALL, Doors, FastDoor, connected, quiet, read_into, turns

from inference.server.exchange import HttpResponse
from inference.server.fast.wire import AnswerWriter

ALIVE = b"GET / HTTP/1.1\r\n\r\n"
BODY = b'{"servers": ["newcomer"]}'
PREDICT = b"POST /predict HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = b"POST /predict HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
MIB = 1 << 20


@pytest.fixture(scope="module")
def doors(serving_site, tmp_path_factory):
    with Doors(serving_site, tmp_path_factory.mktemp("doors")) as doors:
        yield doors


class Held:
    """The service's loop ticks, which come when the test says so."""

    def __init__(self, service):
        self._queue, self._soon = service.queue, service.queue.soon
        self._calls = []
        self._queue.soon = self._calls.append

    def tick(self):
        calls, self._calls[:] = list(self._calls), []
        for call in calls:
            call()

    def let_go(self):
        self._queue.soon = self._soon
        self.tick()


@pytest.fixture
def held(doors):
    held = Held(doors.fast.service)
    yield held
    held.let_go()


@pytest.fixture
def run(doors):
    """Run a coroutine function with a fast door of its own (limits: beside SMALL's) and, where it takes them, peers."""

    def start(claim, limits=None, **options):
        async def whole():
            door = FastDoor(doors.fast.service, doors.fast.standing)
            await door.open(replace(SMALL, **(limits or {})), **options)
            try:
                async with asyncio.timeout(60):
                    await claim(door)
            finally:
                await door.close()
                assert (door.door.connections, door.door.half_sent) == (0, 0)

        doors.run(whole())
        assert doors.fast.service.metrics.inflight == 0

    return start


class Peer:
    """A client that sends what it likes. answer: what came back so far."""

    def __init__(self, door):
        self.door, self.answer = door, bytearray()

    async def __aenter__(self):
        self.socket = await connected(self.door.address)
        self._reading = asyncio.get_running_loop().create_task(read_into(self.answer, self.socket))
        return self

    async def __aexit__(self, *_):
        self._reading.cancel()
        self.socket.close()
        await turns(4)

    async def send(self, data):
        await asyncio.get_running_loop().sock_sendall(self.socket, data)
        await turns(2)

    async def settle(self):
        await quiet(self.answer, self._reading)
        return bytes(self.answer)

    async def hung_up(self):
        """All of the answer, once the door has hung up; it did so without a reset."""
        assert await self._reading
        return bytes(self.answer)

    @property
    def open(self):
        return not self._reading.done()


@contextlib.contextmanager
def memory_below(most):
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak / MIB:.1f} MiB"


# slow and half


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nhost", b"POST /predict HTTP/1.1\r\ncontent-length: 9\r\n\r\n", CHUNKED + b"5\r\nabc"])
def test_what_is_half_sent_is_answered_408_when_patience_ends_and_not_before(run, begun):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(begun) if begun else await turns(4)
            door.pass_time(SMALL.patience - 0.1)
            assert await peer.settle() == b"" and peer.open
            door.pass_time(0.2)
            assert (await peer.hung_up()).startswith(b"HTTP/1.1 408")

    run(claim)


DRIPS = [(b"GET / HTTP/1.1\r\n", b"a: b\r\n"), (CHUNKED, b"1\r\na\r\n"), (b"POST /v2 HTTP/1.1\r\ncontent-length: 4000\r\n\r\n", b"x")]


@pytest.mark.parametrize("head, drop", DRIPS)
def test_a_slow_drip_gains_no_time(run, head, drop):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(head)
            dripped = 0
            while peer.open:
                await peer.send(drop)
                door.pass_time(1.0)
                dripped += 1
            assert (await peer.hung_up()).startswith(b"HTTP/1.1 408") and SMALL.patience <= dripped <= SMALL.patience + 4

    run(claim)


def test_patience_begins_anew_with_each_request_and_an_answer_takes_as_long_as_it_takes(run, held):
    async def claim(door):
        async with Peer(door) as peer:
            for _ in range(3):
                await peer.send(PREDICT[:30])
                door.pass_time(SMALL.patience - 1)
                await peer.send(PREDICT[30:])
                door.pass_time(10 * KEEP_ALIVE)
                held.tick()
            assert (await peer.settle()).count(b"HTTP/1.1 200") == 3 and peer.open

    run(claim)


def test_an_idle_connection_is_closed_after_the_keep_alive_time(run):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(ALIVE)
            door.pass_time(KEEP_ALIVE - 1)
            await peer.settle()
            assert peer.open
            door.pass_time(2)
            assert (await peer.hung_up()).count(b"HTTP/1.1") == 1

    run(claim)


def test_a_client_that_hangs_up_half_way_leaves_nothing_behind(run):
    async def claim(door):
        for begun in (b"", b"GET", CHUNKED + b"5\r\nab", PREDICT[:-3], PREDICT, PREDICT * 20, b"\0"):
            async with Peer(door) as peer:
                await peer.send(begun) if begun else await turns(2)
        await turns(20)
        assert (door.door.connections, door.door.half_sent, door.service.metrics.inflight) == (0, 0, 0)

    run(claim)


# large


def test_a_head_of_a_megabyte_and_one_of_two_thousand_headers_are_431_and_cost_no_memory(run):
    many = b"".join(b"x-%d: y\r\n" % number for number in range(2000))

    async def claim(door):
        for head in (b"GET / HTTP/1.1\r\nx: " + b"y" * MIB, b"GET / HTTP/1.1\r\n" + many, b"GET /" + b"x" * MIB):
            async with Peer(door) as peer:
                with contextlib.suppress(ConnectionError):
                    await peer.send(head + b"\r\n\r\n")
                await peer.settle()
                assert bytes(peer.answer).startswith(b"HTTP/1.1 431")

    with memory_below(4 * MIB):  # the client's megabytes too
        run(claim)


def test_the_megabyte_that_follows_a_refusal_does_not_reset_it(run):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(b"POST /predict HTTP/1.1\r\ncontent-length: 5000\r\n\r\n")
            for _ in range(64):
                await peer.send(b"x" * (16 << 10))
            assert (await peer.settle()).startswith(b"HTTP/1.1 413")
            door.pass_time(SMALL.patience)
            await turns(4)
            assert door.door.connections == 0

    run(claim)


def test_a_chunked_drip_is_refused_with_the_first_byte_beyond_the_limit(run):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(CHUNKED)
            for _ in range(SMALL.body // 64):
                await peer.send(b"40\r\n" + b"x" * 64 + b"\r\n")
            assert await peer.settle() == b""
            await peer.send(b"1\r\nx\r\n")
            assert (await peer.hung_up()).startswith(b"HTTP/1.1 413")

    run(claim)


def test_a_body_in_chunks_of_one_byte_is_a_body(run):
    async def claim(door):
        async with Peer(door) as peer:
            for byte in (b"", *(BODY[at : at + 1] for at in range(len(BODY)))):
                await peer.send(b"1\r\n%b\r\n" % byte if byte else CHUNKED)
            await peer.send(b"0\r\n\r\n")
            assert (await peer.settle()).startswith(b"HTTP/1.1 200")

    run(claim)


@pytest.mark.parametrize("endless", [b"1;" + b"e" * 500, b"0\r\n" + b"t: " + b"e" * 500, b"0\r\n" + b"t: e\r\n" * 80])
def test_extensions_and_trailers_without_end_are_refused(run, endless):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(CHUNKED + endless)
            for _ in range(20):
                if peer.open:
                    await peer.send(endless[3:])
                    await turns(4)
            assert (await peer.settle()).startswith((b"HTTP/1.1 413", b"HTTP/1.1 400"))

    run(claim)


def test_all_half_sent_bodies_together_have_a_bound_and_the_largest_lets_go(run):
    """Callers who send small requests at once do not notice."""

    async def claim(door):
        most = 64 << 10
        async with contextlib.AsyncExitStack() as stack:
            greedy = [await stack.enter_async_context(Peer(door)) for _ in range(40)]
            for peer in greedy:
                await peer.send(b"POST /predict HTTP/1.1\r\ncontent-length: 4000\r\n\r\n" + b" " * 3000)
                assert door.door.half_sent <= most
            refused = [peer for peer in greedy if (await peer.settle()).startswith(b"HTTP/1.1 503")]
            assert len(refused) == 40 - most // 3000
            small = await stack.enter_async_context(Peer(door))
            await small.send(PREDICT[:-1])
            await small.send(PREDICT[-1:])
            assert (await small.settle()).startswith(b"HTTP/1.1 200")

    run(claim, half_sent=64 << 10)


# many


def test_a_flood_of_connections_is_bounded_and_who_was_there_is_served_on(run):
    async def claim(door):
        async with Peer(door) as first, contextlib.AsyncExitStack() as stack:
            await first.send(ALIVE)
            crowd = [await stack.enter_async_context(Peer(door)) for _ in range(300)]
            await turns(8)
            assert len(door.door.open_connections) == SMALL.connections and len(door.door.crowd) <= 16
            await first.send(PREDICT)
            assert b"newcomer" in await first.settle()
            door.pass_time(SMALL.patience + 1)
            await turns(40)
            assert all(bytes(peer.answer).startswith(b"HTTP/1.1 408") for peer in crowd[: SMALL.connections - 1])
        await turns(8)
        async with Peer(door) as later:
            await later.send(ALIVE)
            assert (await later.settle()).startswith(b"HTTP/1.1 200")

    run(claim)


def test_a_thousand_pipelined_requests_are_answered_in_order(run):
    async def claim(door):
        door.standing.count_from_zero()
        async with Peer(door) as peer:
            await peer.send((PREDICT + b"HEAD /v2 HTTP/1.1\r\n\r\n" + ALIVE) * 333 + PREDICT)
            while (await peer.settle()).count(b"HTTP/1.1 ") < 1000:
                assert peer.open
            answer = bytes(peer.answer)
            assert answer.count(b"HTTP/1.1 200") == 1000
            ids = [int(found, 16) for found in re.findall(rb'"prediction_id":"(\w+)-0"', answer)]
            assert ids == list(range(334))
            order = re.findall(rb'prediction_id|"status"|content-length: \d+\r\n\r\nHTTP', answer)
            assert [part[:7] for part in order] == [b"predict", b"content", b'"status'] * 333 + [b"predict"]

    run(claim)


def test_no_more_is_read_while_many_answers_are_due(run, held):
    async def claim(door):
        async with Peer(door) as peer:
            sending = asyncio.get_running_loop().create_task(peer.send(PREDICT * 100_000))
            await turns(200)
            due = door.service.metrics.inflight
            assert door.door.pipelined <= due < 2 * door.door.pipelined + 4096 // len(PREDICT)
            assert not sending.done()  # the caller notices
            answered = 0
            for _ in range(20):
                held.tick()
                await turns(4)
                before, answered = answered, (await peer.settle()).count(b"HTTP/1.1 ")
                assert answered > before
            sending.cancel()
        while door.service.metrics.inflight:  # what was taken is answered, to nobody now
            held.tick()
            await turns(4)

    with memory_below(40 * MIB):  # most of it the caller's own 7 MB
        run(claim)


def test_answers_of_one_tick_leave_in_one_write(run, held):
    class Recorded:
        """The transport itself, and what went through it."""

        def __init__(self, transport):
            self.transport, self.writes = transport, []

        def __getattr__(self, name):
            return getattr(self.transport, name)

        def write(self, data):
            self.writes.append(data)
            self.transport.write(data)

    async def claim(door):
        async with Peer(door) as peer:
            await turns(2)
            [connection] = door.door.open_connections
            recorded = connection._transport = Recorded(connection._transport)
            await peer.send(ALIVE + PREDICT * 5 + ALIVE * 3)
            assert len(recorded.writes) == 1
            held.tick()
            assert (await peer.settle()).count(b"HTTP/1.1 200") == 9
            assert [write.count(b"HTTP/1.1 200") for write in recorded.writes] == [1, 8]
            await peer.send(ALIVE * 7)
            assert [write.count(b"HTTP/1.1 200") for write in recorded.writes] == [1, 8, 7]

    run(claim)


def test_one_caller_s_many_reads_leave_the_others_their_turn(run):
    async def claim(door):
        async with Peer(door) as many, Peer(door) as one:
            await many.send(ALIVE)
            await asyncio.get_running_loop().sock_sendall(many.socket, ALIVE * 3000)
            await one.send(ALIVE)
            await turns(4)
            assert b"HTTP/1.1 200" in one.answer and many.answer.count(b"HTTP") < 3001
            while (await many.settle()).count(b"HTTP/1.1 200") < 3001:
                assert many.open

    run(claim)


def test_a_caller_that_never_reads_is_not_read_from_and_is_cut_when_patience_ends(run):
    async def claim(door):
        loop = asyncio.get_running_loop()
        peer = await connected(door.address, SO_RCVBUF=4096)
        sending = loop.create_task(loop.sock_sendall(peer, b"GET /openapi.json HTTP/1.1\r\n\r\n" * 500_000))
        await turns(3000)
        [connection] = door.door.open_connections
        assert not sending.done() and connection._unread_since is not None
        waiting = connection._transport.get_write_buffer_size()
        await turns(500)
        assert connection._transport.get_write_buffer_size() == waiting < 8 * MIB
        door.pass_time(SMALL.patience - 1)
        assert door.door.connections == 1
        door.pass_time(2)
        await turns(4)
        assert door.door.connections == 0
        sending.cancel()
        peer.close()

    with memory_below(40 * MIB):  # of which the caller's own 15
        run(claim)


# the end


def test_connection_close_waits_for_its_answer(run, held):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(PREDICT.replace(b"\r\n", b"\r\nconnection: close\r\n", 1) + ALIVE)
            assert await peer.settle() == b"" and peer.open
            held.tick()
            answer = await peer.hung_up()
            assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer and answer.count(b"HTTP/1.1") == 1

    run(claim)


def test_the_drain_answers_what_was_received_and_closes_what_is_idle(run, held):
    async def claim(door):
        async with Peer(door) as idle, Peer(door) as due, Peer(door) as half, Peer(door) as unread:
            await idle.send(ALIVE)
            await due.send(PREDICT + PREDICT)
            await half.send(PREDICT[:-5])
            late = socket.create_connection(door.address)  # what follows lies in the kernel when the end begins
            late.send(ALIVE)
            late.setblocking(False)
            unread.socket.send(PREDICT)
            stopping = asyncio.get_running_loop().create_task(door.door.stop(grace=30))
            assert (await idle.hung_up()).count(b"HTTP/1.1") == 1
            assert due.open and half.open and unread.open and not stopping.done()
            await half.send(PREDICT[-5:])
            held.tick()
            for peer, count in ((due, 2), (half, 1), (unread, 1)):
                answer = await peer.hung_up()
                assert answer.count(b"HTTP/1.1 200") == count and answer.count(b"connection: close") == 1, answer
            answer = bytearray()
            await read_into(answer, late)
            late.close()
            assert answer.startswith(b"HTTP/1.1 200") and b"connection: close" in answer
            with pytest.raises(ConnectionError):
                await connected(door.address)
        await stopping

    run(claim)


def test_what_is_not_done_when_the_grace_ends_is_cut(run, held):
    async def claim(door):
        async with Peer(door) as due, Peer(door) as half:
            await due.send(PREDICT)
            await half.send(PREDICT[:-5])
            await door.door.stop(grace=0.01)
            assert await due.settle() == await half.settle() == b""
            assert not due.open and not half.open
        held.tick()

    run(claim)


# sleight of hand

SMUGGLED = b"GET /servers HTTP/1.1\r\n\r\n"
FRAMINGS = [
    b"content-length: 5\r\ntransfer-encoding: chunked", b"transfer-encoding: chunked\r\ncontent-length: 5", b"content-length: 5\r\ncontent-length: 6",
    b"content-length: 5, 5", b"content-length: 5 5", b"content-length: +5", b"content-length: 5\r\nTransfer-Encoding : chunked",
    b"transfer-encoding: chunked, identity", b"transfer-encoding: chunked\x0b", b"transfer-encoding:\n chunked", b"x: y\r\n transfer-encoding: chunked",
    b"x: y\ntransfer-encoding: chunked", b"x: \rtransfer-encoding: chunked", b"content-length:\r\n 5",
    b"transfer-encoding: chunked\r\ntransfer-encoding: chunked", b'transfer-encoding: "chunked"', b"content-length: \x005", b"content_length: 5\x00",
]  # fmt: skip


@pytest.mark.parametrize("framing", FRAMINGS)
def test_a_request_with_two_lengths_is_one_400_and_nothing_behind_it_is_answered(run, framing):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(b"POST /predict HTTP/1.1\r\n" + framing + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
            answer = await peer.hung_up()
            assert answer.startswith(b"HTTP/1.1 400") and answer.count(b"content-length") == 1

    run(claim)


def test_a_trailer_never_becomes_a_header_of_the_next_request(run):
    async def claim(door):
        async with Peer(door) as peer:
            await peer.send(CHUNKED + b"2\r\n{}\r\n0\r\nx-forwarded-client-cert: nonsense\r\nexpect: 100-continue\r\n\r\n" + PREDICT)
            answer = await peer.settle()
            assert answer.count(b"HTTP/1.1") == 2 and answer.count(b"HTTP/1.1 200") == 1 and b"x-forwarded" not in answer

    run(claim)


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"\0"])
def test_no_answer_can_be_split_by_a_header_of_its_own(value):
    with pytest.raises(ValueError, match="of an answer is"):
        AnswerWriter(0.0).write(HttpResponse(200, b"", headers=((b"x", value),)), close=False, head_only=False)
