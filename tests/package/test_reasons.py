"""Reasons, arrays and graph against the libraries that grew the trees, on a thousand rows: missing values, zeros and categories included."""

from dataclasses import replace

import numpy as np
import pytest

from components.train.arrays import from_forest, from_lightgbm
from components.train.fitted import run_graph
from components.train.graph import tree_graph
from presage.errors import ArtifactRefused
from presage.package.onnx_check import check_onnx
from presage.package.trees import TreeArrays
from presage.package.treeshap import TreeExplainer

ROWS = 1000
NUMBERS, CATEGORIES = 8, {8: 3, 9: 12, 10: 90}  # column → how many categories


def rows(count, seed, *, missing=0.0, zeros=0.0, categories=True):
    random = np.random.default_rng(seed)
    x = random.normal(size=(count, NUMBERS)).astype(np.float32)
    x[:, 1] = np.round(x[:, 1], 1)  # values lie on thresholds
    if categories:
        drawn = [random.integers(0, many, count) for many in CATEGORIES.values()]
        x = np.concatenate([x, np.stack(drawn, axis=1).astype(np.float32)], axis=1)
    x[:, :NUMBERS][random.random((count, NUMBERS)) < zeros] = 0.0
    x[random.random(x.shape) < missing] = np.nan
    return x


def labels(x, seed=0):
    random = np.random.default_rng(seed)
    known = np.nan_to_num(x)
    strain = known[:, 0] + 0.7 * known[:, 1] * known[:, 2] + np.isnan(x[:, 3])
    if x.shape[1] > NUMBERS:
        strain = strain + (known[:, 8] == 1) + 0.8 * (known[:, 9] % 5 == 2) + np.sin(known[:, 10])
    return (strain + 0.5 * random.normal(size=len(x)) > 0.7).astype(np.int8)


def boosted(x, y, categorical, **settings):
    import lightgbm

    parameters = {"objective": "binary", "verbose": -1, "num_threads": 1, "min_data_in_leaf": 5, "num_leaves": 31, "seed": 1, "deterministic": True,
                  "min_data_per_group": 5, "max_cat_to_onehot": 2, "cat_smooth": 1.0, "cat_l2": 1.0, "max_cat_threshold": 64, **settings}  # fmt: skip
    named = sorted(CATEGORIES) if categorical else []
    return lightgbm.train(parameters, lightgbm.Dataset(x, y, categorical_feature=named, params={"verbose": -1}), 40)


CASES = {
    "numbers": ({"missing": 0.0, "categories": False}, {}),
    "missing values": ({"missing": 0.2, "categories": False}, {}),
    "zeros are missing": ({"zeros": 0.3, "missing": 0.1, "categories": False}, {"zero_as_missing": True}),
    "categories": ({"missing": 0.0}, {}),
    "categories and missing values": ({"missing": 0.2}, {}),
    "categories and zeros that are missing": ({"missing": 0.1, "zeros": 0.3}, {"zero_as_missing": True}),
    "missing values are not used": ({"missing": 0.2}, {"use_missing": False}),
    "one category a node": ({"missing": 0.1}, {"max_cat_to_onehot": 100}),
}


@pytest.fixture(scope="module", params=CASES, ids=lambda name: name)
def grown(request):
    """A booster, its arrays and a thousand rows that it never saw, some with categories that nobody saw."""
    kind, settings = CASES[request.param]
    x = rows(3000, 0, **kind)
    booster = boosted(x, labels(x), kind.get("categories", True), **settings)
    asked = rows(ROWS, 1, **{"missing": 0.3, "zeros": 0.1, **kind} | {"missing": 0.3, "zeros": 0.1})
    if kind.get("categories", True):
        strange = np.array([-1, -7.5, -0.5, 0.5, 2.999, 91, 1000, 1e9, 3e38, -3e38], np.float32)
        asked[:200, 8:11] = np.random.default_rng(2).choice(strange, (200, 3))
    return booster, from_lightgbm(booster, booster.current_iteration(), np.arange(x.shape[1])), asked


def test_the_arrays_say_what_the_library_says(grown):
    booster, trees, asked = grown
    np.testing.assert_allclose(trees.margin(asked), booster.predict(asked, raw_score=True), atol=1e-10)


@pytest.mark.long
def test_the_reasons_are_the_librarys(grown):
    booster, trees, asked = grown
    expected = booster.predict(asked, pred_contrib=True)
    explainer = TreeExplainer(trees)
    found = np.stack([explainer.contributions(row) for row in asked])
    np.testing.assert_allclose(found, expected[:, :-1], atol=1e-9)
    assert explainer.expected == pytest.approx(expected[0, -1], abs=1e-9)


@pytest.mark.long
def test_reasons_add_up_to_the_margin(grown):
    _, trees, asked = grown
    explainer = TreeExplainer(trees)
    margins = np.array([explainer.expected + explainer.contributions(row).sum() for row in asked])
    np.testing.assert_allclose(margins, trees.margin(asked), atol=1e-9)


@pytest.mark.long
def test_the_graph_says_what_the_library_says_and_passes_the_gate(grown):
    booster, trees, asked = grown
    graph = tree_graph(trees, asked.shape[1])
    check_onnx(graph)
    np.testing.assert_allclose(run_graph(graph, asked), booster.predict(asked), atol=1e-6)
    for row in asked[:50]:
        assert run_graph(graph, row[None])[0] == run_graph(graph, np.stack([row, *asked[:20]]))[0]


