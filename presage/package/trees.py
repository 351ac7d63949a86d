"""Decision trees as plain arrays: what a forest or a boosted model is, without the library that grew it.

A node sends a row left when `x[feature] <= threshold`; a missing value goes where `missing_left` says. A node over a category (a
whole number, written as a float) sends a row left when its set holds the number, and everything else right: other numbers, negative
ones, missing values. All trees lie one after the other in the same arrays and their leaves add up: the margin of a row is `base` plus
the value of one leaf a tree. `link` says what a margin is: `logit` (log-odds) or `identity` (already a probability).

    trees = TreeArrays.load(content)          # the verified bytes of trees.safetensors
    trees.margin(x)                           # f64[rows]
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from presage.arrays import arrays_to_bytes
from presage.errors import ArtifactRefused
from presage.files import write_bytes

Link = Literal["logit", "identity"]
F64 = npt.NDArray[np.float64]
F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
U8 = npt.NDArray[np.uint8]

_DTYPES: dict[str, type[np.generic]] = {
    "root": np.int32, "feature": np.int32, "threshold": np.float64, "left": np.int32, "right": np.int32,
    "missing_left": np.uint8, "value": np.float64, "cover": np.float64,
}  # fmt: skip
_SETS: dict[str, type[np.generic]] = {"set_start": np.int32, "set_bytes": np.int32, "members": np.uint8}
_FORMAT, _FORMAT_2 = "presage.trees/v1", "presage.trees/v2"
"""The second where there are sets or zeros that are missing: a reader of the first would not see them."""
ZERO = np.float32(1e-35)
"""LightGBM's: what lies no farther from zero is zero."""
_MOST_SET_BYTES = 1 << 13


