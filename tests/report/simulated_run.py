"""A run folder as the pipeline leaves it, made from simulated scores: real measures of made-up predictions, in under a second."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from presage.files import write_json

TICK = timedelta(minutes=5)
HORIZON = 12  # ticks
START = datetime(2026, 3, 10, tzinfo=UTC)
CAUSES = ["memory_leak", "disk_fill", "connection_pool", "bad_deploy", "noisy_neighbour"]
FAMILIES = {"logistic_regression": 1.5, "random_forest": 1.9, "lightgbm": 2.2, "temporal_convolution": 1.0}  # how far positives stand out
BASELINES = {"unsupervised_ensemble": 1.3, "persistence": 0.6}


@dataclass(frozen=True)
class Truth:
    """label [servers, ticks] 0/1; incident [servers, ticks] number or −1; spans (server, first tick, last tick, cause)."""

    label: np.ndarray
    incident: np.ndarray
    spans: list[tuple[int, int, int, str]]


def build_run(folder: Path, servers: int = 12, days: float = 3, seed: int = 7) -> Path:
    """Write result.json and every artifact that the report reads into `folder`; return it."""
    rng = np.random.default_rng(seed)
    ticks = int(days * 288)
    truth = _truth(rng, servers, ticks)
    names = [f"db-{index:02d}" if index % 3 == 0 else f"web-{index:02d}" for index in range(servers)]
    times = [START + TICK * index for index in range(ticks)]
    scores = {name: _scores(rng, truth, skill) for name, skill in {**FAMILIES, **BASELINES}.items()}
    label = truth.label.ravel()
    measures = {name: _measures(rng, name, score, truth, names) for name, score in scores.items()}
    families = [_family(name, measures[name]) for name in FAMILIES]
    winner = max(families, key=lambda family: family["average_precision"])["name"]
    risk, p0, p1, bins = _calibration(scores[winner].ravel(), label)
    folder.mkdir(parents=True, exist_ok=True)

    evaluation = folder / "evaluation"
    gains = {name: measures[name]["average_precision"] - measures["unsupervised_ensemble"]["average_precision"] for name in FAMILIES}
    paired = [{"family": name, "against": "unsupervised_ensemble", "difference": gain, "interval": _around(gain, 0.07)} for name, gain in gains.items()]
    rows = {"unsupervised": 3 * label.size // 2, "train": label.size, "select": label.size // 3, "calibrate": label.size // 3, "test": label.size}
    gain = next(pair for pair in paired if pair["family"] == winner)
    write_json(evaluation / "evaluation.json", {
        "winner": winner, "horizon_minutes": 60, "prevalence": float(label.mean()), "clusters": len(truth.spans),
        "rows": {**rows, "purged": label.size // 40}, "families": families, "baselines": [measures[name] for name in BASELINES],
        "gain": gain["difference"], "gain_interval": gain["interval"], "paired": paired,
        "thresholds": {"1": 0.21, "0.2": 0.52}, "strict": {"average_precision": 0.11, "prevalence": 0.016},
        "point_adjusted": {"f1": 0.89, "random_f1": 0.68},
    })  # fmt: skip
    write_json(evaluation / "curves.json", {
        "precision_recall": [dict(zip(("name", "recall", "precision"), (name, *_curve(score.ravel(), label)), strict=True)) for name, score in scores.items()],
        "calibration": bins,
    })  # fmt: skip
    keys = {"entity": np.repeat(names, ticks), "time": times * servers}
    _parquet(pl.DataFrame({
        **keys, "label": label.astype(np.int8), "score": scores[winner].ravel(), "risk": risk, "p0": p0, "p1": p1,
        "ensemble": scores["unsupervised_ensemble"].ravel(), "persistence": scores["persistence"].ravel(),
    }), evaluation / "predictions.parquet")  # fmt: skip
    _parquet(pl.DataFrame([
        {"incident": number, "entity": names[server], "start": times[first], "end": times[last], "cause": cause, "cluster": number}
        for number, (server, first, last, cause) in enumerate(truth.spans)
    ]), folder / "labels" / "incidents.parquet")  # fmt: skip
    _write_quality(folder, names)
    write_json(folder / "result.json", {
        "run_id": "20260313-101500-3f9a", "pipeline": "incident-training", "status": "succeeded", "seconds": 143.2, "peak_memory_mib": 1130.0,
        "source": f"simulated:servers={servers},days=14,seed={seed}",
        "model": {"name": "incident", "version": 1, "digest": "sha256:" + "4f" * 32, "uri": "presage://incident:1@sha256:" + "4f" * 32},
        "artifacts": {name: name for name in ("evaluation", "labels", "quality", "quarantine")},
    })  # fmt: skip
    (folder / "policy.yaml").write_bytes((Path(__file__).parents[2] / "policies" / "models" / "incident.yaml").read_bytes())
    return folder


def _truth(rng: np.random.Generator, servers: int, ticks: int) -> Truth:
    label, incident = np.zeros((servers, ticks), dtype=np.int64), np.full((servers, ticks), -1)
    spans = []
    for server in range(servers):
        at = int(rng.integers(60, 200))
        while at + 40 < ticks:
            last = at + int(rng.integers(6, 30))
            label[server, at - HORIZON : last + 1] = 1
            incident[server, at - HORIZON : last + 1] = len(spans)
            spans.append((server, at, last, CAUSES[int(rng.integers(len(CAUSES)))]))
            at = last + int(rng.integers(150, 500))
    return Truth(label, incident, spans)


def _scores(rng: np.random.Generator, truth: Truth, skill: float) -> np.ndarray:
    """Autocorrelated noise plus a rise towards each incident; servers with odd numbers are harder."""
    noise = rng.normal(size=truth.label.shape)
    for index in range(1, noise.shape[1]):
        noise[:, index] = 0.8 * noise[:, index - 1] + 0.6 * noise[:, index]
    rise = np.zeros(truth.label.shape)
    for server, first, last, _ in truth.spans:
        ramp = np.clip(np.arange(first - HORIZON, last + 1) - (first - HORIZON), 0, HORIZON) / HORIZON
        rise[server, first - HORIZON : last + 1] = ramp * rng.uniform(0.4, 1.6) * (1.0 if server % 2 == 0 else 0.6)
    return noise + 1.15 * skill * rise


def _average_precision(score: np.ndarray, label: np.ndarray) -> float:
    hits = label[np.argsort(-score, kind="stable")]
    return float((np.cumsum(hits) / np.arange(1, hits.size + 1))[hits == 1].mean())


def _curve(score: np.ndarray, label: np.ndarray) -> tuple[list[float], list[float]]:
    hits = label[np.argsort(-score, kind="stable")]
    found = np.cumsum(hits)
    at = np.unique(np.geomspace(1, hits.size, 150).astype(int)) - 1
    return (found[at] / found[-1]).round(4).tolist(), (found[at] / (at + 1)).round(4).tolist()


def _around(value: float, width: float) -> list[float]:
    return [value - width, value + width]


def _measures(rng: np.random.Generator, name: str, score: np.ndarray, truth: Truth, names: list[str]) -> dict[str, object]:
    label = truth.label.ravel()
    value = _average_precision(score.ravel(), label)
    order = score.ravel().argsort().argsort()
    positives = label.sum()
    auc = float((order[label == 1].sum() - positives * (positives - 1) / 2) / (positives * (label.size - positives)))
    alarms = {rate: score >= np.quantile(score[truth.label == 0], 1 - float(rate) / 24) for rate in ("1", "0.2")}

    def found(rate: str, early: bool) -> float:
        return float(np.mean([alarms[rate][server, first - HORIZON : first if early else last + 1].any() for server, first, last, _ in truth.spans]))

    per_server = []
    for index, server in enumerate(names):
        own = [span for span in truth.spans if span[0] == index]
        per_server.append({
            "server": server, "rows": score.shape[1], "prevalence": float(truth.label[index].mean()), "events": len(own),
            "average_precision": _average_precision(score[index], truth.label[index]) if own else None,
            "detected": int(sum(alarms["1"][index, first - HORIZON : last + 1].any() for _, first, last, _ in own)),
        })  # fmt: skip
    return {
        "name": name, "average_precision": value, "average_precision_interval": _around(value, 0.08 + 0.02 * rng.random()),
        "roc_auc": auc, "brier": 0.05 + 0.02 * (1 - value),
        "events_detected": {rate: found(rate, False) for rate in alarms}, "events_detected_early": {rate: found(rate, True) for rate in alarms},
        "false_alarms_per_server_day": {"1": 0.84, "0.2": 0.31}, "median_lead_minutes": 10.0 if value > 0.4 else -10.0, "per_server": per_server,
    }  # fmt: skip


def _family(name: str, measures: dict[str, object]) -> dict[str, object]:
    sequence = name == "temporal_convolution"
    seconds = {"logistic_regression": 1.2, "random_forest": 14.0, "lightgbm": 9.1, "temporal_convolution": 45.0}[name]
    return {
        **measures, "kind": "sequence" if sequence else "feature_row", "seconds": seconds,
        "budget_seconds": 45.0 if sequence else 60.0, "budget_bound": sequence, "select_average_precision": measures["average_precision"],
    }  # fmt: skip


def _calibration(score: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, float]]]:
    """Bin the scores; the bin's share of positives is the risk, two standard errors either way are p0 and p1."""
    edges = np.quantile(score, [0, 0.5, 0.7, 0.8, 0.86, 0.9, 0.93, 0.95, 0.97, 0.985, 1])
    place = np.clip(np.searchsorted(edges, score, side="right") - 1, 0, 9)
    share = np.array([label[place == index].mean() for index in range(10)])
    spread = np.array([2 * np.sqrt(max(share[index] * (1 - share[index]), 0.002) / ((place == index).sum() / 12)) for index in range(10)])
    low, high = np.clip(share - spread, 0, 1), np.clip(share + spread, 0, 1)
    bins = [
        {"risk": float(np.clip(share[index] + 0.3 * spread[index], 0, 1)), "observed": float(share[index]), "p0": float(low[index]), "p1": float(high[index]),
         "rows": int((place == index).sum()), "clusters": 3 + 2 * index}
        for index in range(10)
    ]
    return share[place], low[place], high[place], bins


