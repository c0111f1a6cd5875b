"""Variational mixtures: their E-step in all kernels, their evidence, and their posteriors."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from daskgmm.model.assignment import moments_under
from daskgmm.model.bayesian.concentration import CONCENTRATIONS
from daskgmm.model.bayesian.priors import Priors, entropy
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.compiled import CompiledKernel
from daskgmm.model.kernels.features import FeatureKernel
from daskgmm.model.prediction import Predictor
from daskgmm.passes.engine.blas import one_thread
from tests.support import reference
from tests.support.strategies import STRATEGIES

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
KERNELS = {
    "centred": CentredKernel,
    "features": FeatureKernel,
    "compiled": CompiledKernel,
    **STRATEGIES,
}


@pytest.fixture(autouse=True)
def as_in_a_task():
    with one_thread():
        yield


def with_log_weights(kind, n_components=6, n_features=4):
    """A mixture whose log-weights are not its weights', and the ordinary one of the same E-step."""
    mixture = reference.random_mixture(kind, n_components, n_features)
    log_weights = np.random.default_rng(1).normal(-3, 1.5, n_components)
    ordinary = replace(mixture, weights=np.exp(log_weights - logsumexp(log_weights)))
    return replace(mixture, log_weights=log_weights), ordinary


def rows_of(n, n_features, dtype):
    return np.random.default_rng(0).normal(0, 1.5, (n, n_features)).astype(dtype)


@pytest.mark.parametrize("kind", reference.THEIRS)
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize("name", list(KERNELS))
def test_every_kernel_takes_log_weights_for_the_logarithms_of_the_weights(kind, dtype, name):
    mixture, ordinary = with_log_weights(kind)
    rows, frame = rows_of(3000, 4, dtype), Frame.identity(4)
    sums, likelihoods = [], []
    for one in (mixture, ordinary):
        kernel = KERNELS[name]([one], frame, dtype)
        kernel.add(rows.T)
        (moments,) = kernel.take()
        sums.append(moments.sums)
        likelihoods.append(moments.log_likelihood)
    rounding = 1e-11 if dtype == DOUBLE else 2e-4
    assert_allclose(sums[0], sums[1], rtol=rounding, atol=rounding * np.abs(sums[1]).max())
    shift = len(rows) * logsumexp(mixture.log_weights)
    assert_allclose(likelihoods[0] - shift, likelihoods[1], rtol=10 * rounding)


@pytest.mark.parametrize("kind", reference.THEIRS)
@pytest.mark.parametrize("compiled", [False, True])
def test_predictions_take_log_weights_too(kind, compiled):
    mixture, ordinary = with_log_weights(kind)
    rows, frame = rows_of(500, 4, DOUBLE), Frame.identity(4)
    found, expected = (Predictor(one, frame, None, compiled) for one in (mixture, ordinary))
    assert_array_equal(found.labels(rows), expected.labels(rows))
    assert_allclose(found.responsibilities(rows), expected.responsibilities(rows), atol=1e-12)
    shift = logsumexp(mixture.log_weights)
    assert_allclose(found.log_densities(rows) - shift, expected.log_densities(rows), rtol=1e-10)


def priors_of(kind, n_features=3, concentration="dirichlet_distribution"):
    random = np.random.default_rng(3)
    root = random.normal(size=(n_features, n_features))
    scale = {
        "full": root @ root.T + np.eye(n_features),
        "diag": random.uniform(0.5, 2, n_features),
        "spherical": np.full(n_features, 1.3),
    }
    scale["tied"] = scale["full"]
    mean = random.normal(size=n_features)
    return Priors(CONCENTRATIONS[concentration](0.7), 0.4, mean, n_features + 1.5, scale[kind])


def expected_mixture(priors, kind, rows, responsibilities, frame):
    covariance = COVARIANCES[kind]
    moments = moments_under(responsibilities, rows.T, frame, covariance)
    return priors.inside(frame).mixture(covariance, moments, np.zeros(rows.shape[1]), 0.0)


