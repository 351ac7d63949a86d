"""The online store on Redis, for predictors on several nodes. A service is three keys of one slot:

    PREFIX:online:{SERVICE}          hash: entity → time (f64, little-endian) and the row's blob (presage.features.packing)
    PREFIX:online:{SERVICE}:times    sorted set: entity by time, so that what is newer is decided without reading blobs
    PREFIX:online:{SERVICE}:about    hash: description, version, source

A write is one script, which no other command interleaves: all rows or none, and an older one never replaces a newer one. A reader never
waits longer than one answer may take, and not at all while there is no connection (presage.redis).
"""

import struct
from collections.abc import Sequence
from typing import Any

from presage.errors import StateError
from presage.features.declaration import BoundView
from presage.features.packing import pack_row, pack_service, unpack_row, unpack_service
from presage.features.store import OnlineRow, ServiceDescription
from presage.redis import Command, ConnectionLost, RedisLink, RedisPlace
from presage.telemetry.clock import StreamClock

READ_SECONDS, WRITE_SECONDS = 0.05, 2.0
WRITERS_PATIENCE = 10.0  # seconds that a writer waits for a Redis that is just starting
_TIME = struct.Struct("<d")
# Redis stops a script that would exceed its memory before the first write, never between two.
_WRITE = """
local taken = 0
for i = 1, #ARGV, 3 do
  local stored = redis.call('ZSCORE', KEYS[2], ARGV[i])
  if not stored or tonumber(ARGV[i + 1]) >= tonumber(stored) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2])
    redis.call('ZADD', KEYS[2], ARGV[i + 1], ARGV[i])
    taken = taken + 1
  end
end
return taken
"""
_PUT = """
local stored = redis.call('HMGET', KEYS[3], 'version', 'source')
if (stored[1] and stored[1] ~= ARGV[2]) or (stored[2] and stored[2] ~= ARGV[3]) then
  redis.call('DEL', KEYS[1], KEYS[2])
end
for _, entity in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[4], '+inf')) do
  redis.call('HDEL', KEYS[1], entity)
  redis.call('ZREM', KEYS[2], entity)
end
redis.call('HSET', KEYS[3], 'description', ARGV[1], 'version', ARGV[2], 'source', ARGV[3])
return 1
"""


class RedisOnlineStore:
    """See presage.features.store.OnlineStore. Opening never fails and never waits; what is asked raises StateError while the Redis is out,
    foreign, full or does not let this account have it, and works again by itself afterwards."""

    heals = True

    def __init__(self, place: RedisPlace, read_only: bool = False) -> None:
        self._place = place
        self._read_only = read_only
        self._link = RedisLink(place, READ_SECONDS if read_only else WRITE_SECONDS, 0.0 if read_only else WRITERS_PATIENCE)

    def put_service(self, service: str, bound: BoundView, source: str, clock: StreamClock) -> None:
        self._require_writable()
        document = pack_service(bound, source, clock)
        self._written(("EVAL", _PUT, 3, *self._keys(service), document, bound.version, source, repr(float(clock.event_origin))))

    def describe(self, service: str) -> ServiceDescription | None:
        [found] = self._link.ask(("HGET", self._keys(service)[2], "description"))
        return None if found is None else unpack_service(found)

    def write(self, service: str, rows: Sequence[OnlineRow]) -> int:
        self._require_writable()
        if not rows:
            return 0
        arguments: list[str | bytes] = []
        for row in rows:
            time = float(row.time)
            arguments += (row.entity, repr(time), _TIME.pack(time) + pack_row(row))
        return int(self._written(("EVAL", _WRITE, 2, *self._keys(service)[:2], *arguments)))

    def read(self, service: str, entities: Sequence[str]) -> list[OnlineRow | None]:
        if not entities:
            return []
        [found] = self._link.ask(("HMGET", f"{self._place.prefix}:online:{{{service}}}", *entities))
        return [None if blob is None else _unpacked(entity, blob) for entity, blob in zip(entities, found, strict=True)]

    def entities(self, service: str) -> list[str]:
        [found] = self._link.ask(("HKEYS", self._keys(service)[0]))
        return sorted(entity.decode() for entity in found)

    def close(self) -> None:
        self._link.close()

    def _written(self, command: Command) -> Any:
        """The answer to one script, sent again where the first one's was lost: a second time it changes nothing."""
        try:
            [answer] = self._link.ask(command)
        except ConnectionLost:
            [answer] = self._link.ask(command)
        return answer

    def _keys(self, service: str) -> tuple[str, str, str]:
        rows = f"{self._place.prefix}:online:{{{service}}}"
        return rows, f"{rows}:times", f"{rows}:about"

    def _require_writable(self) -> None:
        if self._read_only:
            raise StateError(f"{self._place}: opened for reading, so it cannot be written to. Open it without read_only.")


def _unpacked(entity: str, blob: bytes) -> OnlineRow:
    if len(blob) < _TIME.size:
        raise StateError(f"The online row of {entity} is no row ({len(blob)} bytes). Remove the online store and restart the stream.")
    return unpack_row(entity, _TIME.unpack_from(blob)[0], blob, _TIME.size)
