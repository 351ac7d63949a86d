"""Arrays and graphs of trees against the libraries that grew them, where it is easy to be wrong: missing values, edges."""

import numpy as np
import pytest

from components.train.arrays import from_forest, from_lightgbm
from components.train.fitted import Fitted, checked_difference, run_graph
from components.train.graph import tree_graph
from presage.errors import RunFailed


def rows(count: int = 600, columns: int = 4, missing: float = 0.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, columns)).astype(np.float32)
    y = (x[:, 0] + 0.5 * x[:, 1] > 0.5).astype(np.int8)
    x[random.random(x.shape) < missing] = np.nan
    return x, y


def lightgbm_model(x: np.ndarray, y: np.ndarray):
    import lightgbm

    return lightgbm.train({"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5}, lightgbm.Dataset(x, y), 20)


@pytest.mark.parametrize("missing", [0.0, 0.3], ids=["nothing missing in training", "some missing in training"])
def test_lightgbm_arrays_and_graph_send_a_missing_value_where_the_library_does(missing):
    x, y = rows(missing=missing)
    booster = lightgbm_model(x, y)
    asked, _ = rows(missing=0.5, seed=1)
    columns = np.array([0, 2, 3, 5])
    wide = np.full((len(asked), 6), np.nan, np.float32)
    wide[:, columns] = asked
    trees = from_lightgbm(booster, booster.current_iteration(), columns)
    np.testing.assert_allclose(trees.margin(wide), booster.predict(asked, raw_score=True), atol=1e-12)
    np.testing.assert_allclose(run_graph(tree_graph(trees, 6), wide), booster.predict(asked), atol=1e-6)


def test_a_value_on_a_threshold_goes_the_same_way_everywhere():
    x, y = rows()
    x = np.round(x, 1).astype(np.float32)  # values lie on thresholds, and are no doubles
    booster = lightgbm_model(x, y)
    trees = from_lightgbm(booster, booster.current_iteration(), np.arange(4))
    np.testing.assert_allclose(run_graph(tree_graph(trees, 4), x), booster.predict(x), atol=1e-6)


def test_covers_are_the_rows_that_lightgbm_counted():
    x, y = rows()
    trees = from_lightgbm(lightgbm_model(x, y), 20, np.arange(4))
    np.testing.assert_array_equal(trees.cover[trees.root], len(x))


def test_a_forest_is_the_mean_of_its_trees_over_imputed_rows():
    from sklearn.ensemble import RandomForestClassifier

    x, y = rows()
    forest = RandomForestClassifier(15, max_depth=5, random_state=0).fit(x, y)
    impute = np.median(x, axis=0)
    trees = from_forest(forest, np.arange(4), impute)
    asked, _ = rows(missing=0.4, seed=2)
    expected = forest.predict_proba(np.where(np.isnan(asked), impute, asked))[:, 1]
    np.testing.assert_allclose(trees.margin(asked), expected, atol=1e-12)
    np.testing.assert_allclose(run_graph(tree_graph(trees, 4), asked), expected, atol=1e-6)


def test_a_graph_that_is_not_its_model_fails_the_run():
    x, y = rows()
    booster = lightgbm_model(x, y)
    trees = from_lightgbm(booster, 20, np.arange(4))
    shifted = Fitted(tree_graph(trees, 4), lambda rows: np.asarray(booster.predict(rows)) + 2e-5, {})
    with pytest.raises(RunFailed, match=r"lightgbm: ONNX and the library differ by 2e-05"):
        checked_difference("lightgbm", shifted, x, seed=0)
