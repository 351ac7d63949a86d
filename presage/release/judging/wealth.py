"""Bets against a claim about a mean. What they have won says how little the claim is to be believed, whenever one looks.

The claim is that values in [−1, 1] have a mean of at most `at_most`. Whoever bets a share λ of his money on each value being more, at fair odds, has
Π(1 + λ(x − at_most)) of what he began with. Where the claim holds that is expected to be no more than 1, so he ever has 1/α with
probability α at most (Ville), however often one looks, at whatever moment one stops, whatever the values' distribution. Not knowing the
best share, the money is spread over a few: the sum has the same bound. (Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting", 2024.)
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARES = np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.6, 0.9])
"""Of the money, on each value: a small difference is best found by small bets, rare failures by large ones."""


class Wealth:
    """Against several claims at once, one a column. at_most: float[columns], between −1 and 1."""

    def __init__(self, at_most: NDArray[np.float64], logs: NDArray[np.float64] | None = None) -> None:
        self.at_most = at_most
        self._shares = SHARES[None, :] / (1.0 + at_most[:, None])  # so that the largest bet never loses everything
        self.logs = np.zeros((len(at_most), len(SHARES))) if logs is None else logs

    def bet(self, values: NDArray[np.float64]) -> None:
        """values: float[n, columns], each in [−1, 1]."""
        for column in range(values.shape[1]):
            found, counts = np.unique(values[:, column] - self.at_most[column], return_counts=True)
            self.logs[column] += counts @ np.log1p(self._shares[column][None, :] * found[:, None])

    def log(self) -> NDArray[np.float64]:
        """Natural logarithm of what is there of what there was, a column each."""
        highest = self.logs.max(axis=1)
        logs: NDArray[np.float64] = highest + np.log(np.exp(self.logs - highest[:, None]).mean(axis=1))
        return logs

    def to_list(self) -> list[list[float]]:
        rows: list[list[float]] = self.logs.tolist()
        return rows

    @classmethod
    def from_list(cls, at_most: NDArray[np.float64], rows: list[Any]) -> "Wealth":
        return cls(at_most, np.array(rows, dtype=np.float64).reshape(len(at_most), len(SHARES)))
