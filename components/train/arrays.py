"""Trees of a library as plain arrays (presage.package.trees), read from its own public description of them.

A model that reads some of the inputs only is written over all of them: `columns` maps its feature numbers.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from presage.package.trees import TreeArrays

Columns = npt.NDArray[np.intp]


def from_lightgbm(booster: Any, rounds: int, columns: Columns) -> TreeArrays:
    """A binary LightGBM booster's first `rounds` trees. The average it boosts from lies in its first tree's leaves, so base is 0.

    A node that saw no missing value in training reads one as 0.0; the others send it where training found best. Categories keep their
    sets; inputs whose zeros were told to be missing keep that.
    """
    nodes = _Nodes()
    roots = [nodes.grow_lightgbm(tree["tree_structure"], columns) for tree in booster.dump_model(num_iteration=rounds)["tree_info"]]
    return nodes.arrays(roots, base=0.0, link="logit")


def from_forest(forest: Any, columns: Columns, impute: npt.NDArray[np.float32] | None) -> TreeArrays:
    """A binary scikit-learn forest: each leaf's share of incidents over the number of trees. impute: f32[all inputs], None where the forest
    learnt where to send a missing value."""
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("feature", "threshold", "left", "right", "missing_left", "value", "cover")}
    roots: list[int] = []
    count = 0
    for estimator in forest.estimators_:
        tree = estimator.tree_
        leaf = tree.children_left < 0
        share = tree.value[:, 0, :] / tree.value[:, 0, :].sum(axis=1, keepdims=True)
        roots.append(count)
        parts["feature"].append(np.where(leaf, -1, columns[np.maximum(tree.feature, 0)]))
        parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
        parts["left"].append(np.where(leaf, 0, tree.children_left + count))
        parts["right"].append(np.where(leaf, 0, tree.children_right + count))
        parts["missing_left"].append(np.zeros(len(leaf)) if impute is not None else tree.missing_go_to_left)  # nothing is missing once imputed
        parts["value"].append(np.where(leaf, share[:, 1] / len(forest.estimators_), 0.0))
        parts["cover"].append(tree.weighted_n_node_samples)
        count += len(leaf)
    whole = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    return TreeArrays(
        root=np.array(roots, np.int32), feature=whole["feature"].astype(np.int32), threshold=whole["threshold"].astype(np.float64),
        left=whole["left"].astype(np.int32), right=whole["right"].astype(np.int32), missing_left=whole["missing_left"].astype(np.uint8),
        value=whole["value"].astype(np.float64), cover=whole["cover"].astype(np.float64), link="identity", impute=impute,
    )  # fmt: skip


class _Nodes:
    """Nodes in the order they are met, every child after its parent."""

    def __init__(self) -> None:
        self.rows: list[list[float]] = []  # feature, threshold, left, right, missing_left, value, cover
        self.sets: dict[int, bytes] = {}  # node → its categories as bits
        self.zero_missing: set[int] = set()

    def grow_lightgbm(self, node: dict[str, Any], columns: Columns) -> int:
        place = len(self.rows)
        if "split_feature" not in node:
            self.rows.append([-1, 0.0, 0, 0, 0, float(node["leaf_value"]), float(max(node.get("leaf_count", 1), 1))])
            return place
        feature = int(columns[node["split_feature"]])
        if node["decision_type"] == "==":
            threshold, missing_left = 0.0, False
            self.sets[place] = _bits([int(category) for category in str(node["threshold"]).split("||")])
        else:
            threshold = float(node["threshold"])
            missing_left = node["default_left"] if node["missing_type"] in ("NaN", "Zero") else threshold >= 0.0
            if node["missing_type"] == "Zero":
                self.zero_missing.add(feature)
        self.rows.append([feature, threshold, 0, 0, int(missing_left), 0.0, float(node["internal_count"])])
        left = self.grow_lightgbm(node["left_child"], columns)
        right = self.grow_lightgbm(node["right_child"], columns)
        self.rows[place][2:4] = [left, right]
        return place

    def arrays(self, roots: list[int], base: float, link: Any) -> TreeArrays:
        feature, threshold, left, right, missing_left, value, cover = np.array(self.rows, np.float64).T
        trees = TreeArrays(
            root=np.array(roots, np.int32), feature=feature.astype(np.int32), threshold=threshold, left=left.astype(np.int32), right=right.astype(np.int32),
            missing_left=missing_left.astype(np.uint8), value=value, cover=cover, base=base, link=link,
        )  # fmt: skip
        if self.zero_missing:
            trees = replace(trees, zero_missing=np.isin(np.arange(trees.features), sorted(self.zero_missing)).astype(np.uint8))
        return self._with_sets(trees) if self.sets else trees

    def _with_sets(self, trees: TreeArrays) -> TreeArrays:
        """Each set once in `members`, however many nodes have it."""
        start, size = np.full(len(trees.feature), -1, np.int32), np.zeros(len(trees.feature), np.int32)
        members, known = bytearray(), dict[bytes, int]()
        for node, bits in self.sets.items():
            if bits not in known:
                known[bits] = len(members)
                members += bits
            start[node], size[node] = known[bits], len(bits)
        return replace(trees, set_start=start, set_bytes=size, members=np.frombuffer(bytes(members), np.uint8))


def _bits(categories: list[int]) -> bytes:
    """Bit c, lowest first, for each category c."""
    bits = np.zeros(8 * (max(categories) // 8 + 1), np.uint8)
    bits[categories] = 1
    return np.packbits(bits, bitorder="little").tobytes()
