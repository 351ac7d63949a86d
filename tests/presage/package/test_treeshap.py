"""Reasons from plain arrays equal those of the libraries that own the trees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save as save_arrays

from presage.errors import ArtifactRefused
from presage.package.trees import TreeArrays
from presage.package.treeshap import TreeExplainer

ROWS, FEATURES = 1500, 12


def fleet(seed=3, missing=0.15):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(ROWS, FEATURES)).astype(np.float32)
    y = ((x[:, 0] + x[:, 1] * x[:, 2] + 0.3 * rng.normal(size=ROWS)) > 0.8).astype(int)
    x[rng.random(x.shape) < missing] = np.nan
    return x, y


def arrays_of(trees):
    """Nested (feature, threshold, missing_left, left, right, cover) or (value, cover) → TreeArrays fields, parents first."""
    columns = {name: [] for name in ("feature", "threshold", "left", "right", "missing_left", "value", "cover")}

    def add(node):
        index = len(columns["feature"])
        leaf = len(node) == 2
        feature, threshold, missing_left = (-1, 0.0, 0) if leaf else node[:3]
        for name, item in zip(columns, (feature, threshold, -1, -1, missing_left, node[0] if leaf else 0.0, node[-1]), strict=True):
            columns[name].append(item)
        if not leaf:
            columns["left"][index], columns["right"][index] = add(node[3]), add(node[4])
        return index

    root = np.array([add(tree) for tree in trees], dtype=np.int32)
    types = {"feature": np.int32, "left": np.int32, "right": np.int32, "missing_left": np.uint8}
    return TreeArrays(root=root, **{name: np.array(items, dtype=types.get(name, np.float64)) for name, items in columns.items()})


def from_lightgbm(booster):
    def walk(node):
        if "leaf_value" in node:
            return (node["leaf_value"], node["leaf_count"])
        return (
            node["split_feature"], node["threshold"], int(node["default_left"]),
            walk(node["left_child"]), walk(node["right_child"]), node["internal_count"],
        )  # fmt: skip

    return arrays_of([walk(tree["tree_structure"]) for tree in booster.dump_model()["tree_info"]])


@pytest.fixture(scope="module")
def boosted():
    import lightgbm

    x, y = fleet()
    booster = lightgbm.train(
        {"objective": "binary", "num_leaves": 31, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1, "seed": 1}, lightgbm.Dataset(x, y), num_boost_round=60
    )
    return booster, from_lightgbm(booster), x


def test_margins_equal_lightgbm_with_missing_values(boosted):
    booster, trees, x = boosted
    assert np.abs(trees.margin(x) - booster.predict(x, raw_score=True)).max() < 1e-9


def test_contributions_equal_lightgbm_with_missing_values(boosted):
    booster, trees, x = boosted
    explainer = TreeExplainer(trees)
    expected = booster.predict(x[:200], pred_contrib=True)
    ours = np.array([explainer.contributions(row) for row in x[:200]])
    assert np.abs(ours - expected[:, :-1]).max() < 1e-9
    assert abs(explainer.expected - expected[0, -1]) < 1e-9


def test_contributions_equal_shap_for_a_random_forest():
    import shap
    from sklearn.ensemble import RandomForestClassifier

    x, y = fleet(missing=0)
    forest = RandomForestClassifier(n_estimators=8, max_depth=7, random_state=0, n_jobs=1).fit(x, y)

    def walk(tree, node):
        share = tree.value[node, 0, 1] / tree.value[node, 0].sum() / len(forest.estimators_)
        if tree.children_left[node] < 0:
            return (share, tree.weighted_n_node_samples[node])
        children = (walk(tree, tree.children_left[node]), walk(tree, tree.children_right[node]))
        return (tree.feature[node], tree.threshold[node], 0, *children, tree.weighted_n_node_samples[node])

    trees = arrays_of([walk(member.tree_, 0) for member in forest.estimators_])
    expected = shap.TreeExplainer(forest, feature_perturbation="tree_path_dependent").shap_values(x[:40])[:, :, 1]
    ours = np.array([TreeExplainer(trees).contributions(row) for row in x[:40]])
    assert np.abs(trees.margin(x) - forest.predict_proba(x)[:, 1]).max() < 1e-6
    assert np.abs(ours - expected).max() < 1e-6


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_contributions_and_expectation_add_up_to_the_margin(data):
    share = st.floats(0.01, 0.99)

    def tree(cover, depth):
        if depth == 0 or data.draw(st.integers(0, 3)) == 0:
            return (data.draw(st.floats(-2, 2)), cover)
        left = data.draw(share)
        return (
            data.draw(st.integers(0, 3)), data.draw(st.floats(-1, 1)), data.draw(st.integers(0, 1)),
            tree(cover * left, depth - 1), tree(cover * (1 - left), depth - 1), cover,
        )  # fmt: skip

    trees = arrays_of([tree(100.0, 5) for _ in range(3)])
    row = np.array(data.draw(st.lists(st.floats(-1, 1, width=32) | st.just(float("nan")), min_size=4, max_size=4)), dtype=np.float32)
    explainer = TreeExplainer(trees)
    assert explainer.contributions(row).sum() + explainer.expected == pytest.approx(trees.margin(row[None])[0], abs=1e-9)


def test_imputed_values_are_explained_as_the_value_put_in(boosted):
    _, trees, x = boosted
    imputing = TreeArrays(**{**vars(trees), "impute": np.zeros(FEATURES, np.float32)})
    filled = np.nan_to_num(x[:5], nan=0.0)
    assert np.array_equal(imputing.margin(x[:5]), trees.margin(filled))
    assert np.array_equal(TreeExplainer(imputing).contributions(x[0]), TreeExplainer(trees).contributions(filled[0]))


def test_trees_come_back_from_their_file_as_they_were(boosted, tmp_path):
    _, trees, x = boosted
    trees.save(tmp_path / "trees.safetensors")
    again = TreeArrays.load((tmp_path / "trees.safetensors").read_bytes())
    assert np.array_equal(again.margin(x), trees.margin(x)) and again.link == "logit"


@pytest.mark.parametrize(
    ("array", "index", "value"), [("left", 0, 0), ("right", 0, 10**6), ("root", 0, -1), ("threshold", 0, np.nan), ("cover", 1, 0.0), ("value", -1, np.inf)]
)
def test_a_tree_that_loops_or_points_outside_is_refused(boosted, tmp_path, array, index, value):
    _, trees, _ = boosted
    broken = getattr(trees, array).copy()
    broken[index] = value
    TreeArrays(**{**vars(trees), array: broken}).save(tmp_path / "trees.safetensors")
    with pytest.raises(ArtifactRefused, match="out of range"):
        TreeArrays.load((tmp_path / "trees.safetensors").read_bytes())


@pytest.mark.parametrize("content", [b"", b"\x80\x04N.", b"\xff" * 64, save_arrays({"root": np.zeros(1, np.int32)}, metadata={"base": "0", "link": "logit"})])
def test_what_is_no_tree_file_is_refused(content):
    with pytest.raises(ArtifactRefused):
        TreeArrays.load(content)
