"""Counts that may leave: noise hides whether any one server (caller, subject) was among those counted.

Differential privacy (opendp's discrete Laplace mechanism): at most `counts_at_most` decisions of each one are counted, and the noise is made
for that many. Categories come from what can be, never from what the log holds, or an empty category would say something. epsilon: how much an
outsider may learn of one, smaller is less; it is booked in the log's ledger, and refused when the budget of policies/data-classes.yaml is spent.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from inference.log.classes import Aggregates
from inference.log.folder import files
from inference.log.ledger import spend
from inference.metrics.catalogue import RUNGS
from presage.errors import InputError
from presage.governance.model_policy import TIERS

By = Literal["tier", "rung", "day"]
DAYS = 30
"""Days that are counted where none are named: so many until today."""
_UNIT = {"decision": "prediction_id", "server": "server", "caller": "caller", "subject": "subject"}


class Count(msgspec.Struct, frozen=True):
    """category: a tier, a rung or a day; decisions: how many, with noise, never below 0."""

    category: str
    decisions: int


class Aggregate(msgspec.Struct, frozen=True):
    """within: with probability 0.95 each count is no farther than this from the number that was counted. left: of the budget."""

    by: str
    since: date
    until: date
    hides: str
    counts_at_most: int
    epsilon: float
    left: float
    within: float
    counts: list[Count]


def aggregate(log: Path, by: By, epsilon: float, policy: Aggregates, *, since: date, until: date, now: float) -> Aggregate:
    """since, until: both included; now: Unix seconds, for the ledger. Raises InputError where the budget is spent."""
    if until < since:
        raise InputError(f"--until {until} is before --since {since}. Name days in order.")
    if not 0 < epsilon <= 10:
        raise InputError(f"--epsilon is {epsilon:g}. Name a number above 0 and at most 10; beyond that noise hides nothing.")
    each = 1 if policy.hides == "decision" else policy.counts_at_most
    exact = _exact(log, by, policy.hides, each, (since, until))
    left = spend(log, f"decisions by {by}, {since} to {until}", epsilon, policy.budget, now)
    noisy, within = _with_noise(list(exact.values()), each, epsilon)
    counts = [Count(category, max(0, count)) for category, count in zip(exact, noisy, strict=True)]
    return Aggregate(by, since, until, policy.hides, each, epsilon, left, within, counts)


def _exact(log: Path, by: By, hides: str, each: int, period: tuple[date, date]) -> dict[str, int]:
    """Category → decisions that count: at most `each` of one unit in all, none that name no unit. Shadows answered nobody, and do not count."""
    import polars as pl

    since, until = period
    days = [(since + timedelta(days=day)).isoformat() for day in range((until - since).days + 1)]
    known: dict[By, list[str]] = {"tier": list(TIERS), "rung": list(RUNGS), "day": days}
    parts = [
        pl.scan_parquet(file.path, hive_partitioning=False)
        .filter(pl.col("shadow_of") == "")
        .select(category=pl.lit(file.day.isoformat()) if by == "day" else pl.col(by), unit=pl.col(_UNIT[hides]), id=pl.col("prediction_id"))
        for file in files(log, "decisions", since, until)
    ]
    found: dict[str, int] = {}
    if parts:
        # Which of a unit's decisions count must not depend on others: its own, in the order of a hash.
        named = pl.concat(parts).filter(pl.col("unit").is_not_null() & (pl.col("unit") != ""))
        counted = named.filter(pl.col("id").hash(seed=1).rank("ordinal").over("unit") <= each).group_by("category").len()
        found = dict(counted.collect().iter_rows())
    return {category: found.get(category, 0) for category in known[by]}


def _with_noise(exact: list[int], each: int, epsilon: float) -> tuple[list[int], float]:
    """(counts, how far from the exact ones they are at most, with probability 0.95)."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
    scale = dp.binary_search_param(lambda scale: dp.m.make_laplace(*space, scale=scale), d_in=each, d_out=epsilon)
    measured = dp.m.make_laplace(*space, scale=scale)
    noisy: list[int] = measured(exact)
    return noisy, float(dp.discrete_laplacian_scale_to_accuracy(scale=scale, alpha=0.05))
