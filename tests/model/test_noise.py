"""Noise beside components: every kernel gives it its share, and questions count it in."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad
from scipy.stats import multivariate_normal

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.compiled import CompiledKernel
from daskgmm.model.kernels.features import FeatureKernel
from daskgmm.model.missing.patterns import Missing
from daskgmm.model.noise import Noise
from daskgmm.model.prediction import NOISE, Predictor
from daskgmm.model.questions.conditioning import Conditional
from daskgmm.model.questions.explanation import surprises
from daskgmm.model.questions.imputation import imputed
from daskgmm.passes.engine.blas import one_thread
from tests.support.mixtures import matrices_of, random_mixture
from tests.support.strategies import ALL_PAIRS, MIXED, SCREENED

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
KERNELS = {
    "centred": CentredKernel,
    "features": FeatureKernel,
    "compiled": CompiledKernel,
    "screened": SCREENED,
    "all pairs": ALL_PAIRS,
    "mixed": MIXED,
}
by_features = ("features", "compiled")
each_kind = pytest.mark.parametrize("kind", list(COVARIANCES))


@pytest.fixture(autouse=True)
def as_in_a_task():
    with one_thread():
        yield


def noisy(kind, share=0.2, n_components=4):
    """A mixture of three features with noise over a box from -4 to 4, about."""
    mixture = random_mixture(COVARIANCES[kind], n_components)
    box = Noise(share, np.array([-4.0, -4.5, -5.0]), np.array([8.0, 9.0, 10.0]))
    return mixture.beside(box)


def rows_of(n=700, seed=3):
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, 3))
    rows[::5] = random.uniform(-4, 4, (len(rows[::5]), 3))
    return rows


def joint(mixture, rows):
    """Weighted densities (K + 1, n), of noise last."""
    components = [
        weight * multivariate_normal(mean, matrix).pdf(rows)
        for weight, mean, matrix in zip(
            mixture.weights, mixture.means, matrices_of(mixture), strict=True
        )
    ]
    noise = mixture.noise
    return np.vstack([*components, np.full(len(rows), noise.weight / noise.sides.prod())])


@each_kind
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
def test_noise_takes_its_share_of_each_row(kind, name, weighted, dtype):
    mixture, rows = noisy(kind), rows_of()
    if mixture.covariance.needs_scatter and name in by_features:
        pytest.skip("its logits lack the quadratic term, and so are never beside noise")
    weights = np.random.default_rng(1).integers(0, 3, len(rows)) if weighted else None
    kernel = KERNELS[name]([mixture], Frame.identity(3), dtype)
    kernel.add(rows.T.astype(dtype), weights)
    (found,) = kernel.take()
    own = np.ones(len(rows)) if weights is None else weights
    density = joint(mixture, rows)
    gamma = density / density.sum(axis=0) * own
    tolerance = 1e-12 if dtype == DOUBLE else 1e-5
    assert_allclose(found.sums[-1], gamma[:-1].sum(axis=1), rtol=tolerance)
    centred = rows - found.origins[:, np.newaxis]
    expected = np.einsum("kn,knd->kd", gamma[:-1], centred)
    assert_allclose(found.sums[-4:-1].T, expected, atol=100 * tolerance * len(rows))
    likelihood = np.log(density.sum(axis=0)) @ own
    assert_allclose(found.log_likelihood, likelihood, rtol=10 * tolerance)
    assert_allclose(found.left_to_noise, gamma[-1].sum() / own.sum(), rtol=100 * tolerance)
    if found.shared.size and mixture.covariance.has_matrices:
        scatter = np.einsum("kn,knd,kne->de", gamma[:-1], centred, centred)
        assert_allclose(found.shared, scatter, rtol=1e3 * tolerance)


@each_kind
@pytest.mark.parametrize("compiled", [False, True])
def test_mixtures_in_one_pass_have_each_its_own_noise(kind, compiled):
    rows = rows_of()
    mixtures = (noisy(kind), noisy(kind, 0.6), random_mixture(COVARIANCES[kind]))
    scatter = rows.T @ rows

    def moments(chosen):
        expectation = Expectation(chosen, Frame.identity(3), DOUBLE, scatter, compiled=compiled)
        return expectation.complete(Accumulator(expectation)([(rows.T, None)]))

    together = moments(mixtures)
    for one, found in zip(mixtures, together, strict=True):
        (alone,) = moments((one,))
        assert_allclose(found.sums, alone.sums, rtol=1e-12)
        assert_allclose(found.log_likelihood, alone.log_likelihood, rtol=1e-12)
    assert together[0].left_to_noise < together[1].left_to_noise
    assert_allclose(together[2].left_to_noise, 0, atol=1e-12)


@each_kind
def test_far_rows_are_noise_and_none_is_lost(kind):
    mixture = noisy(kind)
    rows = np.array([[1e200, 0, 0], [1e3, 0, 0], [0.1, 0.2, 0.3]])
    predictor = Predictor(mixture, Frame.identity(3))
    assert_array_equal(predictor.labels(rows)[:2], [NOISE, NOISE])
    assert_allclose(predictor.responsibilities(rows).sum(axis=1), 1)
    assert_allclose(predictor.log_densities(rows)[:2], mixture.noise.logit)


@each_kind
@pytest.mark.parametrize("compiled", [False, True])
def test_predictions_have_noise_last(kind, compiled):
    mixture, rows = noisy(kind), rows_of()
    predictor = Predictor(mixture, Frame.identity(3), compiled=compiled)
    density = joint(mixture, rows)
    labels = density.argmax(axis=0)
    labels[labels == 4] = NOISE
    assert (labels == NOISE).any()
    assert (labels != NOISE).any()
    assert_array_equal(predictor.labels(rows), labels)
    assert_allclose(predictor.responsibilities(rows).T, density / density.sum(axis=0), atol=1e-12)
    assert_allclose(predictor.log_densities(rows), np.log(density.sum(axis=0)))
    found = predictor.everything(rows)
    assert_array_equal(found.labels, labels)
    assert_allclose(found.responsibilities, density / density.sum(axis=0), atol=1e-12)


@pytest.mark.slow
@each_kind
def test_marginal_noise_is_uniform_over_the_sides_that_remain(kind):
    mixture = noisy(kind)
    found = mixture.of_features(np.array([2, 0]))
    assert_array_equal(found.noise.sides, [10, 8])
    assert found.noise.weight == mixture.noise.weight
    z = np.array([[0.3, -0.2]])
    inside = np.array([[-0.2, 0.5, 0.3]])
    # The integral over the feature that is left out, of noise within its side.
    value, _ = quad(
        lambda y: joint(mixture, np.array([[-0.2, y, 0.3]]))[:-1].sum(), -30, 30, limit=200
    )
    value += joint(mixture, inside)[-1, 0] * mixture.noise.sides[1]
    predictor = Predictor(found, Frame.identity(2))
    assert_allclose(predictor.log_densities(z), np.log(value), rtol=1e-7)


@each_kind
def test_conditional_is_joint_over_marginal(kind):
    mixture, given = noisy(kind), np.array([1])
    found = Conditional.of(mixture, given).at(np.array([0.4]))
    assert_allclose(found.weights.sum() + found.noise.weight, 1)
    rest = np.array([[0.1, -0.7], [3.0, 3.0]])
    whole = np.insert(rest, 1, 0.4, axis=1)
    marginal = Predictor(mixture.of_features(given), Frame.identity(1))
    expected = np.log(joint(mixture, whole).sum(axis=0)) - marginal.log_densities(np.array([[0.4]]))
    assert_allclose(Predictor(found, Frame.identity(2)).log_densities(rest), expected, rtol=1e-10)


@each_kind
def test_surprise_is_that_of_the_conditional(kind):
    mixture, row = noisy(kind), np.array([[0.1, 3.4, -0.7]])
    predictor = Predictor(mixture, Frame.identity(3))
    others = Predictor(mixture.of_features(np.array([0, 2])), Frame.identity(2))
    expected = others.log_densities(row[:, [0, 2]]) - predictor.log_densities(row)
    assert_allclose(surprises(predictor, row)[0, 1], expected[0], rtol=1e-10)


@each_kind
def test_imputed_rows_of_noise_get_the_middle_of_the_box(kind):
    predictor = Predictor(noisy(kind), Frame.identity(3))
    found = imputed(predictor, np.array([[50.0, np.nan, np.nan]]))
    assert_allclose(found, [[50, 0, 0]], atol=1e-9)


def test_box_keeps_its_digits_far_from_zero():
    frame = Frame(np.full(3, 1e9), np.full(3, 2.0**-30))
    mixture = noisy("diag").outside(frame)
    assert_array_equal(mixture.noise.sides, np.array([8.0, 9.0, 10.0]) * 2.0**-30)


@each_kind
def test_a_mixture_without_weight_of_noise_is_the_ordinary_one(kind):
    plain = random_mixture(COVARIANCES[kind])
    mixture = replace(noisy(kind), weights=plain.weights)
    mixture = replace(mixture, noise=replace(mixture.noise, weight=0.0))
    rows = np.vstack([rows_of(), [[1e200, 0, 0]]])
    found, expected = (Predictor(one, Frame.identity(3)) for one in (mixture, plain))
    assert_array_equal(found.labels(rows), expected.labels(rows))
    assert_array_equal(found.responsibilities(rows)[:, :-1], expected.responsibilities(rows))
    assert not found.responsibilities(rows)[:, -1].any()


@each_kind
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("n", [60, 2_000], ids=["row by row", "by pattern"])
def test_noise_takes_its_share_of_what_is_known_of_a_row(kind, compiled, n):
    mixture, rows = noisy(kind), rows_of(n)
    lacks = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1], [1, 1, 1]], np.bool_)
    pattern = np.arange(n) % len(lacks)
    rows = np.where(lacks[pattern], np.nan, rows)
    expectation = Expectation(
        (mixture,), Frame.identity(3), DOUBLE, rows.T @ rows, compiled=compiled,
        missing=Missing.MARGINALIZE,
    )  # fmt: skip
    (found,) = expectation.complete(Accumulator(expectation)([(rows.T, None)]))
    likelihood, counts, noise = 0.0, np.zeros(4), 0.0
    for number, gone in enumerate(lacks):
        own = rows[pattern == number]
        if gone.all():
            counts, noise = counts + len(own) * mixture.weights, noise + len(own) * 0.2
            continue
        known = np.flatnonzero(~gone)
        density = joint(mixture.of_features(known), own[:, known])
        likelihood += np.log(density.sum(axis=0)).sum()
        gamma = (density / density.sum(axis=0)).sum(axis=1)
        counts, noise = counts + gamma[:-1], noise + gamma[-1]
    assert_allclose(found.log_likelihood, likelihood, rtol=1e-11)
    assert_allclose(found.sums[-1], counts, rtol=1e-11)
    assert_allclose(found.left_to_noise, noise / n, rtol=1e-10)
