"""A batch of rows through the path, chunk by chunk; killed and started again, it goes on, and nothing is there twice.

A job is named by what it depends on (release, rows, whether reasons are wanted) and keeps in the state what it has done:

    batch/<job>/   job.json   journal/   chunks/chunk-000000.parquet …

A chunk's rows are recorded in the journal, then its file is written aside and renamed. A file that is there is never made again; of a
chunk whose rows are in the journal but whose file is not, only the file is made. At the end the journal is shipped to the prediction log
and the chunks are copied to the step's own folder.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from components.score.release import admitted
from inference.journal.levels import Journal, open_journal
from inference.journal.once import OnceJournal, recorded
from inference.journal.record import Writer, names_of
from inference.path.inside import Inside, RunClock, Scored
from inference.path.served import ServedRelease, ready_release
from presage.errors import RunFailed
from presage.files import sha256_bytes, write_json, written_aside
from presage.package.contract import Contract
from presage.package.locks import locked
from presage.state import State
from presage.telemetry.schema import TIME

CHUNK = 4096
"""Rows a file: what a kill costs at most."""
_FORM = 1  # of chunks and ids; another form is another job
_REASON = pl.Struct({"feature": pl.String, "value": pl.Float64, "contribution": pl.Float64, "metric": pl.String})
SCHEMA: dict[str, Any] = {
    "prediction_id": pl.String, "entity": pl.String, "time": TIME, "refused": pl.String,
    "risk": pl.Float64, "low": pl.Float64, "high": pl.Float64, "tier": pl.String, "rung": pl.String, "because": pl.String, "used": pl.String,
    "score": pl.Float64, "warming": pl.String, "distance": pl.Float64, "doubts": pl.List(pl.String), "reasons": pl.List(_REASON),
}  # fmt: skip


class Rows(Protocol):
    """What is scored. digests: of the files that it comes from."""

    digests: list[str]

    def __len__(self) -> int: ...

    def scored(self, inside: Inside, ids: list[str], start: int) -> list[Scored]:
        """Predictions of the rows from `start` on, one an id."""


@dataclass(frozen=True)
class _Job:
    """One batch on its way; chunk files and ids follow from the number of a row."""

    folder: Path
    name: str
    rows: Rows
    chunk: int

    @property
    def chunks(self) -> list[Path]:
        return [self.folder / "chunks" / f"chunk-{number:06d}.parquet" for number in range(-(-len(self.rows) // self.chunk))]

    def ids(self, number: int) -> list[str]:
        """Of the requests in a chunk."""
        return [f"{self.name}-{row:08x}" for row in range(number * self.chunk, min((number + 1) * self.chunk, len(self.rows)))]

    def chunk_of(self, prediction_id: str) -> int:
        return int(prediction_id.split("-")[1], 16) // self.chunk

    def missing(self) -> list[int]:
        return [number for number, path in enumerate(self.chunks) if not path.exists()]


def score(
    rows_of: Callable[[Contract], Rows], uri: str, state: State, predictions: Path, *, explain: bool = False, chunk: int = CHUNK,
    scored: Callable[[int], None] = lambda number: None,
) -> None:  # fmt: skip
    """Score all rows; `predictions` becomes chunk-*.parquet (SCHEMA) and summary.json. chunk: rows a file; scored: told each chunk that was made.

    Raises ArtifactRefused where the gate would, InputError on rows that cannot be read, StateError where nothing more can be kept.
    """
    verified = admitted(uri, state)
    clock = RunClock()
    release = ready_release(verified, clock=clock)
    rows = rows_of(release.contract)
    depends = [_FORM, release.digest, *rows.digests, explain, chunk]
    name = sha256_bytes(json.dumps(depends).encode())[:16]
    job = _Job(state.root / "batch" / name, name, rows, chunk)
    (job.folder / "chunks").mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(job.folder):  # the same batch asked for twice at once is one batch
        write_json(job.folder / "job.json", {"release": verified.uri, "rows": len(rows), "explain": explain, "inputs": rows.digests})
        if missing := job.missing():
            _score(job, missing, release, lambda journal: Inside(release, journal, "batch", clock=clock, explain=explain), scored)
        _ship(job.folder / "journal", state.root / "predictions")
        _hand_over(job, verified.uri, predictions)


def _score(job: _Job, missing: Sequence[int], release: ServedRelease, door: Callable[[Journal], Inside], scored: Callable[[int], None]) -> None:
    folder, open_chunks = job.folder / "journal", frozenset(missing)
    writer = Writer(release.name, release.version, release.digest, release.region, **names_of(release.contract))
    known = recorded(folder, lambda id: job.chunk_of(id) in open_chunks)
    with closing(OnceJournal(open_journal(release.journal, folder, writer, replica=os.environ.get("PRESAGE_JOURNAL_REPLICA")), known)) as journal:
        inside = door(journal)
        for number in missing:
            frame = _frame(job.rows.scored(inside, job.ids(number), number * job.chunk))
            with written_aside(job.chunks[number]) as aside:
                frame.write_parquet(aside, compression="zstd")
            scored(number)


def _frame(rows: list[Scored]) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in SCHEMA if name not in ("time", "reasons")}
    columns["time"] = [None if row.time is None else round(row.time * 1e6) for row in rows]
    columns["reasons"] = [[dict(zip(("feature", "value", "contribution", "metric"), reason, strict=True)) for reason in row.reasons] for row in rows]
    raw = SCHEMA | {"time": pl.Int64}
    return pl.DataFrame(columns, schema=raw).with_columns(pl.from_epoch("time", "us").dt.replace_time_zone("UTC")).select(*SCHEMA)


def _ship(journal: Path, log: Path) -> None:
    """To the prediction log, by the shipper's own program: it masks what the policy masks."""
    if not (journal / "journal.id").exists():
        return
    shipped = subprocess.run([sys.executable, "-m", "inference.journal.ship", str(journal), str(log)], capture_output=True, text=True, check=False)
    if shipped.returncode:
        raise RunFailed(shipped.stderr.strip() or "The journal of the batch was not shipped. Run the command again: nothing is scored twice.")


def _hand_over(job: _Job, uri: str, predictions: Path) -> None:
    tiers: Counter[str] = Counter()
    rungs: Counter[str] = Counter()
    refused = 0
    with written_aside(predictions) as aside:
        aside.mkdir(parents=True)
        for chunk in job.chunks:
            shutil.copyfile(chunk, aside / chunk.name)
            table = pl.read_parquet(chunk, columns=["tier", "rung", "refused"])
            tiers.update(table["tier"].drop_nulls().to_list())
            rungs.update(table["rung"].drop_nulls().to_list())
            refused += table["refused"].count()
        document = {"job": job.name, "release": uri, "rows": len(job.rows), "refused": refused, "tiers": dict(sorted(tiers.items())),
                    "rungs": dict(sorted(rungs.items()))}  # fmt: skip
        write_json(aside / "summary.json", document)
