"""What the journal keeps of one prediction, and what is the same for all predictions of one process."""

import msgspec


class Record(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One predicted row. time: when it was answered (Unix seconds); feature_version, feature_time: which row was looked up
    (null for rows that the caller gave); low, high: the risk's interval; clipped: values of the request that were moved to
    the edge of their range; reasons: the heaviest three (feature, contribution), without the values."""

    prediction_id: str
    time: float
    endpoint: str
    caller_id: str
    rung: str
    server: str | None
    feature_version: str | None
    feature_time: float | None
    score: float | None
    risk: float
    low: float
    high: float
    tier: str
    warming: bool
    clipped: int
    reasons: list[tuple[str, float]]


class Writer(msgspec.Struct, frozen=True):
    """Head of a segment: who answered. release: the release document's digest."""

    model: str
    version: str
    release: str
    region: str
