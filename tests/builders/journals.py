"""Records for a journal, what lies in one, and what came out of it."""

from pathlib import Path

import polars as pl

from inference.journal.record import AnyRecord, Decision, Snapshot, Writer
from inference.journal.segments import read_segment, segments

WRITER = Writer("incident", "1", "sha256:0", "eu-central")
NOON = 1_700_000_000.0
DAY = 86_400.0


def decision(number: int, time: float = NOON) -> Decision:
    return Decision(
        f"id-{number}", time, "infer", "", "", {}, "primary", "asked first", "primary", f"server-{number % 3}", "abc", time - 60, b"",
        0.25, 0.3, 0.2, 0.4, "watch", False, 0, None, [], [("cpu", 0.5)], "", "",
    )  # fmt: skip


def decisions(*numbers: int) -> list[AnyRecord]:
    return [decision(number) for number in numbers]


def snapshot(server: str, time: float = NOON - 60) -> Snapshot:
    return Snapshot(server, time, "abc", b"\x00\x00\x80?", b"\x00\x00\x80?", b"", 0)


def journalled(folder: Path) -> list[str]:
    """Ids in the segments, as they lie there."""
    records = [record for _, path in segments(folder) for frame in read_segment(path)[1] for record in frame.records]
    return [record.prediction_id for record in records if isinstance(record, Decision)]


def logged(log: Path) -> list[str]:
    """Ids in the prediction log."""
    files = sorted((log / "decisions").rglob("*.parquet"))
    return [name for path in files for name in pl.read_parquet(path, columns=["prediction_id"], hive_partitioning=False)["prediction_id"]]
