"""An open-loop HTTP/1.1 load generator on one core: requests leave when they are due, whether or not earlier ones were answered.

    python benchmarks/open_load.py < plan.json > result.json

plan: {address, path, bodies, rate (requests a second), connections, seconds, warm_seconds, core}
result: {offered, sent, statuses: {status: count}, lost, late (were due when no connection was free and waited for one),
         unsent (waited until the end), latency_ms: {ok: {p50, p99, max}, refused: {…}}, samples: [[body index, answer], …]}

Arrivals are a Poisson process of a fixed seed. A latency is counted from the moment a request was due, so waiting for a free connection
is in it: that is what a caller would have seen.
"""

import asyncio
import random
import sys
from collections import Counter, deque
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.load_process import run

SAMPLE_EVERY = 61


class Connection(asyncio.Protocol):
    """One keep-alive connection; free when its answer is whole."""

    def __init__(self, load: "OpenLoad") -> None:
        self.load, self.buffer, self.due, self.index = load, b"", 0.0, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def send(self, index: int, due: float) -> None:
        self.index, self.due = index, due
        self.transport.write(self.load.requests[index])  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self.buffer = self.buffer + data if self.buffer else data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self.buffer.lower().find(b"content-length: ", 0, head)
        length = int(self.buffer[at + 16 : self.buffer.find(b"\r", at)])
        if len(self.buffer) < head + 4 + length:
            return
        body, status = self.buffer[head + 4 : head + 4 + length], self.buffer[9:12].decode()
        self.buffer = b""
        self.load.answered(self, status, body)

    def connection_lost(self, exc: Exception | None) -> None:
        self.load.gone(self)


class OpenLoad:
    """Arrivals on one side, free connections on the other."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        head = f"POST {plan['path']} HTTP/1.1\r\nhost: {plan['address']}\r\ncontent-type: application/json\r\ncontent-length: "
        self.requests = [f"{head}{len(body)}\r\n\r\n{body}".encode() for body in plan["bodies"]]
        self.free: deque[Connection] = deque()
        self.waiting: deque[tuple[int, float]] = deque()
        self.statuses: Counter[str] = Counter()
        self.latencies: dict[bool, list[float]] = {True: [], False: []}
        self.samples: list[tuple[int, str]] = []
        self.offered = self.sent = self.late = self.lost = 0
        self.counting, self.running = False, True

    def due(self, index: int, at: float) -> None:
        self.offered += self.counting
        if self.free:
            self.sent += self.counting
            self.free.popleft().send(index, at)
        else:
            self.late += self.counting
            self.waiting.append((index, at))

    def answered(self, connection: Connection, status: str, body: bytes) -> None:
        if self.counting:
            self.statuses[status] += 1
            fine = status[0] == "2"
            self.latencies[fine].append(perf_counter() - connection.due)
            if fine and len(self.latencies[True]) % SAMPLE_EVERY == 0:
                self.samples.append((connection.index, body.decode()))
        if self.waiting:
            self.sent += self.counting
            connection.send(*self.waiting.popleft())
        else:
            self.free.append(connection)

    def gone(self, connection: Connection) -> None:
        if self.running:
            self.lost += 1

    async def run(self) -> dict[str, Any]:
        host, port = self.plan["address"].rsplit(":", 1)
        loop = asyncio.get_running_loop()
        for _ in range(self.plan["connections"]):
            _, connection = await loop.create_connection(lambda: Connection(self), host, int(port))
            self.free.append(connection)
        chance, rate = random.Random(7), self.plan["rate"]
        began = at = perf_counter()
        counting_from, end = began + self.plan["warm_seconds"], began + self.plan["warm_seconds"] + self.plan["seconds"]
        index = 0
        while at < end:
            at += chance.expovariate(rate)
            delay = at - perf_counter()
            if delay > 0.0005:
                await asyncio.sleep(delay - 0.0003)
            elif index % 64 == 0:
                await asyncio.sleep(0)
            while perf_counter() < at:  # timers are coarse
                await asyncio.sleep(0)
            self.counting = at >= counting_from
            index = (index + 1) % len(self.requests)
            self.due(index, at)
        await asyncio.sleep(0.25)
        self.counting = self.running = False
        return {
            "offered": self.offered, "sent": self.sent, "late": self.late, "unsent": len(self.waiting), "lost": self.lost, "statuses": dict(self.statuses),
            "latency_ms": {"ok": _summary(self.latencies[True]), "refused": _summary(self.latencies[False])}, "samples": self.samples,
        }  # fmt: skip


def _summary(seconds: list[float]) -> dict[str, float] | None:
    if not seconds:
        return None
    ordered = sorted(seconds)
    return {name: 1000 * ordered[int(share * (len(ordered) - 1))] for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}


if __name__ == "__main__":
    run(lambda plan: OpenLoad(plan).run())
