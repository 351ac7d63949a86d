"""Scored rows of a few servers, written by hand: a string a server, a character a tick."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl
from builders.fleets import START

from components.evaluate.timeline import Timeline, build_timeline
from presage.telemetry.schema import TIME

TICK, HOUR = timedelta(minutes=5), timedelta(hours=1)


def timeline(lengths: Mapping[str, int], incidents: Sequence[tuple[str, int, int, int]] = (), missing: Mapping[str, Sequence[int]] | None = None) -> Timeline:
    """lengths: ticks a server. incidents: (server, first tick, last tick, cluster). missing: ticks that were not scored.
    Rows are labelled as components.label does, horizon 1 h."""
    rows = []
    for server, count in sorted(lengths.items()):
        for tick in range(count):
            if missing and tick in missing.get(server, ()):
                continue
            mine = [cluster for name, first, last, cluster in incidents if name == server and first - 12 <= tick <= last]
            rows.append((server, START + TICK * tick, int(bool(mine)), mine[0] if mine else None))
    table = pl.DataFrame(rows, schema={"entity": pl.String, "time": TIME, "label": pl.Int8, "cluster": pl.Int32}, orient="row")
    spans = [(name, START + TICK * first, START + TICK * last, cluster) for name, first, last, cluster in incidents]
    found = pl.DataFrame(spans, schema={"entity": pl.String, "start": TIME, "end": TIME, "cluster": pl.Int32}, orient="row")
    return build_timeline(table, found, TICK, HOUR)
