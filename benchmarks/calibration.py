"""Does the interval hold: observed incident frequency against [p0, p1], over ten small simulated fleets pooled.

    python benchmarks/calibration.py [--json FILE] [--fleets 10]

Each fleet goes through the pipeline's own steps with LightGBM; its test rows keep the risk and interval that a server would
have answered. All fleets' rows together are cut into tenths by risk. In a tenth that holds at least 20 incident clusters the
observed frequency must lie within [mean p0, mean p1] widened by three standard errors, which come from a bootstrap over
clusters (stretches of time with one cluster each, drawn from all fleets together). Exit code 1 where one lies outside, or no
tenth holds 20 clusters.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import polars as pl

from benchmarks.pipeline_steps import POLICY, VIEW, judge, prepare
from components.evaluate.curves import calibration_deciles, decile_of
from components.evaluate.resampling import DRAWS, cluster_blocks
from components.evaluate.timeline import build_timeline

SERVERS, DAYS, FIRST_SEED = 12, 12, 101
FEWEST_CLUSTERS, ERRORS = 20, 3.0


def fleet(number: int) -> pl.DataFrame:
    """Test rows of one fleet: label, risk, p0, p1, cluster, block (−1 cluster = quiet), numbered within the fleet."""
    with TemporaryDirectory(prefix="presage-calibration-") as folder:
        run = prepare(f"simulated:servers={SERVERS},days={DAYS},seed={FIRST_SEED + number}", Path(folder))
        judge(run, ("lightgbm",))
        table = pl.read_parquet(run.evaluation / "predictions.parquet").sort("entity", "time")
        line = build_timeline(table, pl.read_parquet(run.labels / "incidents.parquet"), VIEW.tick, POLICY.kpi.horizon)
    return table.select("label", "risk", "p0", "p1").with_columns(cluster=pl.Series(line.cluster), block=pl.Series(cluster_blocks(line, 0, draws=1).block))


def pooled(tables: list[pl.DataFrame]) -> pl.DataFrame:
    """One table, clusters and blocks numbered through."""
    clusters = blocks = 0
    parts = []
    for table in tables:
        cluster = pl.when(pl.col("cluster") >= 0).then(pl.col("cluster") + clusters).otherwise(-1)
        parts.append(table.with_columns(cluster=cluster, block=pl.col("block") + blocks))
        clusters += int(table["cluster"].max()) + 1  # type: ignore[arg-type]
        blocks += int(table["block"].max()) + 1  # type: ignore[arg-type]
    return pl.concat(parts)


def judged(table: pl.DataFrame, seed: int) -> list[dict[str, Any]]:
    """calibration_deciles with `standard_error`, `low`, `high` and `holds` (None where there are too few clusters to say)."""
    label, risk, block = table["label"].to_numpy(), table["risk"].to_numpy(), table["block"].to_numpy()
    count = int(block.max()) + 1
    weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    rows = calibration_deciles(risk, table["p0"].to_numpy(), table["p1"].to_numpy(), label, table["cluster"].to_numpy())
    decile = decile_of(risk)
    for row in rows:
        mine = decile == row["decile"] - 1
        total = np.bincount(block[mine], minlength=count)
        hits = np.bincount(block[mine], weights=label[mine] == 1, minlength=count)
        drawn = weights @ total
        error = float(np.std((weights @ hits)[drawn > 0] / drawn[drawn > 0]))
        low, high = row["p0"] - ERRORS * error, row["p1"] + ERRORS * error
        row |= {"standard_error": error, "low": low, "high": high, "holds": low <= row["observed"] <= high if row["clusters"] >= FEWEST_CLUSTERS else None}
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--fleets", type=int, default=10)
    options = parser.parse_args()
    began = time.monotonic()
    tables = []
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        for number, table in enumerate(pool.map(fleet, range(options.fleets)), 1):
            tables.append(table)
            print(f"fleet {number} of {options.fleets} after {time.monotonic() - began:.0f} s", file=sys.stderr)
    table = pooled(tables)
    rows = judged(table, seed=7)
    print(f"{'decile':>6}{'rows':>8}{'clusters':>10}{'risk':>8}{'observed':>10}{'[p0,':>9}{'p1]':>8}{'error':>8}  within")
    for row in rows:
        within = {None: f"fewer than {FEWEST_CLUSTERS} clusters", True: "yes", False: "NO"}[row["holds"]]
        print(f"{row['decile']:>6}{row['rows']:>8}{row['clusters']:>10}{row['risk']:>8.4f}{row['observed']:>10.4f}{row['p0']:>9.4f}{row['p1']:>8.4f}"
              f"{row['standard_error']:>8.4f}  {within}")  # fmt: skip
    counted = [row for row in rows if row["holds"] is not None]
    holds = bool(counted) and all(row["holds"] for row in counted)
    seconds = round(time.monotonic() - began, 1)
    if options.json:
        options.json.write_text(json.dumps({"seconds": seconds, "fleets": options.fleets, "holds": holds, "deciles": rows}, indent=2) + "\n")
    if not counted:
        print(f"no decile holds {FEWEST_CLUSTERS} incident clusters: nothing was shown. Take more fleets.")
    print(f"{seconds:.0f} s; {len(counted)} deciles with at least {FEWEST_CLUSTERS} clusters; the interval {'holds' if holds else 'does not hold'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
