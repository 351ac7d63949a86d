"""From a table of feature rows to what the online store keeps."""

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import polars as pl

from presage.features.calendar import calendar_terms
from presage.features.declaration import BoundView
from presage.features.history import histories
from presage.features.store import OnlineRow
from presage.features.windows import FeatureTable, coverage_names


def online_rows(table: FeatureTable, time: datetime) -> list[OnlineRow]:
    """The rows of one tick, an entity each, sorted by entity, with their histories."""
    bound = table.bound
    rows = table.rows.filter(pl.col("time") == time)
    values = rows.select(bound.names).to_numpy().astype(np.float32, copy=False)
    coverage = rows.select(coverage_names(bound)).to_numpy().astype(np.float32, copy=False)
    history = histories(bound, table.ticks, rows.select("entity", "time"))
    return [
        OnlineRow(entity, time.timestamp(), bound.version, values[place], coverage[place], history[place])
        for place, entity in enumerate(rows["entity"])
    ]


def unseen_rows(bound: BoundView, entities: Iterable[str], time: datetime) -> list[OnlineRow]:
    """Rows of entities first heard of after `time`: known, but with nothing seen up to that tick (warming from zero)."""
    view = bound.view
    values = np.full(len(bound.names), np.nan, np.float32)
    terms = calendar_terms(view.calendar, np.array([round(time.timestamp())]))
    values[len(values) - len(terms) :] = [term[0] for term in terms]
    nothing = np.full((view.history, len(bound.metrics)), np.nan, np.float32)
    return [OnlineRow(entity, time.timestamp(), bound.version, values, np.zeros(len(view.windows), np.float32), nothing) for entity in entities]
