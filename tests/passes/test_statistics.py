"""Means and second moments of all rows: no digits lost far from zero, in any grouping."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskgmm.passes.statistics import Statistics


def some_rows(n=200, n_features=3, offset=0.0, scale=1.0, seed=0):
    return offset + scale * np.random.default_rng(seed).normal(size=(n, n_features))


def exactly(rows, weights=None):
    """Weight, mean and second moments about it, in extended precision."""
    own = np.ones(len(rows)) if weights is None else weights
    wide = rows.astype(np.longdouble)
    mean = (own[:, np.newaxis] * wide).sum(axis=0) / own.sum()
    centred = wide - mean
    return own.sum(), mean, (centred.T * own) @ centred


def merged(rows, cuts, weights=None, *, scatter=True):
    edges = [0, *sorted(cuts), len(rows)]
    total = None
    for start, stop in itertools.pairwise(edges):
        if start < stop:
            own = None if weights is None else weights[start:stop]
            piece = Statistics.of(rows[start:stop].T, own, scatter=scatter)
            total = piece if total is None else total + piece
    return total


@pytest.mark.slow
@settings(max_examples=60)
@given(data=st.data())
def test_merged_statistics_are_those_of_all_rows_wherever_they_lie(data):
    offset = data.draw(st.sampled_from([0.0, 1.0, -1e4, 1e8]))
    n = data.draw(st.integers(1, 200))
    rows = some_rows(n, 2, offset, seed=data.draw(st.integers(0, 50)))
    weights = None
    if data.draw(st.booleans()):
        weights = np.random.default_rng(1).uniform(0.1, 4, n)
    scatter = data.draw(st.booleans())
    cuts = data.draw(st.lists(st.integers(0, n), max_size=10))
    found = merged(rows, cuts, weights, scatter=scatter)
    weight, mean, second = exactly(rows, weights)
    second = second.astype(float)
    assert_allclose(found.weight, weight, rtol=1e-13)
    at_mean = (found.origin - mean).astype(float) + found.first / found.weight
    # `origin - mean` is exact in extended precision; `first` sums n roundings of the deviations.
    assert_allclose(at_mean, 0, atol=1e-14 + 5e-16 * abs(offset))
    about = found.about(mean.astype(float)).second
    expected = second if scatter else np.diagonal(second)
    # Moving the origin by an ulp of the offset costs weight * ulp ** 2, no more.
    assert_allclose(about, expected, rtol=1e-10, atol=1e-10 + n * (2e-16 * offset) ** 2)


@pytest.mark.parametrize("offset", [0.0, 1e8])
@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e8])
def test_deviations_have_all_their_digits(offset, scale):
    rows = some_rows(1000, offset=offset * scale, scale=scale)
    expected = np.sqrt(np.diagonal(exactly(rows)[2]) / 1000).astype(float)
    for cuts in ([], [1], [10, 500, 501]):
        for scatter in (True, False):
            found = merged(rows, cuts, scatter=scatter).deviations
            assert_allclose(found, expected, rtol=1e-12)


def test_single_precision_rows_are_summed_in_double():
    rows = some_rows(5000, offset=1e4).astype(np.float32)
    found = merged(rows, [100, 2000])
    _, mean, second = exactly(rows)
    assert_allclose(found.origin + found.first / found.weight, mean.astype(float), rtol=1e-14)
    deviations = np.sqrt(np.diagonal(second) / 5000).astype(float)
    assert_allclose(found.deviations, deviations, rtol=1e-11)


def test_a_weight_counts_as_that_many_rows():
    rows, counts = some_rows(), np.random.default_rng(1).integers(0, 4, 200)
    weighted = merged(rows, [50], counts.astype(float))
    repeated = merged(np.repeat(rows, counts, axis=0), [])
    assert weighted.weight == repeated.weight
    assert_allclose(weighted.deviations, repeated.deviations, rtol=1e-12)


def test_rows_without_weight_change_nothing():
    rows = some_rows()
    known = Statistics.of(rows.T, None, scatter=True)
    nothing = Statistics.of(1e3 + rows.T, np.zeros(200), scatter=True)
    for total in (known + nothing, nothing + known):
        assert_allclose(total.deviations, known.deviations, rtol=1e-9)
        assert_allclose(total.origin, rows.mean(axis=0), atol=1e-9)
    assert (nothing + nothing).weight == 0


def test_a_constant_feature_has_deviation_zero_or_its_rounding():
    rows = np.column_stack([np.full(999, 0.1), np.arange(999.0)])
    assert merged(rows, [10, 500]).deviations[0] < 1e-16
