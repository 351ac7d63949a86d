"""Labels become folds: boundaries, parts, the leakage check, and what was decided in folds.json."""

from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import polars as pl

from components.split.boundaries import PARTS, Room, place_boundaries
from components.split.leakage import LeakageFound, Reach, find_leaks
from components.split.parts import assign_parts
from presage.durations import format_duration
from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.files import read_json, write_json, written_aside

EMBARGO = timedelta(minutes=30)
"""Past the longest window: as near as two incidents may be and still count as one."""


def split(labels: Path, features: Path, folds: Path, embargo: timedelta = EMBARGO) -> None:
    """folds.parquet and folds.json (docs/architecture.md).

    Raises InputError where some part would hold one class only, LeakageFound where the check finds a leak (folds.json, with
    the findings, is written all the same: it is what one reads then).
    """
    table = pl.read_parquet(labels / "labels.parquet")
    horizon = timedelta(minutes=read_json(labels / "labels.json")["horizon_minutes"])
    document = read_json(features / "features.json")
    document.pop("version")
    view = BoundView.from_document(document).view
    room = Room(before=horizon, after=view.longest + embargo)
    boundaries = place_boundaries(table, view.tick, room)
    rows = assign_parts(table, boundaries, room)
    counts = _counts(rows.join(table, on=["entity", "time"]))
    _require_both_classes(counts)
    findings = find_leaks(rows, table, features / "rows.parquet", Reach(horizon, view.longest))
    with written_aside(folds) as aside:
        aside.mkdir(parents=True)
        rows.write_parquet(aside / "folds.parquet")
        write_json(aside / "folds.json", {
            "boundaries": asdict(boundaries),
            "horizon": format_duration(horizon),
            "longest_window": format_duration(view.longest),
            "purge": format_duration(horizon + view.longest),
            "embargo": format_duration(embargo),
            "labels_unread_before": boundaries.train,
            "parts": counts,
            "folds": rows["fold"].drop_nulls().n_unique(),
            "leakage": {
                "checked": ["a row in two parts", "label intervals against later feature windows", "forward-chain folds", "an incident or cluster in two parts",
                            "a feature that equals the label"],
                "findings": findings,
            },
        })
    if findings:
        raise LeakageFound(findings)


def _counts(rows: pl.DataFrame) -> dict[str, dict[str, int]]:
    """part → {rows, positive, clusters}; labels of unsupervised rows stay unread."""
    counts = {}
    for part in (*PARTS, "purged"):
        mine = rows.filter(pl.col("part") == part)
        counts[part] = {"rows": mine.height}
        if part not in ("unsupervised", "purged"):
            positive = mine.filter(pl.col("label") == 1)
            counts[part] |= {"positive": positive.height, "clusters": positive["cluster"].n_unique()}
    return counts


def _require_both_classes(counts: dict[str, dict[str, int]]) -> None:
    for part in PARTS[1:]:
        rows, positive = counts[part]["rows"], counts[part]["positive"]
        if not 0 < positive < rows:
            what = "no incident" if not positive else "nothing but incidents"
            raise InputError(f"The part {part} holds {what} in its {rows} rows. Give a longer history, or one with more incidents.")
