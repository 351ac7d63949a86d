"""Per-tick means as sequences: what a convolution and the detectors look at."""

import numpy as np
import numpy.typing as npt
import polars as pl

from presage.features.declaration import BoundView

Floats = npt.NDArray[np.float32]


def histories(bound: BoundView, ticks: pl.DataFrame, keys: pl.DataFrame, length: int | None = None) -> Floats:
    """float32 [keys, length, metrics]: the `length` ticks (default: the view's history) up to and including each key's time,
    oldest first; NaN where nothing was seen.

    ticks: FeatureTable.ticks. keys: columns entity and time. Memory is keys × length × metrics × 4 bytes: ask in slices.
    """
    length = length or bound.view.history
    tick = bound.view.tick.total_seconds() * 1e6
    entities = pl.concat([ticks["entity"], keys["entity"]]).unique().sort()
    code = pl.DataFrame({"entity": entities, "code": pl.Series(range(len(entities)), dtype=pl.Int64)})

    def place(table: pl.DataFrame) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        codes = table.select("entity").join(code, on="entity", how="left", maintain_order="left")["code"].to_numpy()
        return codes, (table["time"].dt.epoch("us").to_numpy() // tick).astype(np.int64)

    owner, at = place(ticks)
    asked, until = place(keys)
    if not at.size or not until.size:
        return np.full((keys.height, length, len(bound.metrics)), np.nan, np.float32)
    # A dense grid of row numbers, one row more at the end of the means for "nothing was seen".
    first, last = int(min(at.min(), until.min())) - length + 1, int(max(at.max(), until.max()))
    grid = np.full((len(entities), last - first + 1), ticks.height, np.int64)
    grid[owner, at - first] = np.arange(ticks.height)
    means = np.full((ticks.height + 1, len(bound.metrics)), np.nan, np.float32)
    for column, metric in enumerate(bound.metrics):
        means[:-1, column] = ticks[metric].to_numpy()
    steps = np.arange(length) - length + 1
    found: Floats = means[grid[asked[:, None], (until - first)[:, None] + steps]]
    return found

