"""Label selectors, as Kubernetes reads them."""

from collections.abc import Mapping
from typing import Any


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a selector (matchLabels, matchExpressions) finds these labels; an empty one finds all."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_holds(one, labels) for one in selector.get("matchExpressions") or [])


def keys(selector: Mapping[str, Any]) -> set[str]:
    """The label keys that a selector looks at."""
    return {*(selector.get("matchLabels") or {}), *(one.get("key", "") for one in selector.get("matchExpressions") or [])}


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression.get("key", ""), expression.get("operator"), expression.get("values") or []
    if operator == "In":
        return labels.get(key) in values
    if operator == "NotIn":
        return labels.get(key) not in values
    return (key in labels) is (operator == "Exists")
