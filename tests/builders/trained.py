"""Folders of the pipeline's steps, small: real telemetry, features and detectors; models written by hand."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from builders.releases import logistic
from onnx import TensorProto, helper

from components.detect.detection import detect
from components.featurize.features import featurize
from components.package.package import Steps
from presage.features.declaration import FeatureView
from presage.files import write_json
from presage.package.calibration import VennAbers
from presage.package.trees import TreeArrays
from presage.telemetry.quarantine import Quarantine
from presage.telemetry.schema import Telemetry
from presage.telemetry.sources import parse_source

METRICS = 3
HISTORY = 48


def steps(root: Path) -> Steps:
    """Two servers, two days, three metrics; families lightgbm (winner), logistic regression and the convolution."""
    whole = parse_source("simulated:servers=2,days=2,seed=5").read(Quarantine())
    metrics = whole.metrics[:METRICS]
    readings = whole.readings.select("entity", "time", *(metric.name for metric in metrics))
    Telemetry(readings, metrics, whole.period, whole.source, whole.entities, whole.incidents, whole.labelled).save(root / "validated")
    quarter, hour, longest = timedelta(minutes=15), timedelta(hours=1), timedelta(hours=6)
    aggregations = ("mean", "std", "min", "max", "last", "slope", "delta")
    view = FeatureView("server_windows", "server", timedelta(minutes=5), (quarter, hour, longest), aggregations, (hour,), ("hour_sin", "hour_cos"), 72, 0.5)
    featurize(root / "validated", view, root / "features")
    _labels_and_folds(root)
    detect(root / "features", root / "folds", root / "detectors")
    inputs = [*view.bind([metric.name for metric in metrics]).names, *_detector_names(root)]
    names = {"lightgbm": "feature_row", "logistic_regression": "feature_row", "temporal_convolution": "sequence"}
    for seed, (family, kind) in enumerate(names.items()):
        _model(root / "models" / family, family, kind, inputs, seed)
    _evaluation(root / "evaluation", names)
    models = [root / "models" / family for family in names]
    return Steps(models, *(root / name for name in ("validated", "features", "labels", "folds", "detectors", "evaluation")))


def _labels_and_folds(root: Path) -> None:
    ticks = pl.read_parquet(root / "features" / "rows.parquet", columns=["entity", "time"]).sort("time", "entity")
    parts = ["unsupervised", "train", "select", "calibrate", "test"]
    order = np.arange(ticks.height) * len(parts) // ticks.height
    for name in ("labels", "folds"):
        (root / name).mkdir()
    ticks.with_columns(label=pl.Series(np.arange(ticks.height) % 10 == 0).cast(pl.Int8)).write_parquet(root / "labels" / "labels.parquet")
    folds = ticks.with_columns(part=pl.Series([parts[index] for index in order]), fold=pl.lit(None, dtype=pl.Int8))
    folds.write_parquet(root / "folds" / "folds.parquet")


def _detector_names(root: Path) -> list[str]:
    columns = pl.scan_parquet(root / "detectors" / "scores.parquet").collect_schema().names()
    return [name for name in columns if name.startswith("detector.")]


def sequence_model() -> onnx.ModelProto:
    """x FP32 [batch, 48, metrics] → score FP32 [batch]: the mean of what was seen, as a probability."""
    nodes = [
        helper.make_node("IsNaN", ["x"], ["missing"]),
        helper.make_node("Where", ["missing", "zero", "x"], ["filled"]),
        helper.make_node("ReduceMean", ["filled"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("Sigmoid", ["mean"], ["score"]),
    ]
    ends = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", HISTORY, METRICS]),
        helper.make_tensor_value_info("score", TensorProto.FLOAT, ["batch"]),
    ]
    zero = helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0])
    return helper.make_model(helper.make_graph(nodes, "sequence", ends[:1], ends[1:], [zero]), opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _model(folder: Path, family: str, kind: str, inputs: list[str], seed: int) -> None:
    folder.mkdir(parents=True)
    model = sequence_model() if kind == "sequence" else logistic(len(inputs), seed)
    (folder / "model.onnx").write_bytes(model.SerializeToString(deterministic=True))
    columns = [name.rsplit(".", 1)[0] for name in inputs][:METRICS] if kind == "sequence" else inputs
    done = {"onnx_max_difference": 1e-7, "parameters": {"depth": 3}, "seconds": 1.0}
    write_json(folder / "training.json", {"family": family, "kind": kind, "inputs": columns, **done})
    if family == "lightgbm":
        nodes = {"root": [0], "feature": [0, -1, -1], "left": [1, -1, -1], "right": [2, -1, -1]}
        integers = {name: np.array(values, np.int32) for name, values in nodes.items()}
        floats = {"threshold": np.array([0.5, 0, 0]), "value": np.array([0, -1.0, 1.0]), "cover": np.array([3.0, 2.0, 1.0])}
        TreeArrays(**integers, **floats, missing_left=np.array([1, 0, 0], np.uint8)).save(folder / "trees.safetensors")


def _evaluation(folder: Path, families: dict[str, str]) -> None:
    generator = np.random.default_rng(0)

    def entry(name: str, kind: str, score: float) -> dict[str, object]:
        return {
            "name": name, "kind": kind, "average_precision": score, "average_precision_interval": [score - 0.1, score + 0.1], "roc_auc": 0.9, "brier": 0.05,
            "seconds": 1.0, "budget_seconds": 60, "budget_bound": False,
            "events_detected": {"1": 0.8, "0.2": 0.6}, "events_detected_early": {"1": 0.5, "0.2": 0.3},
            "median_lead_minutes": 25.0, "select_average_precision": score, "per_server": [],
        }  # fmt: skip

    scores = dict(zip(families, (0.6, 0.5, 0.7), strict=True))
    write_json(folder / "evaluation.json", {
        "winner": "lightgbm", "horizon_minutes": 60, "prevalence": 0.1, "rows": {"test": 200}, "clusters": 7,
        "families": [entry(name, kind, scores[name]) for name, kind in families.items()],
        "baselines": [entry("unsupervised_ensemble", "baseline", 0.3), entry("persistence", "baseline", 0.2)],
        "gain": 0.3, "gain_interval": [0.1, 0.5],
    })  # fmt: skip
    (folder / "calibration").mkdir()
    for name in families:
        drawn = generator.random(200)
        VennAbers.fit(drawn, generator.random(200) < drawn).save(folder / "calibration" / f"{name}.safetensors")
