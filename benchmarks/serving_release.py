"""A small real release and a small real fleet: what the server's benchmark and its tests serve.

Telemetry is simulated, features are computed by the engine, LightGBM and a logistic regression are trained, packaged,
signed, released and admitted by the gate; nothing here is made up but the label (a threshold on two features).
"""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from components.train.envelope import fit_envelope
from presage.features.declaration import BoundView, FeatureView
from presage.features.detectors import Detectors
from presage.features.history import histories
from presage.features.store import OnlineRow, open_online_store
from presage.features.windows import compute
from presage.governance.model_policy import GuardsPolicy, load_model_policy
from presage.package.calibration import VennAbers
from presage.package.contract import Contract, InputField, OutputField
from presage.package.gate import admit
from presage.package.keys import Trust, local_key
from presage.package.package import PackageParts, build_package
from presage.package.release import compose, verify_folder
from presage.package.store import ReleaseStore
from presage.package.trees import TreeArrays
from presage.telemetry.clock import StreamClock
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.sources import parse_source

F32 = npt.NDArray[np.float32]
POLICY = Path(__file__).parents[1] / "policies/models/incident.yaml"
NEWCOMER = "newcomer"
"""A server whose longest window has just begun to fill."""


@dataclass(frozen=True)
class Site:
    """model_dir, trust_keys, online_store: what the server is started with. x: f32[rows, inputs], real rows to send;
    trees, calibration, onnx: the primary's, to check answers with."""

    model_dir: Path
    trust_keys: Path
    online_store: Path
    contract: Contract
    servers: list[str]
    x: F32
    onnx: bytes
    trees: TreeArrays
    calibration: VennAbers
    detectors: Detectors | None


def build_site(root: Path, *, metrics: int = 4, trees: int = 20, leaves: int = 15, servers: int = 4, days: int = 3, detectors: bool = True) -> Site:
    """Everything under `root`, by the policy of policies/models/incident.yaml."""
    telemetry = parse_source(f"simulated:servers={servers},days={days},seed=5").read(Quarantine())
    names = telemetry.metric_names[:metrics]
    view = FeatureView(
        name="server_windows", entity="server", tick=timedelta(minutes=5), windows=(timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6)),
        aggregations=("mean", "std", "min", "max", "last", "slope", "delta"), lags=(timedelta(hours=1),), calendar=("hour_sin", "hour_cos"),
        history=72, min_coverage=0.5,
    )  # fmt: skip
    bound = view.bind(names)
    table = compute(bound, telemetry.readings.select("entity", "time", *names), telemetry.period)
    rows = table.rows.filter(~table.rows["warming"])
    values = rows.select(bound.names).to_numpy().astype(np.float32)
    history = histories(bound, table.ticks, rows.select("entity", "time"))
    times = rows["time"].dt.epoch("us").to_numpy() / 1e6
    fitted = _detectors(table.ticks, bound) if detectors else None
    x = values if fitted is None else np.concatenate([values, fitted.features(history, rows["entity"].to_list(), times)], axis=1)
    rng = np.random.default_rng(0)
    strain = np.nan_to_num(_standardised(values[:, 0])) + np.nan_to_num(_standardised(values[:, 7])) + 0.7 * rng.normal(size=len(values))
    labels = (strain > np.quantile(strain, 0.85)).astype(np.int8)
    contract = _contract(bound, telemetry.metrics, fitted)
    key = local_key(root / "keys")
    trust = Trust.open(root / "keys")
    store = ReleaseStore(root / "releases")
    train, held = slice(0, None, 2), slice(1, None, 2)
    booster = _booster(x[train], labels[train], trees, leaves)
    _tree_arrays(booster).save(root / "trees.safetensors")
    boosted, linear = _lightgbm_onnx(booster, x.shape[1]), _logistic_onnx(x[train], labels[train])
    lineage = {"created": "2026-11-22T00:00:00Z", "run_id": "small"}
    envelope = fit_envelope(x[train], x[held], seed=1).to_bytes()
    common = {"contract": contract, "metrics": {}, "card": "# A small model\n", "detectors": _saved(fitted, root), "envelope": envelope, "lineage": lineage}
    packed = (root / "trees.safetensors").read_bytes()
    calibrations = [VennAbers.fit(_scores(onnx, x[held]), labels[held]) for onnx in (boosted, linear)]
    parts = {
        "primary": PackageParts(model="incident", family="lightgbm", onnx=boosted, calibration=calibrations[0], trees=packed, **common),
        "simpler": PackageParts(model="incident-simpler", family="logistic_regression", onnx=linear, calibration=calibrations[1], **common),
    }
    packages: dict[Any, Any] = {}
    for role, part in parts.items():
        build_package(part, root / "packages" / part.model, key)
        packages[role] = store.add(root / "packages" / part.model, trust)
    policy = load_model_policy(POLICY).model_copy(update={"guards": GuardsPolicy(replayed_per_minute=10**9)})  # benchmarks send few rows, and often
    published = store.publish(compose("incident", packages, policy, float(labels.mean())), packages, key)
    admit(published.uri, root / "models", store, trust)
    np.save(root / "rows.npy", np.ascontiguousarray(x))
    _fill_online(root / "online.db", bound, rows, values=values, history=history, times=times)
    return open_site(root)


