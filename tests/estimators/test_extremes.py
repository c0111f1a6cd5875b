"""Rows and weights near the ends of what numbers hold: the fit is that of ordinary ones."""

from functools import cache

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture import GaussianMixture as ScikitLearn

from daskgmm import GaussianMixture
from daskgmm.errors import CollapsedComponentError, DataError
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.prediction import Predictor
from tests.support.reference import in_shape, random_mixture
from tests.support.warned import WITH_LITTLE_VARIANCE, WITH_SMALL_COMPONENTS

KINDS = list(COVARIANCES)

pytestmark = pytest.mark.filterwarnings("ignore:Best performing initialization")


def blobs(n=1000, distance=6.0, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, 2)) + distance * (np.arange(n) % 2)[:, np.newaxis]


def start(kind, means):
    """Parameters that say where EM starts: equal weights and unit covariances."""
    ones = in_shape(COVARIANCES[kind], np.stack([np.eye(2)] * len(means)))
    weights = np.full(len(means), 1 / len(means))
    given = {"weights_init": weights, "means_init": means, "precisions_init": ones}
    return given | {"covariance_type": kind}


# --- rows far off


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
@pytest.mark.parametrize(
    ("dtype", "outlier"),
    [(np.float64, 1e12), (np.float64, 1e30), (np.float64, 1e140), (np.float32, 1e12)],
)
@WITH_SMALL_COMPONENTS
def test_a_row_far_off_leaves_the_others_their_digits(kind, dtype, outlier):
    rows = blobs().astype(dtype)
    means = np.array([[0.0, 0.0], [6.0, 6.0], [outlier, outlier]])
    alone = GaussianMixture(2, tol=1e-6, **start(kind, means[:2])).fit(rows[1:])
    rows[0] = outlier
    found = GaussianMixture(3, tol=1e-6, **start(kind, means)).fit(rows)
    tolerance = 1e-9 if dtype == np.float64 else 1e-4
    assert_allclose(found.weights_, [*0.999 * alone.weights_, 0.001], rtol=tolerance)
    assert_allclose(found.means_[:2], alone.means_, rtol=tolerance)
    assert_allclose(found.covariances_[:2], alone.covariances_, rtol=tolerance, atol=tolerance)


@pytest.mark.slow
@WITH_LITTLE_VARIANCE
def test_features_too_small_to_be_squared_get_the_regularisation_as_variances():
    rows = 1e-160 * blobs()
    found = GaussianMixture(1).fit(rows)
    assert_allclose(found.covariances_[0], 1e-6 * np.eye(2), atol=1e-300)
    assert_allclose(found.means_[0], rows.mean(axis=0), rtol=1e-12)
    with pytest.raises(DataError, match="double precision cannot hold"):
        GaussianMixture(1, reg_covar=0).fit(rows)  # the precisions would be infinite


# --- weights


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("factor", [1e-25, 1e-9, 1e9, 1e25])
@WITH_SMALL_COMPONENTS
def test_the_unit_of_the_weights_changes_nothing(kind, dtype, factor):
    rows = blobs(distance=3.0).astype(dtype)
    weights = np.random.default_rng(1).uniform(0.5, 2, len(rows))
    options = {"covariance_type": kind, "means_init": [[0, 0], [3, 3], [9, 9]], "random_state": 0}
    found, expected = (
        GaussianMixture(3, **options).fit(rows, sample_weight=own)
        for own in (factor * weights, weights)
    )
    tolerance = 1e-9 if dtype == np.float64 else 2e-3
    assert_allclose(found.lower_bound_, expected.lower_bound_, rtol=tolerance)
    assert_allclose(found.weights_, expected.weights_, atol=tolerance)
    assert_allclose(found.means_, expected.means_, atol=10 * tolerance)
    assert_allclose(found.covariances_, expected.covariances_, atol=10 * tolerance)


def test_weights_of_sum_one_leave_a_small_component_in_single_precision_where_it_is():
    rows = np.vstack([blobs(9995), 500 + blobs(5)]).astype(np.float32)
    given = start("full", [[0.0, 0.0], [6.0, 6.0], [500.0, 500.0]])
    found, expected = (
        GaussianMixture(3, **given).fit(rows, sample_weight=weights)
        for weights in (np.full(10_000, 1e-4), None)
    )
    assert_allclose(found.means_, expected.means_, rtol=1e-5, atol=1e-4)
    assert_allclose(found.weights_, expected.weights_, rtol=1e-4)


# --- rows to be labelled


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 1e160), (np.float32, 1e25)])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_row_so_far_that_it_has_no_density_is_the_first_components(kind, dtype, size, compiled):
    mixture = random_mixture(kind, 4, 3, 4)
    predictor = Predictor(mixture, Frame.identity(3), compiled=compiled)
    rows = (size * np.random.default_rng(0).normal(size=(200, 3))).astype(dtype)
    labels, shares, densities = predictor.everything(rows)
    assert (densities == -np.inf).all()
    assert (shares == 0.25).all()
    assert_array_equal(labels, 0)
    assert_array_equal(predictor.labels(rows), 0)


