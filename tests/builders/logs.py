"""Prediction logs: records like a server's, journalled and shipped by the real programs."""

from pathlib import Path

import numpy as np

from inference.journal.record import AnyRecord, Decision, Snapshot, Writer
from inference.journal.ship import open_masking, ship
from inference.journal.writer import Journal
from inference.log.classes import compiled
from inference.log.free_text import FreeText
from inference.log.masking import Masking
from inference.log.subjects import Subjects
from presage.governance.data_classes import parse_data_classes

ROOT = Path(__file__).parents[2]
POLICY = (ROOT / "policies/data-classes.yaml").read_text()
NOON = 1_700_000_000.0
DAY = 86_400.0
WRITER = Writer("incident", "1", "sha256:0", "eu-central", ("cpu.mean_1h", "memory.mean_1h"), ("cpu.mean_1h", "memory.mean_1h"), ("cpu", "memory"))


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


def decision(number: int, **changes: object) -> Decision:
    """Over a looked-up row, unless x is given."""
    given = bool(changes.get("x"))
    fields = {
        "prediction_id": f"id-{number}-0", "time": NOON + number, "endpoint": "predict", "caller": "spiffe://cluster.local/ns/shop/sa/checkout",
        "caller_id": "", "context": {}, "rung": "primary", "because": "asked first", "used": "primary",
        "server": None if given else f"server-{number % 3}", "feature_version": None if given else "abc", "feature_time": None if given else NOON - 60,
        "x": b"", "score": 0.25, "risk": 0.3, "low": 0.2, "high": 0.4, "tier": "watch", "warming": False, "clipped": 0, "distance": None,
        "doubts": [], "reasons": [("cpu.mean_1h", 0.5)], "trace_id": "", "shadow_of": "",
    }  # fmt: skip
    return Decision(**{**fields, **changes})  # type: ignore[arg-type]


def snapshot(server: str, time: float = NOON - 60, value: float = 1.5) -> Snapshot:
    return Snapshot(server, time, "abc", floats(value, float("nan")), floats(1.0), floats(1, 2, 3, 4), 2)


def changed(changes: dict[str, str]) -> str:
    text = POLICY
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def masking(changes: dict[str, str] | None = None, subjects: Path | None = None, wrapper: object = None) -> Masking:
    """By the committed policy, changed."""
    if not changes:
        return open_masking()
    policy = compiled(parse_data_classes(changed(changes), "data-classes.yaml"))

    def opened() -> Subjects:
        assert subjects is not None
        return Subjects.open(subjects, wrapper)  # type: ignore[arg-type]

    return Masking(policy, FreeText(), opened)


def write_log(folder: Path, *batches: list[AnyRecord], by: Masking | None = None, writer: Writer = WRITER) -> Path:
    """Journal each batch as one frame, and ship after each; the log's folder. Called again it adds to the same log."""
    journal = Journal.open(folder / "journal", writer)
    for batch in batches:
        journal.append(batch, lambda error: None)
        ship(journal.folder, folder / "log", by)
    journal.close()
    return folder / "log"
