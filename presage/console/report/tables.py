"""The report's tables: small pure functions from a run to rows a template prints."""

from dataclasses import dataclass

import polars as pl

from presage.console.report.artifacts import Run, ServerMeasures
from presage.governance.model_policy import ModelPolicy

PARTS = {
    "unsupervised": "detectors, labels unread",
    "train": "training",
    "select": "choice of the winner and of thresholds",
    "calibrate": "the interval",
    "test": "the test, read once",
    "purged": "dropped at the boundaries, against leakage",
}


@dataclass(frozen=True)
class TierRow:
    """A tier as the test rows met it. threshold: lowest risk; precision: share of its rows with an incident active or near;
    entered: how often a server entered it or a higher one, a server-day."""

    tier: str
    false_alarm: float
    threshold: float
    rows_share: float
    precision: float | None
    entered: float


def tiers(policy: ModelPolicy, predictions: pl.DataFrame) -> list[TierRow]:
    """What each tier's threshold, computed from costs, would have meant in the test time."""
    rows = predictions.sort("entity", "time")
    if rows.is_empty():
        return []
    tick = rows.select((pl.col("time") - pl.col("time").shift().over("entity")).dt.total_seconds().median()).item() or 300
    server_days = rows.height * tick / 86400
    found = []
    for tier, threshold in policy.thresholds.items():
        reached = pl.col("risk") >= threshold
        entered = reached & ~reached.shift(fill_value=False).over("entity")
        at = rows.filter(reached)
        found.append(
            TierRow(
                tier=tier,
                false_alarm=getattr(policy.costs.false_alarm, tier),
                threshold=threshold,
                rows_share=at.height / rows.height,
                precision=at.select(pl.col("label").cast(pl.Float64).mean()).item() if at.height else None,
                entered=rows.select(entered.sum()).item() / server_days,
            )
        )
    return found


def servers(run: Run) -> list[ServerMeasures]:
    """The winner's measures by server: the worst first, servers without an incident last."""
    return sorted(run.evaluation.best.per_server, key=lambda one: (one.average_precision is None, one.average_precision or 0.0, one.server))


def extremes(run: Run) -> list[tuple[str, ServerMeasures]]:
    """The worst and the best predicted server among those that had an incident in the test time (one, or none, where fewer had)."""
    ranked = [one for one in servers(run) if one.average_precision is not None]
    if not ranked:
        return []
    if len(ranked) == 1:
        return [("the only server with incidents", ranked[0])]
    return [("the worst predicted server", ranked[0]), ("the best predicted server", ranked[-1])]


def parts(run: Run) -> list[tuple[str, str, int, float]]:
    """(part, what it was for, rows, share of all), in the order of time."""
    total = sum(run.evaluation.rows.values()) or 1
    return [(part, PARTS.get(part, part), run.evaluation.rows[part], run.evaluation.rows[part] / total) for part in PARTS if run.evaluation.rows.get(part)]


def refusals(refused: pl.DataFrame) -> list[tuple[str, str, int, int]]:
    """(step, rule, cells or rows refused, servers), most frequent first."""
    counted = refused.group_by("step", "rule").agg(pl.len().alias("count"), pl.col("entity").n_unique().alias("servers"))
    return [(row["step"], row["rule"] or "–", row["count"], row["servers"]) for row in counted.sort(["count", "rule"], descending=[True, False]).to_dicts()]


def examples(refused: pl.DataFrame) -> list[dict[str, str | None]]:
    """Two refused rows of each rule, to see what it means."""
    return refused.group_by("step", "rule", maintain_order=True).head(2).to_dicts()
