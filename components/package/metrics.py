"""What evaluation says of one family, as metrics.json of its package: measures alone, no timings, so that a repeated run
of the same data and seed packages the same bytes."""

from collections.abc import Mapping
from typing import Any

from presage.errors import InputError

_NOT_OF_THE_MODEL = {"seconds", "budget_seconds", "budget_bound", "per_server"}
_SHARED = ("horizon_minutes", "prevalence", "rows", "clusters")
_OF_BASELINE = ("name", "average_precision", "roc_auc", "brier")


def family_metrics(evaluation: Mapping[str, Any], family: str) -> dict[str, Any]:
    """Measures of one family on the test rows, beside what they must be read with: prevalence, rows, baselines."""
    entry = family_of(evaluation, family)
    measures = {name: value for name, value in entry.items() if name not in _NOT_OF_THE_MODEL}
    shared = {name: evaluation[name] for name in _SHARED}
    baselines = [{name: baseline.get(name) for name in _OF_BASELINE} for baseline in evaluation["baselines"]]
    gain = {"gain": evaluation.get("gain"), "gain_interval": evaluation.get("gain_interval")} if family == evaluation["winner"] else {}
    return {"schema": "presage.metrics/v1", "family": family, **shared, **measures, **gain, "baselines": baselines}


def family_of(evaluation: Mapping[str, Any], family: str) -> Mapping[str, Any]:
    """The entry of `families` called `family`. Raises InputError where evaluation does not know it."""
    for entry in evaluation["families"]:
        if entry["name"] == family:
            found: Mapping[str, Any] = entry
            return found
    known = ", ".join(entry["name"] for entry in evaluation["families"]) or "none"
    raise InputError(f"evaluation does not know the family {family} (it has: {known}). Evaluate every model that is to be packaged.")


def best_feature_row(evaluation: Mapping[str, Any]) -> str:
    """The family to serve: the winner, or the best of its kind on the select part where the winner reads sequences."""
    rows = [entry for entry in evaluation["families"] if entry["kind"] == "feature_row"]
    if not rows:
        raise InputError("evaluation has no family that reads feature rows. Train at least logistic regression.")
    names = {entry["name"] for entry in rows}
    if evaluation["winner"] in names:
        return str(evaluation["winner"])
    return str(max(rows, key=lambda entry: (entry.get("select_average_precision") or 0.0, entry["name"]))["name"])
