"""The survey's sample: exactly as many rows as asked for, each as likely as any other."""

import itertools

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.stats import chisquare

from daskgmm.data.containers.arrays import ArrayPart
from daskgmm.data.source import Source
from daskgmm.passes.row_sample import priorities
from daskgmm.passes.survey import Request
from daskgmm.passes.survey_pass import survey

DOUBLE = np.dtype(np.float64)


def numbered(lengths, *, known=True, weighted=False):
    """A source whose rows hold their own index."""
    edges = np.concatenate([[0], np.cumsum(lengths)])
    X = np.arange(edges[-1], dtype=np.float64)[np.newaxis].repeat(2, axis=0)
    parts = tuple(
        ArrayPart(X[:, a:b], X[0, a:b] + 1 if weighted else None, DOUBLE, int(a))
        for a, b in itertools.pairwise(edges)
    )
    return Source(parts, 2, DOUBLE, None, tuple(lengths) if known else None)


def sample_of(source, capacity, seed=0, *, known=True):
    expected = sum(source.lengths) if known and source.lengths else None
    request = Request(seed, capacity, scatter=False, dtype=DOUBLE, expected=expected)
    return survey(source, request, [lambda found: found])[1][0]


lengths_of_parts = st.lists(st.integers(0, 60), min_size=2, max_size=12).filter(
    lambda lengths: sum(length > 0 for length in lengths) > 1
)


@pytest.mark.slow
@settings(max_examples=60)
@given(lengths_of_parts, st.integers(1, 300), st.booleans(), st.integers(0, 5))
def test_the_sample_has_the_right_rows_in_their_order(lengths, capacity, known, seed):
    source = numbered(lengths, weighted=True)
    found = sample_of(source, capacity, seed, known=known)
    assert found.lengths == tuple(lengths)
    index = found.sample.rows[:, 0].astype(int)
    if not known:
        assert len(index) == min(sum(lengths), capacity)
    assert (np.diff(index) > 0).all()
    assert_array_equal(found.sample.rows[:, 1], found.sample.rows[:, 0])
    assert_array_equal(found.sample.weights, index + 1)
    edges = np.concatenate([[0], np.cumsum(lengths)])
    assert_array_equal(edges[found.sample.positions[:, 0]] + found.sample.positions[:, 1], index)


@pytest.mark.parametrize("capacity", [1000, 5000])
@pytest.mark.parametrize("seed", range(5))
def test_knowing_the_number_of_rows_changes_no_row_of_the_sample(capacity, seed):
    source = numbered([4000] * 10)
    full, short = (sample_of(source, capacity, seed, known=known).sample for known in (False, True))
    assert_array_equal(full.rows, short.rows)
    assert len(full.rows) == capacity


@pytest.mark.parametrize("known", [False, True])
def test_rows_in_a_single_part_are_sampled_too(known):
    found = sample_of(numbered([5000]), 100, known=known)
    assert len(found.sample.rows) == 100


@pytest.fixture
def in_this_thread():
    """For thousands of small passes: handing their tasks to threads would take most of the time."""
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.mark.slow
def test_a_small_sample_is_never_short_of_rows(in_this_thread):
    source = numbered([300, 300])
    counts = [len(sample_of(source, 2, seed).sample.rows) for seed in range(1500)]
    assert set(counts) == {2}


def test_the_sample_hangs_on_seed_and_parts_alone_not_on_how_they_are_grouped(monkeypatch):
    source = numbered([70] * 12)
    expected = sample_of(source, 100, seed=3).sample
    for edges in ([0, 12], [0, 1, 12], [0, 4, 8, 12], list(range(13))):
        groups = [range(a, b) for a, b in itertools.pairwise(edges)]
        monkeypatch.setattr("daskgmm.passes.survey_pass._groups", lambda _, groups=groups: groups)
        assert_array_equal(sample_of(source, 100, seed=3).sample.rows, expected.rows)
    assert not np.array_equal(sample_of(source, 100, seed=4).sample.rows, expected.rows)


@pytest.mark.slow
def test_every_row_is_as_likely_as_any_other(in_this_thread):
    lengths = [5, 50, 0, 1, 44]
    counts = np.zeros(100)
    for seed in range(1500):
        sample = sample_of(numbered(lengths), 20, seed, known=False).sample
        counts[sample.rows[:, 0].astype(int)] += 1
    assert counts.sum() == 20 * 1500
    # Without replacement counts vary a fifth less than chisquare() supposes; seeds are fixed.
    assert chisquare(counts).pvalue > 0.05
    by_part = np.array([counts[:5].sum(), counts[5:55].sum(), counts[55], counts[56:].sum()])
    assert chisquare(by_part, 300 * np.array([5, 50, 1, 44])).pvalue > 0.05


def test_parts_draw_independently():
    streams = [priorities(0, part, None).random(1000) for part in range(3)]
    assert np.abs(np.corrcoef(streams)[np.triu_indices(3, 1)]).max() < 0.1
    assert_array_equal(priorities(0, 1, None).random(1000), streams[1])


@pytest.mark.slow
@settings(max_examples=60)
@given(lengths_of_parts, st.integers(1, 300), st.integers(0, 5))
def test_how_rows_of_known_number_are_cut_changes_no_row_of_the_sample(lengths, capacity, seed):
    cut, whole = (sample_of(numbered(own), capacity, seed) for own in (lengths, [sum(lengths)]))
    assert_array_equal(cut.sample.rows, whole.sample.rows)


def test_blocks_larger_than_a_slab_are_sampled_like_small_ones(monkeypatch):
    source = numbered([3000, 1000])
    expected = sample_of(source, 500, known=False).sample
    monkeypatch.setattr("daskgmm.passes.survey._SLAB_VALUES", 64)
    assert_array_equal(sample_of(source, 500, known=False).sample.rows, expected.rows)
