"""How often a judge errs: simulated releases, good and worse, against looking every half minute with a test that is meant for one look.

    python benchmarks/judging.py [--tier medium] [--releases 200]

Both watch the same traffic (50 requests a second, looks every 30 s). The other one compares failures and slow requests by a two-sample z-test at 5 %
in all, as analysis templates of rollout tools do at each interval, and promotes when the soak is over.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from builders.traffic import BEGAN, Behaviour, Traffic, judged, worse

from presage.governance.tiers import CanaryPlan, load_risk_tiers
from presage.release.judging import Arm

ROOT = Path(__file__).parents[1]
MEASURES = ("errors", "latency", "scores", "outcomes")
CRITICAL = 2.24  # one-sided 5 % over four measures, for one look
SLOW = 0.01


def shares(arm: Arm) -> dict[str, tuple[float, float]]:
    """(of how many, how many bad) a measure; of scores the share above 0.1."""
    slow = max(arm.seconds.values(), default=0) - arm.seconds.get(SLOW, 0)
    high = max(arm.risks.values(), default=0) - arm.risks.get(0.1, 0)
    return {
        "errors": (arm.requests, arm.failed), "latency": (arm.requests, slow), "scores": (max(arm.risks.values(), default=0), high),
        "outcomes": (arm.decided, arm.wrong),
    }  # fmt: skip


def looked_at(plan: CanaryPlan, traffic: Traffic) -> tuple[str, int]:
    """The other one: a z-test over everything so far, at every look."""
    now, touched = BEGAN, 0
    for step in plan.steps[:-1]:
        kept = {name: np.zeros(4) for name in MEASURES}
        began = now
        for increment, moment in traffic.increments(step.percent, now):
            now = moment
            touched += increment.canary.requests
            for name, (stable, canary) in {name: (shares(increment.stable)[name], shares(increment.canary)[name]) for name in MEASURES}.items():
                kept[name] += (*stable, *canary)
                every, bad, others, worse_ = kept[name]
                if min(every, others) == 0:
                    continue
                pooled = (bad + worse_) / (every + others)
                spread = math.sqrt(max(pooled * (1 - pooled) * (1 / every + 1 / others), 1e-12))
                if (worse_ / others - bad / every) / spread > CRITICAL:
                    return "revert", touched
            if now - began >= step.soak:
                break
    return "good", touched


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", default="medium", choices=("low", "medium", "high"))
    parser.add_argument("--releases", type=int, default=200)
    options = parser.parse_args()
    plan = load_risk_tiers(ROOT / "policies" / "risk-tiers.yaml").of(options.tier).canary
    quarter = options.releases // 4
    print(f"tier {options.tier}, 50 requests a second; reverted of so many, and answers that the canary gave (median)")
    print(f"{'':28}{'presage':>22}{'a look every 30 s':>22}")
    cases = [("good", Behaviour(), options.releases)]
    cases += [(f"{name} worse, {times} x", worse(plan.detect, name, times), quarter) for times in (1, 2) for name in MEASURES]
    for title, behaviour, count in cases:
        ours = [judged(plan, Traffic(Behaviour(), behaviour, seed))[:2] for seed in range(count)]
        others = [looked_at(plan, Traffic(Behaviour(), behaviour, seed)) for seed in range(count)]
        columns = [f"{sum(kind == 'revert' for kind, _ in found)}/{count}, {np.median([touched for _, touched in found]):.0f}" for found in (ours, others)]
        print(f"{title:28}{columns[0]:>22}{columns[1]:>22}", flush=True)


if __name__ == "__main__":
    main()