def test_a_component_far_off_leaves_the_densities_of_scikit_learns_model_their_digits():
    rows = blobs()
    rows[0] = 1e20
    other = ScikitLearn(2, covariance_type="diag", random_state=0).fit(rows)
    found = GaussianMixture.from_sklearn(other).score_samples(rows[1:])
    assert_allclose(found, other.score_samples(rows[1:]), rtol=1e-6)


# --- rows whose squares leave their type


def three(size, dtype):
    random = np.random.default_rng(0)
    rows = random.normal(size=(300, 2)) + 10 * (np.arange(300) % 3)[:, np.newaxis]
    return (size * rows).astype(dtype)


@cache
def fit_of_three(kind, init):
    options = {"covariance_type": kind, "init_params": init, "random_state": 0}
    return GaussianMixture(3, reg_covar=1e-3, **options).fit(three(1.0, np.float64))


SIZES = [1e20, 1e36, 1e-30, [1e-20, 1e20]]
INITS = ["kmeans", "k-means++", "random_from_data", "hierarchical", "k-means||"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "init", "size", "refine"),  # each with each of the others
    [
        (kind, init, SIZES[(i + j) % 4], "none" if j else "auto")
        for i, kind in enumerate(KINDS)
        for j, init in enumerate(INITS)
    ],
)
def test_single_precision_rows_of_any_size_are_fitted_like_ordinary_ones(kind, init, size, refine):
    rows = three(size, np.float32)
    options = {"covariance_type": kind, "init_params": init, "random_state": 0, "refine": refine}
    found = GaussianMixture(3, reg_covar=1e-3 * np.min(size) ** 2, **options).fit(rows)
    assert found.converged_
    if kind != "spherical" and np.ndim(size) == 0:
        expected = fit_of_three(kind, init)
        assert_allclose(found.means_ / size, expected.means_, rtol=1e-3)
        assert_allclose(found.covariances_ / size / size, expected.covariances_, atol=1e-2)
    for name in ("means_", "covariances_", "precisions_", "precisions_cholesky_"):
        assert np.isfinite(getattr(found, name)).all()
    assert_allclose(found.weights_, 1 / 3, rtol=1e-2)
    assert np.isfinite([found.score(rows), found.bic(rows)]).all()
    assert np.isfinite(found.sample(10)[0]).all()
    assert (np.diff(np.bincount(found.predict(rows))) == 0).all()


# --- components of few rows


@pytest.mark.filterwarnings("ignore:Every mixture that was found has")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_whether_a_component_of_few_single_precision_rows_collapses_hangs_on_no_chunks(kind):
    random = np.random.default_rng(3)
    rows = (1e4 * random.normal(size=(3000, 4))).astype(np.float32)
    rows[::750] = (2e5 + 1e5 * random.normal(size=(4, 4))).astype(np.float32)  # a flat matrix
    bounds = []
    for n in (3000, 1000, 100):
        model = GaussianMixture(3, covariance_type=kind, random_state=0)
        bounds.append(model.fit(da.from_array(rows, chunks=(n, 4))).lower_bound_)
    assert_allclose(bounds, bounds[0], rtol=1e-6)


def test_a_collapse_in_single_precision_tells_of_double_precision():
    rows = three(1.0, np.float32)
    rows[0] = 1e4
    with pytest.raises(CollapsedComponentError, match=r'reg_covar.*dtype="float64"'):
        GaussianMixture(4, reg_covar=0, random_state=0).fit(rows)
    with pytest.raises(CollapsedComponentError) as caught:
        GaussianMixture(4, reg_covar=0, random_state=0).fit(rows.astype(np.float64))
    assert "float64" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:Every mixture that was found has")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_without_regularisation_the_likelihood_of_small_fits_never_falls(kind):
    ended = 0
    for seed in range(KINDS.index(kind) % 4, 60, 4):
        random = np.random.default_rng(seed)
        rows = random.normal(size=(random.integers(8, 60), random.integers(1, 5)))
        if seed % 3 == 1:
            rows = rows.round(1)
        options = {"covariance_type": kind, "reg_covar": 0, "tol": 0, "max_iter": 60}
        init = ("kmeans", "random", "k-means++")[seed % 3]
        model = GaussianMixture(
            int(random.integers(2, 6)), init_params=init, random_state=seed, **options
        )
        try:
            bounds = np.array(model.fit(rows).lower_bounds_)
        except CollapsedComponentError:
            assert kind in ("full", "tied")
            continue
        ended += 1
        assert np.diff(bounds).min() >= -1e-12 * np.abs(bounds).max()
        assert np.isfinite(model.precisions_).all()
    assert ended > 5
