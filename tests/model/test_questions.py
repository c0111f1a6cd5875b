"""Laws of distances between components, and of bringing them in another's order."""

from itertools import permutations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.questions.distances import (
    DIVERGENCES,
    bhattacharyya,
    hellinger,
    jeffreys,
    kullback_leibler,
)
from daskgmm.model.questions.matching import matching

K, D = 4, 3
FULL = COVARIANCES["full"]


def mixture_of(covariance, seed=0, n_components=K, narrow=1.0):
    """A random mixture, whose matrices have deviations down to `narrow`."""
    random = np.random.default_rng(seed)
    axes = np.linalg.qr(random.normal(size=(n_components, D, D)))[0]
    halves = axes * np.geomspace(narrow, 1, D)
    weights, means = random.dirichlet(np.ones(n_components)), random.normal(size=(n_components, D))
    full = Mixture.from_covariances(FULL, weights, means, halves @ halves.transpose(0, 2, 1))
    return full.with_covariance(covariance)


def in_full(mixture):
    matrices = mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
    return Mixture.from_covariances(FULL, mixture.weights, mixture.means, matrices)


def by_formula(one, other):
    """Bhattacharyya distances as the formula has them."""
    first, second = (
        mixture.covariance.as_matrices(mixture.covariances, mixture.shape)
        for mixture in (one, other)
    )
    found = np.empty((one.n_components, other.n_components))
    for k, left in enumerate(first):
        for j, right in enumerate(second):
            middle, gap = (left + right) / 2, one.means[k] - other.means[j]
            volumes = [np.linalg.slogdet(each)[1] for each in (middle, left, right)]
            apart = gap @ np.linalg.solve(middle, gap) / 8
            found[k, j] = apart + volumes[0] / 2 - (volumes[1] + volumes[2]) / 4
    return found


# --- distances


@pytest.mark.parametrize("other_type", list(COVARIANCES))
def test_distances_are_those_of_the_formula_for_any_two_types(covariance, other_type):
    one, other = mixture_of(covariance), mixture_of(COVARIANCES[other_type], 1, 5)
    assert_allclose(bhattacharyya(one, other), by_formula(one, other), rtol=1e-10)


def test_distances_are_symmetric_and_zero_for_equal_components(covariance):
    one, other = mixture_of(covariance), mixture_of(covariance, 1)
    assert_allclose(bhattacharyya(one, other), bhattacharyya(other, one).T, rtol=1e-10)
    assert_allclose(np.diagonal(bhattacharyya(one, one)), 0, atol=1e-13)


def test_distances_are_the_same_in_any_units(covariance):
    scale = np.full(D, 4.0) if covariance.name == "spherical" else np.array([1e-6, 1.0, 1e6])
    frame = Frame(np.array([1.0, -2.0, 3.0]), scale)
    one, other = mixture_of(covariance), mixture_of(covariance, 1)
    moved = bhattacharyya(one.outside(frame), other.outside(frame))
    assert_allclose(moved, bhattacharyya(one, other), rtol=1e-8)


def test_components_that_are_narrow_in_one_direction_keep_their_digits():
    one = mixture_of(FULL, narrow=1e-7)
    assert_allclose(np.diagonal(bhattacharyya(one, one)), 0, atol=1e-6)
    far = Mixture(FULL, one.weights, one.means + 1, one.covariances, one.factors)
    found = np.diagonal(bhattacharyya(one, far))
    whitened = np.einsum("kij,i->kj", one.factors, np.ones(D))
    assert_allclose(found, (whitened**2).sum(axis=1) / 8, rtol=1e-9)


# --- other orders and types


def test_a_match_of_a_reordered_mixture_is_its_permutation(covariance):
    mixture = mixture_of(covariance)
    for order in map(np.array, permutations(range(K))):
        assert_array_equal(matching(mixture, mixture.of_components(order)), order)
        restored = mixture.of_components(order).of_components(np.argsort(order))
        assert_array_equal(restored.means, mixture.means)
        assert_array_equal(restored.covariances, mixture.covariances)
        assert_array_equal(restored.factors, mixture.factors)


def test_no_permutation_has_a_smaller_sum_of_distances(covariance):
    mixture, reference = mixture_of(covariance), mixture_of(FULL, 7)
    distances = bhattacharyya(reference, mixture)
    sums = {order: distances[range(K), list(order)].sum() for order in permutations(range(K))}
    found = tuple(matching(mixture, reference).tolist())
    assert sums[found] == min(sums.values())


def test_components_too_far_apart_for_their_distance_to_be_a_number_are_matched(covariance):
    one = mixture_of(covariance)
    far = Mixture(one.covariance, one.weights, one.means * 1e307, one.covariances, one.factors)
    assert np.isposinf(bhattacharyya(one, far)).all()
    assert sorted(matching(one, far)) == list(range(K))


