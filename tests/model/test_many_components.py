"""Many components with variances or one matrix: products over features bound their logits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from daskgmm.model.assignment import moments_under
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.screened import ScreenedKernel
from daskgmm.model.kernels.whitened import WhitenedKernel, compiled_kernel
from daskgmm.model.mixture import Mixture
from daskgmm.model.precision import feature_components, logits_dtype, step_suffices
from daskgmm.passes.engine.blas import one_thread
from tests.support import reference
from tests.support.rows import correlated
from tests.support.strategies import BY_PRODUCT

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
each_type = pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
along_axes = pytest.mark.parametrize("kind", ["diag", "spherical"])


@pytest.fixture(autouse=True)
def as_in_a_task():
    with one_thread():
        yield


def mixture_of(rows, labels, kind, ridge=1e-9):
    """The labelled rows' mixture, in the rows' own coordinates."""
    gamma = (labels == np.arange(labels.max() + 1)[:, np.newaxis]).astype(float)
    frame, covariance = Frame.identity(rows.shape[1]), COVARIANCES[kind]
    moments = moments_under(gamma, rows.T, frame, covariance)
    return moments.maximise(covariance, np.full(rows.shape[1], ridge), 0.0)


def moments_directly(rows, mixture, weights=None):
    """Log-likelihood, and each component's weight, mean and covariance, in double precision."""
    whole = np.ones(len(rows)) if weights is None else weights
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    logits = np.empty((mixture.n_components, len(rows)))
    for k, mean in enumerate(mixture.means):
        own = factors[min(k, len(factors) - 1)]
        white = (rows - mean) @ own if len(own) > 1 else (rows - mean) * own
        logits[k] = mixture.log_normalisers[k] - 0.5 * (white**2).sum(axis=1)
    peak = logits.max(axis=0)
    gamma = np.exp(logits - peak)
    log_likelihood = whole @ (peak + np.log(gamma.sum(axis=0)))
    gamma *= whole / gamma.sum(axis=0)
    counts = gamma.sum(axis=1)
    means = gamma @ rows / counts[:, np.newaxis]
    second = np.stack(
        [((rows - mean) ** 2).T @ own for mean, own in zip(means, gamma, strict=True)]
    )
    return log_likelihood, counts, means, second / counts[:, np.newaxis]


def assert_as_directly(moments, mixture, rows, tolerance, weights=None):
    likelihood, counts, means, variances = moments_directly(rows, mixture, weights)
    found = moments.maximise(mixture.covariance, np.zeros(mixture.n_features), 0.0)
    own = mixture.covariance.variances(found.covariances, found.shape)
    if mixture.covariance.name == "spherical":
        variances = np.repeat(variances.mean(axis=1, keepdims=True), rows.shape[1], axis=1)
    if mixture.covariance.needs_scatter:
        variances = (counts[:, np.newaxis] * variances).sum(axis=0) / counts.sum()
    assert_allclose(moments.log_likelihood, likelihood, rtol=tolerance)
    assert_allclose(moments.sums[-1], counts, rtol=tolerance, atol=tolerance)
    assert (np.abs(found.means - means) <= tolerance * np.sqrt(variances)).all()
    assert_allclose(own / variances, 1, atol=tolerance)


def add(kernel, rows, dtype, weights=None):
    kernel.add(rows.astype(dtype).T, weights)
    return kernel.take()[0]


@pytest.mark.slow
@along_axes
@each_type
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("n_components", "n_features", "apart"), [(7, 3, 1), (300, 6, 3), (20, 150, 0.3)]
)
def test_pairs_that_products_leave_make_the_moments_of_all(
    kind, dtype, weighted, n_components, n_features, apart
):
    rows, labels = correlated(5000, n_features, n_components, spread=20, apart=apart)
    rows = rows.astype(SINGLE).astype(float)
    mixture = mixture_of(rows, labels, kind)
    weights = np.random.default_rng(1).uniform(0, 3, len(rows)) if weighted else None
    kernel = BY_PRODUCT([mixture], Frame.identity(n_features), dtype)
    tolerance = 1e-10 if dtype == DOUBLE else 1e-3
    assert_as_directly(add(kernel, rows, dtype, weights), mixture, rows, tolerance, weights)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_product_bounds_the_logit_wherever_rows_and_components_lie(data):
    """Whatever it leaves out has a logit further below the row's largest than its gap."""
    kind = data.draw(st.sampled_from(["diag", "spherical"]))
    dtype = data.draw(st.sampled_from([DOUBLE, SINGLE]))
    n_features, n_components = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 12))
    spread, far = 10.0 ** data.draw(st.integers(0, 3)), 10.0 ** data.draw(st.integers(0, 4))
    width = 10.0 ** data.draw(st.integers(-6, 0))
    rows, labels = correlated(600, n_features, n_components, spread=spread, apart=3)
    centres = np.stack([rows[labels == k].mean(axis=0) for k in range(n_components)])
    tight = labels % 2 == 1
    rows[tight] = centres[labels[tight]] + width * (rows[tight] - centres[labels[tight]])
    mixture = mixture_of(rows, labels, kind, 1e-30)
    rows = (far * rows).astype(dtype)
    exact = reference.log_joint(rows.astype(np.longdouble), mixture).T
    found = BY_PRODUCT([mixture], Frame.identity(n_features), dtype).logits(rows.T)
    left_out = np.isneginf(found)
    assert left_out.sum() < left_out.size
    below = exact.max(axis=0) - exact
    assert (below[left_out] > 104).all()


