"""ONNX graphs of the feature-row families, written from their arrays: x FP32 [batch, inputs] → score FP32 [batch].

Trees are written from the same arrays that explain them, so that graph, reasons and library make the same decision at
every node: a threshold is rounded down to float32, which changes no comparison with a float32 value.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from presage.package.trees import ZERO, TreeArrays

OPSET, ML_OPSET, IR_VERSION = 21, 3, 10
F32 = npt.NDArray[np.float32]


def tree_graph(trees: TreeArrays, inputs: int) -> bytes:
    """A TreeEnsembleRegressor over `inputs` columns; the logit link ends in a sigmoid, the identity in a clip to [0, 1]."""
    from onnx import helper

    nodes: list[Any] = []
    source = "x"
    if trees.zero_missing is not None:
        nodes += _zeros_missing(source, "gapped", _columns(trees.zero_missing == 1, inputs))
        source = "gapped"
    if trees.impute is not None:
        nodes += _imputed(source, "known", trees.impute[:inputs])
        source = "known"
    if trees.set_start is not None:
        nodes += _whole(source, "whole", _columns(np.isin(np.arange(trees.features), trees.feature[trees.set_start >= 0]), inputs))
        source = "whole"
    leaf = trees.feature < 0
    tree = np.searchsorted(trees.root, np.arange(len(leaf)), side="right") - 1  # each tree's nodes lie together, after its root
    local = np.arange(len(leaf)) - trees.root[tree]
    branches = _branches(trees, tree, local)
    nodes.append(helper.make_node(
        "TreeEnsembleRegressor", [source], ["margins"], domain="ai.onnx.ml",
        n_targets=1, base_values=[trees.base], aggregate_function="SUM", post_transform="NONE",
        target_treeids=tree[leaf].tolist(), target_nodeids=local[leaf].tolist(), target_ids=[0] * int(leaf.sum()), target_weights=trees.value[leaf].tolist(),
        **branches,
    ))  # fmt: skip
    if trees.link == "logit":
        nodes.append(helper.make_node("Sigmoid", ["margins"], ["risks"]))
    else:
        nodes += [_constant("zero", np.float32(0)), _constant("one", np.float32(1)), helper.make_node("Clip", ["margins", "zero", "one"], ["risks"])]
    return _model(nodes, inputs)


def _branches(trees: TreeArrays, tree: npt.NDArray[np.intp], local: npt.NDArray[np.intp]) -> dict[str, list[Any]]:
    """The nodes' attributes. A set is a chain of nodes that each ask for one category, all of whose yes-branches are the same child: what
    converters of LightGBM write, and what ONNX Runtime folds into one look-up again."""
    leaf = trees.feature < 0
    left, right = (np.where(leaf, 0, child - trees.root[tree]) for child in (trees.left, trees.right))
    attributes: dict[str, list[Any]] = {
        "nodes_treeids": tree.tolist(), "nodes_nodeids": local.tolist(), "nodes_featureids": np.where(leaf, 0, trees.feature).tolist(),
        "nodes_values": _rounded_down(np.where(leaf, 0.0, trees.threshold)).tolist(), "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_truenodeids": left.tolist(), "nodes_falsenodeids": right.tolist(),
        "nodes_missing_value_tracks_true": np.where(leaf, 0, trees.missing_left).tolist(),
    }  # fmt: skip
    free = np.bincount(tree).tolist()  # the next node id of each tree
    for node in [] if trees.set_start is None else np.flatnonzero(trees.set_start >= 0).tolist():
        first, *others = trees.categories(node) or []
        owner, feature, no = int(tree[node]), int(trees.feature[node]), attributes["nodes_falsenodeids"][node]
        attributes["nodes_values"][node], attributes["nodes_modes"][node] = float(first), "BRANCH_EQ"
        last = node
        for category in others:
            attributes["nodes_falsenodeids"][last] = free[owner]
            yes = attributes["nodes_truenodeids"][node]
            row = (owner, free[owner], feature, float(category), "BRANCH_EQ", yes, no, 0)
            for values, value in zip(attributes.values(), row, strict=True):
                values.append(value)
            last = len(attributes["nodes_treeids"]) - 1
            free[owner] += 1
    order = np.argsort(attributes["nodes_treeids"], kind="stable").tolist()  # the runtime takes a tree's first node for its root
    return {name: [values[place] for place in order] for name, values in attributes.items()}


def _columns(chosen: npt.NDArray[np.bool_], inputs: int) -> npt.NDArray[np.bool_]:
    """The same over all inputs."""
    return np.concatenate([chosen, np.zeros(inputs - len(chosen), bool)]) if len(chosen) < inputs else chosen[:inputs]


def _zeros_missing(source: str, target: str, columns: npt.NDArray[np.bool_]) -> list[Any]:
    """Zeros of these columns become NaN."""
    from onnx import helper

    return [
        _constant("zeros.columns", columns), _constant("zeros.limit", ZERO), _constant("zeros.nan", np.float32(np.nan)),
        helper.make_node("Abs", [source], ["zeros.size"]),
        helper.make_node("LessOrEqual", ["zeros.size", "zeros.limit"], ["zeros.small"]),
        helper.make_node("And", ["zeros.small", "zeros.columns"], ["zeros.missing"]),
        helper.make_node("Where", ["zeros.missing", "zeros.nan", source], [target]),
    ]  # fmt: skip


def _whole(source: str, target: str, columns: npt.NDArray[np.bool_]) -> list[Any]:
    """Values of these columns are cut to their whole part, towards zero."""
    from onnx import helper

    return [
        _constant("whole.columns", columns),
        helper.make_node("Abs", [source], ["whole.size"]), helper.make_node("Floor", ["whole.size"], ["whole.floor"]),
        helper.make_node("Sign", [source], ["whole.sign"]), helper.make_node("Mul", ["whole.sign", "whole.floor"], ["whole.part"]),
        helper.make_node("Where", ["whole.columns", "whole.part", source], [target]),
    ]  # fmt: skip


@dataclass(frozen=True)
class Linear:
    """columns int[k]: the inputs read; impute, center, scale, weights f32[k]; standardised values are clipped to ± clip."""

    columns: npt.NDArray[np.intp]
    impute: F32
    center: F32
    scale: F32
    clip: float
    weights: F32
    intercept: float


def linear_graph(model: Linear, inputs: int) -> bytes:
    """Choose, impute, standardise, clip, weigh, add, sigmoid."""
    from onnx import helper

    return _model([
        _constant("columns", model.columns.astype(np.int64)),
        helper.make_node("Gather", ["x", "columns"], ["chosen"], axis=1),
        *_imputed("chosen", "known", model.impute),
        _constant("center", model.center), _constant("scale", model.scale),
        _constant("weights", model.weights.reshape(-1, 1)), _constant("intercept", np.array([model.intercept], np.float32)),
        _constant("low", np.float32(-model.clip)), _constant("high", np.float32(model.clip)),
        helper.make_node("Sub", ["known", "center"], ["centered"]),
        helper.make_node("Div", ["centered", "scale"], ["standard"]),
        helper.make_node("Clip", ["standard", "low", "high"], ["clipped"]),
        helper.make_node("Gemm", ["clipped", "weights", "intercept"], ["margins"]),
        helper.make_node("Sigmoid", ["margins"], ["risks"]),
    ], inputs)  # fmt: skip


def _imputed(source: str, target: str, impute: F32) -> list[Any]:
    from onnx import helper

    return [
        _constant("impute", impute),
        helper.make_node("IsNaN", [source], ["missing"]),
        helper.make_node("Where", ["missing", "impute", source], [target]),
    ]


def _constant(name: str, value: Any) -> Any:
    from onnx import helper, numpy_helper

    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value), name))


def _model(nodes: list[Any], inputs: int) -> bytes:
    """Wrap nodes that end in `risks` [batch, 1] as the packaged graph."""
    from onnx import TensorProto, checker, helper

    whole = [*nodes, _constant("flat", np.array([-1], np.int64)), helper.make_node("Reshape", ["risks", "flat"], ["score"])]
    graph = helper.make_graph(
        whole, "presage",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", inputs])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"])],
    )  # fmt: skip
    model = helper.make_model(graph, ir_version=IR_VERSION, producer_name="presage",
                              opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)])
    checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def _rounded_down(thresholds: npt.NDArray[np.float64]) -> F32:
    """The largest float32 not above each threshold: x ≤ it if and only if x ≤ the threshold, for every float32 x."""
    with np.errstate(over="ignore"):  # beyond float32 there is infinity, and the largest float32 below it
        nearest = thresholds.astype(np.float32)
    return np.where(nearest.astype(np.float64) > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