@dataclass(frozen=True)
class TreeArrays:
    """root i32[trees]: each tree's first node. Per node: feature i32 (-1 = leaf), threshold f64, left, right i32,
    missing_left u8, value f64 (leaves only, scaled so that trees add up), cover f64 (training weight that reached it).
    impute f32[features], optional: put in place of missing values before anything else. zero_missing u8[features], optional: inputs
    whose zeros are missing values. set_start, set_bytes i32[nodes], optional: where a node's set lies in `members` u8 (bit c of it, lowest
    first: category c goes left), -1 where the node compares with its threshold."""

    root: I32
    feature: I32
    threshold: F64
    left: I32
    right: I32
    missing_left: U8
    value: F64
    cover: F64
    base: float = 0.0
    link: Link = "logit"
    impute: F32 | None = None
    zero_missing: U8 | None = None
    set_start: I32 | None = None
    set_bytes: I32 | None = None
    members: U8 | None = None

    @property
    def features(self) -> int:
        """Width of the narrowest row that these trees can read."""
        return int(self.feature.max(initial=-1)) + 1

    def filled(self, x: npt.NDArray[np.floating]) -> F64:
        """`x` in float64, zeros missing and missing values imputed where the model has it so."""
        rows = x.astype(np.float64)
        if self.zero_missing is not None:
            width = len(self.zero_missing)
            leading = rows[..., :width]
            leading[(np.abs(leading) <= ZERO) & (self.zero_missing == 1)] = np.nan
        if self.impute is not None:
            rows = np.where(np.isnan(rows), self.impute.astype(np.float64), rows)
        return rows

    def margin(self, x: npt.NDArray[np.floating]) -> F64:
        """x: f32[rows, features], NaN = missing → base + sum of leaf values, f64[rows]."""
        rows = self.filled(x)
        row = np.arange(len(rows))[:, None]
        node = np.broadcast_to(self.root, (len(rows), len(self.root))).copy()
        while True:
            feature = self.feature[node]
            if np.all(feature < 0):
                margin: F64 = self.base + self.value[node].sum(axis=1)
                return margin
            value = rows[row, np.maximum(feature, 0)]
            goes_left = np.where(np.isnan(value), self.missing_left[node] == 1, value <= self.threshold[node])
            if self.set_start is not None:
                goes_left = np.where(self.set_start[node] >= 0, self._holds(node, value), goes_left)
            node = np.where(feature < 0, node, np.where(goes_left, self.left[node], self.right[node]))

    def _holds(self, node: npt.NDArray[np.intp] | I32, value: F64) -> npt.NDArray[np.bool_]:
        """Whether each node's set holds the value's whole part; False at nodes without a set."""
        assert self.set_start is not None and self.set_bytes is not None and self.members is not None
        bits = 8 * np.where(self.set_start[node] >= 0, self.set_bytes[node], 0)
        inside = (value > -1) & (value < bits)  # -0.5 is 0, as in C
        category = np.where(inside, value, 0).astype(np.int64)
        place = np.where(inside, self.set_start[node] + (category >> 3), 0)
        held: npt.NDArray[np.bool_] = inside & ((self.members[place] >> (category & 7)) & 1 == 1)
        return held

    def categories(self, node: int) -> list[int] | None:
        """Those that a node sends left, ascending; None where it compares with its threshold."""
        if self.set_start is None or self.set_bytes is None or self.members is None or self.set_start[node] < 0:
            return None
        start = int(self.set_start[node])
        found: list[int] = np.flatnonzero(np.unpackbits(self.members[start : start + int(self.set_bytes[node])], bitorder="little")).tolist()
        return found

    def to_bytes(self) -> bytes:
        """The safetensors form; the same arrays give the same bytes."""
        arrays = {name: np.asarray(getattr(self, name), dtype=dtype) for name, dtype in _DTYPES.items()}
        if self.impute is not None:
            arrays["impute"] = np.asarray(self.impute, dtype=np.float32)
        if self.zero_missing is not None:
            arrays["zero_missing"] = np.asarray(self.zero_missing, dtype=np.uint8)
        if self.set_start is not None:
            arrays |= {name: np.asarray(getattr(self, name), dtype=dtype) for name, dtype in _SETS.items()}
        format = _FORMAT if self.zero_missing is None and self.set_start is None else _FORMAT_2
        return arrays_to_bytes(arrays, {"format": format, "base": repr(float(self.base)), "link": self.link})

    def save(self, path: Path) -> None:
        """Write them, whole or not at all."""
        write_bytes(path, self.to_bytes())

    @classmethod
    def load(cls, content: bytes) -> "TreeArrays":
        """Read and check: every index in range, every child after its parent (so no walk can loop). Raises ArtifactRefused."""
        try:
            header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            metadata = header.get("__metadata__", {})
            arrays = load(content)
            base, link = float(metadata["base"]), metadata["link"]
        except Exception as error:  # the parser's own errors are many, what they mean is one
            raise ArtifactRefused("format", "trees.safetensors cannot be read as trees. Package the model again.") from error
        if metadata.get("format") not in (_FORMAT, _FORMAT_2) or link not in get_args(Link) or not np.isfinite(base):
            known = f"{_FORMAT} and {_FORMAT_2}"
            raise ArtifactRefused("format", f"trees.safetensors says format {metadata.get('format')!r}, link {link!r}; known: {known}, logit or identity.")
        sets = {name: dtype for name, dtype in _SETS.items() if name in arrays}
        for name, dtype in (_DTYPES | sets).items():
            if name not in arrays or arrays[name].dtype != dtype or arrays[name].ndim != 1:
                raise ArtifactRefused("format", f"trees.safetensors: {name} is missing or no {np.dtype(dtype).name} vector. Package the model again.")
        optional = {name: arrays[name] for name in ("impute", "zero_missing", *sets) if name in arrays}
        trees = cls(**{name: arrays[name] for name in _DTYPES}, base=base, link=cast(Link, link), **optional)
        trees._check()
        return trees

    def _check(self) -> None:
        nodes = len(self.feature)
        index = np.arange(nodes)
        inner = self.feature >= 0
        children = np.stack([self.left, self.right])[:, inner]
        whole = all(len(getattr(self, name)) == nodes for name in _DTYPES if name != "root")
        if not (
            whole
            and len(self.root)
            and np.all((self.root >= 0) & (self.root < nodes))
            and np.all((children > index[inner]) & (children < nodes))
            and np.isfinite(self.threshold[inner]).all()
            and np.isfinite(self.value[~inner]).all()
            and np.all(self.cover > 0)
            and (self.impute is None or (self.impute.dtype == np.float32 and self.impute.ndim == 1 and len(self.impute) >= self.features))
            and (self.zero_missing is None or (self.zero_missing.dtype == np.uint8 and self.zero_missing.ndim == 1))
            and self._sets_fit(inner)
        ):
            raise ArtifactRefused("format", "trees.safetensors: an index, threshold, value or cover is out of range. Package the model again.")

    def _sets_fit(self, inner: npt.NDArray[np.bool_]) -> bool:
        """Every set lies in `members`, is not empty and not too large; an input is a category at all of its nodes or at none."""
        if self.set_start is None or self.set_bytes is None or self.members is None:
            return self.set_start is None and self.set_bytes is None and self.members is None
        if not len(self.set_start) == len(self.set_bytes) == len(self.feature):
            return False
        chosen = self.set_start >= 0
        start, size = self.set_start[chosen].astype(np.int64), self.set_bytes[chosen].astype(np.int64)
        if np.any(chosen & ~inner) or np.any((size < 1) | (size > _MOST_SET_BYTES) | (start + size > len(self.members))):
            return False
        categorical = set(self.feature[chosen].tolist())
        if not categorical.isdisjoint(self.feature[inner & ~chosen].tolist()):
            return False
        return all(self.members[first : first + length].any() for first, length in zip(start.tolist(), size.tolist(), strict=True))
