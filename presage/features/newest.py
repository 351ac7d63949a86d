"""`presage.features.get`: the newest feature rows, as the model sees them.

    presage.features.get("web-01")                                  # of the running plane
    presage.features.get(store="sqlite:online.db")                  # of a store, every server
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches

import polars as pl

from presage.errors import InputError, PlaneError, StateError
from presage.features.declaration import BoundView
from presage.features.store import OnlineRow, OnlineStore, open_online_store
from presage.features.windows import coverage_names
from presage.state import State
from presage.telemetry.schema import TIME


def get(*servers: str, store: str | None = None, service: str = "incident", state: State | None = None) -> pl.DataFrame:
    """A row a server (none named: every server), in the order asked for: entity, time, every feature Float32 (null = unknown),
    `coverage_<window>` Float32.

    store: its URL; default: that of the plane running in `state`. Raises InputError on an unknown server or service, PlaneError
    where nothing runs, StateError where the store cannot be read.
    """
    opened = open_online_store(store or _plane_store(state), read_only=True)
    try:
        description = opened.describe(service)
        if description is None:
            raise InputError(f"The online store has no feature service {service!r}. Start the feature refresh, or name another service.")
        return _table(description.bound, _rows(opened, service, servers or tuple(opened.entities(service))))
    finally:
        opened.close()


def _plane_store(state: State | None) -> str:
    from presage.local.mounts import argument

    state = state or State.open()
    found = argument(state, "--online_store")
    if found is None:
        raise PlaneError(f"No plane with an online store is running in {state.root}. Start it with `presage up`, or name a store.")
    return found


def _rows(store: OnlineStore, service: str, servers: Sequence[str]) -> list[OnlineRow]:
    known = store.entities(service)
    if not known:
        raise StateError("The online store holds no rows yet. Wait for the first tick.")
    found = []
    for server, row in zip(servers, store.read(service, servers), strict=True):
        if row is None:
            near = get_close_matches(server, known, n=3)
            raise InputError(f"There is no server {server!r} among the {len(known)} with features." + (f" Near it: {', '.join(near)}." if near else ""))
        found.append(row)
    return found


def _table(bound: BoundView, rows: list[OnlineRow]) -> pl.DataFrame:
    keys = pl.DataFrame(
        {"entity": [row.entity for row in rows], "time": [datetime.fromtimestamp(row.time, UTC) for row in rows]}, schema={"entity": pl.String, "time": TIME}
    )
    values = pl.DataFrame([row.values for row in rows], schema=bound.names, orient="row").cast(pl.Float32).fill_nan(None)
    coverage = pl.DataFrame([row.coverage for row in rows], schema=coverage_names(bound), orient="row").cast(pl.Float32)
    return pl.concat([keys, values, coverage], how="horizontal")
