"""Average precision against scikit-learn, and the bootstrap over clusters against what it promises."""

import numpy as np
import pytest
from builders.timelines import timeline
from hypothesis import given, settings
from hypothesis import strategies as st

from components.evaluate.resampling import Blocks, Ranked, average_precision, cluster_blocks, interval, resampled_precision


@settings(deadline=None)  # the first call imports scikit-learn
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.5, 0.9]), st.integers(0, 1), st.integers(0, 3)), min_size=1, max_size=40))
def test_weighted_average_precision_is_that_of_scikit_learn(rows):
    from sklearn.metrics import average_precision_score

    scores, labels, weights = (np.array(column) for column in zip(*rows, strict=True))
    if not (labels * weights).any():
        assert np.isnan(Ranked.of(labels, scores).average_precision(weights[None].astype(float))).all()
        return
    ours = Ranked.of(labels, scores).average_precision(weights[None].astype(float))[0]
    np.testing.assert_allclose(ours, average_precision_score(labels, scores, sample_weight=weights))


def test_a_missing_score_ranks_lowest_and_no_positive_row_means_no_number():
    assert average_precision(np.array([1, 0]), np.array([np.nan, 0.0])) == 0.5
    assert average_precision(np.array([0, 0]), np.array([0.1, 0.2])) is None


def test_each_block_holds_one_cluster_on_all_servers_and_the_quiet_around_it():
    line = timeline({"a": 300, "b": 300}, [("a", 50, 60, 0), ("b", 55, 70, 0), ("a", 200, 210, 1)])
    blocks = cluster_blocks(line, seed=0)
    assert blocks.count == 2
    for place, cluster in enumerate((0, 1)):
        assert set(np.unique(line.cluster[blocks.block == place])) == {-1, cluster}
    last = line.time[blocks.block == 0].max() - line.time.min()
    assert last / 300 == (70 + 188) // 2  # midway between the first cluster's end and the second one's first positive row
    assert (blocks.weights.sum(axis=1) == 2).all()


def test_a_cluster_that_reaches_over_the_cut_keeps_its_rows():
    line = timeline({"a": 200, "b": 200}, [("a", 50, 60, 0), ("b", 68, 70, 1)])  # the second one's hour before overlaps the first
    blocks = cluster_blocks(line, seed=0)
    for cluster in (0, 1):
        assert len(np.unique(blocks.block[line.cluster == cluster])) == 1


def test_drawing_every_block_once_is_the_plain_number():
    line = timeline({"a": 300}, [("a", 50, 60, 0), ("a", 200, 210, 1)])
    scores = np.random.default_rng(0).random(300)
    blocks = cluster_blocks(line, seed=0)
    once = Blocks(blocks.block, np.ones((1, blocks.count)))
    np.testing.assert_allclose(resampled_precision(line.label, scores, once)[0], average_precision(line.label, scores))


@pytest.mark.long
def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    """Forty fleets of twenty clusters each, some easy and some hard; the truth is the value over a thousand clusters."""
    random = np.random.default_rng(4)

    def fleet(clusters: int):
        line = timeline({"a": 60 * clusters}, [("a", 60 * number + 30, 60 * number + 35, number) for number in range(clusters)])
        ease = random.normal(1.5, 1.5, clusters)
        return line, random.normal(size=60 * clusters) + np.where(line.label == 1, np.repeat(ease, 60), 0.0)

    large, scores = fleet(1000)
    truth = average_precision(large.label, scores)
    covered = 0
    for _ in range(40):
        line, scores = fleet(20)
        low, high = interval(resampled_precision(line.label, scores, cluster_blocks(line, seed=1, draws=200)))
        covered += low <= truth <= high
    assert covered >= 32  # 95 % are promised; twenty clusters give somewhat less


def test_a_paired_difference_of_a_score_with_itself_is_nothing():
    line = timeline({"a": 300}, [("a", 50, 60, 0), ("a", 200, 210, 1)])
    scores = np.random.default_rng(0).random(300)
    blocks = cluster_blocks(line, seed=0)
    assert interval(resampled_precision(line.label, scores, blocks) - resampled_precision(line.label, 2 * scores, blocks)) == [0.0, 0.0]
