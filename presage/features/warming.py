"""What a person reads while a server's windows fill: `15m of 6h`."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from presage.durations import format_duration
from presage.features.declaration import FeatureView


def warming_text(coverage: Sequence[float] | npt.NDArray[np.float32], view: FeatureView) -> str | None:
    """How much was seen of the longest window that is covered too little, or None where every window is covered enough.

    coverage: seen share of each of the view's windows, in their order; compared in float32, as the engine does.
    """
    shares = np.asarray(coverage, np.float32)
    lacking = [(window, float(share)) for window, share in zip(view.windows, shares, strict=True) if not share >= np.float32(view.min_coverage)]
    if not lacking:
        return None
    window, share = max(lacking)
    seen = window * (share if share > 0 else 0.0)
    unit = timedelta(minutes=1) if seen >= timedelta(minutes=1) else timedelta(seconds=1)
    return f"{format_duration(round(seen / unit) * unit)} of {format_duration(window)}"
