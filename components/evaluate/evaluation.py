"""All models of a run, judged on the same rows: evaluation.json, curves.json, predictions.parquet, calibration/.

The winner is chosen on `select` among the families that read feature rows, thresholds come from `select` and `calibrate`,
Venn–Abers from `calibrate` alone, and `test` is read once, at the end. Two baselines stand beside the models:

    unsupervised_ensemble   mean −log tail probability of the six detectors; needs no label
    persistence             the label of one horizon ago, the newest whose horizon has passed at the tick. It knows at once
                            when an incident begins and ends, which nobody watching metrics does: an upper mark for
                            "as it was", not a model one could deploy
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from components.evaluate.adjusted import point_adjusted
from components.evaluate.curves import calibration_deciles, precision_recall
from components.evaluate.measures import F64, Judged, Parts, Scores, judge, strict_measures
from components.evaluate.resampling import cluster_blocks, interval
from components.evaluate.timeline import build_timeline
from presage.durations import parse_duration
from presage.errors import InputError
from presage.files import read_json, write_json, written_aside
from presage.governance.model_policy import ModelPolicy

ENSEMBLE, PERSISTENCE = "unsupervised_ensemble", "persistence"
USED = {"select": ("select",), "calibrate": ("calibrate",), "chosen": ("select", "calibrate"), "test": ("test",)}


def evaluate(  # noqa: PLR0917 - as every step: what it reads, then what it writes
    models: list[Path], labels: Path, folds: Path, detectors: Path, policy: ModelPolicy, evaluation: Path, seed: int = 7
) -> None:
    """models: folders that `train` wrote. Raises InputError where a part that is needed is empty or of one class, or no model
    reads feature rows."""
    trained = [read_json(model / "training.json") for model in models]
    if not any(training["kind"] == "feature_row" for training in trained):
        raise InputError("evaluate was given no model that reads feature rows, so there is no winner to choose. Train at least logistic_regression.")
    table = _table({training["family"]: model for training, model in zip(trained, models, strict=True)}, labels, folds, detectors, policy.kpi.horizon)
    horizon, tick = policy.kpi.horizon, _tick(folds, table)
    incidents = pl.read_parquet(labels / "incidents.parquet")
    timelines = {name: build_timeline(table.filter(pl.col("part").is_in(parts)), incidents, tick, horizon) for name, parts in USED.items()}
    for name in ("select", "calibrate", "test"):
        positive = int(timelines[name].label.sum())
        if not 0 < positive < len(timelines[name].label):
            raise InputError(f"{folds}: the part {name} has {positive} incident rows among {len(timelines[name].label)}. Give a longer history.")
    parts = Parts(**timelines, blocks=cluster_blocks(timelines["test"], seed))
    scores = {name: _scores(table, name) for name in (*(training["family"] for training in trained), ENSEMBLE, PERSISTENCE)}
    judged = {name: judge(score, parts) for name, score in scores.items()}
    winner = max((training["family"] for training in trained if training["kind"] == "feature_row"),
                 key=lambda name: judged[name].document["select_average_precision"] or 0.0)  # fmt: skip
    document = {
        "winner": winner,
        "horizon_minutes": horizon / timedelta(minutes=1),
        "prevalence": float(parts.test.label.mean()),
        "rows": dict(pl.read_parquet(folds / "folds.parquet").group_by("part").len().sort("part").iter_rows()),
        "clusters": parts.blocks.count,
        "server_days": {"thresholds": parts.chosen.server_days, "test": parts.test.server_days},
        "families": [{**_training(training), **judged[training["family"]].document} for training in trained],
        "baselines": [judged[name].document for name in (ENSEMBLE, PERSISTENCE)],
        **_gain(judged[winner], judged[ENSEMBLE]),
        "paired": [_paired(family, against, judged) for family in judged for against in (ENSEMBLE, PERSISTENCE, winner)
                   if family not in (ENSEMBLE, PERSISTENCE) and family != against],
        "thresholds": judged[winner].document["thresholds"],
        "strict": {**strict_measures(scores[winner], parts, judged[winner]),
                   "baselines": [strict_measures(scores[name], parts, judged[name]) for name in (ENSEMBLE, PERSISTENCE)]},
        "point_adjusted": point_adjusted(parts.chosen, scores[winner].chosen, parts.test, scores[winner].test, seed),
        "bootstrap": {"over": "incident clusters with their surroundings in time, all servers together", "draws": len(judged[winner].draws), "seed": seed},
    }  # fmt: skip
    best = judged[winner]
    curves = {
        "precision_recall": [precision_recall(name, parts.test.label, score.test) for name, score in scores.items()],
        "calibration": calibration_deciles(best.risk, best.p0, best.p1, parts.test.label, parts.test.cluster),
    }
    predictions = table.filter(pl.col("part") == "test").select(
        "entity", "time", "label", pl.col(winner).alias("score").cast(pl.Float32), risk=pl.Series(best.risk), p0=pl.Series(best.p0), p1=pl.Series(best.p1),
        ensemble=pl.col(ENSEMBLE).cast(pl.Float32), persistence=pl.col(PERSISTENCE).cast(pl.Float32), cluster="cluster",
    )  # fmt: skip
    with written_aside(evaluation) as aside:
        aside.mkdir(parents=True)
        write_json(aside / "evaluation.json", document)
        write_json(aside / "curves.json", curves)
        predictions.write_parquet(aside / "predictions.parquet")
        for training in trained:
            judged[training["family"]].calibration.save(aside / "calibration" / f"{training['family']}.safetensors")


def _table(models: dict[str, Path], labels: Path, folds: Path, detectors: Path, horizon: timedelta) -> pl.DataFrame:
    """entity, time, label, cluster, part and a column a score, of select, calibrate and test; sorted by (entity, time)."""
    known = pl.read_parquet(labels / "labels.parquet").select("entity", "time", "label", "cluster")
    table = pl.read_parquet(folds / "folds.parquet").filter(pl.col("part").is_in(USED["chosen"] + USED["test"])).select("entity", "time", "part")
    key = ["entity", "time"]
    table = table.join(known, on=key, how="left")
    columns = [pl.read_parquet(model / "scores.parquet").select(*key, pl.col("score").alias(family)) for family, model in models.items()]
    columns.append(pl.read_parquet(detectors / "scores.parquet", columns=[*key, "ensemble"]).rename({"ensemble": ENSEMBLE}))
    columns.append(known.select("entity", pl.col("time") + horizon, pl.col("label").fill_null(0).alias(PERSISTENCE)))
    for column in columns:
        table = table.join(column, on=key, how="left")
    table = table.with_columns(pl.col(PERSISTENCE).fill_null(0)).sort(key)
    for family, model in models.items():
        if missing := table[family].null_count():
            raise InputError(f"{model / 'scores.parquet'}: {missing} rows of select, calibrate and test have no score. Train {family} again on these folds.")
    return table


def _tick(folds: Path, table: pl.DataFrame) -> timedelta:
    """The tick of folds.json, else the usual distance between rows of one server."""
    stated = read_json(folds / "folds.json").get("tick")
    if stated:
        return parse_duration(str(stated))
    steps = table.select(step=pl.col("time").diff().over("entity")).filter(pl.col("step") > timedelta(0))["step"]
    usual = steps.mode().min() if len(steps) else None
    if not isinstance(usual, timedelta):
        raise InputError(f"{folds}: no server has two rows in select, calibrate and test. Give a longer history.")
    return usual


def _scores(table: pl.DataFrame, name: str) -> Scores:
    def of(parts: tuple[str, ...]) -> F64:
        return table.filter(pl.col("part").is_in(parts))[name].cast(pl.Float64).fill_null(np.nan).to_numpy()

    return Scores(name, **{use: of(parts) for use, parts in USED.items()})


def _training(training: dict[str, Any]) -> dict[str, Any]:
    return {"kind": training["kind"], **{name: training[name] for name in ("seconds", "budget_seconds", "budget_bound")}}


def _gain(winner: Judged, ensemble: Judged) -> dict[str, Any]:
    difference = winner.document["average_precision"] - ensemble.document["average_precision"]
    return {"gain": difference, "gain_interval": interval(winner.draws - ensemble.draws)}


def _paired(family: str, against: str, judged: dict[str, Judged]) -> dict[str, Any]:
    one, other = judged[family], judged[against]
    return {"family": family, "against": against, "difference": one.document["average_precision"] - other.document["average_precision"],
            "interval": interval(one.draws - other.draws)}  # fmt: skip