def test_the_file_holds_all_of_it(grown):
    _, trees, asked = grown
    again = TreeArrays.load(trees.to_bytes())
    np.testing.assert_array_equal(again.margin(asked), trees.margin(asked))
    assert again.to_bytes() == trees.to_bytes()


def test_categories_were_really_split_on_by_several_at_once():
    x = rows(3000, 0, missing=0.2)
    trees = from_lightgbm(boosted(x, labels(x), categorical=True), 40, np.arange(x.shape[1]))
    sets = [found for node in range(len(trees.feature)) if (found := trees.categories(node)) is not None]
    assert len(sets) > 100 and max(map(len, sets)) > 8 and max(max(one) for one in sets) > 64


def test_columns_may_lie_elsewhere_in_the_row():
    x = rows(3000, 0, missing=0.2, zeros=0.2)
    booster = boosted(x, labels(x), categorical=True, zero_as_missing=True)
    columns = np.array([0, 2, 3, 5, 6, 8, 9, 10, 12, 13, 14])
    asked = rows(ROWS, 1, missing=0.3, zeros=0.2)
    wide = np.full((ROWS, 16), np.nan, np.float32)
    wide[:, columns] = asked
    trees = from_lightgbm(booster, booster.current_iteration(), columns)
    explainer = TreeExplainer(trees)
    found = np.stack([explainer.contributions(row) for row in wide[:100]])
    np.testing.assert_allclose(found[:, columns], booster.predict(asked[:100], pred_contrib=True)[:, :-1], atol=1e-9)
    assert not np.delete(found, columns, axis=1).any()
    np.testing.assert_allclose(run_graph(tree_graph(trees, 16), wide), booster.predict(asked), atol=1e-6)


@pytest.fixture(scope="module")
def forest():
    """A forest over imputed rows, and rows with gaps."""
    from sklearn.ensemble import RandomForestClassifier

    x = rows(2000, 0, categories=False)
    grown = RandomForestClassifier(40, min_samples_leaf=5, random_state=0, n_jobs=1).fit(x, labels(x))
    return grown, np.median(x, axis=0), rows(ROWS, 1, missing=0.2, categories=False)


@pytest.mark.long
def test_a_forests_reasons_are_those_of_shap(forest):
    import shap

    grown, impute, asked = forest
    trees = from_forest(grown, np.arange(NUMBERS), impute)
    explainer = TreeExplainer(trees)
    found = np.stack([explainer.contributions(row) for row in asked])
    known = np.where(np.isnan(asked), impute, asked)
    oracle = shap.TreeExplainer(grown, feature_perturbation="tree_path_dependent")
    np.testing.assert_allclose(found, oracle.shap_values(known, check_additivity=False)[..., 1], atol=1e-7)
    assert explainer.expected == pytest.approx(oracle.expected_value[1], abs=1e-9)


def test_lightgbms_reasons_are_those_of_shap_too():
    import shap

    x = rows(2000, 0, missing=0.2, categories=False)
    booster = boosted(x, labels(x), categorical=False)
    asked = rows(ROWS, 1, missing=0.2, categories=False)
    explainer = TreeExplainer(from_lightgbm(booster, booster.current_iteration(), np.arange(NUMBERS)))
    found = np.stack([explainer.contributions(row) for row in asked])
    expected = np.asarray(shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent").shap_values(asked))
    np.testing.assert_allclose(found, expected[1] if expected.ndim == 3 else expected, atol=1e-7)


def test_a_forest_that_learnt_where_a_missing_value_goes_keeps_it():
    from sklearn.ensemble import RandomForestClassifier

    x = rows(2000, 0, missing=0.2, categories=False)
    grown = RandomForestClassifier(20, min_samples_leaf=5, random_state=0, n_jobs=1).fit(x, labels(x))
    asked = rows(ROWS, 1, missing=0.3, categories=False)
    trees = from_forest(grown, np.arange(NUMBERS), None)
    expected = grown.predict_proba(asked)[:, 1]
    np.testing.assert_allclose(trees.margin(asked), expected, atol=1e-12)
    np.testing.assert_allclose(run_graph(tree_graph(trees, NUMBERS), asked), expected, atol=1e-6)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda trees: {"set_start": np.where(trees.set_start >= 0, 10**6, -1).astype(np.int32)},
        lambda trees: {"set_bytes": np.zeros_like(trees.set_bytes)},
        lambda trees: {"members": np.zeros_like(trees.members)},
        lambda trees: {"set_start": np.zeros_like(trees.set_start)},
        lambda trees: {"set_start": trees.set_start[:-1]},
    ],
    ids=["outside", "without bytes", "empty", "at a leaf", "too few"],
)
def test_sets_that_do_not_fit_are_refused(break_it):
    x = rows(2000, 0)
    trees = from_lightgbm(boosted(x, labels(x), categorical=True), 5, np.arange(x.shape[1]))
    with pytest.raises(ArtifactRefused, match="out of range"):
        TreeArrays.load(replace(trees, **break_it(trees)).to_bytes())


def test_an_input_that_is_a_category_and_a_number_is_refused():
    x = rows(2000, 0)
    trees = from_lightgbm(boosted(x, labels(x), categorical=True), 20, np.arange(x.shape[1]))
    start = trees.set_start.copy()
    start[np.flatnonzero((start >= 0) & (trees.feature == 10))[0]] = -1
    with pytest.raises(ArtifactRefused, match="out of range"):
        TreeArrays.load(replace(trees, set_start=start).to_bytes())
