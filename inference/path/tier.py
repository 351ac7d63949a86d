"""Which escalation tier a risk reaches; the thresholds follow from the policy's costs and travel in the release."""

from bisect import bisect_right
from collections.abc import Mapping

from inference.path.request import PathRequest, Step


def choose_tier(thresholds: Mapping[str, float]) -> Step:
    """Fills tier. A warming row and a row answered by the base rate stay `none`: neither knows enough to call anybody."""
    ordered = sorted((threshold, tier) for tier, threshold in thresholds.items())
    bounds = [threshold for threshold, _ in ordered]
    tiers = ["none", *(tier for _, tier in ordered)]

    def step(request: PathRequest) -> None:
        request.tier = [
            "none" if warming is not None or rung == "default" else tiers[bisect_right(bounds, risk)]
            for risk, warming, rung in zip(request.risk, request.warming, request.rung, strict=True)
        ]

    return step
