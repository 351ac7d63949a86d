"""Probes: how a container is asked whether it has started, is ready, is alive."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from presage.manifests.fields import FieldError, Fields


@dataclass(frozen=True)
class Probe:
    """How a container is asked. Durations in seconds; port is a number (names are resolved on reading)."""

    kind: Literal["httpGet", "tcpSocket", "exec"]
    port: int = 0
    path: str = "/"
    command: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    initial_delay: float = 0
    period: float = 10
    timeout: float = 1
    successes: int = 1
    failures: int = 3

    def counted(self, initial_delay: float, period: float, timeout: float, successes: int, failures: int) -> "Probe":
        """The same question, asked at this pace."""
        return replace(self, initial_delay=initial_delay, period=period, timeout=timeout, successes=successes, failures=failures)


def read_probe(container: Fields, name: str, ports: Mapping[str, int]) -> Probe | None:
    """The probe under `name` of a container, None where it has none. ports: the container's, by name. Raises FieldError."""
    found = container.optional(name, dict)
    if found is None:
        return None
    fields = Fields(container.place, f"{container.path}.{name}", found)
    timing = (fields.take("initialDelaySeconds", int, 0), fields.take("periodSeconds", int, 10), fields.take("timeoutSeconds", int, 1))
    counts = (fields.take("successThreshold", int, 1), fields.take("failureThreshold", int, 3))
    given = [(kind, source) for kind in ("httpGet", "tcpSocket", "exec") if (source := fields.optional(kind, dict)) is not None]
    fields.finish()
    if len(given) != 1:
        raise FieldError(fields.place, fields.path, "must have exactly one of httpGet, tcpSocket, exec. Mend it.")
    kind, source = given[0]
    inner = Fields(fields.place, f"{fields.path}.{kind}", source)
    probe = Probe("exec", command=inner.texts("command")) if kind == "exec" else _read_network_probe(inner, kind, ports)
    inner.finish()
    return probe.counted(*timing, *counts)


def _read_network_probe(fields: Fields, kind: str, ports: Mapping[str, int]) -> Probe:
    wanted = fields.take("port", object)
    port = ports.get(wanted) if isinstance(wanted, str) else wanted
    if not isinstance(port, int):
        raise FieldError(fields.place, f"{fields.path}.port", f"is {wanted!r}, no port of the container. Declare it there.")
    if kind == "tcpSocket":
        return Probe("tcpSocket", port)
    headers = tuple((header.take("name", str), header.take("value", str)) for header in fields.each("httpHeaders"))
    if fields.take("scheme", str, "HTTP") != "HTTP":
        fields.refuse("scheme", "is not HTTP. The plane probes plain HTTP only.")
    return Probe("httpGet", port, fields.take("path", str, "/"), headers=headers)


async def ask(probe: Probe, address: str, environment: Mapping[str, str]) -> str | None:
    """Ask once, within the probe's timeout: None where the answer is good, else what was wrong with it.

    address: the Pod's. environment: the container's, for exec (whose command is already rewritten).
    """
    try:
        async with asyncio.timeout(probe.timeout):
            if probe.kind == "exec":
                return await _execute(probe, environment)
            reader, writer = await asyncio.open_connection(address, probe.port)
            try:
                return None if probe.kind == "tcpSocket" else await _get(probe, address, reader, writer)
            finally:
                writer.close()
    except TimeoutError:
        return f"no answer within {probe.timeout:g} s"
    except OSError as error:
        return error.strerror or str(error)


async def _get(probe: Probe, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> str | None:
    lines = [f"GET {probe.path} HTTP/1.1", f"Host: {address}:{probe.port}", "User-Agent: presage-probe", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in probe.headers]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    await writer.drain()
    try:
        status = (await reader.readline()).split()
    except ValueError:  # a line longer than the reader's limit
        return "the answer is no HTTP"
    if len(status) < 2 or not status[1].isdigit():
        return "the answer is no HTTP"
    return None if 200 <= int(status[1]) < 400 else f"HTTP status {int(status[1])}"


async def _execute(probe: Probe, environment: Mapping[str, str]) -> str | None:
    process = await asyncio.create_subprocess_exec(
        *probe.command, env=dict(environment), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        code = await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    return None if code == 0 else f"exit code {code}"
