"""What the journal keeps of one prediction, and what is the same for all predictions of one process.

Two kinds of record: a `Decision` is one predicted row, a `Snapshot` the online row that decisions read. A server's row changes once a
tick, so it is written once a tick and not once a decision; decisions name it by (server, feature_time, feature_version). A reader drops
snapshots it has already: a process that starts again writes them again.

    decode = msgspec.msgpack.Decoder(list[AnyRecord]).decode
"""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from presage.package.contract import Contract


class Decision(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="d"):
    """One predicted row: what was asked, what was answered, and by whom.

    time: when it was answered (Unix seconds). endpoint: the door and dialect (`infer`, `predict`, `grpc`, `batch`, `stream`).
    caller: SPIFFE id or `key:<id>`, "" unknown; caller_id: the request's own id, free text of the caller. context: what the router chose by.
    rung, because: which rung of the ladder answered, and why that one; used: id of the release member that scored, "" below the models.
    server, feature_version, feature_time: which online row was read (null for rows that the caller gave).
    x: raw little-endian float32 of the row that a caller gave ([inputs], or [history, inputs]); empty where a snapshot holds it.
    score: before calibration; risk, low, high: calibrated, and its interval. clipped: values of the request moved to the edge of their range.
    distance: from the training data, null = not measured; doubts: what the guards remarked. reasons: (feature, contribution), heaviest first.
    shadow_of: id of the prediction that this one shadows; such a record answered nobody, and no action may follow from it.
    """

    prediction_id: str
    time: float
    endpoint: str
    caller: str
    caller_id: str
    context: dict[str, str]
    rung: str
    because: str
    used: str
    server: str | None
    feature_version: str | None
    feature_time: float | None
    x: bytes
    score: float | None
    risk: float
    low: float
    high: float
    tier: str
    warming: bool
    clipped: int
    distance: float | None
    doubts: list[str]
    reasons: list[tuple[str, float]]
    trace_id: str
    shadow_of: str


class Snapshot(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="s"):
    """One row of the online store as the path read it. time: its tick (Unix seconds of event time); version: of the declaration;
    values, coverage, history: raw little-endian float32, as `presage.features.store.OnlineRow` has them; ticks: rows of the history."""

    server: str
    time: float
    version: str
    values: bytes
    coverage: bytes
    history: bytes
    ticks: int


AnyRecord = Decision | Snapshot


class Writer(msgspec.Struct, frozen=True):
    """Head of a segment: who answered. release: the release document's digest; inputs, features, metrics: what the floats of `x`, of a
    snapshot's values and of its history are called (`names_of`), empty where the writer did not say."""

    model: str
    version: str
    release: str
    region: str
    inputs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def names_of(contract: "Contract") -> dict[str, tuple[str, ...]]:
    """What a `Writer` says of the release whose contract this is."""
    view = contract.view
    return {"inputs": tuple(field.name for field in contract.inputs), "features": tuple(view.names), "metrics": tuple(view.metrics)}
