"""Surprises of values given the rest of their row, against densities and integrals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.stats import norm

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.model.questions.conditioning import Conditional
from daskgmm.model.questions.explanation import surprises
from tests.support.mixtures import FULL, density, random_mixture

D = 3


def predictor_of(covariance, **options):
    scale = np.full(D, 4.0) if covariance.name == "spherical" else np.array([0.5, 1, 8])
    return Predictor(random_mixture(covariance, **options), Frame(np.array([7.0, -5, 0]), scale))


def some_rows(predictor, n=40, spread=1.5):
    z = np.random.default_rng(2).normal(size=(n, D)) * spread
    return predictor.frame.leave(z)


def test_surprises_are_those_by_numerical_integration(covariance):
    """The joint density over its integral along one column, all in the data's units."""
    predictor = predictor_of(covariance)
    mixture, rows = predictor.in_data_units, some_rows(predictor, 6)
    found = surprises(predictor, rows)
    for d in range(D):
        reach = 12 * mixture.deviations[:, d].max()
        ends = mixture.means[:, d].min() - reach, mixture.means[:, d].max() + reach
        x, step = np.linspace(*ends, 1001, retstep=True)
        for row, own in zip(rows, found[:, d], strict=True):
            line = np.where(np.arange(D) == d, x[:, np.newaxis], row)
            total = step * density(mixture, line).sum()
            assert_allclose(own, np.log(total / density(mixture, row)), rtol=1e-9, atol=1e-11)


def test_surprises_are_those_of_conditional_mixtures(covariance):
    predictor = predictor_of(covariance)
    rows = some_rows(predictor)
    found = surprises(predictor, rows)
    for d in range(D):
        others = np.setdiff1d(np.arange(D), d)
        conditional = Conditional.of(predictor.mixture, others)
        for row, own in zip(predictor.frame.enter(rows), found, strict=True):
            at = density(conditional.at(row[others]), row[[d]])
            assert_allclose(own[d], -np.log(at / predictor.frame.scale[d]), rtol=1e-9, atol=1e-11)


def test_of_one_component_they_are_the_regressions_log_densities():
    matrix = np.array([[2.0, 0.9, 0.1], [0.9, 1.0, -0.2], [0.1, -0.2, 0.5]])
    mixture = Mixture.from_covariances(FULL, np.ones(1), np.zeros((1, D)), matrix[None])
    rows = np.random.default_rng(0).normal(size=(50, D))
    found = surprises(Predictor(mixture, Frame.identity(D)), rows)
    for d in range(D):
        others = np.setdiff1d(np.arange(D), d)
        slope = np.linalg.solve(matrix[np.ix_(others, others)], matrix[others, d])
        error = rows[:, d] - rows[:, others] @ slope
        deviation = np.sqrt(matrix[d, d] - matrix[others, d] @ slope)
        assert_allclose(found[:, d], -norm.logpdf(error, scale=deviation), rtol=1e-10, atol=1e-12)


def test_of_one_column_they_are_the_negative_log_density(covariance):
    predictor = Predictor(random_mixture(covariance, n_features=1), Frame(np.ones(1), np.ones(1)))
    rows = np.linspace(-5, 5, 33)[:, np.newaxis]
    assert_allclose(surprises(predictor, rows)[:, 0], -predictor.log_densities(rows), rtol=1e-10)


def test_independent_columns_of_one_component_add_up_to_the_surprise_of_the_row():
    predictor = predictor_of(COVARIANCES["diag"], n_components=1)
    rows = some_rows(predictor)
    found = surprises(predictor, rows).sum(axis=1)
    assert_allclose(found, -predictor.log_densities(rows), rtol=1e-12)


def test_narrow_components_far_apart_keep_their_digits(covariance):
    """Of deviations down to 1e-7 at a distance of 1, where squared distances are up to 1e14."""
    small = Frame(np.zeros(D), np.full(D, 3e-7))
    mixture = random_mixture(covariance, n_components=2).outside(small)
    means = np.array([[0.0, 0, 0], [1, 0, 0]])  # equal in all other columns
    mixture = Mixture(covariance, mixture.weights, means, mixture.covariances, mixture.factors)
    predictor = Predictor(mixture, Frame(np.array([1e6, 0, 0]), np.ones(D)))
    row = np.array([0.0, 2e-7, -1e-7])
    others = np.array([1, 2])
    first = Conditional.of(mixture, others).at(row[others])  # without any other column's distance
    log_density = norm.logpdf(0, first.means[0, 0], first.deviations[0, 0])
    expected = -np.log(first.weights[0]) - log_density
    found = surprises(predictor, row[np.newaxis] + [1e6, 0, 0])[0]
    assert_allclose(found[0], expected, atol=1e7 * np.finfo(float).eps)  # distances round so


def test_values_whose_distance_overflows_are_infinitely_surprising(covariance):
    predictor = predictor_of(covariance)
    row = np.array([[1e200, 0.0, 0.0]])
    found = surprises(predictor, row)[0]
    assert found[0] == np.inf
    assert not np.isnan(found).any()


@pytest.mark.slow
@given(cuts=st.lists(st.integers(0, 70), max_size=5), kind=st.sampled_from(list(COVARIANCES)))
def test_a_rows_bits_do_not_depend_on_the_rows_beside_it(cuts, kind):
    predictor = Predictor(random_mixture(COVARIANCES[kind], 3, 16), Frame.identity(16))
    rows = np.random.default_rng(3).normal(size=(70, 16))
    rows[::7] += 500.0
    found = [surprises(predictor, part) for part in np.split(rows, sorted(cuts))]
    assert np.concatenate(found).tobytes() == surprises(predictor, rows).tobytes()


def test_single_precision_stays(covariance):
    predictor = predictor_of(covariance)
    rows = some_rows(predictor).astype(np.float32)
    found = surprises(predictor, rows)
    assert found.dtype == np.float32
    assert_allclose(found, surprises(predictor, rows.astype(np.float64)), rtol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value, covariance):
    rows = np.zeros((4, D))
    rows[2, 1] = value
    with pytest.raises(NotFiniteError) as caught:
        surprises(predictor_of(covariance), rows)
    assert (caught.value.flaw.row, caught.value.flaw.feature) == (2, 1)
