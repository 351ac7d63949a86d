"""An ONNX file's structure, checked before ONNX Runtime parses a byte of it.

Known fields of the right wire type only; no external data, no custom operator domain, no local function, no training
graph, no loop; nodes, tensors, nesting and declared sizes bounded; each tensor's declared shape equal to the bytes it
brings. Neither onnx nor protobuf is needed, so the gate and the server stay small.

Field numbers: onnx.proto of ONNX 1.23 (messages ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto, TypeProto).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from presage.package.protobuf import BYTES, FIXED32, VARINT, Field, fields, packed

DOMAINS = {"", "ai.onnx", "ai.onnx.ml"}
FORBIDDEN_OPERATORS = {"Loop", "Scan"}  # unbounded work; no model of ours needs them
NODE_LIMIT = 20_000
TENSOR_LIMIT = 20_000
GRAPH_DEPTH = 8

_N, _B = {VARINT}, {BYTES}
_NUMBERS = {VARINT, BYTES}  # repeated numbers travel one by one or packed
_MODEL = {1: _N, 2: _B, 3: _B, 4: _B, 5: _N, 6: _B, 7: _B, 8: _B, 14: _B}  # 20 training_info and 25 functions are refused
_OPSET = {1: _B, 2: _N}
_GRAPH = {1: _B, 2: _B, 5: _B, 10: _B, 11: _B, 12: _B, 13: _B, 14: _B, 16: _B}  # 15 sparse initializers are refused
_NODE = {1: _B, 2: _B, 3: _B, 4: _B, 5: _B, 6: _B, 7: _B, 8: _B, 9: _B}
_ATTRIBUTE = {1: _B, 2: {FIXED32}, 3: _N, 4: _B, 5: _B, 6: _B, 7: {FIXED32, BYTES}, 8: _NUMBERS, 9: _B, 10: _B, 11: _B, 13: _B, 20: _N}
_TENSOR = {1: _NUMBERS, 2: _N, 4: {FIXED32, BYTES}, 5: _NUMBERS, 6: _B, 7: _NUMBERS, 8: _B, 9: _B, 10: {1, BYTES}, 11: _NUMBERS, 12: _B, 14: _N, 16: _B}
_VALUE = {1: _B, 2: _B, 3: _B, 4: _B}
# an attribute's floats (7), ints (8) and short strings (9) come one field each: hundreds of thousands in a forest
_ATTRIBUTE_RUNS = re.compile(rb"(?:\x3d[\s\S]{4}|\x40[\x80-\xff]{0,9}[\x00-\x7f]|\x4a\x0aBRANCH_LEQ|\x4a\x09BRANCH_EQ|\x4a\x04LEAF)++")
_TENSOR_RUNS = re.compile(rb"(?:\x25[\s\S]{4})++")
_ELEMENT_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}


@dataclass
class OnnxSummary:
    """What a file says of itself. inputs, outputs: name → dimensions (None = free); domains: operator set → version."""

    inputs: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    outputs: dict[str, tuple[int | None, ...]] = field(default_factory=dict)
    domains: dict[str, int] = field(default_factory=dict)
    operators: set[str] = field(default_factory=set)
    nodes: int = 0
    tensors: int = 0


def check_onnx(content: bytes) -> OnnxSummary:
    """Walk the whole file. Raises ValueError with what is wrong (`has external data`, `nests deeper than …`)."""
    summary = OnnxSummary()
    graphs = []
    ir_version = 0
    for item in _known(content, 0, len(content), _MODEL, "the model"):
        if item.number == 1:
            ir_version = item.value
        elif item.number == 7:
            graphs.append(item)
        elif item.number == 8:
            domain, version = "", 0
            for part in _known(content, item.start, item.end, _OPSET, "an operator set"):
                if part.number == 1:
                    domain = _text(content, part)
                else:
                    version = part.value
            if domain not in DOMAINS:
                raise ValueError(f"needs operators of {domain!r}, which are not standard ONNX")
            summary.domains[domain] = version
    if not 1 <= ir_version <= 20 or len(graphs) != 1 or not summary.domains:
        raise ValueError("is not an ONNX model (IR version, one graph and operator sets are due)")
    _graph(content, graphs[0], summary, depth=1)
    if not summary.nodes:
        raise ValueError("holds a graph without nodes")
    return summary


def _graph(content: bytes, graph: Field, summary: OnnxSummary, depth: int) -> None:
    if depth > GRAPH_DEPTH:
        raise ValueError(f"nests graphs deeper than {GRAPH_DEPTH}")
    for item in _known(content, graph.start, graph.end, _GRAPH, "a graph"):
        if item.number == 1:
            _node(content, item, summary, depth)
        elif item.number == 5:
            _tensor(content, item, summary)
        elif item.number in (11, 12) and depth == 1:
            name, shape = _value_info(content, item)
            (summary.inputs if item.number == 11 else summary.outputs)[name] = shape


def _node(content: bytes, node: Field, summary: OnnxSummary, depth: int) -> None:
    summary.nodes += 1
    if summary.nodes > NODE_LIMIT:
        raise ValueError(f"holds more than {NODE_LIMIT} nodes")
    for item in _known(content, node.start, node.end, _NODE, "a node"):
        if item.number == 4:
            operator = _text(content, item)
            if operator in FORBIDDEN_OPERATORS:
                raise ValueError(f"uses the operator {operator}, whose work has no bound")
            summary.operators.add(operator)
        elif item.number == 7 and (domain := _text(content, item)) not in DOMAINS:
            raise ValueError(f"uses an operator of {domain!r}, which is not standard ONNX")
        elif item.number == 5:
            for part in _known(content, item.start, item.end, _ATTRIBUTE, "an attribute", runs=_ATTRIBUTE_RUNS):
                if part.number in (6, 11):
                    _graph(content, part, summary, depth + 1)
                elif part.number in (5, 10):
                    _tensor(content, part, summary)


def _tensor(content: bytes, tensor: Field, summary: OnnxSummary) -> None:
    summary.tensors += 1
    if summary.tensors > TENSOR_LIMIT:
        raise ValueError(f"holds more than {TENSOR_LIMIT} tensors")
    elements, kind, raw = 1, 0, None
    for item in _known(content, tensor.start, tensor.end, _TENSOR, "a tensor", runs=_TENSOR_RUNS):
        if item.number == 1:
            for dimension in [item.value] if item.wire == VARINT else packed(content, item.start, item.end):
                elements = min(elements * dimension, 1 << 62)
        elif item.number == 2:
            kind = item.value
        elif item.number == 9:
            raw = item.end - item.start
        elif item.number == 14 and item.value:
            raise ValueError("has external data")
    if elements > tensor.end - tensor.start:  # no element takes less than a byte
        raise ValueError(f"declares a tensor of {elements} elements in {tensor.end - tensor.start} bytes")
    if raw is not None and elements * _ELEMENT_BYTES.get(kind, 0) != raw:
        raise ValueError(f"declares a tensor of {elements} elements of type {kind} that brings {raw} bytes")


def _value_info(content: bytes, item: Field) -> tuple[str, tuple[int | None, ...]]:
    """Name and tensor dimensions: ValueInfoProto.type.tensor_type.shape.dim[].dim_value."""
    name, shape = "", []
    for part in _known(content, item.start, item.end, _VALUE, "an input or output"):
        if part.number == 1:
            name = _text(content, part)
        elif part.number == 2:
            for dimension in _path(content, part, (1, 2, 1)):
                values = [entry.value for entry in fields(content, dimension.start, dimension.end) if entry.number == 1 and entry.wire == VARINT]
                shape.append(values[-1] if values else None)
    return name, tuple(shape)


def _path(content: bytes, item: Field, numbers: tuple[int, ...]) -> Iterator[Field]:
    if not numbers:
        yield item
        return
    for part in fields(content, item.start, item.end):
        if part.number == numbers[0] and part.wire == BYTES:
            yield from _path(content, part, numbers[1:])


def _known(content: bytes, start: int, end: int, known: Mapping[int, set[int]], what: str, *, runs: re.Pattern[bytes] | None = None) -> Iterator[Field]:
    for item in fields(content, start, end, runs):
        if item.wire not in known.get(item.number, ()):
            if what == "a tensor" and item.number == 13:
                raise ValueError("has external data")
            raise ValueError(f"holds field {item.number} of wire type {item.wire} in {what}, which is not allowed")
        yield item


def _text(content: bytes, item: Field) -> str:
    try:
        return content[item.start : item.end].decode()
    except UnicodeDecodeError:
        raise ValueError("holds a name that is not UTF-8") from None