def test_a_type_that_holds_the_covariances_leaves_the_mixture_as_it_is(covariance):
    mixture = mixture_of(covariance)
    assert_allclose(mixture.with_covariance(covariance).covariances, mixture.covariances, 1e-12)
    back = in_full(mixture).with_covariance(covariance)
    assert_allclose(back.covariances, mixture.covariances, rtol=1e-12)
    assert_allclose(back.factors, mixture.factors, rtol=1e-10, atol=1e-12)


def test_another_type_has_the_variances_that_the_components_have_on_average(covariance):
    mixture = mixture_of(FULL)
    wanted = np.trace(np.einsum("k,kij->ij", mixture.weights, mixture.covariances))
    other = mixture.with_covariance(covariance)
    found = other.weights @ other.covariance.variances(other.covariances, other.shape).sum(axis=1)
    assert_allclose(found, wanted, rtol=1e-12)


def test_a_component_without_weight_keeps_its_covariance_in_another_type():
    mixture = mixture_of(FULL)
    weights = np.array([0.5, 0.5, 0.0, 0.0])
    empty = Mixture(FULL, weights, mixture.means, mixture.covariances, mixture.factors)
    found = empty.with_covariance(COVARIANCES["diag"])
    expected = np.diagonal(mixture.covariances, axis1=1, axis2=2)
    assert_allclose(found.covariances, expected, rtol=1e-12)


@pytest.mark.parametrize("features", [[2, 0, 1], [1], [2, 0]])
def test_the_mixture_of_some_features_has_their_means_and_covariances(covariance, features):
    mixture, chosen = mixture_of(covariance), np.array(features)
    found, whole = in_full(mixture.of_features(chosen)), in_full(mixture)
    assert_array_equal(found.means, whole.means[:, chosen])
    assert_allclose(found.covariances, whole.covariances[:, chosen][:, :, chosen], rtol=1e-14)


# --- divergences


def log_ratio(one, other, x):
    return one.logpdf(x) - other.logpdf(x)


def by_nodes(one, other, of_density):
    """Integrals over one component's density, by a product rule exact for quadratic functions."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    grid = np.stack(np.meshgrid(*[nodes] * D, indexing="ij"), axis=-1).reshape(-1, D)
    shares = np.prod(np.meshgrid(*[weights / weights.sum()] * D, indexing="ij"), axis=0).ravel()
    x = grid @ np.linalg.cholesky(one.cov).T + one.mean
    return shares @ of_density(one, other, x)


@pytest.mark.parametrize("other_type", list(COVARIANCES))
def test_divergences_are_integrals_over_densities(covariance, other_type):
    one, other = mixture_of(covariance), mixture_of(COVARIANCES[other_type], 1)
    first, second = (
        [multivariate_normal(*each) for each in zip(m.means, in_full(m).covariances, strict=True)]
        for m in (one, other)
    )
    found = kullback_leibler(one, other)
    for k, j in ((0, 0), (1, 3)):
        expected = by_nodes(first[k], second[j], log_ratio)
        assert_allclose(found[k, j], expected, rtol=1e-9)
        assert_allclose(
            jeffreys(one, other)[k, j],
            expected + by_nodes(second[j], first[k], log_ratio),
            rtol=1e-9,
        )


@pytest.mark.parametrize("kind", list(DIVERGENCES))
def test_divergences_of_a_component_from_itself_are_zero(covariance, kind):
    one = mixture_of(covariance, narrow=1e-3)
    found = DIVERGENCES[kind](one, one)
    assert (found >= 0).all()
    assert_allclose(np.diagonal(found), 0, atol=1e-6 if kind == "hellinger" else 1e-9)


def test_hellinger_distances_obey_the_triangle_inequality_and_end_at_one(covariance):
    first, second, third = (mixture_of(covariance, seed) for seed in range(3))
    direct, one, other = hellinger(first, third), hellinger(first, second), hellinger(second, third)
    assert (direct <= (one[:, :, None] + other[None]).min(axis=1) + 1e-12).all()
    far = Mixture(covariance, first.weights, first.means + 1e6, first.covariances, first.factors)
    assert_array_equal(hellinger(first, far), 1)


def test_divergences_of_narrow_components_keep_their_digits():
    one = mixture_of(FULL, narrow=1e-7)
    step = np.einsum("kij,j->ki", np.linalg.inv(one.factors).transpose(0, 2, 1), np.ones(D))
    moved = Mixture(FULL, one.weights, one.means + step, one.covariances, one.factors)
    assert_allclose(np.diagonal(kullback_leibler(one, moved)), D / 2, rtol=1e-8)


def test_divergences_that_overflow_are_infinite(covariance):
    one = mixture_of(covariance)
    far = Mixture(one.covariance, one.weights, one.means * 1e307, one.covariances, one.factors)
    for kind in ("jeffreys", "kl"):
        assert np.isposinf(DIVERGENCES[kind](one, far)).all()
