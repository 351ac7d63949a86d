"""How far a row lies from the data that a model was trained on: a few arrays, and a few multiplications a row.

Values are standardised robustly and compressed (asinh), so that one heavy tail does not hide everything else. What is left is
described by its leading directions and by what each input has beside them. Both are small for rows like the training's: a value that
does not go with the others (a mean above its own maximum) is far although it lies well within its range. Missing values are filled
with what the others imply and do not count themselves; how much is missing that training rarely lacked counts instead.

    envelope = Envelope.load(content)         # the verified bytes of envelope.safetensors
    envelope.distances(x)                     # f64[rows]; 1 = one held-out row in a thousand lies farther
"""

import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from presage.arrays import arrays_to_bytes
from presage.errors import ArtifactRefused

F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
_FILLS = 2  # times that missing values are filled from the others; more changes little
_CHUNK = 1024
DECIMALS = 4
"""Of a distance. How many rows are measured at once moves its sixteenth digit, and two doors must say the same."""
_SHIFT = 10.0**DECIMALS


@dataclass(frozen=True)
class Envelope:
    """center, scale, mean f64[inputs]: a value v becomes asinh((v - center) / scale) - mean. basis f64[inputs, k]: orthonormal directions;
    along f64[k] and beside f64[inputs]: what is usual along each direction and in each input beside them. lacked f64[inputs]: how often
    training lacked each input. limits f64[2]: of the values' part and of the missing part, what one held-out row in a thousand exceeds."""

    center: F64
    scale: F64
    mean: F64
    basis: F64
    along: F64
    beside: F64
    lacked: F64
    limits: F64

    @property
    def inputs(self) -> int:
        return len(self.center)

    def distances(self, x: F32) -> F64:
        """x: f32[rows, inputs], or f32[rows, ticks, inputs] (each tick is measured), NaN = missing → f64[rows], finite."""
        if x.ndim == 2 and len(x) == 1 and (distance := self._of_one(x[0])) is not None:
            return np.array([distance])
        if len(x) <= _CHUNK:
            return self._distances(x)
        return np.concatenate([self._distances(x[start : start + _CHUNK]) for start in range(0, len(x), _CHUNK)])

    def _distances(self, x: F32) -> F64:
        values, missing = self.parts(x)
        distances: F64 = values / self.limits[0]
        if missing is not None:
            distances = np.maximum(distances, missing / self.limits[1])
        distances *= _SHIFT
        np.rint(distances, out=distances)
        distances /= _SHIFT  # what np.round does, without its wrapping
        return distances

    def parts(self, x: F32) -> tuple[F64, F64 | None]:
        """Both parts before they are set against their limits, f64[rows]; the second is None where nothing is missing."""
        if x.ndim == 2:
            squares, lacking = self._measure(x)
            return np.sqrt(squares), lacking
        rows, ticks = x.shape[:2]
        squares, lacking = self._measure(x.reshape(rows * ticks, x.shape[2]))
        return np.sqrt(squares.reshape(rows, ticks).mean(axis=1)), None if lacking is None else lacking.reshape(rows, ticks).mean(axis=1)

    def _measure(self, x: F32) -> tuple[F64, F64 | None]:
        """Mean square of what is unusual, and the share of inputs that are missing though training had them; f64[rows]."""
        z = x - self.center
        z *= self._per_scale
        np.arcsinh(z, out=z)
        z -= self.mean
        lacking: F64 | None = None
        seen: F64 | int = self.inputs
        missing = np.isnan(z)
        if some := bool(missing.any()):
            z[missing] = 0.0
            for _ in range(_FILLS):
                np.copyto(z, (z @ self.basis) @ self.basis.T, where=missing)
            lacking = missing @ (1.0 - self.lacked) / self.inputs
            seen = np.maximum(self.inputs - missing.sum(axis=1), 1)
        directions = z @ self.basis
        z -= directions @ self.basis.T
        z *= self._per_beside
        if some:
            z[missing] = 0.0
        directions *= self._per_along
        squares: F64 = np.vecdot(z, z) / seen
        squares += np.vecdot(directions, directions) / len(self.along)
        return squares, lacking

    def _of_one(self, x: F32) -> float | None:
        """x: f32[inputs]. One row with nothing missing is the usual case, in half the time; None where something is."""
        z = x - self.center
        z *= self._per_scale
        np.arcsinh(z, out=z)
        z -= self.mean
        if math.isnan(z @ z):
            return None
        directions = z @ self.basis
        z -= self.basis @ directions
        z *= self._per_beside
        directions *= self._per_along
        square = float(z @ z) / self.inputs + float(directions @ directions) / len(self.along)
        if not math.isfinite(square / self._limit * _SHIFT):
            return None
        return round(math.sqrt(square) / self._limit * _SHIFT) / _SHIFT

    @cached_property
    def _limit(self) -> float:
        return float(self.limits[0])

    @cached_property
    def _per_scale(self) -> F64:
        return 1.0 / self.scale

    @cached_property
    def _per_along(self) -> F64:
        return 1.0 / self.along

    @cached_property
    def _per_beside(self) -> F64:
        return 1.0 / self.beside

    def to_bytes(self) -> bytes:
        """The same arrays give the same bytes."""
        return arrays_to_bytes({part.name: getattr(self, part.name) for part in fields(self)}, {"format": _FORMAT})

    @classmethod
    def load(cls, content: bytes) -> "Envelope":
        """Read and check. Raises ArtifactRefused."""
        try:
            arrays = load(content)
            envelope = cls(**arrays)
        except Exception as error:  # the parser's own errors are many, what they mean is one
            raise ArtifactRefused("format", "envelope.safetensors cannot be read as an envelope. Package the model again.") from error
        if not envelope._fits():
            raise ArtifactRefused("format", "envelope.safetensors: a shape, scale or limit is out of range. Package the model again.")
        return envelope

    def _fits(self) -> bool:
        width = self.center.shape
        if not all(array.dtype == np.float64 and np.isfinite(array).all() for array in (getattr(self, part.name) for part in fields(self))):
            return False
        return (
            len(width) == 1
            and all(array.shape == width for array in (self.scale, self.mean, self.beside, self.lacked))
            and self.basis.ndim == 2
            and self.basis.shape == (width[0], len(self.along))
            and self.along.ndim == 1
            and len(self.along) > 0
            and self.limits.shape == (2,)
            and all(bool((array > 0).all()) for array in (self.scale, self.along, self.beside, self.limits))
            and bool(((self.lacked >= 0) & (self.lacked <= 1)).all())
        )


_FORMAT = "presage.envelope/v1"
