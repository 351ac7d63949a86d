"""Every family, trained for real: its graph is its model, its trees are its graph, its budget holds."""

import numpy as np
import onnx
import polars as pl
import pytest
from builders.incidents import METRICS, policy

from components.train.fitted import run_graph
from components.train.rows import SCORED, TRAIN, load_keys, load_rows
from components.train.training import FAMILIES, train
from components.train.warm_starts import forgotten, with_starts
from presage.errors import InputError
from presage.features.declaration import BoundView
from presage.files import read_json
from presage.package.onnx_check import check_onnx
from presage.package.trees import TreeArrays

ROWS = [family for family, kind in FAMILIES.items() if kind == "feature_row"]


@pytest.fixture(scope="session")
def trained(steps):
    """family → folder, each trained once with time enough on any machine."""
    for family in FAMILIES:
        train(family, steps.features, steps.labels, steps.folds, steps.detectors, policy(600), steps.root / family)
    return {family: steps.root / family for family in FAMILIES}


def scores(folder, steps, part="test"):
    keys = load_keys(steps.labels, steps.folds, (part,))
    return keys.join(pl.read_parquet(folder / "scores.parquet"), on=["entity", "time"], how="left", maintain_order="left")


@pytest.mark.parametrize("family", ROWS)
def test_a_family_learns_what_comes_before_an_incident(trained, steps, family):
    from sklearn.metrics import average_precision_score

    table = scores(trained[family], steps)
    assert average_precision_score(table["label"], table["score"]) > 0.6 > 3 * table["label"].mean()


def test_the_convolution_ranks_incident_rows_above_quiet_ones(trained, steps):
    from sklearn.metrics import roc_auc_score

    table = scores(trained["temporal_convolution"], steps)
    assert roc_auc_score(table["label"], table["score"]) > 0.7


@pytest.mark.parametrize("family", FAMILIES)
def test_the_graph_takes_x_gives_score_and_is_what_the_gate_lets_in(trained, family):
    content = (trained[family] / "model.onnx").read_bytes()
    training = read_json(trained[family] / "training.json")
    summary = check_onnx(content)
    shape = (None, 48, len(METRICS)) if family == "temporal_convolution" else (None, len(training["inputs"]))
    assert summary.inputs == {"x": shape} and summary.outputs == {"score": (None,)}
    assert onnx.load_model_from_string(content).graph.output[0].type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert training["onnx_max_difference"] <= 1e-5 and not training["budget_bound"]
    for batch in (1, 7):
        got = run_graph(content, np.full((batch, *shape[1:]), np.nan, np.float32))
        assert got.shape == (batch,) and np.isfinite(got).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_row_outside_train_has_a_probability(trained, steps, family):
    keys = load_keys(steps.labels, steps.folds, SCORED)
    table = pl.read_parquet(trained[family] / "scores.parquet")
    assert table.select("entity", "time").equals(keys.select("entity", "time"))
    assert table["score"].dtype == pl.Float32 and table["score"].is_between(0, 1).all()


@pytest.mark.parametrize("family", ["random_forest", "lightgbm"])
def test_the_trees_as_arrays_are_the_model(trained, steps, family):
    trees = TreeArrays.load((trained[family] / "trees.safetensors").read_bytes())
    rows = load_rows(steps.features, steps.labels, steps.folds, steps.detectors, ("test",))
    x = np.where(np.random.default_rng(0).random(rows.x.shape) < 0.2, np.float32(np.nan), rows.x)
    margin = trees.margin(x)
    risk = 1 / (1 + np.exp(-margin)) if trees.link == "logit" else margin
    np.testing.assert_allclose(risk, run_graph((trained[family] / "model.onnx").read_bytes(), x), atol=1e-6)
    roots = np.append(trees.root, len(trees.feature))
    inner = trees.feature >= 0
    np.testing.assert_allclose(trees.cover[inner], (trees.cover[trees.left] + trees.cover[trees.right])[inner])
    assert len(roots) > 10 and trees.features <= rows.x.shape[1]


@pytest.mark.parametrize("family", ROWS)
def test_the_same_seed_gives_the_same_graph(trained, steps, tmp_path, family):
    train(family, steps.features, steps.labels, steps.folds, steps.detectors, policy(), tmp_path / "again")
    assert (tmp_path / "again" / "model.onnx").read_bytes() == (trained[family] / "model.onnx").read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_budget_that_is_too_small_binds_and_is_reported(steps, tmp_path, family):
    train(family, steps.features, steps.labels, steps.folds, steps.detectors, policy(0.02), tmp_path / "model")
    training = read_json(tmp_path / "model" / "training.json")
    assert training["budget_bound"] and training["budget_seconds"] == 0.02
    assert np.isfinite(pl.read_parquet(tmp_path / "model" / "scores.parquet")["score"].to_numpy()).all()


def test_risk_never_falls_when_a_detector_score_rises(trained, steps):
    training = read_json(trained["lightgbm"] / "training.json")
    rows = load_rows(steps.features, steps.labels, steps.folds, steps.detectors, ("test",))
    graph = (trained["lightgbm"] / "model.onnx").read_bytes()
    rising = [index for index, name in enumerate(training["inputs"]) if name.startswith("detector.")]
    raised = rows.x.copy()
    raised[:, rising] += 2.0
    assert (run_graph(graph, raised) >= run_graph(graph, rows.x) - 1e-6).all()


def test_starts_are_learnt_and_look_as_a_start_does(steps):
    rows = load_rows(steps.features, steps.labels, steps.folds, steps.detectors, (TRAIN,))
    more = with_starts(rows, steps.features, steps.detectors, seed=1)
    assert not rows.copies.any() and more.copies.sum() == round(0.05 * len(rows.x))
    starts = more.take(more.copies)
    assert np.isnan(starts.x).any(axis=1).mean() > 0.5
    assert (more.x[: len(rows.x)] == rows.x).all(where=~np.isnan(rows.x))


def test_a_start_forgets_the_windows_that_are_less_than_half_covered():
    from builders.incidents import VIEW

    bound = BoundView(VIEW, METRICS)
    gone = {bound.names[index] for index in forgotten(bound, 3)}  # a quarter of an hour
    assert "cpu.mean_1h" in gone and "cpu.lag_30m" in gone
    assert not {"cpu.mean_15m", "calendar.hour_sin"} & gone
    assert {bound.names[index] for index in forgotten(bound, 12)} == {f"{metric}.{name}_6h" for metric in METRICS for name in VIEW.aggregations}
    assert not forgotten(bound, 36)


def test_a_family_nobody_knows_is_named(steps, tmp_path):
    with pytest.raises(InputError, match=r"'oracle' is no family\. Choose among logistic_regression"):
        train("oracle", steps.features, steps.labels, steps.folds, steps.detectors, policy(), tmp_path / "model")


def test_training_rows_of_one_class_are_refused(steps, tmp_path):
    folds = tmp_path / "folds"
    folds.mkdir()
    labels = pl.read_parquet(steps.labels / "labels.parquet")
    table = pl.read_parquet(steps.folds / "folds.parquet").join(labels, on=["entity", "time"])
    table.filter((pl.col("part") != "train") | (pl.col("label") == 0)).select("entity", "time", "part", "fold").write_parquet(folds / "folds.parquet")
    for family in ("logistic_regression", "temporal_convolution"):
        with pytest.raises(InputError, match="the part train has 0 incident rows"):
            train(family, steps.features, steps.labels, folds, steps.detectors, policy(), tmp_path / "model")
        assert not (tmp_path / "model").exists()
