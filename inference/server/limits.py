"""What a door takes from anybody before it knows who they are."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DoorLimits:
    """body: bytes of one request's body. head, headers: bytes and number of its headers. patience: seconds that a half-sent
    head or body, or an answer that is not read, may stay open. connections: beyond them the answer is 503."""

    body: int = 16 << 20
    head: int = 16 << 10
    headers: int = 100
    patience: float = 10.0
    connections: int = 2048
