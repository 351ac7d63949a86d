"""One connection of the fast door: requests in, answers out in the same order, and every wait bounded.

    buffer_updated   bytes → the parser → on_message_begin, on_url, on_header, on_headers_complete, on_body, on_message_complete
    Turn             a request's place in the order of answers, which takes the service's reply whenever it comes
    _write           the answers whose turn it is, in one write
    sweep            what has waited too long, looked at once a second

Nothing more is read while too many answers are due, or while the peer does not read what it asked for.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpRequestParser

from inference.clients.certificates import HEADER as CERTIFICATES
from inference.server.exchange import HttpRequest, HttpResponse
from inference.server.fast import refusals
from inference.server.fast.crowd import TurnedAway
from inference.server.fast.wire import bare
from presage.logs import get_logger

if TYPE_CHECKING:
    from inference.server.fast.door import FastDoor

_log = get_logger("presage.server")
IDLE, HEAD, BODY, NEW = range(4)
"""What is being received: nothing, a head, a body; NEW: nothing yet since the connection was opened."""
WHOLE, SLICE = 4 << 10, 2 << 10
"""Bytes of a read that are parsed without ado, and at a time of a longer one: before anybody looks how many requests they held."""
DUE_BYTES = 64 << 10
"""Bytes of bodies whose answers are due; nothing more is read from the connection meanwhile, for an answer may be larger than its question."""
FRAMING = 8
"""Bytes of chunk framing allowed a byte of body, beside the head's budget: even chunks of one byte pass."""
LINGER = 2.0
"""Seconds that a peer who has its last answer may take to hang up: closing under what it still sends would reset what it was sent."""


class _Enough(Exception):
    """Stops the parser: nothing that follows on this connection is read."""


class Turn:
    """One answer in the order of its connection. answer: None until the service has replied; bytes go as they are.

    close: the connection ends with it. size: bytes of the request's body."""

    __slots__ = ("answer", "close", "connection", "head_only", "size")

    def __init__(self, connection: "Connection", *, close: bool, head_only: bool, answer: HttpResponse | bytes | None = None) -> None:
        self.connection, self.close, self.head_only, self.answer = connection, close, head_only, answer
        self.size = 0

    def reply(self, answer: HttpResponse) -> None:
        connection = self.connection
        connection.door.metrics.inflight -= 1
        self.answer = answer
        connection.answered(self)


class _Aside(NamedTuple):
    """A request that asks for another protocol too (RFC 9110, 7.8: the wish may be ignored), while its body is found."""

    turn: Turn
    headers: dict[bytes, bytes]


