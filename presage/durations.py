"""Durations as people write them in policies and declarations: `15m`, `1h`, `6h`, `1d`, `90s`, `50ms`."""

import re
from datetime import timedelta

from presage.errors import InputError

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> timedelta:
    """`15m` → 15 minutes. Raises InputError on anything but a whole number and one of ms, s, m, h, d."""
    match = re.fullmatch(r"([1-9][0-9]*)(ms|[smhd])", text.strip())
    if not match:
        raise InputError(f"{text!r} is no duration. Write a whole number and a unit: 90s, 15m, 6h, 2d.")
    try:
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    except (OverflowError, ValueError):
        raise InputError(f"{text[:40]!r} is longer than any clock counts. Write a shorter duration, such as 15m, 6h, 2d.") from None


def format_duration(duration: timedelta) -> str:
    """The shortest exact spelling: 15 minutes → `15m`, 24 hours → `1d`, half a second → `500ms`; whole milliseconds only."""
    milliseconds = round(duration.total_seconds() * 1000)
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    seconds = milliseconds // 1000
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNITS[unit] == 0:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"
