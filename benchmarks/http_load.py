"""A closed-loop HTTP/1.1 load generator on one core: ready-made requests in rotation, every status checked, answers sampled.

    python benchmarks/http_load.py < plan.json > result.json

plan: {address: "127.0.0.1:8080", path, bodies: [text, …], connections, seconds, warm_seconds, core,
       tls: {ca, certificate, key, name} (files, and the server's name; left out: plain)}
result: {requests, answered (warm-up too), seconds, not_2xx, latency_ms: {p50, p99}, samples: [[body index, answer], …]}

It is our own (uvloop protocols, no HTTP library between): about 10 µs of its core a request, so that the server is what is
measured up to some 50 000 requests a second; wrk is not part of the lock.
"""

import asyncio
import ssl
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.load_process import run

SAMPLE_EVERY = 61  # prime to the number of rows in rotation, so that samples visit them all


class Connection(asyncio.Protocol):
    """One keep-alive connection: the next request leaves when the answer is whole."""

    def __init__(self, load: "Load", first: int) -> None:
        self.load, self.index, self.buffer = load, first, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._send()

    def _send(self) -> None:
        self.sent = perf_counter()
        self.transport.write(self.load.requests[self.index])  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self.buffer.lower().find(b"content-length: ", 0, head)
        if at < 0:
            raise RuntimeError("an answer without Content-Length")
        length = int(self.buffer[at + 16 : self.buffer.find(b"\r", at)])
        if len(self.buffer) < head + 4 + length:
            return
        load = self.load
        load.answered += 1
        if load.counting:
            load.latencies.append(perf_counter() - self.sent)
            if self.buffer[9:10] != b"2":
                load.not_2xx += 1
            if len(load.latencies) % SAMPLE_EVERY == 0:
                load.samples.append((self.index, self.buffer[head + 4 : head + 4 + length].decode()))
        self.buffer = b""
        self.index = (self.index + load.stride) % len(load.requests)
        if load.running:
            self._send()
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.load.running:
            self.load.lost += 1


class Load:
    """What the connections share."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        host = plan["address"]
        head = f"POST {plan['path']} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: "
        self.requests = [f"{head}{len(body)}\r\n\r\n{body}".encode() for body in plan["bodies"]]
        self.stride = plan["connections"]
        self.latencies: list[float] = []
        self.samples: list[tuple[int, str]] = []
        self.not_2xx = self.lost = self.answered = 0
        self.running, self.counting = True, False

    async def run(self) -> dict[str, Any]:
        host, port = self.plan["address"].rsplit(":", 1)
        loop = asyncio.get_running_loop()
        tls = self.plan.get("tls")
        secure: dict[str, Any] = {} if tls is None else {"ssl": _context(tls), "server_hostname": tls["name"]}
        for number in range(self.plan["connections"]):
            made = lambda number=number: Connection(self, number % len(self.requests))  # noqa: E731
            await loop.create_connection(made, host, int(port), **secure)
        await asyncio.sleep(self.plan["warm_seconds"])
        self.counting, began = True, perf_counter()
        await asyncio.sleep(self.plan["seconds"])
        self.counting, seconds = False, perf_counter() - began
        self.running = False
        ordered = sorted(self.latencies)
        return {
            "requests": len(ordered), "answered": self.answered, "seconds": seconds, "not_2xx": self.not_2xx + self.lost, "samples": self.samples,
            "latency_ms": {name: 1000 * ordered[int(share * (len(ordered) - 1))] for name, share in (("p50", 0.5), ("p99", 0.99))},
        }  # fmt: skip


def _context(tls: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls["ca"])
    context.load_cert_chain(tls["certificate"], tls["key"])
    return context


if __name__ == "__main__":
    run(lambda plan: Load(plan).run())
