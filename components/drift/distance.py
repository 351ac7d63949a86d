"""Kolmogorov–Smirnov distance of many columns: which of hundreds of features a person should look at."""

import numpy as np
import numpy.typing as npt

_FEWEST = 30  # values on each side before a distance means anything


def ks_distance(reference: npt.NDArray[np.float64], current: npt.NDArray[np.float64]) -> float | None:
    """Largest gap between the two empirical distributions (0..1), NaN ignored; None where a side has too few values."""
    a, b = np.sort(reference[np.isfinite(reference)]), np.sort(current[np.isfinite(current)])
    if min(a.size, b.size) < _FEWEST:
        return None
    both = np.concatenate([a, b])
    gaps = np.searchsorted(a, both, side="right") / a.size - np.searchsorted(b, both, side="right") / b.size
    return float(np.abs(gaps).max())