def _write_quality(folder: Path, names: list[str]) -> None:
    refused = [
        ("range", "system.cpu.utilization", "1.7", "1.7 is above the highest believable value, 1."),
        ("stuck", "system.memory.utilization", "0.42", "30 equal samples in a row."),
        ("rate_of_change", "system.filesystem.utilization", "0.9", "Rose by 0.5 in a minute; the largest believable rise is 0.1."),
    ]
    rows = [
        {"place": "", "entity": names[index % len(names)], "time": START + TICK * index,
         "metric": metric, "value": float(value), "rule": rule, "reason": reason}
        for index in range(40)
        for rule, metric, value, reason in [refused[index % 3]]
    ]
    _parquet(pl.DataFrame(rows), folder / "quality" / "quarantine.parquet")
    metrics = ["system.cpu.utilization", "system.memory.utilization", "system.filesystem.utilization", "system.disk.io", "http.server.request.duration"]
    counts = {"range": 14, "stuck": 13, "rate_of_change": 13}
    write_json(folder / "quality" / "quality.json", {
        "rows": 20160 * len(names), "entities": len(names), "refused_rows_share": 40 / (20160 * len(names)),
        "gaps": {"count": 3, "entities": 2, "missing_samples": 66, "missing_share": 0.0003,
                 "longest": [{"entity": names[1], "start": "2026-03-11T04:10:00+00:00", "end": "2026-03-11T05:00:00+00:00", "minutes": 50.0}]},
        "metrics": [
            {"name": name, "seen": 20160 * len(names) - 37 * index, "refused": sum(row["metric"] == name for row in rows)} for index, name in enumerate(metrics)
        ],
        "rules": [{"rule": rule, "refused": count} for rule, count in counts.items()],
    })  # fmt: skip
    ingest = pl.DataFrame([{
        "place": "feed.csv:42", "entity": names[0], "time": None, "metric": "system.memory.utilization", "value": "<script>alert(1)</script>",
        "rule": "not_a_number", "reason": 'the cell is "<script>alert(1)</script>", not a number',
    }])  # fmt: skip
    _parquet(ingest, folder / "quarantine" / "rows.parquet")


def _parquet(table: pl.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.write_parquet(path)
