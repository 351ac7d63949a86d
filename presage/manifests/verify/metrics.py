"""Which metrics an expression of PromQL names, and which there are (`manifests/metrics.yaml`).

Expressions are not parsed: what Prometheus itself finds valid is taken apart by its words.
"""

import re
from pathlib import Path

from presage.documents import parse_yaml
from presage.manifests.fields import Fields

_STRING = r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|`[^`]*`'
_GROUPING = re.compile(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^()]*\)", re.IGNORECASE)
_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)?\s*\{(?:[^{}\"'`]|" + _STRING + r")*\}")
_WORD = re.compile(r"(?<![a-zA-Z0-9_:$.])([a-zA-Z_:][a-zA-Z0-9_:]*)\b(?!\s*[({])")
_RANGE = re.compile(r"\[[^\]]*\]")
_DURATION = re.compile(r"(?<![\w:.])(?:\d+(?:ms|[smhdwy]))+\b")
_KEYWORDS = frozenset({"and", "or", "unless", "by", "without", "on", "ignoring", "group_left", "group_right", "offset", "bool", "inf", "nan", "atan2"})
_AGGREGATIONS = frozenset({
    "sum", "max", "min", "avg", "count", "group", "topk", "bottomk", "quantile", "stddev", "stdvar", "count_values", "limitk", "limit_ratio",
})  # fmt: skip


def metrics_named(expression: str) -> set[str]:
    """Every metric that an expression looks at."""
    named = {name for name in _SELECTOR.findall(expression) if name}
    bare = _RANGE.sub(" ", _GROUPING.sub(" ", re.sub(_STRING, " ", _SELECTOR.sub(" ", expression))))
    bare = _DURATION.sub(" ", bare)
    return named | {word for word in _WORD.findall(bare) if word.lower() not in _KEYWORDS | _AGGREGATIONS}


def read_metrics(path: Path) -> frozenset[str]:
    """Every series that programs export, ours and others': a histogram's three beside the rest. Raises InputError."""
    document = parse_yaml(path.read_bytes(), str(path))
    whole = Fields(str(path), "", document)
    found: set[str] = set()
    for listed in (*whole.take("programs", dict).values(), *(other["metrics"] for other in whole.take("others", dict).values())):
        for metric in listed:
            name, kind = str(metric["name"]), metric["type"]
            found |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"} if kind == "histogram" else {name}
    return frozenset(found)
