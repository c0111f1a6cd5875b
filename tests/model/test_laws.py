"""What holds for every covariance type, every kernel and every way to cut the rows."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn.mixture._gaussian_mixture import _estimate_gaussian_parameters

from daskgmm.errors import CollapsedComponentError, ConfigurationError
from daskgmm.model.assignment import moments_of_clusters, moments_under
from daskgmm.model.covariance import COVARIANCES, covariance_named
from daskgmm.model.covariance.base import NotPositiveDefiniteError
from daskgmm.model.covariance.matrices import factors_of_precisions
from daskgmm.model.expectation import Accumulator, Expectation, add_moments
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.compiled import CompiledKernel
from daskgmm.model.kernels.features import FeatureKernel
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import Predictor
from daskgmm.passes.engine.blas import one_thread
from tests.support import reference
from tests.support.rows import gaussian
from tests.support.strategies import STRATEGIES

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
KERNELS = [FeatureKernel, CompiledKernel, CentredKernel, *STRATEGIES.values()]
NAMES = ["numpy", "features", "centred", *STRATEGIES]
EPSILON = float(np.finfo(np.float64).eps)

each_kernel = pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
needs_extended = pytest.mark.skipif(
    not reference.EXTENDED, reason="no long double wider than a double here"
)


def moments_of(kernel, mixture, rows, frame, dtype=DOUBLE, weights=None, cuts=()):
    """Completed moments of one mixture over rows (n, D), in blocks that end at the cuts."""
    made = kernel([mixture], frame, dtype)
    edges = [0, *sorted(cuts), len(rows)]
    for start, stop in itertools.pairwise(edges):
        own = None if weights is None else weights[start:stop]
        made.add(np.ascontiguousarray(rows[start:stop].T), own)
    (found,) = made.take()
    if kernel is CentredKernel or kernel in STRATEGIES.values():
        return found
    return found.complete(mixture, _scatter(rows, weights, frame))


def _scatter(rows, weights, frame):
    z = reference.standard(rows, frame)
    weighted = z if weights is None else z * weights[:, np.newaxis]
    return (weighted.T @ z).astype(np.float64)


def maximised(moments, covariance, ridge=0.0):
    n_features = moments.origins.shape[1]
    return moments.maximise(covariance, np.full(n_features, ridge), EPSILON)


def assert_same_mixture(one, other, tolerance):
    assert_allclose(one.weights, other.weights, rtol=tolerance)
    assert_allclose(one.means, other.means, rtol=tolerance, atol=tolerance)
    assert reference.relative_error(one.covariances, other.covariances) < tolerance


# --- densities


@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (3, 1), (1, 4), (4, 7)])
def test_natural_parameters_times_features_are_weighted_log_densities(
    covariance, n_components, n_features
):
    mixture = reference.random_mixture(covariance.name, n_components, n_features)
    z = gaussian(50, n_features).T
    phi = np.ones((covariance.feature_length(n_features), 50))
    covariance.quadratic(z, out=phi[: -n_features - 1])
    phi[-n_features - 1 : -1] = z
    logits = mixture.natural_parameters @ phi
    if covariance.needs_scatter:  # the quadratic term that all components share
        shared = covariance.as_matrices(mixture.covariances, mixture.shape)[0]
        logits -= 0.5 * (z * np.linalg.solve(shared, z)).sum(axis=0)
    for k, matrix in enumerate(reference.matrices(mixture).astype(np.float64)):
        density = multivariate_normal.logpdf(z.T, mixture.means[k], matrix)
        # Terms of order 100 cancel at the most, condition numbers stay below 100.
        assert_allclose(logits[k], density + np.log(mixture.weights[k]), rtol=1e-11, atol=1e-11)


def test_at_a_components_mean_the_log_normaliser_is_the_weighted_log_density(covariance):
    mixture = reference.random_mixture(covariance.name, 3, 4)
    for k, matrix in enumerate(reference.matrices(mixture).astype(np.float64)):
        there = multivariate_normal.logpdf(mixture.means[k], mixture.means[k], matrix)
        assert_allclose(mixture.log_normalisers[k], there + np.log(mixture.weights[k]), 1e-12)


@pytest.mark.parametrize("n_features", [1, 2, 9])
def test_factors_covariances_and_precisions_belong_together(covariance, n_features):
    mixture = reference.random_mixture(covariance.name, 3, n_features)
    factors, given_covariances = mixture.factors, mixture.covariances
    assert given_covariances.shape == covariance.shape(3, n_features)
    assert_allclose(covariance.covariances(factors), given_covariances, rtol=1e-11, atol=1e-12)
    precisions = covariance.precisions(factors)
    product = precisions @ given_covariances if covariance.has_matrices else None
    if product is None:
        assert_allclose(precisions * given_covariances, 1, rtol=1e-14)
    else:
        identity = np.broadcast_to(np.eye(n_features), product.shape)
        assert_allclose(product, identity, atol=1e-11)
    assert_allclose(covariance.factorise_precisions(precisions), factors, rtol=1e-9, atol=1e-11)
    if covariance.has_matrices:
        assert_array_equal(np.tril(factors, -1), 0)


def test_from_precisions_inverts_them(covariance):
    mixture = reference.random_mixture(covariance.name, 2, 3)
    again = Mixture.from_precisions(
        covariance, mixture.weights, mixture.means, covariance.precisions(mixture.factors)
    )
    assert_same_mixture(again, mixture, 1e-11)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("full", 2 + 6 + 9), ("tied", 2 + 6 + 3), ("diag", 14), ("spherical", 11)],
)
def test_number_of_free_parameters(kind, expected):
    assert reference.random_mixture(kind, 3, 2).n_parameters == expected


def test_a_component_of_weight_zero_gets_no_responsibility_and_makes_no_nan(covariance):
    mixture = reference.random_mixture(covariance.name, 3, 2)
    mixture = Mixture(
        covariance, np.array([0.5, 0, 0.5]), mixture.means, mixture.covariances, mixture.factors
    )
    for dtype in (DOUBLE, SINGLE):
        rows = gaussian(40, 2, dtype=dtype)
        found = Predictor(mixture, Frame.identity(2)).responsibilities(rows)
        assert_array_equal(found[:, 1], 0)
        assert_allclose(found.sum(axis=1), 1, rtol=1e-6)
        for kernel in KERNELS:
            moments = moments_of(kernel, mixture, rows, Frame.identity(2), dtype)
            assert np.isfinite(moments.sums).all()
            assert np.isfinite(moments.log_likelihood)


# --- moments add


@each_kernel
@settings(max_examples=15)
@given(data=st.data())
def test_any_split_of_the_rows_gives_the_same_sums(kernel, data):
    kind = data.draw(st.sampled_from(list(COVARIANCES)))
    n, n_features = data.draw(st.integers(0, 300)), data.draw(st.integers(1, 4))
    cuts = data.draw(st.lists(st.integers(0, n), max_size=8))
    weighted = data.draw(st.booleans())
    rows = gaussian(n, n_features)
    weights = np.random.default_rng(2).uniform(0, 3, n) if weighted else None
    mixture = reference.random_mixture(kind, 3, n_features)
    frame = Frame(np.full(n_features, 0.5), np.full(n_features, 2.0))
    whole = moments_of(kernel, mixture, rows, frame, weights=weights)
    split = moments_of(kernel, mixture, rows, frame, weights=weights, cuts=cuts)
    # Sums of n terms of order 10 in another order.
    tolerance = {"rtol": 1e-12, "atol": 1e-11}
    assert_allclose(split.sums, whole.sums, **tolerance)
    assert_allclose(split.shared, whole.shared, **tolerance)
    assert_allclose(split.log_likelihood, whole.log_likelihood, **tolerance)
    assert_allclose(split.weight, whole.weight, rtol=1e-13)
    assert split.rows == whole.rows == n


@each_kernel
def test_rows_beyond_a_slab_count_like_those_in_it(covariance, kernel):
    mixture = reference.random_mixture(covariance.name, 2, 2)
    frame = Frame.identity(2)
    slab = kernel([mixture], frame, DOUBLE).slab
    rows, weights = gaussian(2 * slab + 3, 2), np.linspace(0, 2, 2 * slab + 3)
    whole = moments_of(kernel, mixture, rows, frame, weights=weights)
    cuts = [100, slab, slab + 1000]
    split = moments_of(kernel, mixture, rows, frame, weights=weights, cuts=cuts)
    assert_allclose(split.sums, whole.sums, rtol=1e-12, atol=1e-9)
    assert_allclose(split.log_likelihood, whole.log_likelihood, rtol=1e-13)
    assert_allclose(whole.sums[-1].sum(), weights.sum(), rtol=1e-13)


@each_kernel
def test_addition_is_commutative_associative_and_has_the_empty_sum_as_identity(covariance, kernel):
    mixture = reference.random_mixture(covariance.name, 3, 2)
    made = kernel([mixture], Frame.identity(2), DOUBLE)

    def of(rows):
        made.add(rows.T)
        return made.take()[0]

    a, b, c = (of(gaussian(50, 2, seed)) for seed in (1, 2, 3))
    nothing = made.take()[0]
    for one, other, tolerance in [
        (a + b, b + a, 0),
        (a + nothing, a, 0),
        (nothing + a, a, 0),
        ((a + b) + c, a + (b + c), 1e-14),
    ]:
        assert_allclose(one.sums, other.sums, rtol=tolerance, atol=10 * tolerance)
        assert_allclose(one.shared, other.shared, rtol=tolerance, atol=10 * tolerance)
        assert_allclose(one.log_likelihood, other.log_likelihood, rtol=tolerance)
        assert (one.weight, one.rows) == (other.weight, other.rows)


@each_kernel
def test_what_takes_others_in_is_their_sum_and_leaves_them_alone(covariance, kernel):
    mixture = reference.random_mixture(covariance.name, 3, 2)

    def of(seed):
        made = kernel([mixture], Frame.identity(2), DOUBLE)
        made.add(gaussian(50, 2, seed).T)
        return made.take()[0]

    one, other = of(1), of(2)
    whole, found = one + other, of(1).take_in(other)
    assert_array_equal(one.sums, of(1).sums)
    assert_array_equal(other.sums, of(2).sums)
    assert_array_equal(found.sums, whole.sums)
    assert_array_equal(found.shared, whole.shared)
    assert (found.log_likelihood, found.weight, found.rows) == (
        whole.log_likelihood, whole.weight, whole.rows,
    )  # fmt: skip


def test_moments_about_different_origins_do_not_add():
    one, other = (
        reference.random_mixture("full", 2, 2, 0),
        reference.random_mixture("full", 2, 2, 1),
    )
    kernels = [CentredKernel([mixture], Frame.identity(2), DOUBLE) for mixture in (one, other)]
    with pytest.raises(ValueError, match="origins"):
        kernels[0].take()[0] + kernels[1].take()[0]


@each_kernel
def test_taking_empties_the_kernel(covariance, kernel):
    mixture = reference.random_mixture(covariance.name, 2, 3)
    made = kernel([mixture], Frame.identity(3), DOUBLE)
    made.add(gaussian(20, 3).T)
    first = made.take()[0]
    kept = first.sums.copy()
    assert made.take()[0].rows == 0
    made.add(gaussian(20, 3, seed=5).T)
    made.take()
    assert_array_equal(first.sums, kept)  # later rows do not reach what was handed out


# --- against extended precision


@pytest.mark.slow
@needs_extended
@each_kernel
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (3, 2), (4, 6)])
def test_a_step_agrees_with_extended_precision(covariance, kernel, dtype, n_components, n_features):
    mixture = reference.random_mixture(covariance.name, n_components, n_features)
    rows = gaussian(400, n_features, dtype=dtype)
    frame = reference.frame_of(rows, covariance.name, dtype)
    moments = moments_of(kernel, mixture, rows, frame, dtype)
    found = maximised(moments, covariance, ridge=1e-6)
    z = reference.standard(rows, frame)
    likelihood, weights, means, covariances = reference.step(z, mixture, 1e-6)
    # Well-conditioned: a few hundred roundings of terms up to a few hundred.
    tolerance = 1e-12 if dtype == DOUBLE else 5e-4
    expected = float(likelihood) + len(rows) * frame.log_jacobian
    assert_allclose(moments.log_likelihood, expected, rtol=tolerance)
    assert_allclose(found.weights, weights.astype(float), rtol=tolerance)
    assert_allclose(found.means, means.astype(float), rtol=tolerance, atol=tolerance)
    assert reference.relative_error(found.covariances, covariances) < tolerance


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
def test_all_kernels_make_the_same_mixture(covariance, dtype, weighted):
    mixture = reference.random_mixture(covariance.name, 3, 4)
    rows = gaussian(5000, 4, dtype=dtype)
    weights = np.random.default_rng(3).uniform(0, 2, len(rows)) if weighted else None
    frame = reference.frame_of(rows, covariance.name, dtype)
    found = {
        kernel: maximised(moments_of(kernel, mixture, rows, frame, dtype, weights), covariance)
        for kernel in KERNELS
    }
    for one in found.values():
        assert_same_mixture(one, found[CentredKernel], 1e-11 if dtype == DOUBLE else 2e-4)


@each_kernel
def test_a_sample_weight_counts_as_that_many_rows(covariance, kernel):
    mixture = reference.random_mixture(covariance.name, 3, 2)
    rows = gaussian(200, 2)
    counts = np.random.default_rng(4).integers(0, 4, 200)
    frame = Frame.identity(2)
    weighted = moments_of(kernel, mixture, rows, frame, weights=counts.astype(float))
    repeated = moments_of(kernel, mixture, np.repeat(rows, counts, axis=0), frame)
    assert_allclose(weighted.sums, repeated.sums, rtol=1e-12, atol=1e-11)
    assert_allclose(weighted.log_likelihood, repeated.log_likelihood, rtol=1e-13)
    assert weighted.weight == repeated.weight == counts.sum()
    assert_same_mixture(maximised(weighted, covariance), maximised(repeated, covariance), 1e-12)


# --- the M-step


def require_scikit_learns(covariance):
    if covariance.name not in ("full", "tied", "diag", "spherical"):
        pytest.skip("scikit-learn has no such type")


def test_maximise_estimates_what_scikit_learn_estimates(covariance):
    require_scikit_learns(covariance)
    rows = gaussian(300, 3)
    gamma = np.random.default_rng(5).dirichlet(np.ones(4), 300)
    moments = moments_under(gamma.T, rows.T, Frame.identity(3), covariance)
    found = maximised(moments, covariance, ridge=1e-3)
    counts, means, covariances = _estimate_gaussian_parameters(rows, gamma, 1e-3, covariance.name)
    assert_allclose(found.weights, counts / counts.sum(), rtol=1e-13)
    assert_allclose(found.means, means, rtol=1e-12, atol=1e-14)
    assert_allclose(found.covariances, covariances, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_moments_of_clusters_are_those_under_their_responsibilities(covariance, weighted):
    rows, random = gaussian(300, 3), np.random.default_rng(5)
    labels = random.choice([0, 2, 3], 300)  # component 1 has no row
    weights = random.uniform(0.1, 2, 300) if weighted else None
    gamma = np.eye(4)[labels].T * (1.0 if weights is None else weights)
    frame = Frame(rows.mean(axis=0), np.full(3, 2.0))
    expected = moments_under(gamma, rows.T, frame, covariance)
    found = moments_of_clusters(labels, 4, rows.T, weights, frame, covariance)
    assert_allclose(found.origins, expected.origins, rtol=1e-12, atol=1e-14)
    assert_allclose(found.sums, expected.sums, rtol=1e-11, atol=1e-11)
    assert_allclose(found.shared, expected.shared, rtol=1e-12, atol=1e-12)
    assert_allclose(found.weight, expected.weight, rtol=1e-14)
    assert found.rows == 300


def test_an_empty_component_gets_the_ridge_as_covariance_and_the_origin_as_mean(covariance):
    require_scikit_learns(covariance)
    rows = gaussian(100, 2)
    rows -= rows.mean(axis=0)
    gamma = np.zeros((100, 3))
    gamma[:60, 0] = gamma[60:, 2] = 1
    moments = moments_under(gamma.T, rows.T, Frame.identity(2), covariance)
    found = maximised(moments, covariance, ridge=1e-2)
    counts, means, covariances = _estimate_gaussian_parameters(rows, gamma, 1e-2, covariance.name)
    assert_allclose(found.means, means, atol=1e-14)
    assert_allclose(found.weights, counts / counts.sum(), rtol=1e-12)
    assert_allclose(found.covariances, covariances, rtol=1e-12, atol=1e-15)
    assert 0 < found.weights[1] < 1e-15


@pytest.mark.parametrize("count", [0.0, 1e-20])
def test_an_empty_component_far_away_gets_those_too(covariance, count):
    rows = gaussian(100, 2)
    gamma = np.vstack([np.ones(100), np.full(100, count / 100)])
    near = moments_under(gamma, rows.T, Frame.identity(2), covariance)
    far = near.about(near.origins + np.array([[0.0], [1e6 / 3]]), covariance)
    expected, found = (maximised(one, covariance, ridge=1e-6) for one in (near, far))
    assert_allclose(found.means, expected.means, atol=1e-9)
    assert_allclose(found.covariances, expected.covariances, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_a_collapse_names_the_component_and_its_weight(kind):
    rows = gaussian(20, 2)
    gamma = np.zeros((2, 20))
    gamma[1, 7] = 1  # a single row, at the origin
    gamma[0] = 1 - gamma[1]
    frame = Frame(rows[7], np.ones(2))
    moments = moments_under(gamma, rows.T, frame, COVARIANCES[kind])
    with pytest.raises(CollapsedComponentError, match=r"Component 1 of 2 \(weight 0\.05\)"):
        maximised(moments, COVARIANCES[kind])


def test_a_collapse_of_the_shared_covariance_says_so():
    rows, frame = np.ones((20, 2)), Frame(np.ones(2), np.ones(2))
    moments = moments_under(np.ones((1, 20)), rows.T, frame, COVARIANCES["tied"])
    with pytest.raises(CollapsedComponentError, match="shared by all components"):
        maximised(moments, COVARIANCES["tied"])


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_what_is_no_covariance_is_refused(covariance, value):
    good = reference.random_mixture(covariance.name, 2, 2).covariances.copy()
    good.flat[-1] = value
    with pytest.raises(NotPositiveDefiniteError):
        covariance.factorise(good)
    with pytest.raises(NotPositiveDefiniteError):
        covariance.factorise_precisions(good)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0, 0.0])
def test_the_first_of_several_that_are_no_covariance_is_named(value):
    covariances = np.stack([np.eye(3)] * 5)
    covariances[2, 1, 1], covariances[4, 0, 0] = value, -1.0
    with pytest.raises(NotPositiveDefiniteError) as found:
        COVARIANCES["full"].factorise(covariances)
    assert found.value.component == 2


@pytest.mark.parametrize("n_features", [1, 2, 47, 48, 49, 50, 97, 130])
def test_factors_of_correlated_columns_in_any_units_whiten_them_whatever_is_beside(n_features):
    random = np.random.default_rng(n_features)
    rows = random.normal(size=(3, n_features, n_features + 10))
    units = 10.0 ** random.uniform(-6, 6, n_features)
    covariances = rows @ rows.swapaxes(1, 2) / n_features * np.outer(units, units)
    covariances = np.insert(covariances, 1, -np.eye(n_features), axis=0)
    factors, alone = np.full((2, *covariances.shape), np.nan)
    assert factors_of_precisions(covariances, factors) == 1
    assert factors_of_precisions(covariances[2:], factors[2:]) is None
    for k in (0, 2, 3):
        assert factors_of_precisions(covariances[k : k + 1], alone[k : k + 1]) is None
        assert_array_equal(factors[k], alone[k])
        assert_array_equal(np.tril(factors[k], -1), 0)
        whitened = factors[k].T @ covariances[k] @ factors[k]
        assert_allclose(whitened, np.eye(n_features), atol=1e-9)


def test_a_precision_that_is_not_symmetric_is_refused():
    for kind in ("full", "tied"):
        matrix = np.array([[2.0, 1.0], [0.5, 2.0]])
        given_precisions = matrix if kind == "tied" else np.stack([np.eye(2), matrix])
        with pytest.raises(NotPositiveDefiniteError):
            COVARIANCES[kind].factorise_precisions(given_precisions)


def test_an_unknown_covariance_type_is_named_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'round'.*full, tied, diag, spherical"):
        covariance_named("round")


# --- frames


@settings(max_examples=40)
@given(
    origin=st.floats(-1e9, 1e9),
    scale=st.floats(1e-12, 1e12),
    dtype=st.sampled_from([SINGLE, DOUBLE]),
)
def test_a_frame_has_powers_of_two_as_scales_and_an_origin_that_the_data_can_hold(
    origin, scale, dtype
):
    frame = Frame.around(np.array([origin]), np.array([scale]), dtype)
    mantissa, _ = np.frexp(frame.scale)
    assert mantissa == 0.5
    assert 0.7 < frame.scale[0] / scale < 1.42
    assert_array_equal(frame.origin.astype(dtype).astype(np.float64), frame.origin)


def test_scaling_covariances_into_a_frame_and_back_changes_no_bit(covariance):
    mixture = reference.random_mixture(covariance.name, 3, 3)
    scale = covariance.compatible_scale(2.0 ** np.array([-30, 4, 17]))
    frame = Frame(np.zeros(3), scale)
    back = mixture.outside(frame).outside(Frame(np.zeros(3), 1 / scale))
    assert_array_equal(back.covariances, mixture.covariances)
    assert_array_equal(back.means, mixture.means)
    assert_array_equal(frame.enter(frame.leave(mixture.means)), mixture.means)


def test_rows_enter_a_frame_with_one_rounding_at_most():
    rows = 1e6 + gaussian(1000, 2)
    frame = reference.frame_of(rows, "full")
    z = np.empty((2, 1000))
    frame.standardise(rows.T, out=z)
    exact = reference.standard(rows, frame).T
    assert np.abs((z - exact) / exact).max() <= EPSILON / 2


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
def test_a_mixture_seen_from_another_frame_has_the_same_densities(covariance, dtype):
    mixture = reference.random_mixture(covariance.name, 3, 2)
    scale = covariance.compatible_scale(np.array([4.0, 0.5]))
    old = Frame(np.array([3.0, -1.0]), scale)
    new = Frame(np.array([2.5, 7.0]), scale * 8)
    moved = mixture.outside(old.seen_from(new))
    rows = old.leave(gaussian(100, 2)).astype(dtype)
    before, after = (
        Predictor(*pair).log_densities(rows) for pair in ((mixture, old), (moved, new))
    )
    assert_allclose(after, before, rtol=1e-12 if dtype == DOUBLE else 2e-5)
    outside = Predictor(mixture.outside(old), Frame.identity(2)).log_densities(rows)
    assert_allclose(outside, before, rtol=1e-12 if dtype == DOUBLE else 2e-5)


# --- batches of mixtures


def _alone_and_together(kind, n_components, n_features, n, dtype):
    mixtures = tuple(
        reference.random_mixture(kind, n_components, n_features, seed) for seed in range(4)
    )
    rows = gaussian(n, n_features, dtype=dtype)
    frame = reference.frame_of(rows, kind, dtype)
    with one_thread():
        together = _expect(mixtures, rows, frame, dtype)
        alone = [_expect((mixture,), rows, frame, dtype)[0] for mixture in mixtures]
    return list(zip(alone, together, strict=True))


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize(
    ("n_components", "n_features", "n"), [(1, 3, 5000), (2, 2, 50), (8, 4, 1000), (13, 7, 300)]
)
def test_in_small_products_each_mixture_of_a_batch_gets_the_same_bits_as_alone(
    covariance_type, dtype, n_components, n_features, n
):
    for alone, batched in _alone_and_together(covariance_type, n_components, n_features, n, dtype):
        assert_array_equal(batched.sums, alone.sums)
        assert_array_equal(batched.shared, alone.shared)
        assert batched.log_likelihood == alone.log_likelihood


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize(
    ("n_components", "n_features", "n"), [(3, 2, 30_000), (8, 7, 9001), (13, 10, 5003)]
)
def test_in_large_products_each_mixture_of_a_batch_gets_the_same_numbers_as_alone(
    covariance_type, dtype, n_components, n_features, n
):
    rounding = 1e-13 if dtype == DOUBLE else 1e-5
    for alone, batched in _alone_and_together(covariance_type, n_components, n_features, n, dtype):
        assert_allclose(batched.sums, alone.sums, rtol=rounding, atol=n * rounding)
        assert_allclose(batched.log_likelihood, alone.log_likelihood, rtol=rounding)


def _expect(mixtures, rows, frame, dtype):
    scatter = reference.total_scatter(rows, frame)
    expectation = Expectation(mixtures, frame, dtype, scatter)
    return expectation.complete(Accumulator(expectation)([(rows.T, None)]))


def test_a_batch_may_mix_covariance_types_sizes_and_kernels():
    kinds = [("full", 2), ("tied", 4), ("diag", 1), ("spherical", 3), ("full", 5), ("tied", 1)]
    mixtures = tuple(
        reference.random_mixture(kind, size, 3, i) for i, (kind, size) in enumerate(kinds)
    )
    rows, frame = gaussian(500, 3), Frame(np.zeros(3), np.full(3, 2.0))
    scatter = reference.total_scatter(rows, frame)
    origins = (None, None, mixtures[2].means, None, mixtures[4].means, mixtures[5].means)
    expectation = Expectation(mixtures, frame, DOUBLE, scatter, origins)
    accumulate = Accumulator(expectation)
    halves = [accumulate([(rows[:200].T, None)]), accumulate([(rows[200:].T, None)])]
    together = expectation.complete(add_moments(*halves))
    for mixture, found in zip(mixtures, together, strict=True):
        _, weights, means, covariances = reference.step(reference.standard(rows, frame), mixture)
        made = maximised(found, mixture.covariance)
        assert found.rows == 500
        assert_allclose(made.weights, weights.astype(float), rtol=1e-11)
        assert_allclose(made.means, means.astype(float), rtol=1e-10, atol=1e-11)
        assert reference.relative_error(made.covariances, covariances) < 1e-11


@each_kernel
def test_a_kernel_that_is_used_again_begins_from_zero(covariance, kernel):
    mixture = reference.random_mixture(covariance.name, 4, 3)
    rows, weights = gaussian(700, 3), np.linspace(0, 2, 700)
    again, fresh = (kernel([mixture], Frame.identity(3), DOUBLE) for _ in range(2))
    again.add(gaussian(900, 3).T + 1.0)
    again.take()
    again.add(rows.T, weights)
    fresh.add(rows.T, weights)
    (found,), (expected,) = again.take(), fresh.take()
    for name in ("sums", "shared", "log_likelihood", "weight", "rows", "coarse"):
        assert_array_equal(getattr(found, name), getattr(expected, name))
    assert again.share(700) == fresh.share(700)


# --- small and odd shapes


@pytest.mark.slow
@each_kernel
@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_rows_or_none_are_rows_like_others(covariance, kernel, n):
    mixture = reference.random_mixture(covariance.name, 3, 2)
    moments = moments_of(kernel, mixture, gaussian(n, 2), Frame.identity(2))
    assert moments.rows == moments.weight == n
    assert_allclose(moments.sums[-1].sum(), n, atol=1e-14)
    if n:
        expected = reference.log_density(gaussian(n, 2).astype(np.longdouble), mixture).sum()
        assert_allclose(moments.log_likelihood, float(expected), rtol=1e-12)


@each_kernel
def test_blocks_may_lie_in_memory_in_any_layout(covariance, kernel):
    mixture = reference.random_mixture(covariance.name, 2, 3)
    rows = gaussian(300, 3)
    made = kernel([mixture], Frame.identity(3), DOUBLE)
    strided = np.zeros((6, 600))
    strided[::2, ::2] = rows.T
    sums = []
    for block in (rows.T, np.ascontiguousarray(rows.T), strided[::2, ::2]):
        kept = block.copy()
        made.add(block)
        sums.append(made.take()[0].sums)
        assert_array_equal(block, kept)  # and nothing is written to them
    assert_array_equal(sums[0], sums[1])
    assert_array_equal(sums[0], sums[2])


def test_single_precision_rows_may_be_computed_in_double(covariance):
    mixture = reference.random_mixture(covariance.name, 2, 3)
    rows = gaussian(300, 3, dtype=np.float32)
    frame = Frame(np.full(3, 0.25), np.full(3, 2.0))
    for kernel in KERNELS:
        found = moments_of(kernel, mixture, rows, frame, DOUBLE)
        expected = moments_of(kernel, mixture, rows.astype(np.float64), frame, DOUBLE)
        # Features-first rows at 0.25 +- 6: their difference is exact in single precision or
        # rounded there once.
        assert_allclose(found.sums, expected.sums, rtol=1e-6, atol=1e-3)


def test_an_origin_that_single_precision_holds_costs_rows_computed_in_double_no_digit():
    rows = gaussian(500, 2).astype(np.float32)
    frame = Frame(np.array([1000.5, 0.25]), np.array([1.0, 4.0]))
    z = np.empty((2, 500))
    frame.standardise(rows.T, out=z)
    assert_array_equal(z, reference.standard(rows, frame).T.astype(np.float64))


def test_single_precision_rows_far_from_zero_may_be_computed_in_double(covariance):
    rows = (12345.678 + gaussian(500, 2)).astype(np.float32)
    frame = reference.frame_of(rows, covariance.name, DOUBLE)
    z = np.empty((2, 500))
    frame.standardise(rows.T, out=z)
    exact = reference.standard(rows, frame).T.astype(np.float64)
    assert_allclose(z, exact, rtol=1e-12, atol=1e-12)


def test_double_precision_rows_far_from_zero_may_be_computed_in_single():
    rows = 1e7 + gaussian(500, 2)
    frame = reference.frame_of(rows, "full", SINGLE)
    z = np.empty((2, 500), np.float32)
    frame.standardise(rows.T, out=z)
    exact = reference.standard(rows, frame).T.astype(np.float64)
    assert_allclose(z, exact, rtol=1e-6, atol=1e-6)
