"""Reasons in words: what is unusual, of which metric, and whether it raises or lowers the risk.

    in_words(prediction.reasons)   "system.memory.utilization unusual ↑, http.server.error.ratio last 15m 4.2% ↑"

`unusual` is measured against what this server (or the fleet, if it is new) did in training. A metric comes once, with its
heaviest reason; so the caller asks for more reasons than are shown (ASKED). Raw feature names
stay in `-o json`.
"""

from collections.abc import Sequence
from math import floor, isfinite, log10

from presage.predictions import Reason
from presage.telemetry.metrics import metric_named

ASKED = 24
"""Reasons to ask for: enough that three metrics are among them."""
SHOWN = 3
SLIGHT = 0.1
"""A further reason with less than this part of the heaviest one's weight is not worth a person's time."""
_SEVERAL, _NOTHING, _UNKNOWN = "several metrics", "nothing unusual", "too little history to compare with"
_UNUSUAL = {"cross_metric": "out of step", "time_of_day": "unusual for the hour"}
_ORDINARY = 3.0  # −log tail probability below which one in twenty quiet rows lies: a score that lowers the risk
_QUIET = 1.0  # the mean of quiet rows
_CALENDAR = {"hour": "the time of day", "weekday": "the day of the week"}
_SI = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def in_words(reasons: Sequence[Reason], most: int = SHOWN) -> str:
    """The heaviest `most` reasons about different things; empty where there are none."""
    return ", ".join(f"{words(reason)} {'↑' if reason.contribution > 0 else '↓'}" for reason in distinct(reasons, most))


def distinct(reasons: Sequence[Reason], most: int) -> list[Reason]:
    """The first reason about each metric (about no metric: each kind of statement), as heavy as SLIGHT asks, at most `most`.
    Where some score is unusual, those that are not are left out: the two beside each other would read as a contradiction."""
    kept: dict[str, Reason] = {}
    for reason in reasons:
        if abs(reason.contribution) >= SLIGHT * abs(reasons[0].contribution):
            kept.setdefault(_subject(reason), reason)
    if any(reason.feature.startswith("detector.") and _is_unusual(reason) for reason in kept.values()):
        kept.pop(_NOTHING, None)
    return list(kept.values())[:most]


def words(reason: Reason) -> str:
    """One reason without its arrow: the metric, what of it, the value with its unit."""
    if reason.feature.startswith("calendar."):
        return _subject(reason)
    if reason.feature.startswith("detector."):
        return _detector(reason)
    metric, _, statistic = reason.feature.rpartition(".")
    kind, _, span = statistic.partition("_")
    change = kind in ("delta", "slope")
    value = "not seen" if reason.value is None else amount(reason.value, metric, change) + ("/h" if kind == "slope" else "")
    return f"{metric} {span} ago {value}" if kind == "lag" else f"{metric} {kind} {span} {value}"


def amount(value: float, metric: str, change: bool = False) -> str:
    """A value of `metric` with its unit: 0.934 → `93%`, 1234567 By/s → `1.2MB/s`, 0.0421 s → `42ms`, 86400 s → `24h`. A change
    has its sign, and is in points (`+12pp`) where the metric is a share."""
    text = _amount(value, metric_named(metric).unit, metric.endswith((".utilization", ".ratio", ".iowait")), change)
    return f"+{text}" if change and value > 0 and not text.startswith("~") else text


def _amount(value: float, unit: str, share: bool, change: bool) -> str:
    if unit == "1" and share:
        return f"{_digits(100 * value, 0.01)}{'pp' if change else '%'}"
    if unit == "s":
        return _duration(value)
    return f"{_short(value)}{'B' if unit.removesuffix('/s') == 'By' else ''}{'/s' if unit.endswith('/s') else ''}"


def _detector(reason: Reason) -> str:
    _, detector, aggregate = reason.feature.split(".", 2)
    if reason.value is None:
        return _UNKNOWN
    if not _is_unusual(reason):
        return _NOTHING
    _, _, span = aggregate.partition("_")
    within = f" in {span}" if span.endswith(("h", "d")) else ""
    return f"{reason.metric or _SEVERAL} {_UNUSUAL.get(detector, 'unusual')}{within}"


def _is_unusual(reason: Reason) -> bool:
    """Whether a detector's score says so: one that lowers the risk does only where it is clearly high."""
    return reason.value is not None and reason.value >= (_QUIET if reason.contribution > 0 else _ORDINARY)


def _subject(reason: Reason) -> str:
    """What a reason is about: equal for reasons that a person would take for one."""
    if reason.feature.startswith("calendar."):
        return _CALENDAR.get(reason.feature.removeprefix("calendar.").partition("_")[0], reason.feature)
    if reason.feature.startswith("detector."):
        return (reason.metric or _SEVERAL) if _is_unusual(reason) else _UNKNOWN if reason.value is None else _NOTHING
    return reason.feature.rpartition(".")[0]


def _duration(seconds: float) -> str:
    size = abs(seconds)
    for least, unit in ((2 * 86400, "d"), (2 * 3600, "h"), (120, "min")):
        if size >= least:
            return f"{_digits(seconds / {'d': 86400, 'h': 3600, 'min': 60}[unit])}{unit}"
    return f"{_digits(seconds)}s" if size >= 1 or not size else f"{_digits(1000 * seconds)}ms"


def _short(value: float) -> str:
    """Two or three digits and an SI prefix."""
    for size, prefix in _SI:
        if abs(value) >= 0.9995 * size:
            return _digits(value / size) + prefix
    return _digits(value)


def _digits(value: float, least: float = 0.0001) -> str:
    """Two digits, all of them left of the point; never an exponent: what is smaller than `least` is `~0`."""
    if not isfinite(value) or not value:
        return f"{value:.0f}"
    if abs(value) < least:
        return "~0"
    text = f"{value:.{max(0, 1 - floor(log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