class Connection(asyncio.BufferedProtocol):
    """held: bytes of what is half received."""

    __slots__ = (
        "_announced", "_aside", "_body", "_counted", "_deaf", "_due", "_ended", "_feeding", "_got", "_half_closed", "_head_fed", "_header_bytes",
        "_header_count", "_headers", "_method", "_named", "_overhead", "_parsed", "_parser", "_path", "_phase", "_pumping", "_rest", "_since", "_stopped",
        "_target", "_transport", "_turn", "_turns", "_unread_since", "_writing", "door", "held",
    )  # fmt: skip

    def __init__(self, door: "FastDoor") -> None:
        self.door = door
        self.held = 0
        self._parser: HttpRequestParser | None = HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._turns: deque[Turn] = deque()
        self._due = 0  # bytes of bodies whose answers are due
        self._phase = NEW
        self._since: float | None = None  # when the sweep first saw the present state
        self._unread_since: float | None = None
        # the head that is being received
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = self._header_count = self._head_fed = 0
        # the request whose head is whole
        self._turn: Turn | None = None
        self._aside: _Aside | None = None
        self._method, self._path = "", ""
        self._named: dict[bytes, bytes] = {}
        self._body: bytes | bytearray = b""
        self._announced: int | None = None
        self._got = self._counted = self._overhead = 0
        # reading and writing
        self._rest: memoryview | None = None  # read, not yet parsed
        self._parsed = 0  # requests found in the present read
        self._feeding = self._writing = self._pumping = self._stopped = False
        self._deaf = self._ended = self._half_closed = False

    # the transport's calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        door = self.door
        if len(door.open_connections) < door.limits.connections:
            door.open_connections.add(self)
            return
        turned = TurnedAway(door)
        transport.set_protocol(turned)
        turned.connection_made(transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.door.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._deaf:
            return
        self._parsed = 0
        self._feeding = True
        read = self.door.buffer[:nbytes]
        if nbytes <= WHOLE:
            self._feed(read)
        else:
            self._rest = read
            nbytes = self._feed_rest()
            if self._rest is not None:
                self._rest = memoryview(bytes(self._rest))  # the buffer is everybody's
        self._fed(nbytes)

    def eof_received(self) -> bool:
        """A peer may end its side and still wait for its answers."""
        self._half_closed = True
        return bool(self._turns) or self._rest is not None

    def connection_lost(self, exc: Exception | None) -> None:
        door = self.door
        door.open_connections.discard(self)
        self._forget_request()
        self._deaf = self._ended = True
        self._turns.clear()
        self._parser = None
        door.left()

    def pause_writing(self) -> None:
        self._unread_since = self.door.clock()
        self._stop_reading()

    def resume_writing(self) -> None:
        self._unread_since = None
        self._go_on()

    # the parser's calls

    def on_message_begin(self) -> None:
        self._phase = HEAD
        self._since = None

    def on_url(self, part: bytes) -> None:
        self._target = self._target + part if self._target else part

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        limits = self.door.limits
        name = name.lower()
        if (self._header_count > limits.headers or self._header_bytes > limits.head) and name != b"content-length":
            return  # refused when the head is whole, or longer than anybody waits for; a body that is too large is said first
        headers = self._headers
        if name == CERTIFICATES and name in headers:
            value = headers[name] + b"," + value
        headers[name] = value

    def on_headers_complete(self) -> None:
        if self._aside is not None:  # the head was made here, see _without_upgrade
            (self._turn, self._named), self._aside = self._aside, None
            self._headers = {}
            self._phase = BODY
            return
        parser, door = self._parser, self.door
        assert parser is not None
        headers, self._headers = self._headers, {}  # trailers, which no request here has a use for, end in the second
        self._phase, self._overhead = BODY, -1
        method = parser.get_method()
        close = not parser.should_keep_alive() or (b"connection" in headers and parser.get_http_version() == "1.0")
        turn = Turn(self, close=close, head_only=method == b"HEAD")
        path = door.path_of(self._target)
        if path is None:
            self._refuse_now(bare(refusals.not_http()))
        announced = headers.get(b"content-length")
        limits = door.limits
        if announced is None:
            self._announced = None
        elif len(announced) > 12 or (length := int(announced)) > limits.body:
            self._refuse_now(refusals.large_body(limits), turn.head_only)
        else:
            self._announced = length
        if self._header_bytes > limits.head or self._header_count > limits.headers:
            self._refuse_now(refusals.large_head(self._header_count, self._header_bytes, limits), turn.head_only)
        if len(self._target) > limits.head:
            self._refuse_now(refusals.long_head(limits), turn.head_only)
        self._method, self._path, self._named, self._turn = method.decode(), path, headers, turn
        door.metrics.inflight += 1
        if b"expect" in headers and headers[b"expect"].lower() == b"100-continue" and parser.get_http_version() != "1.0":
            self._turns.append(Turn(self, close=False, head_only=False, answer=refusals.CONTINUE))
        if method == b"CONNECT":
            turn.close = True
        elif b"upgrade" in headers and parser.should_upgrade():
            self._aside, self._turn = _Aside(turn, headers), None

    def on_body(self, part: bytes) -> None:
        self._got += len(part)
        body = self._body
        if not body:
            self._body = part
        elif self._got > self.door.limits.body:
            self._refuse_now(refusals.large_body(self.door.limits))
        elif isinstance(body, bytearray):
            body += part
        else:
            self._body = bytearray(body) + part

    def on_message_complete(self) -> None:
        turn = self._turn
        if turn is None:
            return
        if self._got > self.door.limits.body:
            self._refuse_now(refusals.large_body(self.door.limits))
        self._turn, self._phase, self._since = None, IDLE, None
        body, self._body = self._body, b""
        request = HttpRequest(self._method, self._path, self._named, body if isinstance(body, bytes) else bytes(body))
        if self._headers:
            self._headers = {}
        self._target = b""
        self._due += self._got
        turn.size = self._got
        self._header_bytes = self._header_count = self._head_fed = self._got = self._counted = 0
        self._parsed += 1
        self._turns.append(turn)
        self.door.submit(request, turn.reply)
        if turn.close:
            self._deaf = True
            raise _Enough

    # reading

    def _feed(self, piece: memoryview | bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(piece)
        except HttpParserUpgrade as upgrade:
            self._without_upgrade(piece[upgrade.args[0] :])
        except HttpParserCallbackError:
            if not self._deaf:
                _log.exception("the door failed")
                self._refuse(bare(refusals.failed()))
        except HttpParserError:
            if not self._deaf:
                self._refuse(bare(refusals.not_http()))

    def _without_upgrade(self, rest: memoryview | bytes) -> None:
        """The parser takes what follows a wish for another protocol for that protocol. Nothing else is spoken here, so what follows is the
        request's body, and then requests: a head with the same framing leads the parser there."""
        assert self._aside is not None
        framing = b"".join(b"%b: %b\r\n" % (name, value) for name, value in self._aside.headers.items() if name in (b"content-length", b"transfer-encoding"))
        self._feed(b"POST / HTTP/1.1\r\n%b\r\n" % framing)
        if rest and not self._deaf:
            self._feed(rest)

    def _feed_rest(self) -> int:
        """Parse what was read, slice by slice, as far as answers do not pile up; how many bytes that was."""
        rest = self._rest
        assert rest is not None
        at, enough = 0, self._parsed + self.door.pipelined
        while at < len(rest) and not self._deaf and self._parsed < enough and not self._busy():
            body = self._announced - self._got if self._phase == BODY and self._announced is not None else 0
            piece = rest[at : at + max(SLICE, body)]
            at += len(piece)
            self._feed(piece)
        self._rest = rest[at:] if at < len(rest) and not self._deaf else None
        return at

    def _fed(self, nbytes: int) -> None:
        """After each read: what was half received is counted, what is answered goes out, and too much is not read."""
        self._feeding = False
        if self._phase:
            self._count_half(nbytes)
        if self.held or self._rest is not None or self._phase == BODY:
            self._hold()
        turns = self._turns
        if turns and turns[0].answer is not None:
            self._write()
        if (self._rest is not None or self._busy()) and not self._deaf:
            self._stop_reading()
            self._go_on()

    def _count_half(self, nbytes: int) -> None:
        if self._phase != BODY:
            # where its read held whole requests too, a head counts from the next read on: nobody knows where it began
            self._head_fed = 0 if self._parsed else self._head_fed + nbytes
            if self._head_fed > self.door.limits.head:
                self._refuse(bare(refusals.long_head(self.door.limits)))
        elif self._announced is None:
            new, self._counted = self._got - self._counted, self._got
            self._overhead = 0 if self._overhead < 0 else self._overhead + nbytes - new
            if self._overhead > self.door.limits.head + FRAMING * self._got:
                self._refuse(refusals.wordy_chunks(self.door.limits))

    def _hold(self) -> None:
        held = (len(self._rest) if self._rest is not None else 0) + (self._got if self._phase == BODY else 0)
        more, self.held = held - self.held, held
        self.door.hold(more)

    def shed(self) -> None:
        """Let go of what is half received: there is too much of it."""
        self._refuse(refusals.no_room(self.door.most_half_sent))

    def _busy(self) -> bool:
        return len(self._turns) >= self.door.pipelined or self._due > DUE_BYTES or self._unread_since is not None

    def _stop_reading(self) -> None:
        if not self._stopped and not self._ended:
            self._stopped = True
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Read again, where nothing stands against it any more."""
        if not self._stopped or self._pumping or self._ended or self._busy():
            return
        if self._rest is not None:
            self._pumping = True  # others have their turn first
            self.door.loop.call_soon(self._pump)
        elif not self._half_closed:
            self._stopped = False
            self._transport.resume_reading()
        elif not self._turns:
            self._transport.close()

    def _pump(self) -> None:
        self._pumping = False
        if self._rest is None or self._deaf:
            self._go_on()
            return
        self._parsed = 0
        self._feeding = True
        self._fed(self._feed_rest())
        self._go_on()

    # answering

    def answered(self, turn: Turn) -> None:
        """A turn has its answer. It leaves at once where no other answer can come with it, else with those that come in this tick."""
        turns = self._turns
        if self._feeding or self._writing or self._ended or not turns or turns[0] is not turn:
            return
        if len(turns) == 1:
            self._write()
        else:
            self._writing = True
            self.door.loop.call_soon(self._write)

    def _write(self) -> None:
        self._writing = False
        if self._ended:
            return
        door, turns = self.door, self._turns
        parts: list[bytes] = []
        last = False
        while turns and not last and (answer := turns[0].answer) is not None:
            turn = turns.popleft()
            self._due -= turn.size
            if isinstance(answer, bytes):
                last = turn.close
                parts.append(answer)
                continue
            last = turn.close or (door.draining and self._at_rest())
            try:
                parts.append(door.writer.write(answer, close=last, head_only=turn.head_only))
            except ValueError:
                _log.exception("an answer could not be written")
                last = True
                parts.append(bare(refusals.failed()))
        if parts:
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
        if last:
            self._end()
        elif self._half_closed and not turns and self._rest is None:
            self._transport.close()
        elif self._stopped:
            self._go_on()

    def _refuse_now(self, answer: HttpResponse | bytes, head_only: bool = False) -> NoReturn:
        """From within the parser."""
        self._refuse(answer, head_only)
        raise _Enough

    def _refuse(self, answer: HttpResponse | bytes, head_only: bool = False) -> None:
        """The last answer of this connection, after those that are due. Nothing more is read."""
        if self._deaf:
            return
        self._deaf = True
        head_only = head_only or (self._turn is not None and self._turn.head_only)
        self._forget_request()
        self._turns.append(Turn(self, close=True, head_only=head_only, answer=answer))
        if not self._feeding and not self._writing:
            self._write()

    def _forget_request(self) -> None:
        """What is half received is of no use any more."""
        if self._turn is not None or self._aside is not None:
            self.door.metrics.inflight -= 1
            self._turn = self._aside = None
        self._phase, self._since, self._rest = IDLE, None, None
        self._body, self._headers, self._named, self._target = b"", {}, {}, b""
        if self.held:
            more, self.held = -self.held, 0
            self.door.hold(more)

    def _at_rest(self) -> bool:
        """Whether nothing is due and nothing half received."""
        return not self._turns and self._phase in (IDLE, NEW) and self._rest is None

    def _end(self) -> None:
        """All is said: no more of it comes, and the peer is given a moment to have read it."""
        self._deaf = self._ended = True
        self._since = None
        self._forget_request()
        self._turns.clear()
        if self._half_closed or not self._transport.can_write_eof():  # TLS has no half an end
            self._transport.close()
            return
        self._transport.write_eof()
        if self._stopped:
            self._stopped = False
            self._transport.resume_reading()

    # the door's calls

    def sweep(self, now: float) -> None:
        """Close what has been half done for too long. What the sweep sees for the first time begins to count with it, so a wait ends up
        to one sweep late and never early."""
        transport, patience = self._transport, self.door.limits.patience
        if self._unread_since is not None and not self._ended:
            if now - self._unread_since > patience:
                transport.abort()
            return
        half = self._phase != IDLE
        if not self._ended and (self._stopped or (self._turns and not half)):
            self._since = None  # it is we who are waited for
        elif self._since is None:
            self._since = now
        elif self._ended:
            if now - self._since > (patience if transport.get_write_buffer_size() else LINGER):
                transport.abort()
        elif half:
            if now - self._since > patience:
                self._refuse(bare(refusals.late(self.door.limits)))
        elif now - self._since > self.door.keep_alive:
            transport.close()

    def drain(self) -> None:
        """The door closes: an idle connection at once, another with the last answer that it is owed."""
        if self._at_rest() and not self._ended:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()
