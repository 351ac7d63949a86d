"""Answers without a Pod: the last answer for a server while it is young enough, then the release's rules over values that the caller has,
then the release's default. Each is marked by its rung and says why; rules, default and tiers are the path's own, to the letter
(inference.path.ladder, inference.path.tier).
"""

import struct
from bisect import bisect_right
from collections.abc import Mapping

import msgspec

from presage.client.answers import DEFAULT, LAST_ANSWER, RULES, FeatureState, Prediction
from presage.client.memory import Kept, LastRungs

Row = Mapping[str, float | None]


def last_answer(kept: Kept, now: float, why: str) -> Prediction:
    """The prediction as it was, under its own id, so that whoever acted on it once does not act twice; older by what has passed since."""
    age = max(0.0, now - kept.at)
    before = kept.prediction
    features = before.features
    if features.age_seconds is not None:
        features = msgspec.structs.replace(features, age_seconds=round(features.age_seconds + age, 3))
    return msgspec.structs.replace(before, features=features, rung=LAST_ANSWER, because=f"{why}; last answer ({before.rung}), {age:.0f} s old")


def by_rules(rungs: LastRungs, row: Row | None, why: str, *, server: str | None, prediction_id: str) -> Prediction:
    """row: values by feature name, None = nobody has any: then no rule can fire."""
    fired = [rule for rule in rungs.rules if row is not None and _fires(row.get(rule.feature), rule.above, rule.below)]
    risk = max((rule.risk for rule in fired), default=rungs.default)
    bounds = list(rungs.thresholds.values())
    return Prediction(
        server=server,
        time=None,
        risk=risk,
        interval=(0.0, 1.0),  # nothing calibrated a rule
        tier=["none", *rungs.thresholds][bisect_right(bounds, risk)] if fired else "none",
        reasons=[],
        model=rungs.model,
        features=FeatureState(rungs.contract.feature_version, None, None),
        warming=None,
        rung=RULES if fired else DEFAULT,
        prediction_id=prediction_id,
        because=f"{why}; rules {', '.join(rule.id for rule in fired)}" if fired else f"{why}; " + ("no rule fired" if row is not None else "no values known"),
        used="",
    )


def _fires(value: float | None, above: float | None, below: float | None) -> bool:
    """In float32, as the path reads rows."""
    if value is None:
        return False
    held = _single(float(value))
    return (above is not None and held > above) or (below is not None and held < below)


def _single(value: float) -> float:
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return value
