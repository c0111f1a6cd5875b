"""Laws of conditional mixtures, and of missing values that are replaced by their means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.model.questions.conditioning import Conditional
from daskgmm.model.questions.imputation import imputed
from tests.support.mixtures import FULL, density, matrices_of, random_mixture

D = 4
POINTS = np.random.default_rng(5).normal(size=(20, D))
GIVEN = [[0], [2, 1], [3, 0, 2]]


def split(features):
    chosen = np.array(features)
    return chosen, np.setdiff1d(np.arange(D), chosen)


@pytest.mark.slow
@pytest.mark.parametrize("features", GIVEN)
def test_the_joint_density_is_the_marginal_times_the_conditional(covariance, features):
    mixture = random_mixture(covariance, n_features=D)
    own, others = split(features)
    conditional, marginal = Conditional.of(mixture, own), mixture.of_features(own)
    for point in POINTS:
        found = conditional.at(point[own])
        product = density(marginal, point[own]) * density(found, point[others])
        assert_allclose(product, density(mixture, point), rtol=1e-10)


@pytest.mark.parametrize("features", GIVEN)
def test_a_conditional_mixture_is_valid_and_of_the_same_type(covariance, features):
    own, others = split(features)
    found = Conditional.of(random_mixture(covariance, n_features=D), own).at(POINTS[0, own])
    found.require_sound()
    assert found.covariance is covariance
    assert found.shape == (4, len(others))
    assert_allclose(found.weights.sum(), 1, rtol=1e-14)


def test_the_parameters_are_those_of_the_schur_complement(covariance):
    mixture, (own, others) = random_mixture(covariance, n_features=D), split([2, 0])
    found, point = Conditional.of(mixture, own).at(POINTS[0, own]), POINTS[0]
    for k, matrix in enumerate(matrices_of(mixture)):
        slope = np.linalg.solve(matrix[np.ix_(own, own)], matrix[np.ix_(own, others)])
        mean = mixture.means[k, others] + (point[own] - mixture.means[k, own]) @ slope
        rest = matrix[np.ix_(others, others)] - matrix[np.ix_(others, own)] @ slope
        assert_allclose(found.means[k], mean, rtol=1e-10)
        assert_allclose(matrices_of(found)[k], rest, rtol=1e-10, atol=1e-14)


def test_conditioning_at_once_or_one_after_another_is_the_same(covariance):
    mixture, point = random_mixture(covariance, n_features=D), POINTS[3]
    at_once = Conditional.of(mixture, np.array([1, 3])).at(point[[1, 3]])
    first = Conditional.of(mixture, np.array([3])).at(point[[3]])
    then = Conditional.of(first, np.array([1])).at(point[[1]])
    for name in ("weights", "means", "covariances", "factors"):
        assert_allclose(getattr(then, name), getattr(at_once, name), rtol=1e-10, atol=1e-13)


def test_a_marginal_of_the_conditional_is_the_conditional_of_the_marginal(covariance):
    mixture, point = random_mixture(covariance, n_features=D), POINTS[4]
    one = Conditional.of(mixture, np.array([0])).at(point[:1]).of_features(np.array([0, 2]))
    other = Conditional.of(mixture.of_features(np.array([0, 1, 3])), np.array([0])).at(point[:1])
    for name in ("weights", "means", "covariances", "factors"):
        assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-10, atol=1e-13)


@pytest.mark.slow
def test_conditional_densities_average_to_the_marginal_density(covariance):
    """Total probability: the integral over one feature, by the trapezoidal rule."""
    mixture = random_mixture(covariance, n_features=D)
    conditional, rest = Conditional.of(mixture, np.array([0])), np.array([1, 2, 3])
    x, step = np.linspace(-9, 9, 301, retstep=True)
    weights = density(mixture.of_features(np.array([0])), x[:, np.newaxis])
    given_x = [density(conditional.at(np.array([each])), POINTS[6, rest]) for each in x]
    expected = density(mixture.of_features(rest), POINTS[6, rest])
    assert_allclose(step * weights @ np.ravel(given_x), expected, rtol=1e-10)


def test_the_order_of_the_given_features_does_not_matter(covariance):
    mixture, point = random_mixture(covariance, n_features=D), POINTS[0]
    for features in ([0, 2, 3], [3, 0, 2]):
        found = Conditional.of(mixture, np.array(features)).at(point[features])
        assert_allclose(found.means[:, 0], EXPECTED.setdefault(covariance.name, found.means[:, 0]))


EXPECTED: dict[str, np.ndarray] = {}


def test_a_component_narrow_in_one_direction_keeps_its_digits():
    """The conditional variance, 1e-14 of the marginal one, in closed form from the factor."""
    slope, narrow = np.array([1.0, -2.0]), 1e-7
    factor = np.array([[1.0, 0.3, -slope[0] / narrow], [0, 0.7, -slope[1] / narrow], [0, 0, 1e7]])
    half = np.linalg.inv(factor)
    mixture = Mixture(FULL, np.ones(1), np.zeros((1, 3)), (half.T @ half)[None], factor[None])
    found = Conditional.of(mixture, np.array([0, 1])).at(np.array([0.5, 0.25]))
    assert_allclose(found.covariances.ravel(), narrow**2, rtol=1e-9)
    assert_allclose(found.factors.ravel(), 1 / narrow, rtol=1e-9)
    assert_allclose(Conditional.of(mixture, np.array([0, 1])).slopes[0, :, 0], slope, rtol=1e-9)


def test_values_without_any_density_are_refused(covariance):
    with pytest.raises(FloatingPointError):
        Conditional.of(random_mixture(covariance), np.array([0])).at(np.array([1e200]))


def test_weights_far_from_all_components_are_still_those_of_the_tails(covariance):
    """Where densities themselves are zero in double precision."""
    mixture = random_mixture(covariance, n_features=D)
    found = Conditional.of(mixture, np.array([0])).at(np.array([60.0]))
    sizes = mixture.deviations[:, 0]
    logs = np.log(mixture.weights / sizes) - ((60 - mixture.means[:, 0]) / sizes) ** 2 / 2
    expected = np.exp(logs - logs.max())
    assert_allclose(found.weights, expected / expected.sum(), rtol=1e-9)


# --- values that are missing


def predictor_of(covariance, **options):
    scale = np.full(D, 4.0) if covariance.name == "spherical" else np.array([0.5, 1, 8, 2])
    frame = Frame(np.array([1e3, -5.0, 0.0, 2.0]), scale)
    return Predictor(random_mixture(covariance, n_features=D, **options), frame)


def rows_with_gaps(predictor, n=200, seed=0):
    random = np.random.default_rng(seed)
    rows = predictor.frame.leave(random.normal(size=(n, D)))
    return np.where(random.random((n, D)) < 0.4, np.nan, rows)


def test_missing_values_become_the_mean_of_the_conditional_mixture(covariance):
    predictor = predictor_of(covariance)
    rows = rows_with_gaps(predictor)
    found = imputed(predictor, rows)
    known = ~np.isnan(rows)
    assert_array_equal(found[known], rows[known])
    z = predictor.frame.enter(rows)
    for row, values, mask in zip(found, z, known, strict=True):
        if mask.all():
            continue
        own = np.flatnonzero(mask)
        mixture = predictor.mixture
        if len(own):
            mixture = Conditional.of(mixture, own).at(values[own])
        expected = mixture.weights @ mixture.means
        assert_allclose(predictor.frame.enter(row)[~mask], expected, rtol=1e-9, atol=1e-11)


def test_with_one_component_the_mean_is_the_linear_regression():
    random = np.random.default_rng(1)
    rows = random.normal(size=(500, D)) @ random.normal(size=(D, D)) + [9, 0, 3, -2]
    mean, matrix = rows.mean(axis=0), np.cov(rows.T, bias=True)
    frame = Frame(mean, np.ones(D))
    mixture = Mixture.from_covariances(FULL, np.ones(1), np.zeros((1, D)), matrix[None])
    gaps = rows.copy()
    gaps[:, [1, 3]] = np.nan
    design = np.column_stack([np.ones(500), rows[:, [0, 2]] - mean[[0, 2]]])
    expected = design @ np.linalg.lstsq(design, rows[:, [1, 3]], rcond=None)[0]
    assert_allclose(
        imputed(Predictor(mixture, frame), gaps)[:, [1, 3]], expected, rtol=1e-10, atol=1e-12
    )


@pytest.mark.slow
@given(cuts=st.lists(st.integers(0, 70), max_size=5), kind=st.sampled_from(list(COVARIANCES)))
def test_a_rows_bits_do_not_depend_on_the_rows_beside_it(cuts, kind):
    predictor = Predictor(random_mixture(COVARIANCES[kind], n_features=16), Frame.identity(16))
    rows = np.random.default_rng(3).normal(size=(70, 16))
    rows[:, ::3] = np.nan
    rows[::9, 1] = np.nan
    parts = np.split(rows, sorted(cuts))
    found = np.concatenate([imputed(predictor, part) for part in parts])
    assert found.tobytes() == imputed(predictor, rows).tobytes()


def test_single_precision_stays(covariance):
    predictor = predictor_of(covariance)
    rows = rows_with_gaps(predictor).astype(np.float32)
    found = imputed(predictor, rows)
    assert found.dtype == np.float32
    assert_allclose(found, imputed(predictor, rows.astype(np.float64)), rtol=1e-6)


def test_infinite_values_are_refused(covariance):
    rows = np.full((3, D), np.nan)
    rows[1, 2] = np.inf
    with pytest.raises(NotFiniteError) as caught:
        imputed(predictor_of(covariance), rows)
    assert (caught.value.flaw.row, caught.value.flaw.feature) == (1, 2)