def open_site(root: Path) -> Site:
    """What `build_site` made at `root`, read back through the gate's own checks."""
    primary = verify_folder(root / "models", Trust.open(root / "keys")).primary
    store = open_online_store(f"sqlite:{root / 'online.db'}", read_only=True)
    servers = [name for name in store.entities("incident") if name != NEWCOMER]
    store.close()
    detectors = primary.files.get("detectors.safetensors")
    return Site(
        root / "models", root / "keys", root / "online.db", primary.contract, servers, np.load(root / "rows.npy"), primary.onnx,
        TreeArrays.load(primary.files["trees.safetensors"]), primary.calibration(), None if detectors is None else Detectors.load(detectors),
    )  # fmt: skip


def _standardised(column: F32) -> F32:
    return (column - np.nanmean(column)) / (np.nanstd(column) + 1e-9)


def _saved(fitted: Detectors | None, root: Path) -> bytes | None:
    if fitted is None:
        return None
    fitted.save(root / "detectors.safetensors")
    return (root / "detectors.safetensors").read_bytes()


def _detectors(ticks: Any, bound: BoundView) -> Detectors:
    from components.detect.fit import fit_detectors

    series = {}
    for (entity,), part in ticks.sort("entity", "time").group_by("entity", maintain_order=True):
        series[str(entity)] = (part.select(bound.metrics).to_numpy().astype(np.float32), part["time"].dt.epoch("us").to_numpy() / 1e6)
    return fit_detectors(series, bound.metrics, bound.view.tick, seed=1)


def _contract(bound: BoundView, metrics: Any, fitted: Detectors | None) -> Contract:
    by_name = {metric.name: metric for metric in metrics}
    level = {"mean", "min", "max", "last", "lag"}

    def field(name: str) -> InputField:
        metric, _, aggregate = name.rpartition(".")
        known = by_name.get(metric)
        if known is None or aggregate.split("_")[0] not in level:
            return InputField(name)
        return InputField(name, known.unit, known.low, known.high)

    inputs = [*map(field, bound.names), *(InputField(name) for name in (fitted.names if fitted else []))]
    return Contract(
        name="incident", version="1.0.0", kind="feature_row", inputs=inputs, outputs=[OutputField("score", "FP32", [-1], "probability before calibration")],
        features=bound.as_document(), feature_version=bound.version, detectors=len(fitted.names) if fitted else 0,
    )  # fmt: skip


