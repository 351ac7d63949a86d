"""A closed-loop load generator of unary gRPC calls on one core: ready-made messages in rotation, every status checked, answers sampled.

    python benchmarks/rpc_load.py < plan.json > result.json

plan: {address: "127.0.0.1:8081", method: "/package.Service/Method", messages: [hex, …], connections, streams (of each), seconds, warm_seconds, core}
result: {requests, answered (warm-up too), seconds, refused, latency_ms: {p50, p99}, samples: [[message index, answer in hex], …]}

HTTP/2 frames are put together and taken apart by hand, since a gRPC client costs more than the server it would measure. Headers go out as plain
literals, and the server is told to keep no table of headers, so that `grpc-status: 0` can be looked for as bytes.
"""

import asyncio
import struct
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.load_process import run

SAMPLE_EVERY = 61  # prime to the number of messages in rotation, so that samples visit them all
DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
_OK = b"\x0bgrpc-status\x010"
_LARGEST_WINDOW = (1 << 31) - 1


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return struct.pack(">IBI", len(payload) << 8 | kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header field without indexing and without Huffman coding; both shorter than 127 bytes."""
    return b"\x00" + bytes([len(name)]) + name + bytes([len(value)]) + value


class Connection(asyncio.Protocol):
    """One HTTP/2 connection with a few calls open at all times."""

    def __init__(self, load: "Load", first: int) -> None:
        self.load, self.next_index, self.next_stream = load, first, 1
        self.buffer = b""
        self.window = 65535  # bytes that the server takes on this connection; a stream's own is never filled by one small message
        self.open: dict[int, tuple[int, float, list[bytes]]] = {}
        self.waiting = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        settings = struct.pack(">HIHI", 1, 0, 4, _LARGEST_WINDOW)  # no header table; a stream's window
        grown = struct.pack(">I", _LARGEST_WINDOW - 65535)
        transport.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings) + frame(WINDOW, 0, 0, grown))  # type: ignore[attr-defined]
        self.waiting = self.load.plan["streams"]
        self._send()

    def _send(self) -> None:
        """As many calls as wait, as far as the server's window goes."""
        load, parts = self.load, []
        while self.waiting and len(load.bodies[self.next_index]) <= self.window:
            body = load.bodies[self.next_index]
            parts += [frame(HEADERS, END_HEADERS, self.next_stream, load.head), frame(DATA, END_STREAM, self.next_stream, body)]
            self.open[self.next_stream] = (self.next_index, perf_counter(), [])
            self.window -= len(body)
            self.waiting -= 1
            self.next_stream += 2
            self.next_index = (self.next_index + load.stride) % len(load.bodies)
        if parts:
            self.transport.write(b"".join(parts))

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        position = 0
        while position + 9 <= len(buffer):
            length_and_kind, flags, stream = struct.unpack_from(">IBI", buffer, position)
            end = position + 9 + (length_and_kind >> 8)
            if end > len(buffer):
                break
            self._take(length_and_kind & 255, flags, stream, buffer[position + 9 : end])
            position = end
        self.buffer = buffer[position:]
        if self.load.running:
            self._send()

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self.open[stream][2].append(payload)
        elif kind == HEADERS and flags & END_STREAM:
            self._answered(stream, payload)
        elif kind == WINDOW and stream == 0:
            self.window += struct.unpack(">I", payload)[0]
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self.transport.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        elif kind in (RESET, GOAWAY, CONTINUATION):
            self.load.refused += 1
            self.transport.close()

    def _answered(self, stream: int, trailers: bytes) -> None:
        load = self.load
        index, sent, parts = self.open.pop(stream)
        load.answered += 1
        if load.counting:
            load.latencies.append(perf_counter() - sent)
            if _OK not in trailers:
                load.refused += 1
            elif len(load.latencies) % SAMPLE_EVERY == 0:
                load.samples.append((index, b"".join(parts)[5:].hex()))
        self.waiting += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self.load.running:
            self.load.refused += 1


class Load:
    """What the connections share."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        host = plan["address"].encode()
        fields = ((b":method", b"POST"), (b":scheme", b"http"), (b":path", plan["method"].encode()), (b":authority", host), (b"te", b"trailers"))
        self.head = b"".join(literal(name, value) for name, value in (*fields, (b"content-type", b"application/grpc"), *plan.get("metadata", [])))
        messages = [bytes.fromhex(text) for text in plan["messages"]]
        self.bodies = [struct.pack(">BI", 0, len(message)) + message for message in messages]
        self.stride = plan["connections"]
        self.latencies: list[float] = []
        self.samples: list[tuple[int, str]] = []
        self.refused = self.answered = 0
        self.running, self.counting = True, False

    async def run(self) -> dict[str, Any]:
        host, port = self.plan["address"].rsplit(":", 1)
        loop = asyncio.get_running_loop()
        opened = []
        for number in range(self.plan["connections"]):
            transport, _ = await loop.create_connection(lambda number=number: Connection(self, number % len(self.bodies)), host, int(port))  # type: ignore[misc]
            opened.append(transport)
        await asyncio.sleep(self.plan["warm_seconds"])
        self.counting, began = True, perf_counter()
        await asyncio.sleep(self.plan["seconds"])
        self.counting, seconds = False, perf_counter() - began
        self.running = False
        for transport in opened:
            transport.close()
        ordered = sorted(self.latencies)
        if not ordered:
            sys.exit("No call was answered.")
        return {
            "requests": len(ordered), "answered": self.answered, "seconds": seconds, "refused": self.refused, "samples": self.samples,
            "latency_ms": {name: 1000 * ordered[int(share * (len(ordered) - 1))] for name, share in (("p50", 0.5), ("p99", 0.99))},
        }  # fmt: skip


if __name__ == "__main__":
    run(lambda plan: Load(plan).run())
