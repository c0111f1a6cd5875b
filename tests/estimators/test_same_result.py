"""The same numbers as scikit-learn from the same start, however the rows are cut."""

import dask.array as da
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Theirs

from daskgmm import GaussianMixture, open_dataset
from daskgmm.model.covariance import COVARIANCES
from tests.support.reference import THEIRS, in_shape
from tests.support.warned import WITH_LITTLE_VARIANCE, WITH_SMALL_COMPONENTS

KINDS = THEIRS
FITTED = ["weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"]

pytestmark = pytest.mark.filterwarnings(
    "ignore:Best performing init:sklearn.exceptions.ConvergenceWarning"
)


def blobs(n, n_features, n_components, seed=0, *, apart=3.0):
    """Overlapping clusters: labels, centres and widths are drawn."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, apart, (n_components, n_features))
    widths = random.uniform(0.5, 1.5, (n_components, n_features))
    labels = random.integers(0, n_components, n)
    return centres[labels] + widths[labels] * random.normal(size=(n, n_features))


def start(rows, kind, n_components, seed=0):
    """Start values that are far from where EM ends, in the rows' units."""
    random = np.random.default_rng(seed)
    covariance = np.atleast_2d(np.cov(rows.T)) + np.diag(rows.var(axis=0))
    precision = np.linalg.inv(covariance)
    precision = (precision + precision.T) / 2
    precisions = in_shape(COVARIANCES[kind], np.stack([precision] * n_components))
    return {
        "n_components": n_components,
        "covariance_type": kind,
        "weights_init": random.dirichlet(np.full(n_components, 10.0)),
        "means_init": rows[random.choice(len(rows), n_components, replace=False)],
        "precisions_init": precisions,
    }


def assert_same_fit(ours, theirs, tolerance=1e-8, *, means=True, first_bound=True):
    """All that the fit found, each array relative to its largest entry."""
    assert ours.n_iter_ == theirs.n_iter_
    assert ours.converged_ == theirs.converged_
    skipped = 0 if first_bound else 1
    assert_allclose(ours.lower_bounds_[skipped:], theirs.lower_bounds_[skipped:], rtol=tolerance)
    assert_allclose(ours.lower_bound_, theirs.lower_bound_, rtol=tolerance)
    for name in FITTED:
        found, expected = getattr(ours, name), getattr(theirs, name)
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        if name == "means_" and not means:
            continue
        assert_allclose(found, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


def assert_same_predictions(ours, theirs, X, rows, tolerance=1e-8):
    """What both say of the same rows; X is what ours is given."""
    assert_array_equal(ours.predict(X), theirs.predict(rows))
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(rows), rtol=tolerance, atol=1e-12)
    assert_allclose(ours.score_samples(X), theirs.score_samples(rows), rtol=tolerance)
    for name in ("score", "aic", "bic"):
        assert_allclose(getattr(ours, name)(X), getattr(theirs, name)(rows), rtol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_features", "n_components"), [(1, 3), (2, 3), (5, 4), (17, 3), (50, 2)])
@WITH_SMALL_COMPONENTS
def test_from_the_same_start_it_ends_where_scikit_learn_ends(kind, n_features, n_components):
    rows = blobs(1500, n_features, n_components)
    given_start = start(rows, kind, n_components)
    theirs = Theirs(**given_start, max_iter=60).fit(rows)
    ours = GaussianMixture(**given_start, max_iter=60).fit(rows)
    assert_same_fit(ours, theirs)
    assert_same_predictions(ours, theirs, rows, rows)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=12)
@given(data=st.data())
@WITH_SMALL_COMPONENTS
def test_no_chunking_changes_the_result(kind, data):
    n_features = data.draw(st.integers(1, 4))
    chunks = tuple(data.draw(st.lists(st.integers(0, 60), min_size=1, max_size=12)))
    chunks += (max(0, 60 - sum(chunks)), data.draw(st.sampled_from([0, 1])))
    rows = blobs(sum(chunks), n_features, 3, seed=data.draw(st.integers(0, 20)))
    given_start = start(rows, kind, 3)
    options = {"max_iter": data.draw(st.integers(1, 30)), "reg_covar": 1e-2}
    theirs = Theirs(**given_start, **options).fit(rows)
    X = da.from_array(rows, chunks=(chunks, n_features))
    ours = GaussianMixture(**given_start, **options).fit(X)
    assert_same_fit(ours, theirs)
    assert ours.predict_proba(X).chunks == ((*chunks,), (3,))
    assert_same_predictions(ours, theirs, X, rows)


