"""How a program and the process that keeps its event log speak: length (4 bytes, little-endian), then msgpack.

    request   [operation, *arguments]; the first one is ["open", topic, partitions, producer]
    answer    [0, result], [1, why the log cannot] or [2, what was asked wrongly]

An address is `unix:PATH`, or `HOST:PORT` on the loopback: nothing here is encrypted, and whoever reaches the address may append.
"""

import ipaddress
import socket
import struct
from typing import Any

import msgspec

from presage.errors import UsageError

LENGTH = struct.Struct("<I")
LARGEST = 64 << 20
"""Bytes of one message."""
DONE, CANNOT, WRONG = 0, 1, 2
_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(list[Any]).decode


def encode(message: list[Any]) -> bytes:
    body = _encode(message)
    return LENGTH.pack(len(body)) + body


def unix_path(address: str) -> str | None:
    """The socket's path; None where the address is a host and a port."""
    kind, _, path = address.partition(":")
    return path if kind == "unix" and path else None


def host_and_port(address: str) -> tuple[str, int]:
    """Raises UsageError on what is no loopback address and port."""
    host, _, port = address.rpartition(":")
    try:
        if ipaddress.ip_address(host.strip("[]")).is_loopback and 0 <= int(port) < 65536:
            return host.strip("[]"), int(port)
    except ValueError:
        pass
    raise UsageError(f"{address!r} is no address of an event log. Write unix:PATH, or a loopback address and a port: 127.0.0.1:9400.")


def connected(address: str, seconds: float) -> socket.socket:
    """Raises OSError where nobody listens there."""
    path = unix_path(address)
    if path is None:
        connection = socket.create_connection(host_and_port(address), timeout=seconds)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(seconds)
        try:
            connection.connect(path)
        except BaseException:
            connection.close()
            raise
    return connection
