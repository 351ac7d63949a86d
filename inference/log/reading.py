"""Rows of the log as records again, opened where they are sealed and the key is there.

    for file in files(log, "decisions"):
        for logged in read_decisions(file, opener):
            logged.decision.risk, logged.opened
    rows = Snapshots(log, opener).of(logged_decisions)      # (server, tick, feature version) → Snapshot
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from inference.journal.record import Decision, Snapshot, Writer
from inference.log.folder import LogFile, around, files
from inference.log.masking import snapshot_id
from inference.log.subjects import SubjectKey, Subjects
from inference.log.table import read_names

if TYPE_CHECKING:
    from pathlib import Path

    import polars as pl

Opened = Literal["plain", "opened", "sealed"]
Key = tuple[str, int, str]
"""Server, tick (µs), feature version."""
_decode = msgspec.msgpack.Decoder(dict[str, Any]).decode


@dataclass(frozen=True)
class Logged:
    """One decision of the log. opened: `sealed` = parts of it only a key opens that is not here (its subject was forgotten, or belongs to
    another key store)."""

    decision: Decision
    writer: Writer
    subject: str | None
    opened: Opened

    @property
    def snapshot(self) -> Key | None:
        """Which online row it read; None where the caller gave the row, or whose it was is sealed."""
        decision = self.decision
        if decision.server is None or decision.feature_time is None or decision.feature_version is None:
            return None
        return decision.server, round(decision.feature_time * 1e6), decision.feature_version


def read_decisions(file: LogFile, subjects: Subjects | None) -> list[Logged]:
    """Every decision of one file, in the order of the journal. subjects: the key store, None = what is sealed stays so."""
    import polars as pl

    return _decisions(pl.read_parquet(file.path, hive_partitioning=False), file, subjects)


def find_decision(log: "Path", prediction_id: str, subjects: Subjects | None) -> tuple[Logged, LogFile] | None:
    """The decision of this id; newest files are looked at first."""
    import polars as pl

    for file in reversed(files(log, "decisions")):
        found = pl.scan_parquet(file.path, hive_partitioning=False).filter(pl.col("prediction_id") == prediction_id).collect()
        if found.height:
            return _decisions(found, file, subjects)[0], file
    return None


def _decisions(table: "pl.DataFrame", file: LogFile, subjects: Subjects | None) -> list[Logged]:
    names = read_names(file.path)
    x = table["x"]
    seconds = {name: _seconds(table[name]) for name in ("time", "feature_time")}
    rest = table.drop("x", "time", "feature_time")
    found = []
    for index, row in enumerate(rest.iter_rows(named=True)):
        fields: dict[str, Any] = {name: row.get(name) for name in Decision.__struct_fields__ if name in row}
        fields["time"], fields["feature_time"] = seconds["time"][index], seconds["feature_time"][index]
        fields["x"] = _bytes(x[index])
        fields["context"] = {pair["key"]: pair["value"] for pair in row["context"] or ()}
        fields["reasons"] = [(pair["feature"], pair["contribution"]) for pair in row["reasons"] or ()]
        opened = _open(fields, row, subjects, f"decision|{row['prediction_id']}".encode())
        writer = Writer(row["model"], row["version"], row["release"], file.region, names.inputs, names.features, names.metrics)
        found.append(Logged(Decision(**fields), writer, row["subject"], opened))
    return found


class Snapshots:
    """The online rows that decisions read."""

    def __init__(self, log: "Path", subjects: Subjects | None) -> None:
        self._log, self._subjects = log, subjects

    def of(self, decisions: Iterable[Logged], day: date) -> dict[Key, Snapshot]:
        """Those that decisions of `day` name. Looked for near that day first, then everywhere."""
        wanted = {logged.snapshot for logged in decisions} - {None}
        found: dict[Key, Snapshot] = {}
        if wanted:
            near = files(self._log, "snapshots", *around(day))
            self._gather(near, wanted, found)
            if wanted - found.keys():
                beside = {file.path for file in near}
                self._gather([file for file in reversed(files(self._log, "snapshots")) if file.path not in beside], wanted, found)
        return found

    def _gather(self, candidates: Sequence[LogFile], wanted: set[Key | None], found: dict[Key, Snapshot]) -> None:
        for file in candidates:
            if not wanted - found.keys():
                return
            for key, snapshot in self._read(file, wanted - found.keys()):
                found.setdefault(key, snapshot)

    def _read(self, file: LogFile, wanted: set[Key | None]) -> Iterator[tuple[Key, Snapshot]]:
        import polars as pl

        ticks = sorted({key[1] for key in wanted if key is not None})
        among = pl.Series(ticks, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
        table = pl.scan_parquet(file.path, hive_partitioning=False).filter(pl.col("time").is_in(among.implode())).collect()
        times = _seconds(table["time"])
        floats = {name: table[name] for name in ("values", "coverage", "history")}
        for index, row in enumerate(table.drop(*floats, "time").iter_rows(named=True)):
            fields: dict[str, Any] = {"server": row["server"], "time": times[index], "version": row["version"], "ticks": row["ticks"]}
            if row["sealed"] is None and (row["server"], round(fields["time"] * 1e6), row["version"]) not in wanted:
                continue
            fields |= {name: _bytes(series[index]) for name, series in floats.items()}
            if row["sealed"] is not None and _open(fields, row, self._subjects, snapshot_id(row["subject"], fields["time"])) == "sealed":
                continue
            key = (fields["server"], round(fields["time"] * 1e6), fields["version"])
            if key in wanted:
                yield key, Snapshot(**fields)


def _open(fields: dict[str, Any], row: dict[str, Any], subjects: Subjects | None, of: bytes) -> Opened:
    """Fill what was sealed for the row's subject."""
    if row["sealed"] is None:
        return "plain"
    key: SubjectKey | None = None if subjects is None else subjects.by_pseudonym(row["subject"])
    if key is None:
        return "sealed"
    for name, value in _decode(key.open(row["sealed"], of)).items():
        fields[name] = {**fields["context"], **value} if name == "context" else value
    return "opened"


def _seconds(series: "pl.Series") -> list[float | None]:
    """µs since 1970 as seconds."""
    import polars as pl

    return [None if moment is None else moment / 1e6 for moment in series.cast(pl.Int64()).to_list()]


def _bytes(floats: "pl.Series | None") -> bytes:
    """Raw little-endian float32, bit for bit."""
    return b"" if floats is None else np.ascontiguousarray(floats.to_numpy(), "<f4").tobytes()