@pytest.mark.slow
def test_wherever_the_rows_are_a_start_on_a_sample_ends_in_the_same_mixture(tmp_path):
    """Where their number is known before they are read; other samples end in other optima here."""
    rows = blobs(6000, 3, 6, apart=1.5)
    table = pa.table(dict(zip("abc", rows.T, strict=True)))
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=701)
    np.save(tmp_path / "rows.npy", rows)
    sources = [da.from_array(rows, chunks=(chunk, 3)) for chunk in (431, 6000)]
    sources += [open_dataset(tmp_path / name) for name in ("rows.parquet", "rows.npy")]
    options = {"subsample": 500, "random_state": 0}
    expected = GaussianMixture(6, **options).fit(rows)
    for source in sources:
        found = GaussianMixture(6, **options).fit(source)
        assert found.n_passes_ == expected.n_passes_
        assert_allclose(found.means_, expected.means_, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("offset", "scale"), [(1e6, 1.0), (0.0, 1e-6), (1e6, 1e-3), (1e8, 1.0), (-1e6, 1e6)]
)
@pytest.mark.parametrize("n_features", [1, 4])
@WITH_SMALL_COMPONENTS
def test_far_from_zero_it_finds_what_scikit_learn_finds_with_the_offset_taken_away(
    kind, offset, scale, n_features
):
    moved = offset + scale * blobs(1200, n_features, 3)
    rows = moved - offset  # exact: what is left of the digits at that offset
    assert_array_equal(rows + offset, moved)
    given_start = start(rows, kind, 3)
    options = {"reg_covar": 1e-6 * scale**2, "max_iter": 50}
    theirs = Theirs(**given_start, **options).fit(rows)
    given_start["means_init"] = given_start["means_init"] + offset
    ours = GaussianMixture(**given_start, **options).fit(moved)
    # means_ itself cannot say more than its type holds at that offset.
    assert_allclose(ours.means_ - offset, theirs.means_, rtol=1e-8, atol=2e-16 * abs(offset))
    assert_same_fit(ours, theirs, means=False)
    assert_same_predictions(ours, theirs, moved, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_k_means_starts_are_scikit_learns_too(kind):
    rows = blobs(800, 3, 3, apart=4.0)
    for seed in range(2):
        options = {"covariance_type": kind, "random_state": seed, "n_init": 2}
        ours = GaussianMixture(3, refine="none", **options).fit(rows)
        assert_same_fit(ours, Theirs(3, **options).fit(rows))


@pytest.mark.parametrize(
    ("kind", "init_params"),
    # scikit-learn's tied covariance of a start on single rows is X.T @ X / K, n / K times too
    # large; ours is what the responsibilities say, which is nothing but reg_covar.
    [(kind, way) for kind in KINDS for way in ("k-means++", "random", "random_from_data")
     if (kind, way) not in (("tied", "k-means++"), ("tied", "random_from_data"))],
)  # fmt: skip
@WITH_SMALL_COMPONENTS
def test_the_other_shared_starts_are_scikit_learns_too(kind, init_params):
    rows = blobs(300, 2, 2)
    options = {
        "covariance_type": kind, "init_params": init_params, "random_state": 3,
        "max_iter": 40, "reg_covar": 1e-1,
    }  # fmt: skip
    ours = GaussianMixture(2, refine="none", **options).fit(rows)
    theirs = Theirs(2, **options).fit(rows)
    # Starts on single rows have weights 1 / n in scikit-learn, which sum to K / n; ours sum to 1.
    # That moves nothing but the first lower bound, which is no density's there.
    assert_same_fit(ours, theirs, first_bound=init_params == "random")
    assert_allclose(sum(ours.weights_), 1, rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_single_precision_comes_as_near_as_it_can(kind):
    rows = blobs(2000, 4, 3).astype(np.float32)
    given_start = start(rows.astype(np.float64), kind, 3)
    options = {"max_iter": 10, "tol": 0}
    theirs = Theirs(**given_start, **options).fit(rows.astype(np.float64))
    ours = GaussianMixture(**given_start, **options).fit(rows)
    for name in FITTED:
        found, expected = getattr(ours, name), getattr(theirs, name)
        assert found.dtype == np.float32
        # Ten passes each add a few roundings of 6e-8, amplified by the overlap.
        assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert_allclose(ours.lower_bounds_, theirs.lower_bounds_, rtol=1e-5)
    assert ours.predict_proba(rows).dtype == np.float32
    assert ours.score_samples(rows).dtype == np.float32
    assert_allclose(ours.score_samples(rows), theirs.score_samples(rows), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_type_to_compute_in_can_be_forced(kind):
    rows = blobs(500, 2, 2)
    given_start = start(rows, kind, 2)
    forced = GaussianMixture(**given_start, dtype="float32").fit(rows)
    assert forced.means_.dtype == np.float32
    plain = GaussianMixture(**given_start).fit(rows)
    assert plain.means_.dtype == np.float64
    assert_allclose(forced.means_, plain.means_, rtol=1e-2, atol=1e-2)
    doubled = GaussianMixture(**given_start, dtype=np.float64).fit(rows.astype(np.float32))
    expected = GaussianMixture(**given_start).fit(rows.astype(np.float32).astype(np.float64))
    assert doubled.means_.dtype == np.float64
    assert_allclose(doubled.means_, expected.means_, rtol=1e-6, atol=1e-6)


def test_forced_to_double_single_precision_rows_far_from_zero_lose_nothing():
    rows = (12345.678 + blobs(500, 2, 2)).astype(np.float32)
    given_start = start(rows.astype(np.float64), "full", 2)
    ours = GaussianMixture(**given_start, dtype="float64").fit(rows)
    expected = GaussianMixture(**given_start).fit(rows.astype(np.float64))
    assert_allclose(ours.means_, expected.means_, rtol=1e-12)
    assert_allclose(ours.score_samples(rows), expected.score_samples(rows.astype(float)), rtol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sample_weight_counts_as_that_many_rows(kind):
    rows = blobs(400, 2, 3)
    counts = np.random.default_rng(1).integers(0, 4, 400)
    repeated = np.repeat(rows, counts, axis=0)
    given_start = start(rows, kind, 3)
    theirs = Theirs(**given_start).fit(repeated)
    ours = GaussianMixture(**given_start).fit(rows, sample_weight=counts)
    assert_same_fit(ours, theirs)
    chunks = ((100, 0, 1, 299), 2)
    X = da.from_array(rows, chunks=chunks)
    weights = da.from_array(counts.astype(float), chunks=chunks[:1])
    assert_same_fit(GaussianMixture(**given_start).fit(X, sample_weight=weights), theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 1, 1), (2, 1, 2), (40, 1, 1), (40, 3, 1), (5, 5, 5)])
@WITH_LITTLE_VARIANCE
@WITH_SMALL_COMPONENTS
def test_small_cases_are_no_special_cases(kind, shape):
    n, n_features, n_components = shape
    rows = np.random.default_rng(0).normal(size=(n, n_features)).cumsum(axis=0)
    options = {"covariance_type": kind, "random_state": 0, "reg_covar": 1e-2}
    ours = GaussianMixture(n_components, refine="none", **options).fit(rows)
    theirs = Theirs(n_components, **options).fit(rows)
    assert_same_fit(ours, theirs)
    assert_same_predictions(ours, theirs, rows, rows)


@pytest.mark.parametrize("kind", KINDS)
def test_max_iter_is_reached_like_there_and_warned_of(kind):
    rows = blobs(500, 2, 3)
    given_start = start(rows, kind, 3)
    options = {"max_iter": 3, "tol": 1e-12}
    theirs = Theirs(**given_start, **options).fit(rows)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        ours = GaussianMixture(**given_start, **options).fit(rows)
    assert_same_fit(ours, theirs)
    assert ours.converged_ is False


@pytest.mark.slow
def test_data_wider_than_180_features_give_the_same_result():
    rows = blobs(900, 200, 2)
    given_start = start(rows, "full", 2)
    theirs = Theirs(**given_start, max_iter=4, reg_covar=1e-3).fit(rows)
    ours = GaussianMixture(**given_start, max_iter=4, reg_covar=1e-3).fit(rows)
    assert_same_fit(ours, theirs)
    assert_same_predictions(ours, theirs, rows, rows)