def _booster(x: F32, labels: Any, trees: int, leaves: int) -> Any:
    import lightgbm

    parameters = {"objective": "binary", "num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1, "seed": 1, "deterministic": True}
    return lightgbm.train(parameters, lightgbm.Dataset(x, labels), num_boost_round=trees)


def _tree_arrays(booster: Any) -> TreeArrays:
    columns: dict[str, list[Any]] = {name: [] for name in ("feature", "threshold", "left", "right", "missing_left", "value", "cover")}

    def add(node: dict[str, Any]) -> int:
        index = len(columns["feature"])
        leaf = "leaf_value" in node
        row = (-1, 0.0, -1, -1, 0, node["leaf_value"], node.get("leaf_count", 1)) if leaf else (
            node["split_feature"], node["threshold"], -1, -1, int(node["default_left"]), 0.0, node["internal_count"],
        )  # fmt: skip
        for column, item in zip(columns.values(), row, strict=True):
            column.append(item)
        if not leaf:
            columns["left"][index], columns["right"][index] = add(node["left_child"]), add(node["right_child"])
        return index

    root = np.array([add(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]], dtype=np.int32)
    types: dict[str, Any] = {"feature": np.int32, "left": np.int32, "right": np.int32, "missing_left": np.uint8}
    return TreeArrays(root=root, **{name: np.array(items, dtype=types.get(name, np.float64)) for name, items in columns.items()})


def _lightgbm_onnx(booster: Any, width: int) -> bytes:
    """x FP32 [batch, width] → score FP32 [batch]."""
    import onnx
    from onnx import TensorProto, helper
    from onnxmltools import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    model = convert_lightgbm(booster, initial_types=[("x", FloatTensorType([None, width]))], zipmap=False, target_opset=15)
    graph = model.graph
    probabilities = graph.output[1].name
    nodes = [
        helper.make_node("Gather", [probabilities, "positive"], ["of_positive"], axis=1),
        helper.make_node("Reshape", ["of_positive", "flat"], ["score"]),
    ]
    constants = [helper.make_tensor("positive", TensorProto.INT64, [1], [1]), helper.make_tensor("flat", TensorProto.INT64, [1], [-1])]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("score", TensorProto.FLOAT, [None]))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _logistic_onnx(x: F32, labels: Any) -> bytes:
    """Imputation, scaling and the regression as one graph."""
    from onnx import TensorProto, helper
    from sklearn.linear_model import LogisticRegression

    mean, spread = np.nan_to_num(np.nanmean(x, axis=0)), np.nan_to_num(np.nanstd(x, axis=0)) + 1e-6
    fit = LogisticRegression(max_iter=300).fit((np.where(np.isnan(x), mean, x) - mean) / spread, labels)

    def constant(name: str, values: Any) -> Any:
        array = np.asarray(values, dtype=np.float32)
        return helper.make_tensor(name, TensorProto.FLOAT, array.shape, array.ravel().tolist())

    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]), helper.make_node("Where", ["missing", "mean", "x"], ["filled"]),
        helper.make_node("Sub", ["filled", "mean"], ["centred"]), helper.make_node("Div", ["centred", "spread"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "weights"], ["weighted"]), helper.make_node("Add", ["weighted", "intercept"], ["margin"]),
        helper.make_node("Sigmoid", ["margin"], ["score"]),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "logistic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, x.shape[1]])], [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None])],
        [constant("mean", mean), constant("spread", spread), constant("weights", fit.coef_[0]), constant("intercept", fit.intercept_[0])],
    )  # fmt: skip
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString())


def _scores(onnx: bytes, x: F32) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"]).run(["score"], {"x": x})[0]


def _fill_online(path: Path, bound: BoundView, rows: Any, *, values: F32, history: F32, times: Any) -> None:
    """The newest row of each server, and one server that is still warming."""
    import time

    store = open_online_store(f"sqlite:{path}")
    newest = {entity: index for index, entity in enumerate(rows["entity"])}
    now = float(times.max()) + 60.0
    store.put_service("incident", bound, "simulated", StreamClock(event_origin=now, wall_origin=time.time(), speed=1.0))
    full = np.ones(len(bound.view.windows), np.float32)
    online = [OnlineRow(entity, float(times[index]), bound.version, values[index], full, history[index]) for entity, index in newest.items()]
    first = online[0]
    online.append(OnlineRow(NEWCOMER, first.time, bound.version, first.values, np.array([1.0, 0.25, 15 / 360], np.float32), first.history))
    store.write("incident", online)
    store.close()
