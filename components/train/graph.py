"""ONNX graphs of the feature-row families, written from their arrays: x FP32 [batch, inputs] → score FP32 [batch].

Trees are written from the same arrays that explain them, so that graph, reasons and library make the same decision at
every node: a threshold is rounded down to float32, which changes no comparison with a float32 value.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from presage.package.trees import TreeArrays

OPSET, ML_OPSET, IR_VERSION = 21, 3, 10
F32 = npt.NDArray[np.float32]


def tree_graph(trees: TreeArrays, inputs: int) -> bytes:
    """A TreeEnsembleRegressor over `inputs` columns; the logit link ends in a sigmoid, the identity in a clip to [0, 1]."""
    from onnx import helper

    leaf = trees.feature < 0
    tree = np.searchsorted(trees.root, np.arange(len(leaf)), side="right") - 1  # each tree's nodes lie together, after its root
    local = np.arange(len(leaf)) - trees.root[tree]
    inner_left, inner_right = (np.where(leaf, 0, child - trees.root[tree]) for child in (trees.left, trees.right))
    nodes = []
    source = "x"
    if trees.impute is not None:
        nodes += _imputed("x", "known", trees.impute[:inputs])
        source = "known"
    nodes.append(helper.make_node(
        "TreeEnsembleRegressor", [source], ["margins"], domain="ai.onnx.ml",
        n_targets=1, base_values=[trees.base], aggregate_function="SUM", post_transform="NONE",
        nodes_treeids=tree.tolist(), nodes_nodeids=local.tolist(), nodes_featureids=np.where(leaf, 0, trees.feature).tolist(),
        nodes_values=_rounded_down(np.where(leaf, 0.0, trees.threshold)).tolist(), nodes_modes=np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        nodes_truenodeids=inner_left.tolist(), nodes_falsenodeids=inner_right.tolist(),
        nodes_missing_value_tracks_true=np.where(leaf, 0, trees.missing_left).tolist(),
        target_treeids=tree[leaf].tolist(), target_nodeids=local[leaf].tolist(), target_ids=[0] * int(leaf.sum()), target_weights=trees.value[leaf].tolist(),
    ))  # fmt: skip
    if trees.link == "logit":
        nodes.append(helper.make_node("Sigmoid", ["margins"], ["risks"]))
    else:
        nodes += [_constant("zero", np.float32(0)), _constant("one", np.float32(1)), helper.make_node("Clip", ["margins", "zero", "one"], ["risks"])]
    return _model(nodes, inputs)


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
    nearest = thresholds.astype(np.float32)
    return np.where(nearest.astype(np.float64) > thresholds, np.nextafter(nearest, np.float32(-np.inf)), nearest)
