"""How good the incident model is on real telemetry (ASD): winner and unsupervised ensemble under three protocols.

    PRESAGE_DATASETS=… python benchmarks/quality_asd.py [--json FILE] [--seed 7]

    time split        as the pipeline does it: two thirds of labelled time to learn, choose and calibrate, the last third read once
    forward chain     four blocks of 2.5 days, each judged by models that saw nothing of it or of what came later
    servers and time  three times, the labels of four servers are held out (of training, choice and calibration) and those
                      servers judged on the last third alone; detectors know their unlabelled weeks, as they would in service
    new servers       the same, and the detectors never saw those servers either: they get the arrays of all the others

Each protocol chooses its winner anew on its own `select` rows. Test rows of a protocol's parts are put together; intervals
are 95 % bootstraps over incident clusters, the gain is paired. Exit code 1 where the time split misses its targets: average
precision of the winner ≥ .40, of the ensemble ≥ .38.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import polars as pl

from benchmarks.pipeline_steps import POLICY, VIEW, Run, judge, prepare
from components.evaluate.resampling import average_precision, cluster_blocks, interval, resampled_precision
from components.evaluate.timeline import build_timeline
from components.split.boundaries import Boundaries, Room, cluster_spans, place_choice
from components.split.folds import EMBARGO
from components.split.parts import assign_parts
from presage.durations import parse_duration
from presage.files import read_json, write_json

BLOCK, FIRST_BLOCK = timedelta(days=2.5), timedelta(days=5)
GROUPS = 3
TARGETS = {"winner": 0.40, "ensemble": 0.38}


def time_split(base: Run) -> list[Run]:
    return [base]


def forward_chain(base: Run) -> list[Run]:
    labels = pl.read_parquet(base.labels / "labels.parquet")
    stated = read_json(base.folds / "folds.json")["boundaries"]
    begin, start, end = (_time(stated[name]) for name in ("unsupervised", "train", "end"))
    room = Room(POLICY.kpi.horizon, VIEW.longest + EMBARGO)
    runs = []
    for index in range(4):
        test = start + FIRST_BLOCK + index * BLOCK
        select, calibrate = place_choice(cluster_spans(labels, start).filter(pl.col("first") < test), start, test, room)
        boundaries = Boundaries(begin, start, select, calibrate, test, min(test + BLOCK, end))
        rows = assign_parts(labels, boundaries, room)
        later = pl.col("time") >= test + BLOCK
        runs.append(_with_folds(base, f"block {index + 1}", rows.with_columns(part=pl.when(later).then(pl.lit("purged")).otherwise("part"))))
    return runs


def servers_and_time(base: Run, known: bool = True) -> list[Run]:
    rows = pl.read_parquet(base.folds / "folds.parquet")
    servers = sorted(rows["entity"].unique(), key=lambda name: (len(name), name))
    runs = []
    for group in range(GROUPS):
        held = pl.col("entity").is_in(servers[group::GROUPS])
        kept = held == (pl.col("part") == "test")  # held-out servers in test, the others elsewhere
        table = rows.with_columns(part=pl.when(kept | (known & (pl.col("part") == "unsupervised"))).then("part").otherwise(pl.lit("purged")))
        runs.append(_with_folds(base, f"{'known' if known else 'new'} group {group + 1}", table, refit=not known))
    return runs


def new_servers(base: Run) -> list[Run]:
    return servers_and_time(base, known=False)


PROTOCOLS = {"time split": time_split, "forward chain": forward_chain, "servers and time": servers_and_time, "new servers": new_servers}


def _time(text: str) -> Any:
    from datetime import datetime

    return datetime.fromisoformat(text)


def _with_folds(base: Run, name: str, rows: pl.DataFrame, refit: bool = False) -> Run:
    run = Run(base.shared / name.replace(" ", "-"), base.shared)
    run.folds.mkdir(parents=True)
    rows.write_parquet(run.folds / "folds.parquet")
    write_json(run.folds / "folds.json", {})
    if not refit:
        run.detectors.symlink_to(base.detectors)  # fitted on the same unlabelled rows
    return run


def measure(base: Run, runs: list[Run], seed: int) -> dict[str, Any]:
    """Judge every run, put their test rows together."""
    documents: list[Any] = [judge(run, seed=seed) for run in runs]
    table = pl.concat([pl.read_parquet(run.evaluation / "predictions.parquet") for run in runs]).sort("entity", "time")
    incidents = pl.read_parquet(base.labels / "incidents.parquet")
    line = build_timeline(table, incidents, VIEW.tick, POLICY.kpi.horizon)
    blocks = cluster_blocks(line, seed)
    scores = {"winner": table["score"].cast(pl.Float64).to_numpy(), "ensemble": table["ensemble"].cast(pl.Float64).fill_null(np.nan).to_numpy()}
    draws = {name: resampled_precision(line.label, score, blocks) for name, score in scores.items()}
    precision = {name: average_precision(line.label, score) or 0.0 for name, score in scores.items()}
    winners = [next(family for family in document["families"] if family["name"] == document["winner"]) for document in documents]
    ensembles = [document["baselines"][0] for document in documents]

    def share(entries: list[Any], measure: str) -> dict[str, float]:
        events = sum(entry["events"] for entry in entries)
        return {rate: sum((entry[measure][rate] or 0.0) * entry["events"] for entry in entries) / events for rate in ("1", "0.2")}

    return {
        "winners": [entry["name"] for entry in winners],
        "prevalence": float(line.label.mean()),
        "clusters": blocks.count,
        "events": sum(entry["events"] for entry in winners),
        "gain": precision["winner"] - precision["ensemble"],
        "gain_interval": interval(draws["winner"] - draws["ensemble"]),
        **{name: {
            "average_precision": precision[name],
            "average_precision_interval": interval(draws[name]),
            "parts": [entry["average_precision"] for entry in entries],
            "events_detected": share(entries, "events_detected"),
            "events_detected_early": share(entries, "events_detected_early"),
        } for name, entries in (("winner", winners), ("ensemble", ensembles))},
        "families": [{family["name"]: family["average_precision"] for family in document["families"]} for document in documents],
    }  # fmt: skip


def lines(results: dict[str, dict[str, Any]]) -> Iterator[str]:
    """The table for people."""
    def stated(value: float, bounds: list[float]) -> str:
        return f"{value:.3f} [{bounds[0]:.3f}, {bounds[1]:.3f}]"

    yield f"{'protocol':<18}{'prevalence':>10}  {'clusters':>8}  {'winner':<22}{'ensemble':<22}{'gain, paired':<24}{'events at 1':>11}{'at 0.2':>8}"
    for name, result in results.items():
        winner, ensemble = result["winner"], result["ensemble"]
        yield (
            f"{name:<18}{result['prevalence']:>10.3f}  {result['clusters']:>8}  {stated(winner['average_precision'], winner['average_precision_interval']):<22}"
            f"{stated(ensemble['average_precision'], ensemble['average_precision_interval']):<22}{stated(result['gain'], result['gain_interval']):<24}"
            f"{winner['events_detected']['1']:>11.2f}{winner['events_detected']['0.2']:>8.2f}"
        )
        yield f"{'':<18}winner by part: {', '.join(dict.fromkeys(result['winners']))}; average precision by part: " + ", ".join(
            f"{part:.3f}" for part in winner["parts"] if part is not None
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    datasets = os.environ.get("PRESAGE_DATASETS")
    if not datasets:
        print("quality_asd: PRESAGE_DATASETS is unset, so there is no ASD to measure on. Set it to the folder that holds asd/asd.parquet.", file=sys.stderr)
        return 2
    assert parse_duration("1h") == POLICY.kpi.horizon, "the published numbers are for a horizon of one hour"
    began = time.monotonic()
    results: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory(prefix="presage-quality-") as folder:
        base = prepare(f"parquet:{Path(datasets) / 'asd' / 'asd.parquet'}", Path(folder))
        for name, protocol in PROTOCOLS.items():
            results[name] = measure(base, protocol(base), options.seed)
            print(f"{name}: done after {time.monotonic() - began:.0f} s", file=sys.stderr)
    print("\n".join(lines(results)))
    reached = {name: results["time split"][name]["average_precision"] for name in TARGETS}
    document = {"seconds": round(time.monotonic() - began, 1), "targets": TARGETS, "seed": options.seed, "protocols": results}
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")
    missed = [f"{name} {reached[name]:.3f} < {target}" for name, target in TARGETS.items() if reached[name] < target]
    print(f"{document['seconds']:.0f} s; " + ("targets missed: " + ", ".join(missed) if missed else "targets met"))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
