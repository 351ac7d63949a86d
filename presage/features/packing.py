"""What every online store keeps as bytes. A service's description is JSON. A row is one blob, a header and three float32 arrays,
little-endian, so that a read makes views and parses nothing:

    format u8 · windows u8 · history u16 · metrics u16 · features u32 · version 8 bytes · values · coverage · history
"""

import struct

import msgspec
import numpy as np

from presage.errors import StateError
from presage.features.declaration import BoundView
from presage.features.store import OnlineRow, ServiceDescription
from presage.telemetry.clock import StreamClock

_HEADER = struct.Struct("<BBHHI8s2x")  # 20 bytes: the arrays behind it stay aligned to their four
_FORMAT = 1
_FLOAT = np.dtype("<f4")


def pack_row(row: OnlineRow) -> bytes:
    """Without entity and time, which a store keeps beside it. Raises StateError for a time that is no number."""
    if row.time != row.time:
        raise StateError(f"The row of {row.entity} has no time (NaN), so nobody could tell whether it is newer. Give it its tick.")
    history, metrics = row.history.shape
    header = _HEADER.pack(_FORMAT, row.coverage.size, history, metrics, row.values.size, bytes.fromhex(row.version))
    return b"".join([header, *(np.ascontiguousarray(part, _FLOAT).tobytes() for part in (row.values, row.coverage, row.history))])


def unpack_row(entity: str, time: float, blob: bytes, start: int = 0) -> OnlineRow:
    """start: where in `blob` the row begins. Raises StateError for what is no row, or one of another format."""
    try:
        form, windows, history, metrics, features, version = _HEADER.unpack_from(blob, start)
        if form != _FORMAT:
            raise StateError(f"The online row of {entity} has format {form}, this program reads {_FORMAT}. Remove the online store and restart the stream.")
        floats = np.frombuffer(blob, _FLOAT, offset=start + _HEADER.size)
        split = features + windows
        return OnlineRow(entity, time, version.hex(), floats[:features], floats[features:split], floats[split:].reshape(history, metrics))
    except (struct.error, ValueError) as error:
        raise StateError(f"The online row of {entity} is no row ({error}). Remove the online store and restart the stream.") from error


def pack_service(bound: BoundView, source: str, clock: StreamClock) -> bytes:
    return msgspec.json.encode({"bound": bound.as_document(), "source": source, "clock": [clock.event_origin, clock.wall_origin, clock.speed]})


def unpack_service(content: bytes) -> ServiceDescription:
    document = msgspec.json.decode(content)
    return ServiceDescription(BoundView.from_document(document["bound"]), document["source"], StreamClock(*document["clock"]))
