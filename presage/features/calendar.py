"""Time of day and of week (UTC) as points on a circle: 23:55 and 00:00 are neighbours, Sunday night and Monday morning too."""

import math

import numpy as np
import numpy.typing as npt

from presage.errors import InputError

_DAY, _WEEK = 86_400, 604_800
_MONDAY = 4 * _DAY  # the epoch was a Thursday; the first Monday came four days later


def calendar_terms(terms: tuple[str, ...], seconds: npt.NDArray[np.int64]) -> list[npt.NDArray[np.float32]]:
    """One array a term for these Unix times (whole seconds). `hour_*` turn once a day from midnight, `weekday_*` once a week
    from Monday midnight, both continuously. Each value is computed on its own, so it never depends on its neighbours."""
    return [_term(term, seconds) for term in terms]


def _term(term: str, seconds: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    unit, _, part = term.rpartition("_")
    if unit not in ("hour", "weekday") or part not in ("sin", "cos"):
        raise InputError(f"No engine knows the calendar term {term!r}. Choose one that presage.features.declaration lists.")
    turn = seconds % _DAY if unit == "hour" else (seconds - _MONDAY) % _WEEK
    function = math.sin if part == "sin" else math.cos
    distinct, place = np.unique(turn, return_inverse=True)
    circle = 2 * math.pi / (_DAY if unit == "hour" else _WEEK)
    table = np.array([function(circle * int(second)) for second in distinct], np.float32)
    return table[place]