def one_tight_among_many(kind, n_features=48, n_components=600):
    """Rows of many clusters, of which one is a thousand times as tight, in single precision."""
    rng = np.random.default_rng(0)
    labels = np.arange(6000) % n_components
    means = rng.normal(size=(n_components, n_features))
    widths = np.where(np.arange(n_components) == 7, 3e-4, 0.3)
    rows = means[labels] + widths[labels, np.newaxis] * rng.normal(size=(6000, n_features))
    rows = rows.astype(SINGLE).astype(float)
    return rows, mixture_of(rows, labels, kind)


@pytest.mark.slow
@along_axes
def test_one_tight_component_sends_no_row_about_all_means(kind):
    rows, mixture = one_tight_among_many(kind)
    assert logits_dtype(mixture, SINGLE) == SINGLE
    assert not feature_components(mixture, SINGLE)[7]
    assert feature_components(mixture, SINGLE).sum() == 599
    assert compiled_kernel(mixture, SINGLE) is ScreenedKernel
    kernel = ScreenedKernel([mixture], Frame.identity(48), SINGLE)
    moments = add(kernel, rows, SINGLE)
    pairs, by_features, whole = kernel.counted[:3]
    assert pairs < 1.5 * len(rows)
    assert by_features == whole == 0
    assert_as_directly(moments, mixture, rows, 1e-3)
    after = moments.maximise(mixture.covariance, np.full(48, 1e-9), 1e-7)
    assert step_suffices(mixture, after, moments, SINGLE)


def thin(n_features=24, n_components=64):
    """Rows of clusters that are thin in one direction, where one is far out; and their mixture."""
    rows, labels = correlated(6000, n_features, 1, spread=1, apart=0)
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(n_features, n_features)))[0]
    means = 3 * rng.normal(size=(n_components, n_features))
    labels = np.arange(len(rows)) % n_components
    rows = means[labels] + (rows * np.logspace(0, -2, n_features)) @ axes
    rows = rows.astype(SINGLE).astype(float)
    return rows, mixture_of(rows, labels, "tied")


@pytest.mark.slow
@each_type
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_whitened_once_make_the_moments_about_each_mean(dtype, weighted):
    rows, mixture = thin()
    weights = np.random.default_rng(1).uniform(0, 3, len(rows)) if weighted else None
    assert compiled_kernel(mixture, dtype) is WhitenedKernel
    frame = Frame.identity(rows.shape[1])
    whole = np.ones(len(rows)) if weights is None else weights
    expectation = Expectation((mixture,), frame, dtype, (rows.T * whole) @ rows, compiled=True)
    assert expectation.dtypes == (dtype,)
    assert expectation.needs_scatter
    found = Accumulator(expectation)([(rows.astype(dtype).T, weights)])
    (moments,) = expectation.complete(found)
    tolerance = 1e-10 if dtype == DOUBLE else 1e-3
    assert_as_directly(moments, mixture, rows, tolerance, weights)
    assert_allclose(
        moments.maximise(mixture.covariance, np.zeros(24), 0.0).covariances,
        mixture_of_step(rows, mixture, whole),
        atol=tolerance * np.abs(mixture.covariances).max(),
    )


def mixture_of_step(rows, mixture, weights):
    """The covariance after a step, in double precision."""
    _, counts, means, _ = moments_directly(rows, mixture, weights)
    total = (rows.T * weights) @ rows
    return (total - (counts * means.T) @ means) / counts.sum()


@each_type
def test_densities_of_whitened_rows_are_those_of_the_mixture(dtype):
    rows, mixture = thin()
    kernel = WhitenedKernel([mixture, mixture], Frame.identity(rows.shape[1]), dtype)
    found = kernel.logits(rows[:500].astype(dtype).T)
    exact = reference.log_joint(rows[:500].astype(np.longdouble), mixture).T
    assert_allclose(
        found[:64].max(axis=0), exact.max(axis=0), atol=1e-9 if dtype == DOUBLE else 0.02
    )
    assert (found[:64] == found[64:]).all()


def test_what_whitening_once_would_blur_is_whitened_about_the_means():
    _, mixture = thin()
    tight = Mixture.from_covariances(
        mixture.covariance, mixture.weights, mixture.means, 1e-14 * mixture.covariances
    )
    assert compiled_kernel(tight, DOUBLE) is ScreenedKernel


def test_few_components_are_not_whitened_for():
    rows, labels = correlated(2000, 24, 4, spread=3, apart=1)
    assert compiled_kernel(mixture_of(rows, labels, "tied"), DOUBLE) is not WhitenedKernel
