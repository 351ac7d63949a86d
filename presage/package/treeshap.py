"""Exact reasons for trees: path-dependent Shapley values, evaluated over arrays.

What a leaf contributes is a product game: with the features S known, its value counts by the product of o_i (1 if the
row satisfies the leaf's interval on feature i, else 0) over S and of z_i (the share of training weight that does) over
the rest. The Shapley value of i in such a game is

    value · (o_i - z_i) · ∫₀¹ ∏_{j≠i} (t·o_j + (1-t)·z_j) dt,

a polynomial in t of degree (distinct features on the path - 1): Gauss-Legendre with half as many nodes is exact. So
no recursion: leaves with equally many distinct features form one block of arrays. What a path asks of a category is a set of
allowed numbers, looked up in a table. The values equal `shap`'s tree_path_dependent and LightGBM's pred_contrib, missing values and
categories included (a test holds them to it).

    explainer = TreeExplainer(trees)
    phi = explainer.contributions(row)        # f64[features]; phi.sum() + explainer.expected = the row's margin
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from presage.package.trees import F32, F64, TreeArrays

Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]

_LEAST_SHARE = 1e-12  # a share of zero would divide by zero; no training row took that way


@dataclass(frozen=True)
class _Block:
    """All leaves with d distinct features on their path; shapes [d, leaves], and [nodes, d, leaves] for the tables.

    A row satisfies a feature of a leaf when low < x <= high, or when x is missing and `missing` allows it. For each
    quadrature node the factor t·o + (1-t)·z is looked up, not computed: `hit` for o = 1, `miss` for o = 0, and
    (o - z) / factor likewise: `hit_ratio` [nodes, d, leaves]; for o = 0 it is -1/(1-t), `miss_ratio` [nodes].
    `weighted`: leaf value × quadrature weight, [nodes, leaves]. `asking`: flat places [d * leaves] that ask of a category,
    `sets` which set each of them means, `allowed` [sets, categories + 1] which numbers a set allows; the column after a category's last
    stands for everything else.
    """

    feature: Indices
    low: F64
    high: F64
    missing: Bools
    hit: F64
    miss: F64
    hit_ratio: F64
    miss_ratio: F64
    weighted: F64
    asking: Indices
    sets: Indices
    allowed: Bools


class TreeExplainer:
    """Shapley values of single rows over one `TreeArrays`; built once, about 0.1 s for 150 trees of 31 leaves."""

    def __init__(self, trees: TreeArrays) -> None:
        self.trees = trees
        self._categories = _category_counts(trees)
        leaves = _leaves(trees, dict(enumerate(self._categories.tolist())))
        self.expected = trees.base + sum(value * float(np.prod([path.share for path in paths.values()])) for value, paths in leaves)
        by_depth: dict[int, list[tuple[float, _Paths]]] = {}
        for value, paths in leaves:
            if paths:
                by_depth.setdefault(len(paths), []).append((value, paths))
        columns = int(self._categories.max(initial=0)) + 1
        self._blocks = [_block(depth, members, columns) for depth, members in sorted(by_depth.items())]

    def contributions(self, row: F32) -> F64:
        """row: f32[features], NaN = missing → f64[features], in the margin's unit."""
        x = self.trees.filled(row)
        total = np.zeros(len(x))
        absent = np.isnan(x)
        any_absent = bool(absent.any())
        category = self._category(x)
        for block in self._blocks:
            value = x[block.feature]
            satisfied = (value > block.low) & (value <= block.high)
            if any_absent:
                satisfied |= absent[block.feature] & block.missing
            if len(block.asking):
                satisfied.reshape(-1)[block.asking] = block.allowed[block.sets, category[block.feature.reshape(-1)[block.asking]]]
            factor = np.where(satisfied, block.hit, block.miss)
            product = np.multiply.reduce(factor, axis=1)
            product *= block.weighted
            ratio = np.where(satisfied, block.hit_ratio, block.miss_ratio[:, None, None])
            ratio *= product[:, None, :]
            total += np.bincount(block.feature.ravel(), weights=ratio.sum(axis=0).ravel(), minlength=len(x))
        return total

    def _category(self, x: F64) -> Indices:
        """Each value as a column of the tables: its whole part where that is a known category, else the column after the last."""
        if not self._categories.any():
            return np.zeros(0, np.intp)
        count = np.zeros(len(x), np.intp)
        count[: len(self._categories)] = self._categories
        known = (x > -1) & (x < count)
        return np.where(known, np.where(known, x, 0).astype(np.intp), count)


