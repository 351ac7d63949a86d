"""How records become rows of the log: the columns of its two tables, and their types.

Times are UTC in microseconds; floats that a model read are float32 lists, bit for bit. What the floats are called stands in the file's own
metadata (`presage`: {"inputs", "features", "metrics"}), so that a log can be read without the release that wrote it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from inference.journal.record import Decision, Snapshot, Writer

if TYPE_CHECKING:
    import polars as pl

Columns = dict[str, list[Any]]
METADATA = "presage"


class Names(msgspec.Struct, frozen=True):
    """What the floats of `x`, of `values` and of `history` are called; empty: not known."""

    inputs: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()


def decision_columns(rows: Sequence[Sequence[Any]]) -> Columns:
    """Field → values, of records as lists in `Decision`'s order."""
    return {name: list(values) for name, values in zip(Decision.__struct_fields__, zip(*rows, strict=True), strict=True)}


def snapshot_columns(rows: Sequence[Sequence[Any]], seen: Sequence[float]) -> Columns:
    """Field → values, of records as lists in `Snapshot`'s order; seen: when each was read (Unix seconds)."""
    return {**{name: list(values) for name, values in zip(Snapshot.__struct_fields__, zip(*rows, strict=True), strict=True)}, "seen": list(seen)}


def decisions_frame(columns: Columns, writer: Writer) -> "pl.DataFrame":
    """Of masked columns (inference.log.masking)."""
    import polars as pl

    text, number = pl.String(), pl.Float64()
    types: dict[str, pl.DataType] = {
        "prediction_id": text, "time": _moment(), "endpoint": text, "caller": text, "caller_id": text, "rung": text, "because": text, "used": text,
        "server": text, "feature_version": text, "feature_time": _moment(), "score": number, "risk": number, "low": number, "high": number, "tier": text,
        "warming": pl.Boolean(), "clipped": pl.Int64(), "distance": number, "trace_id": text, "shadow_of": text, "subject": text, "sealed": pl.Binary(),
    }  # fmt: skip
    moments = {name: _microseconds(columns[name]) for name in ("time", "feature_time")}
    plain = pl.DataFrame([pl.Series(name, moments.get(name, columns[name]), kind) for name, kind in types.items()])
    pairs = [list(context.items()) for context in columns["context"]]
    return plain.with_columns(
        _floats("x", columns["x"]),
        _pairs("context", pairs, {"key": text, "value": text}),
        _pairs("reasons", columns["reasons"], {"feature": text, "contribution": number}),
        _lists("doubts", columns["doubts"]),
        *(pl.lit(getattr(writer, name), text).alias(name) for name in ("model", "version", "release")),
    )


def snapshots_frame(columns: Columns, writer: Writer) -> "pl.DataFrame":
    """Of masked columns; model: who read them."""
    import polars as pl

    text = pl.String()
    return pl.DataFrame([
        pl.Series("server", columns["server"], text),
        pl.Series("time", _microseconds(columns["time"]), _moment()),
        pl.Series("version", columns["version"], text),
        _floats("values", columns["values"]),
        _floats("coverage", columns["coverage"]),
        _floats("history", columns["history"]),
        pl.Series("ticks", columns["ticks"], pl.Int32()),
        pl.Series("seen", _microseconds(columns["seen"]), _moment()),
        pl.Series("subject", columns["subject"], text),
        pl.Series("sealed", columns["sealed"], pl.Binary()),
    ]).with_columns(pl.lit(writer.model, text).alias("model"))  # fmt: skip


def write_frame(frame: "pl.DataFrame", path: Path, writer: Writer) -> None:
    """One Parquet file, with the names of its floats."""
    names = msgspec.json.encode(Names(writer.inputs, writer.features, writer.metrics)).decode()
    frame.write_parquet(path, compression="zstd", metadata={METADATA: names})


def read_names(path: Path) -> Names:
    """What the floats of a file are called."""
    import polars as pl

    said = pl.read_parquet_metadata(path).get(METADATA)
    return msgspec.json.decode(said, type=Names) if said else Names()


def _moment() -> "pl.DataType":
    import polars as pl

    return pl.Datetime("us", "UTC")


def _microseconds(seconds: Sequence[float | None]) -> list[int | None]:
    return [None if second is None else round(second * 1e6) for second in seconds]


def _floats(name: str, blobs: Sequence[bytes]) -> "pl.Series":
    """A float32 list a row, null where a row has none. Those of one release have one length: then nothing is done row by row."""
    import polars as pl

    given = [blob for blob in blobs if blob]
    kind = pl.List(pl.Float32())
    if not given:
        return pl.Series(name, [None] * len(blobs), kind)
    if len(lengths := {len(blob) for blob in given}) > 1:
        return pl.Series(name, [np.frombuffer(blob, "<f4") if blob else None for blob in blobs], kind)
    lists = pl.Series(name, np.frombuffer(b"".join(given), "<f4").reshape(len(given), lengths.pop() // 4)).cast(kind)
    if len(given) == len(blobs):
        return lists
    places = iter(range(len(given)))
    return pl.DataFrame({name: lists}).select(pl.col(name).gather(pl.Series([next(places) if blob else None for blob in blobs], dtype=pl.UInt32())))[name]


def _pairs(name: str, given: Sequence[Sequence[tuple[Any, Any]]], fields: "dict[str, pl.DataType]") -> "pl.Series":
    """A list of structs a row."""
    import polars as pl

    flat = [(row, first, second) for row, pairs in enumerate(given) if pairs for first, second in pairs]
    table = pl.DataFrame(flat, {"row": pl.Int64(), **fields}, orient="row").select("row", pl.struct(*fields).alias(name))
    return _grouped(table, len(given)).cast(pl.List(pl.Struct(fields)))


def _lists(name: str, given: Sequence[Sequence[str]]) -> "pl.Series":
    """A list of texts a row."""
    import polars as pl

    flat = [(row, text) for row, texts in enumerate(given) if texts for text in texts]
    return _grouped(pl.DataFrame(flat, {"row": pl.Int64(), name: pl.String()}, orient="row"), len(given)).cast(pl.List(pl.String()))


def _grouped(flat: "pl.DataFrame", rows: int) -> "pl.Series":
    """Lists built flat and grouped by row: a list at a time takes twenty times as long. A row that has none gets an empty one."""
    import polars as pl

    name = flat.columns[1]
    grouped = flat.group_by("row", maintain_order=True).agg(name)
    return pl.DataFrame({"row": pl.Series(range(rows), dtype=pl.Int64())}).join(grouped, on="row", how="left", maintain_order="left")[name].fill_null([])
