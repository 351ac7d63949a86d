"""The envelope of the training data (presage.package.envelope), fitted on what the model learnt from, its limits on rows held out."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from presage.package.envelope import Envelope

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
DIRECTIONS = 32
ROWS = 8192
"""Most rows that it is fitted on: twice as many move the limits by a few per cent."""
FARTHER = 0.001
"""Share of held-out rows that lie beyond the limit."""
USUAL = 0.999
_LEAST = 0.02  # of what is usual beside the directions, in standardised units: rounding must not look like news
_LEAST_MISSING = 0.02  # share of inputs that may be missing anywhere


def fit_envelope(learnt: F32, held: F32, seed: int) -> Envelope:
    """learnt, held: f32[rows, inputs] or f32[rows, ticks, inputs], NaN = missing; held may be empty."""
    random = np.random.default_rng(seed)
    sample = _drawn(learnt, ROWS, random)
    flat: F64 = _drawn(sample.reshape(-1, sample.shape[-1]), ROWS, random).astype(np.float64)
    missing = np.isnan(flat)
    center, scale = _standard(flat)
    z = np.arcsinh((flat - center) / scale)
    whole = z[~missing.any(axis=1)]
    if len(whole) < flat.shape[1]:  # too few rows without a gap: a gap counts as the usual value
        whole = np.where(missing, 0.0, z)
    mean = whole.mean(axis=0)
    whole = whole - mean
    _, directions = np.linalg.eigh(whole.T @ whole / len(whole))
    kept = min(DIRECTIONS, max(1, flat.shape[1] // 2))
    basis = np.ascontiguousarray(directions[:, ::-1][:, :kept])
    along = whole @ basis
    beside = whole - along @ basis.T
    envelope = Envelope(
        center, scale, mean, basis, along=np.maximum(np.quantile(np.abs(along), USUAL, axis=0), _LEAST),
        beside=np.maximum(np.quantile(np.abs(beside), USUAL, axis=0), _LEAST), lacked=missing.mean(axis=0), limits=np.ones(2),
    )  # fmt: skip
    judged = [envelope.parts(part) for part in (sample, _drawn(held, ROWS, random)) if len(part)]
    values = max(float(np.quantile(part[0], 1 - FARTHER)) for part in judged)
    lacking = max(float(np.quantile(part[1], 1 - FARTHER)) if part[1] is not None else 0.0 for part in judged)
    return replace(envelope, limits=np.array([max(values, 1e-6), max(lacking, _LEAST_MISSING)]))


def _drawn(rows: F32, most: int, random: np.random.Generator) -> F32:
    return rows if len(rows) <= most else rows[np.sort(random.choice(len(rows), most, replace=False))]


def _standard(x: F64) -> tuple[F64, F64]:
    """Median and a robust standard deviation of each column; an input that never moved gets a scale that notices when it does."""
    ordered = np.sort(x, axis=0)  # missing values come last
    seen = (~np.isnan(x)).sum(axis=0)
    column = np.arange(x.shape[1])

    def quantile(share: float) -> F64:
        found: F64 = ordered[np.minimum((share * seen).astype(np.intp), np.maximum(seen - 1, 0)), column]
        return np.nan_to_num(found)

    center = quantile(0.5)
    scale = np.maximum((quantile(0.75) - quantile(0.25)) / 1.349, (quantile(0.95) - quantile(0.05)) / 3.29)
    deviation = np.sqrt(np.nansum((x - center) ** 2, axis=0) / np.maximum(seen, 1))
    scale = np.where(scale > 1e-3 * deviation, scale, deviation)
    return center, np.where(scale > 0, scale, np.maximum(1e-3 * np.abs(center), 1e-6))