class _Path(NamedTuple):
    """What a path asks of one feature. allowed: bit c = category c may pass (the bit after the last: everything else); -1 for a number."""

    low: float
    high: float
    missing: bool
    share: float
    allowed: int = -1


_Paths = dict[int, _Path]
_ANYTHING = _Path(-np.inf, np.inf, True, 1.0)


def _category_counts(trees: TreeArrays) -> Indices:
    """How many categories each feature's sets know, 0 for a number."""
    counts = np.zeros(trees.features, np.intp)
    if trees.set_start is not None and trees.set_bytes is not None:
        chosen = trees.set_start >= 0
        np.maximum.at(counts, trees.feature[chosen], 8 * trees.set_bytes[chosen])
    return counts


def _leaves(trees: TreeArrays, categories: dict[int, int]) -> list[tuple[float, _Paths]]:
    """Every leaf with its path merged to one interval, or one set, a feature."""
    found: list[tuple[float, _Paths]] = []
    for root in trees.root.tolist():
        open_nodes: list[tuple[int, _Paths]] = [(root, {})]
        while open_nodes:
            node, paths = open_nodes.pop()
            feature = int(trees.feature[node])
            if feature < 0:
                found.append((float(trees.value[node]), paths))
                continue
            left, right = int(trees.left[node]), int(trees.right[node])
            shares = [max(float(trees.cover[child] / trees.cover[node]), _LEAST_SHARE) for child in (left, right)]
            sides = _split(trees, node, paths.get(feature, _ANYTHING), categories[feature])
            for child, side, share in zip((left, right), sides, shares, strict=True):
                open_nodes.append((child, {**paths, feature: side._replace(share=side.share * share)}))
    return found


def _split(trees: TreeArrays, node: int, before: _Path, categories: int) -> tuple[_Path, _Path]:
    """What the path asks of the node's feature on its left and on its right."""
    if (held := trees.categories(node)) is not None:
        bits = sum(1 << category for category in held)
        every = (1 << (categories + 1)) - 1
        allowed = every if before.allowed < 0 else before.allowed
        nothing = before._replace(low=np.inf, high=-np.inf, missing=False)
        return nothing._replace(allowed=allowed & bits), nothing._replace(allowed=allowed & ~bits)
    threshold, missing_left = float(trees.threshold[node]), bool(trees.missing_left[node])
    return (
        before._replace(high=min(before.high, threshold), missing=before.missing and missing_left),
        before._replace(low=max(before.low, threshold), missing=before.missing and not missing_left),
    )


def _tables(members: list[tuple[float, _Paths]], columns: int) -> tuple[Indices, Indices, Bools]:
    """Which places of a block [d, leaves] ask of a category, which set each means, and the sets, each once: [sets, columns]."""
    known: dict[int, int] = {}
    allowed = np.array([[path.allowed for path in paths.values()] for _, paths in members], object).T.reshape(-1)
    asking = [place for place, bits in enumerate(allowed) if bits >= 0]
    sets = [known.setdefault(allowed[place], len(known)) for place in asking]
    table = np.zeros((len(known), columns), bool)
    for bits, place in known.items():
        table[place, [column for column in range(bits.bit_length()) if bits >> column & 1]] = True
    return np.array(asking, np.intp), np.array(sets, np.intp), table


def _block(depth: int, members: list[tuple[float, _Paths]], columns: int) -> _Block:
    nodes, weights = np.polynomial.legendre.leggauss((depth + 1) // 2)
    t, weight = (nodes + 1) / 2, weights / 2
    feature = np.array([list(paths) for _, paths in members], dtype=np.intp).T
    low, high, missing, share = (np.array([[path[part] for path in paths.values()] for _, paths in members]).T for part in range(4))
    asking, sets, allowed = _tables(members, columns)
    hit = share + t[:, None, None] * (1 - share)
    return _Block(
        feature=np.ascontiguousarray(feature),
        low=np.ascontiguousarray(low, dtype=np.float64),
        high=np.ascontiguousarray(high, dtype=np.float64),
        missing=np.ascontiguousarray(missing, dtype=np.bool_),
        hit=np.ascontiguousarray(hit),
        miss=np.ascontiguousarray((1 - t)[:, None, None] * share),
        hit_ratio=np.ascontiguousarray((1 - share) / hit),
        miss_ratio=-1 / (1 - t),
        weighted=weight[:, None] * np.array([value for value, _ in members]),
        asking=asking,
        sets=sets,
        allowed=allowed,
    )
