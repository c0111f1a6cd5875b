"""Moments about other origins, faded and joined, and how far components have gone."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.divergence import divergences, shifts
from daskgmm.model.frame import Frame, scatter
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.features import FeatureKernel
from tests.support import reference
from tests.support.rows import gaussian

DOUBLE = np.dtype(np.float64)
EPSILON = float(np.finfo(np.float64).eps)
K, D = 3, 4

kinds = st.sampled_from(list(COVARIANCES))
seeds = st.integers(0, 2**16)


def some_rows(n, seed=1, n_features=D):
    return gaussian(n, n_features, seed)


def moments_about(origins, mixture, rows, weights=None):
    """Moments of rows (n, D) under a mixture, taken about these origins row by row."""
    kernel = CentredKernel([mixture], Frame.identity(mixture.n_features), DOUBLE, [origins])
    kernel.add(rows.T, weights)
    (found,) = kernel.take()
    return found


def moments_in_features(mixture, rows):
    """The same about zero, by the feature form and the total scatter."""
    frame = Frame.identity(mixture.n_features)
    kernel = FeatureKernel([mixture], frame, DOUBLE)
    kernel.add(np.ascontiguousarray(rows.T))
    (found,) = kernel.take()
    return found.complete(mixture, scatter(rows.T, None, frame))


def case(kind, seed):
    """A mixture, some rows, and origins among them."""
    mixture = reference.random_mixture(kind, K, D, seed)
    return mixture, some_rows(200, seed), some_rows(K, seed + 1)


def assert_same(one, other, tolerance=1e-12):
    """Sums agree to so many digits of the largest of their kind."""
    assert_allclose(one.origins, other.origins, rtol=tolerance, atol=tolerance)
    for mine, theirs in ((one.sums, other.sums), (one.shared, other.shared)):
        size = max(np.abs(theirs).max(initial=0), one.weight, 1)
        assert_allclose(mine, theirs, rtol=0, atol=tolerance * size)
    assert_allclose(one.log_likelihood, other.log_likelihood, rtol=tolerance)
    assert_allclose(one.weight, other.weight, rtol=tolerance)
    assert one.rows == other.rows


def maximised(moments, covariance):
    return moments.maximise(covariance, np.zeros(moments.origins.shape[1]), EPSILON)


def assert_same_mixture(one, other, tolerance=1e-11):
    assert_allclose(one.weights, other.weights, rtol=tolerance)
    assert_allclose(one.means, other.means, rtol=tolerance, atol=tolerance)
    assert reference.relative_error(one.covariances, other.covariances) < tolerance


# --- other origins


@pytest.mark.slow
@given(kinds, seeds)
def test_moved_moments_are_those_taken_about_the_new_origins(kind, seed):
    mixture, rows, origins = case(kind, seed)
    moved = moments_about(mixture.means, mixture, rows).about(origins, mixture.covariance)
    assert_same(moved, moments_about(origins, mixture, rows))


def test_moments_of_the_feature_form_move_like_all_others(covariance):
    mixture, rows, origins = case(covariance.name, 3)
    moved = moments_in_features(mixture, rows).about(origins, covariance)
    assert_same(moved, moments_about(origins, mixture, rows))


@pytest.mark.slow
@given(kinds, seeds)
def test_there_and_back_is_where_they_were(kind, seed):
    mixture, rows, origins = case(kind, seed)
    moments = moments_about(mixture.means, mixture, rows)
    there = moments.about(origins, mixture.covariance)
    assert_same(there.about(moments.origins, mixture.covariance), moments)


def test_two_moves_are_one(covariance):
    mixture, rows, origins = case(covariance.name, 4)
    moments = moments_about(mixture.means, mixture, rows)
    halfway = moments.about(origins / 2, covariance)
    assert_same(halfway.about(origins, covariance), moments.about(origins, covariance))


def test_to_the_same_origins_nothing_changes_at_all(covariance):
    mixture, rows, origins = case(covariance.name, 5)
    moments = moments_about(origins, mixture, rows)
    moved = moments.about(origins, covariance)
    assert_array_equal(moved.sums, moments.sums)
    assert_array_equal(moved.shared, moments.shared)


@pytest.mark.slow
@given(kinds, seeds, st.integers(0, 200))
def test_moved_sums_are_the_sum_of_moved(kind, seed, cut):
    mixture, rows, origins = case(kind, seed)
    one, other = (moments_about(mixture.means, mixture, part) for part in np.split(rows, [cut]))
    apart = one.about(origins, mixture.covariance) + other.about(origins, mixture.covariance)
    assert_same((one + other).about(origins, mixture.covariance), apart)


def test_the_mixture_does_not_hang_on_the_origins(covariance):
    mixture, rows, origins = case(covariance.name, 6)
    moments = moments_about(mixture.means, mixture, rows)
    moved = moments.about(origins, covariance)
    assert_same_mixture(maximised(moved, covariance), maximised(moments, covariance))


def test_single_features_and_components_move_too(covariance):
    mixture = reference.random_mixture(covariance.name, 1, 1)
    rows, origins = some_rows(50, n_features=1), np.array([[3.0]])
    moved = moments_about(mixture.means, mixture, rows).about(origins, covariance)
    assert_same(moved, moments_about(origins, mixture, rows))


# --- joined


@pytest.mark.slow
@given(kinds, seeds, st.integers(1, 199))
def test_joined_moments_make_the_mixture_of_all_rows(kind, seed, cut):
    mixture, rows, origins = case(kind, seed)
    parts = np.split(rows, [cut])
    one, other = (
        moments_about(about, mixture, part)
        for about, part in zip((origins, mixture.means), parts, strict=True)
    )
    both = moments_about(mixture.means, mixture, rows)
    joined = one.joined(other, mixture.covariance)
    assert_allclose(joined.origins, both.means, rtol=1e-12, atol=1e-12)
    assert_same(joined.about(mixture.means, mixture.covariance), both)
    expected = maximised(both, mixture.covariance)
    assert_same_mixture(maximised(joined, mixture.covariance), expected)


def test_the_order_of_joining_does_not_matter(covariance):
    mixture, rows, _ = case(covariance.name, 7)
    parts = [
        moments_about(some_rows(K, seed), mixture, part)
        for seed, part in enumerate(np.split(rows, [30, 40]))
    ]
    first, *others = [
        one.joined(two, covariance).joined(three, covariance)
        for one, two, three in itertools.permutations(parts)
    ]
    for other in others:
        assert_same(other, first)


def test_joining_no_rows_only_moves_to_the_means(covariance):
    mixture, rows, origins = case(covariance.name, 8)
    moments = moments_about(mixture.means, mixture, rows)
    nothing = moments_about(origins, mixture, rows[:0])
    for joined in (moments.joined(nothing, covariance), nothing.joined(moments, covariance)):
        assert_same(joined, moments.about(moments.means, covariance))
    empty = nothing.joined(nothing, covariance)
    assert_array_equal(empty.origins, origins)
    assert_array_equal(empty.sums, 0)


@pytest.mark.skipif(not reference.EXTENDED, reason="no long double wider than a double here")
def test_tight_components_far_from_zero_keep_their_digits_when_joined(covariance):
    mixture, rows, _ = case(covariance.name, 9)
    mixture = mixture.outside(Frame(np.full(D, 1000.0), np.full(D, 1e-4)))
    rows = 1e-4 * rows + 1000
    rows[:50] += 3e-4  # the new ones
    parts = [moments_about(mixture.means, mixture, part) for part in np.split(rows, [50])]
    found = maximised(parts[0].joined(parts[1], covariance), covariance)
    _, _, means, covariances = reference.step(rows.astype(np.longdouble), mixture)
    assert_allclose(found.means, means.astype(float), rtol=1e-15)
    # Responsibilities hang on distances, which come from coordinates of thirteen digits.
    assert reference.relative_error(found.covariances, covariances) < 1e-8


# --- faded


def test_faded_moments_make_the_same_mixture(covariance):
    mixture, rows, _ = case(covariance.name, 10)
    moments = moments_about(mixture.means, mixture, rows)
    faded = moments.faded(0.25)
    assert faded.weight == 50
    assert faded.rows == 200
    assert faded.lower_bound == pytest.approx(moments.lower_bound, rel=1e-15)
    assert_same_mixture(maximised(faded, covariance), maximised(moments, covariance))


def test_faded_moments_are_those_of_rows_that_weigh_less(covariance):
    mixture, rows, _ = case(covariance.name, 11)
    faded = moments_about(mixture.means, mixture, rows).faded(0.3)
    lighter = moments_about(mixture.means, mixture, rows, np.full(len(rows), 0.3))
    assert_same(faded, lighter)


# --- the total scatter


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_scatter_is_the_rows_second_moments_in_the_frame(weighted, dtype, monkeypatch):
    monkeypatch.setattr("daskgmm.model.frame._SLAB_VALUES", 7 * D)
    rows = (some_rows(100) + 50).astype(dtype)
    weights = np.random.default_rng(0).random(100) if weighted else None
    frame = reference.frame_of(rows, "tied", np.dtype(dtype))
    z = reference.standard(rows, frame)
    exact = (z.T if weights is None else z.T * weights) @ z
    assert_allclose(scatter(rows.T, weights, frame), exact.astype(float), rtol=1e-12, atol=1e-10)


# --- how far components have gone


def one_divergence(one, other, k):
    """Both divergences of two components, by their definition, from many draws."""
    means, matrices = (
        (one.means[k], other.means[k]),
        (
            reference.matrices(one)[k].astype(float),
            reference.matrices(other)[k].astype(float),
        ),
    )
    densities = [multivariate_normal(*each) for each in zip(means, matrices, strict=True)]
    draws = [each.rvs(40_000, random_state=0) for each in densities]
    there = (densities[0].logpdf(draws[0]) - densities[1].logpdf(draws[0])).mean()
    back = (densities[1].logpdf(draws[1]) - densities[0].logpdf(draws[1])).mean()
    return there + back


def test_divergences_are_those_of_their_definition(covariance):
    one, other = (reference.random_mixture(covariance.name, 2, 3, seed) for seed in (1, 2))
    found = divergences(one, other)
    # The draws' mean log-ratio is that exact to about a hundredth of itself.
    drawn = [one_divergence(one, other, k) for k in range(2)]
    assert_allclose(found, drawn, rtol=0.03)
    assert_allclose(divergences(other, one), found, rtol=1e-12)


def test_nothing_diverges_from_itself(covariance):
    mixture = reference.random_mixture(covariance.name, K, D)
    assert_allclose(divergences(mixture, mixture), 0, atol=1e-12)
    assert_array_equal(shifts(mixture, mixture.means), 0)


def test_traces_are_those_of_the_matrices(covariance):
    one, other = (reference.random_mixture(covariance.name, K, D, seed) for seed in (3, 4))
    pairs = zip(reference.matrices(one), reference.matrices(other), strict=True)
    expected = [np.trace(np.linalg.inv(a.astype(float)) @ b.astype(float)) for a, b in pairs]
    found = covariance.traces(one.factors, other.covariances, (K, D))
    assert_allclose(found, expected, rtol=1e-11)


def test_shifts_are_in_the_components_own_deviations(covariance):
    mixture = reference.random_mixture(covariance.name, K, D)
    means = mixture.means + some_rows(K)
    for k, matrix in enumerate(reference.matrices(mixture)):
        change = means[k] - mixture.means[k]
        squared = change @ np.linalg.solve(matrix.astype(float), change)
        assert shifts(mixture, means)[k] == pytest.approx(np.sqrt(squared), rel=1e-11)
