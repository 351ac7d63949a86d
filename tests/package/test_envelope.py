"""The envelope as a file: the same bytes for the same rows, refused where it is none, and over sequences as over rows."""

from dataclasses import replace

import numpy as np
import pytest

from components.train.envelope import fit_envelope
from presage.errors import ArtifactRefused
from presage.package.envelope import Envelope


def rows(count=1500, seed=0, missing=0.02):
    """Twelve inputs driven by three things; the last input never moves, the one before is often not there."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(3, 12))
    x = (random.normal(size=(count, 3)) @ mixing + 0.1 * random.normal(size=(count, 12))).astype(np.float32)
    x[:, 11] = 5.0
    x[random.random(x.shape) < missing] = np.nan
    x[random.random(count) < 0.5, 10] = np.nan
    return x


@pytest.fixture(scope="module")
def envelope():
    return fit_envelope(rows(), rows(seed=1), seed=7)


def test_the_same_rows_give_the_same_bytes(envelope):
    assert fit_envelope(rows(), rows(seed=1), seed=7).to_bytes() == envelope.to_bytes()
    assert Envelope.load(envelope.to_bytes()).to_bytes() == envelope.to_bytes()


def test_one_held_out_row_in_a_thousand_lies_beyond_one(envelope):
    assert (envelope.distances(rows(seed=1)) > 1).mean() <= 0.002
    assert (envelope.distances(rows(seed=2)) > 1).mean() <= 0.01


def test_what_training_often_lacked_may_be_missing(envelope):
    x = rows(seed=3, missing=0.0)
    x[:, 10] = np.nan
    assert (envelope.distances(x) <= 1).mean() > 0.99
    x[:, :10] = np.nan
    assert (envelope.distances(x) > 1).all()


def test_an_input_that_never_moved_in_training_is_far_when_it_moves(envelope):
    x = rows(seed=4, missing=0.0)
    x[:, 11] = 50.0
    assert (envelope.distances(x) > 1).all()


def test_a_single_value_that_does_not_go_with_the_others_is_far(envelope):
    x = rows(seed=5, missing=0.0)
    spread = np.nanstd(x[:, 0])
    x[:, 0] += 6 * spread
    assert (envelope.distances(x) > 1).mean() > 0.95


def test_a_sequence_is_measured_tick_by_tick():
    ticks = rows(count=400 * 16).reshape(400, 16, 12)
    envelope = fit_envelope(ticks[:200], ticks[200:], seed=7)
    held = ticks[200:]
    assert (envelope.distances(held) > 1).mean() <= 0.01
    spiked = held.copy()
    spiked[:, 5, :6] += 1000.0
    assert (envelope.distances(spiked) > 1).all()
    alone = np.concatenate([envelope.distances(held[place : place + 1]) for place in range(len(held))])
    np.testing.assert_array_equal(alone, envelope.distances(held))


def test_rows_of_any_kind_can_be_fitted():
    for learnt in (rows(5), rows(40), np.full((30, 3), np.nan, np.float32), np.zeros((30, 1), np.float32)):
        envelope = fit_envelope(learnt, learnt[:0], seed=1)
        assert np.isfinite(Envelope.load(envelope.to_bytes()).distances(learnt)).all()


@pytest.mark.parametrize(
    "change",
    [
        {"scale": np.zeros(12)},
        {"limits": np.array([1.0, -1.0])},
        {"limits": np.array([1.0])},
        {"center": np.full(12, np.nan)},
        {"beside": np.ones(11)},
        {"lacked": np.full(12, 2.0)},
        {"basis": np.ones((12, 1))},
        {"along": np.ones(6, np.float32)},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_arrays_that_are_no_envelope_are_refused(envelope, change):
    with pytest.raises(ArtifactRefused, match=r"envelope.safetensors: a shape, scale or limit is out of range"):
        Envelope.load(replace(envelope, **change).to_bytes())


@pytest.mark.parametrize("content", [b"", b"\x80\x04pickle", b"\0" * 64], ids=["empty", "pickle", "zeros"])
def test_bytes_that_are_no_arrays_are_refused(content):
    with pytest.raises(ArtifactRefused, match="cannot be read as an envelope"):
        Envelope.load(content)


def test_other_arrays_are_no_envelope(envelope):
    from presage.arrays import arrays_to_bytes

    with pytest.raises(ArtifactRefused):
        Envelope.load(arrays_to_bytes({"center": np.ones(3)}))
