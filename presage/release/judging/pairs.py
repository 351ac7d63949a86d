"""Each request of the smaller arm beside its share of the larger one's, from the same increment.

A difference within a pair owes nothing to what changes over time for both. Pairs of one increment are independent and alike: who is paired with whom
is drawn, and the draw follows from the data, so that the same evidence gives the same verdict.
"""

import numpy as np
from numpy.typing import NDArray

Shares = NDArray[np.float64]
MOST = 20_000
"""Values of an arm that one increment may bring; of more, so many are drawn: they say enough."""


def differences(stable: NDArray[np.int64], canary: NDArray[np.int64], seed: tuple[int, ...]) -> Shares:
    """Pairs' differences (canary − stable) of the share at or below each boundary.

    stable, canary: int[buckets], how many values lay in each. Float64[pairs, buckets − 1] in [−1, 1]; no pairs where an arm has nothing.
    """
    generator = np.random.default_rng(seed)
    ours, theirs = _values(canary, generator), _values(stable, generator)
    pairs = min(len(ours), len(theirs))
    boundaries = np.arange(len(stable) - 1)
    if pairs == 0:
        return np.zeros((0, len(boundaries)))
    return _means(ours, pairs, boundaries) - _means(theirs, pairs, boundaries)


def _values(counts: NDArray[np.int64], generator: np.random.Generator) -> NDArray[np.int64]:
    """Bucket indices in a drawn order."""
    if (total := int(counts.sum())) > MOST:
        counts = generator.multivariate_hypergeometric(counts, MOST) if total < 10**9 else generator.multinomial(MOST, counts / total)
    values = np.repeat(np.arange(len(counts)), counts)
    generator.shuffle(values)
    return values


def _means(values: NDArray[np.int64], pairs: int, boundaries: NDArray[np.int64]) -> Shares:
    """Each pair's share at or below each boundary, over its part of `values`; parts differ in size by one at most."""
    below = (values[:, None] <= boundaries[None, :]).astype(np.float64)
    if len(values) == pairs:
        return below
    starts = (np.arange(pairs) * len(values)) // pairs
    sizes = np.diff(np.append(starts, len(values)))
    means: Shares = np.add.reduceat(below, starts, axis=0) / sizes[:, None]
    return means
