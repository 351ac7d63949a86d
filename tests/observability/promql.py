"""Which metrics and labels an expression of PromQL names. Not a parser: what promtool finds valid is taken apart by its words."""

import re
from typing import NamedTuple

_STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`'
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\(([^()]*)\)", re.IGNORECASE)
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{((?:[^{}\"'`]|" + _STRING + r")*)\}")
_MATCHER = re.compile(r"([a-zA-Z_][a-zA-Z0-9_]*)\s*(?:=~|!~|!=|=)\s*(" + _STRING + ")")
_WORD = re.compile(r"(?<![a-zA-Z0-9_:$.])([a-zA-Z_:][a-zA-Z0-9_:]*)\b(?!\s*[({])")
_RANGE = re.compile(r"\[[^\]]*\]")
_KEYWORDS = {
    "and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "inf", "nan", "sum", "max", "min", "avg", "count",
    "group", "topk", "bottomk", "quantile", "stddev", "stdvar", "count_values", "atan2",
}  # fmt: skip


class Named(NamedTuple):
    """metrics: every name; selected: (metric, label) of each matcher; grouped: labels in by, on and the like."""

    metrics: set[str]
    selected: set[tuple[str, str]]
    grouped: set[str]


def names(expression: str) -> Named:
    selected: set[tuple[str, str]] = set()
    metrics: set[str] = set()
    for name, matchers in _SELECTOR.findall(expression):
        labels = {label for label, _ in _MATCHER.findall(matchers)}
        assert name, f"{expression}: a selector without a metric"
        metrics.add(name)
        selected |= {(name, label) for label in labels}
    bare = re.sub(_STRING, " ", _SELECTOR.sub(" ", expression))
    grouped = {label.strip() for _, labels in _GROUPING.findall(bare) for label in labels.split(",") if label.strip()}
    bare = _RANGE.sub(" ", _GROUPING.sub(" ", bare))
    metrics |= {word for word in _WORD.findall(bare) if word.lower() not in _KEYWORDS and not re.fullmatch(r"[0-9.]*(e[0-9]+)?|\d+[smhdwy]", word)}
    return Named(metrics, selected, grouped)


def plain(expression: str) -> str:
    """Without Grafana's variables, so that promtool reads it."""
    return expression.replace("$__rate_interval", "5m").replace("$__interval", "1m")