def elbo(priors, mixture, n_rows, of_responsibilities, frame):
    constant = priors.constant(mixture.covariance, mixture.n_components, n_rows)
    return of_responsibilities + priors.inside(frame).evidence(mixture, frame) - constant


@pytest.mark.parametrize("concentration", list(CONCENTRATIONS))
@pytest.mark.parametrize("frame", [Frame.identity(3), Frame(np.ones(3), np.array([2.0, 4, 0.5]))])
def test_of_one_component_the_bound_is_the_evidence_itself(frame, concentration):
    """The product of Student's densities of each row after those before it (Murphy, 2007)."""
    priors, rows = priors_of("full", concentration=concentration), rows_of(12, 3, DOUBLE)
    expected = 0.0
    for i, row in enumerate(rows):
        before = rows[:i]
        precision, freedom = priors.mean_precision + i, priors.degrees_of_freedom + i
        mean = (priors.mean_precision * priors.mean + before.sum(axis=0)) / precision
        apart, first = before - mean, priors.mean - mean
        scale = priors.scale + apart.T @ apart + priors.mean_precision * np.outer(first, first)
        shape = scale * (precision + 1) / (precision * (freedom - 2))
        expected += multivariate_t(mean, shape, df=freedom - 2).logpdf(row)
    if concentration == "dirichlet_process":  # every row takes the first stick, which may be short
        sticks = priors.concentration
        whole = [sticks.log_normaliser(sticks.posterior(np.array([n]))) for n in (12.0, 0.0)]
        expected += whole[0] - whole[1]
    mixture = expected_mixture(priors, "full", rows, np.ones((1, 12)), frame)
    assert_allclose(elbo(priors, mixture, 12, 0.0, frame), expected, rtol=1e-12)


@pytest.mark.parametrize("concentration", list(CONCENTRATIONS))
@pytest.mark.parametrize("kind", reference.THEIRS)
def test_the_bound_never_falls_and_does_not_depend_on_the_frame(kind, concentration):
    priors, rows = priors_of(kind, concentration=concentration), rows_of(80, 3, DOUBLE)
    responsibilities = np.random.default_rng(5).dirichlet(np.ones(5), len(rows)).T
    scale = np.full(3, 4.0) if kind == "spherical" else np.array([2.0, 4, 0.5])
    courses = []
    for frame in (Frame.identity(3), Frame(np.ones(3), scale)):
        mixture, bounds = expected_mixture(priors, kind, rows, responsibilities, frame), []
        for _ in range(20):
            kernel = CentredKernel([mixture], frame, DOUBLE)
            kernel.add(rows.T)
            (moments,) = kernel.take()
            uncertain = entropy(mixture, moments, frame)
            shares = Predictor(mixture, frame).responsibilities(rows)
            assert_allclose(uncertain, -(shares * np.log(shares)).sum(), rtol=1e-9)
            inside = priors.inside(frame)
            mixture = inside.mixture(mixture.covariance, moments, np.zeros(3), 0.0)
            bounds.append(elbo(priors, mixture, len(rows), uncertain, frame))
        assert (np.diff(bounds) > -1e-10).all()
        courses.append(bounds)
    assert_allclose(*courses, rtol=1e-9)


@pytest.mark.parametrize("kind", reference.THEIRS)
def test_the_posterior_goes_with_the_components_and_is_of_all_features(kind):
    responsibilities = np.random.default_rng(5).dirichlet(np.ones(5), 40).T
    frame, rows = Frame.identity(3), rows_of(40, 3, DOUBLE)
    mixture = expected_mixture(priors_of(kind), kind, rows, responsibilities, frame)
    mixture.require_sound()
    turned = mixture.of_components(np.array([4, 2, 0, 1, 3])).of_features(np.array([2, 0, 1]))
    assert_array_equal(turned.log_weights[0], mixture.log_weights[4])
    assert_array_equal(turned.posterior.mean_precision[0], mixture.posterior.mean_precision[4])
    fewer = mixture.of_features(np.array([0, 2]))
    assert_array_equal(fewer.log_weights, mixture.log_weights)
    assert fewer.posterior is None
