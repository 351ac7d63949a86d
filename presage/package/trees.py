"""Decision trees as plain arrays: what a forest or a boosted model is, without the library that grew it.

A node sends a row left when `x[feature] <= threshold`; a missing value goes where `missing_left` says. All trees lie
one after the other in the same arrays and their leaves add up: the margin of a row is `base` plus the value of one leaf
a tree. `link` says what a margin is: `logit` (log-odds) or `identity` (already a probability).

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
_FORMAT = "presage.trees/v1"


@dataclass(frozen=True)
class TreeArrays:
    """root i32[trees]: each tree's first node. Per node: feature i32 (-1 = leaf), threshold f64, left, right i32,
    missing_left u8, value f64 (leaves only, scaled so that trees add up), cover f64 (training weight that reached it).
    impute f32[features], optional: put in place of missing values before anything else."""

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

    @property
    def features(self) -> int:
        """Width of the narrowest row that these trees can read."""
        return int(self.feature.max(initial=-1)) + 1

    def filled(self, x: npt.NDArray[np.floating]) -> F64:
        """`x` in float64, missing values imputed where the model does so."""
        rows = x.astype(np.float64)
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
            node = np.where(feature < 0, node, np.where(goes_left, self.left[node], self.right[node]))

    def save(self, path: Path) -> None:
        """Write the safetensors form, whole or not at all."""
        arrays = {name: np.asarray(getattr(self, name), dtype=dtype) for name, dtype in _DTYPES.items()}
        if self.impute is not None:
            arrays["impute"] = np.asarray(self.impute, dtype=np.float32)
        write_bytes(path, arrays_to_bytes(arrays, {"format": _FORMAT, "base": repr(float(self.base)), "link": self.link}))

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
        if metadata.get("format") != _FORMAT or link not in get_args(Link) or not np.isfinite(base):
            raise ArtifactRefused("format", f"trees.safetensors says format {metadata.get('format')!r}, link {link!r}; known: {_FORMAT}, logit or identity.")
        for name, dtype in _DTYPES.items():
            if name not in arrays or arrays[name].dtype != dtype or arrays[name].ndim != 1:
                raise ArtifactRefused("format", f"trees.safetensors: {name} is missing or no {np.dtype(dtype).name} vector. Package the model again.")
        trees = cls(**{name: arrays[name] for name in _DTYPES}, base=base, link=cast(Link, link), impute=arrays.get("impute"))
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
        ):
            raise ArtifactRefused("format", "trees.safetensors: an index, threshold, value or cover is out of range. Package the model again.")
