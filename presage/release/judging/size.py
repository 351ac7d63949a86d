"""How many requests a step takes, roughly: for a plan, before anything is counted."""

import math

from presage.governance.tiers import CanaryPlan


def requests_needed(plan: CanaryPlan, percent: int, *, errors: float = 0.001, slow: float = 0.2, wrong: float = 0.1) -> dict[str, int]:
    """Answers of the canary until each measure has shown that a release is no worse. errors, slow, wrong: shares of the stable arm.

    A bet at the best share wins size²/2·variance a pair; half as much again covers the others that share its money. Never fewer than a sure bet takes.
    """
    ratio = percent / (100 - percent) if percent < 100 else 1.0
    target = math.log(1.0 / plan.bad_missed)
    sizes = {"errors": (plan.detect.errors, errors), "latency": (0.5 * (1 - 1 / plan.detect.latency), slow), "scores": (plan.detect.scores, 0.5),
             "outcomes": (plan.detect.outcomes, wrong)}  # fmt: skip
    needed = {}
    for name, (size, share) in sizes.items():
        variance = share * (1 - share) * (1 + min(ratio, 1.0))
        needed[name] = math.ceil(1.5 * max(2 * target * variance / size**2, target / size) / min(1.0, 1 / max(ratio, 1.0)))
    return needed
