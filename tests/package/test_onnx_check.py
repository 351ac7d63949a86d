"""The ONNX walk: passes what our exporters write, agrees with onnx itself, refuses what reaches outside or blows up."""

import numpy as np
import onnx
import pytest
from builders.releases import logistic
from onnx import TensorProto, helper, numpy_helper

from presage.package.onnx_check import NODE_LIMIT, check_onnx


def content(model: onnx.ModelProto) -> bytes:
    return model.SerializeToString()


def graph_of(*nodes: onnx.NodeProto, constants: tuple[onnx.TensorProto, ...] = (), **more) -> onnx.ModelProto:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in ("x", "score")]
    return helper.make_model(helper.make_graph(list(nodes), "g", ends[:1], ends[1:], list(constants)), **more)


IDENTITY = helper.make_node("Identity", ["x"], ["score"])


def test_it_reads_what_the_file_says_of_itself():
    summary = check_onnx(content(logistic(5)))
    assert (summary.inputs, summary.outputs, summary.nodes) == ({"x": (None, 5)}, {"score": (None,)}, 5)
    assert summary.domains == {"": 17}


def test_a_forest_passes_quickly():
    trees = 20_000
    numbers = {"nodes_featureids": [1] * trees, "nodes_values": [0.5] * trees, "nodes_modes": ["LEAF"] * trees, "nodes_nodeids": [70_000] * trees}
    forest = helper.make_node("TreeEnsembleRegressor", ["x"], ["score"], domain="ai.onnx.ml", **numbers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    assert check_onnx(content(graph_of(forest, opset_imports=opsets))).operators == {"TreeEnsembleRegressor"}


def test_external_data_is_refused():
    model = logistic(3)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location="weights.bin")
    with pytest.raises(ValueError, match="external data"):
        check_onnx(content(model))


def test_external_data_inside_a_constant_is_refused():
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "hidden")
    onnx.external_data_helper.set_external_data(tensor, location="/etc/passwd")
    with pytest.raises(ValueError, match="external data"):
        check_onnx(content(graph_of(IDENTITY, helper.make_node("Constant", [], ["c"], value=tensor))))


def test_external_data_inside_a_branch_is_refused():
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), "hidden")
    tensor.data_location = TensorProto.EXTERNAL
    branch = helper.make_graph([IDENTITY], "branch", [], [], [tensor])
    with pytest.raises(ValueError, match="external data"):
        check_onnx(content(graph_of(helper.make_node("If", ["x"], ["score"], then_branch=branch, else_branch=branch))))


def test_local_functions_are_refused():
    function = helper.make_function("mine", "f", ["x"], ["y"], [helper.make_node("Identity", ["x"], ["y"])], [helper.make_opsetid("", 17)])
    with pytest.raises(ValueError, match="field 25"):
        check_onnx(content(graph_of(IDENTITY, functions=[function])))


@pytest.mark.parametrize("operator", ["Loop", "Scan"])
def test_unbounded_work_is_refused(operator):
    with pytest.raises(ValueError, match=operator):
        check_onnx(content(graph_of(helper.make_node(operator, ["x"], ["score"]))))


def test_foreign_operators_are_refused():
    with pytest.raises(ValueError, match=r"ai\.onnx\.contrib"):
        check_onnx(content(graph_of(helper.make_node("PyOp", ["x"], ["score"], domain="ai.onnx.contrib"))))


def test_too_many_nodes_are_refused():
    with pytest.raises(ValueError, match="nodes"):
        check_onnx(content(graph_of(*[IDENTITY] * (NODE_LIMIT + 1))))


def test_deep_nesting_is_refused():
    graph = helper.make_graph([IDENTITY], "g", [], [])
    for _ in range(12):
        graph = helper.make_graph([helper.make_node("If", ["x"], ["score"], then_branch=graph)], "g", [], [])
    with pytest.raises(ValueError, match="deeper"):
        check_onnx(content(helper.make_model(graph)))


@pytest.mark.parametrize("dimensions", [[1 << 40], [1 << 31, 1 << 31, 1 << 31], [2**63 - 1]])
def test_a_tensor_larger_than_its_bytes_is_refused(dimensions):
    tensor = TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=dimensions, raw_data=b"\0" * 64)
    with pytest.raises(ValueError, match="elements"):
        check_onnx(content(graph_of(IDENTITY, constants=(tensor,))))


def test_a_tensor_that_brings_other_bytes_than_its_shape_is_refused():
    tensor = TensorProto(name="short", data_type=TensorProto.FLOAT, dims=[4], raw_data=b"\0" * 12)
    with pytest.raises(ValueError, match="brings 12 bytes"):
        check_onnx(content(graph_of(IDENTITY, constants=(tensor,))))


def test_every_cut_is_refused():
    whole = content(logistic(3))
    for end in range(0, len(whole), 7):
        with pytest.raises(ValueError):
            check_onnx(whole[:end])
