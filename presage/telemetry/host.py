"""`host`: the machine this runs on, read by psutil once a second, live only.

    stream = live_source("host").stream(speed=1, backfill=timedelta(0))

Its readings carry HOST_METRICS; what this machine or user cannot see is left out, and the stream's notes say so. A machine
keeps no past that could be read, so a stream starts without back-fill and its windows fill as it runs.
"""

import platform
import socket
import threading
import time as wall_time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import polars as pl
import psutil

from presage.errors import InputError
from presage.telemetry.clock import StreamClock
from presage.telemetry.live import Waiter, believable
from presage.telemetry.metrics import CATALOGUE, HOST_METRICS
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.schema import ENTITY_SCHEMA, Metric, Reading, Telemetry

PERIOD = timedelta(seconds=1)


@dataclass(frozen=True)
class Counters:
    """What a machine counts since it started, and what it shows now, at wall time `time` (Unix s). None = it does not say."""

    time: float
    cpu_idle: float  # s, all CPUs
    cpu_iowait: float | None
    cpu_total: float
    disk_operations: int | None
    disk_bytes: int | None
    received: int | None
    sent: int | None
    dropped: int | None
    levels: dict[str, float]  # metrics that are no rates


def read_counters(time: float) -> Counters:
    """Read psutil once (a few ms)."""
    cpu = psutil.cpu_times()
    disk = _allowed(psutil.disk_io_counters)
    nics = _allowed(lambda: psutil.net_io_counters(pernic=True))
    cards = [counted for name, counted in (nics or {}).items() if not name.startswith("lo")]
    usage = _allowed(lambda: psutil.disk_usage("/"))
    sockets = _allowed(lambda: psutil.net_connections("inet"))
    swap = _allowed(psutil.swap_memory)
    memory = psutil.virtual_memory()
    levels = {
        "system.memory.utilization": 1 - memory.available / memory.total,
        "system.process.count": float(len(psutil.pids())),
    }
    if swap is not None:
        levels["system.paging.utilization"] = swap.used / swap.total if swap.total else 0.0
    if usage is not None and usage.used + usage.free:
        levels["system.filesystem.utilization"] = usage.used / (usage.used + usage.free)
    if sockets is not None:
        levels["system.network.connection.count"] = float(len(sockets))
    return Counters(
        time=time,
        cpu_idle=cpu.idle,
        cpu_iowait=getattr(cpu, "iowait", None),
        # guest time is part of user time on Linux: counted once
        cpu_total=sum(value for name, value in cpu._asdict().items() if not name.startswith("guest")),
        disk_operations=disk.read_count + disk.write_count if disk else None,
        disk_bytes=disk.read_bytes + disk.write_bytes if disk else None,
        received=sum(card.bytes_recv for card in cards) if cards else None,
        sent=sum(card.bytes_sent for card in cards) if cards else None,
        dropped=sum(card.dropin + card.dropout for card in cards) if cards else None,
        levels=levels,
    )


def values_between(before: Counters, after: Counters) -> dict[str, float]:
    """Metric → value over the time between two readings; a counter that fell (a device went, a counter wrapped) gives none."""
    elapsed = after.time - before.time
    values = dict(after.levels)
    busy = after.cpu_total - before.cpu_total
    if busy > 0:
        waited = (after.cpu_iowait or 0.0) - (before.cpu_iowait or 0.0)
        values["system.cpu.utilization"] = 1 - (after.cpu_idle - before.cpu_idle + waited) / busy
        if after.cpu_iowait is not None:
            values["system.cpu.utilization.iowait"] = waited / busy
    rates = {
        "system.disk.operations": (before.disk_operations, after.disk_operations),
        "system.disk.io": (before.disk_bytes, after.disk_bytes),
        "system.network.io.receive": (before.received, after.received),
        "system.network.io.transmit": (before.sent, after.sent),
        "system.network.packet.dropped": (before.dropped, after.dropped),
    }
    for name, (old, new) in rates.items():
        if old is not None and new is not None and new >= old and elapsed > 0:
            values[name] = (new - old) / elapsed
    return {name: value for name in HOST_METRICS if (value := values.get(name)) is not None and believable(CATALOGUE[name], value)}


Value = TypeVar("Value")


def _allowed(read: Callable[[], Value]) -> Value | None:
    """What `read` gives, or None where this machine or user may not see it."""
    try:
        return read()
    except (psutil.Error, OSError, RuntimeError, NotImplementedError):
        return None


@dataclass(frozen=True)
class HostSource:
    """This machine."""

    spec: str = "host"
    name: str = "host"
    live: bool = True

    def read(self, quarantine: Quarantine) -> Telemetry:
        """Always refused: raises InputError."""
        raise InputError("host has no past to read and no labels. Train on simulated:metrics=host (the same metrics), then stream host through that model.")

    def stream(self, speed: float, backfill: timedelta) -> "HostStream":
        """Start reading. `speed` and `backfill` cannot be granted by a real machine; the notes say so."""
        before = read_counters(wall_time.time())
        seen = set(before.levels) | {"system.cpu.utilization"}
        seen |= {"system.cpu.utilization.iowait"} if before.cpu_iowait is not None else set()
        seen |= {"system.disk.operations", "system.disk.io"} if before.disk_operations is not None else set()
        if before.received is not None:
            seen |= {"system.network.io.receive", "system.network.io.transmit", "system.network.packet.dropped"}
        lacks = tuple(name for name in HOST_METRICS if name not in seen)
        name = socket.gethostname()
        notes = [f"{name} is scored by a model of the simulated fleet, trained on the {len(HOST_METRICS)} metrics that psutil reads here too."]
        if backfill > timedelta(0):
            notes.append(f"{name} has no past to fill back: it is warming until its windows have filled.")
        if speed != 1:
            notes.append(f"{name} runs in real time: speed {speed:g} is left out.")
        if lacks:
            notes.append(f"{name} does not show {', '.join(lacks)}.")
        return HostStream(name, StreamClock(before.time, before.time, 1.0), before, lacks, tuple(notes), self.spec)


@dataclass
class HostStream:
    """LiveStream of one machine, a reading a second. `lacks`: metrics of HOST_METRICS that it does not show."""

    entity: str
    clock: StreamClock
    before: Counters
    lacks: tuple[str, ...]
    notes: tuple[str, ...]
    source: str = "host"
    period: timedelta = PERIOD
    metrics: tuple[Metric, ...] = tuple(CATALOGUE[name] for name in HOST_METRICS)
    wall: Callable[[], float] = wall_time.time
    wait: Waiter | None = None
    _closed: threading.Event = field(default_factory=threading.Event)

    @property
    def entities(self) -> pl.DataFrame:
        row = (self.entity, "compute", platform.system().lower() or "unknown", list[str]())
        return pl.DataFrame([row], schema=ENTITY_SCHEMA, orient="row")

    def __iter__(self) -> Iterator[list[Reading]]:
        wait = self.wait or self._closed.wait
        while not self._closed.is_set():
            # On whole seconds since the start; after a suspension it goes on from now.
            behind = (self.wall() - self.clock.wall_origin) % PERIOD.total_seconds()
            if wait(PERIOD.total_seconds() - behind):
                return
            after = read_counters(self.wall())
            if after.time <= self.before.time:  # the clock was set back: nothing can be said about this second
                self.before = after
                continue
            values = values_between(self.before, after)
            self.before = after
            yield [Reading(self.entity, datetime.fromtimestamp(after.time, UTC), values, self.source)]

    def close(self) -> None:
        self._closed.set()
