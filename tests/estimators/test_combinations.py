"""Missing values, noise, priors, fixed parts and variational mixtures, one with another."""

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import BayesianGaussianMixture, GaussianMixture, GaussianMixtureSelector, Prior, load
from daskgmm.model.covariance import COVARIANCES
from tests.fitting.test_checkpoint import bits, in_attempts
from tests.support.direct import Direct
from tests.support.missing import with_gaps

KINDS = ("full", "tied", "diag", "spherical")
PRIOR = Prior([0.5, 1.0, 0.0], 2.0, 6.0, np.diag([0.8, 1.1, 0.9]) + 0.1)
MEANS = np.array([[0.0, 0.0, 0.0], [3.0, 2.0, -2.0]])
HELD = {"fixed": {"means": [True, False]}}

WAYS = {
    "marginalize": {"missing": "marginalize"},
    "drop": {"missing": "drop"},
    "noise": {"noise": 0.1},
    "prior": {"prior": PRIOR},
    "fixed": HELD,
    "fixed, prior": HELD | {"prior": PRIOR},
    "noise, prior": {"noise": 0.1, "prior": PRIOR},
    "noise, fixed": HELD | {"noise": 0.1},
    "drop, noise, prior": {"missing": "drop", "noise": 0.1, "prior": PRIOR},
    "marginalize, fixed": HELD | {"missing": "marginalize"},
    "marginalize, noise": {"missing": "marginalize", "noise": 0.1},
    "marginalize, prior": {"missing": "marginalize", "prior": PRIOR},
    "all": HELD | {"missing": "marginalize", "noise": 0.1, "prior": PRIOR},
}
BAYESIAN = {"plain": {}, "marginalize": {"missing": "marginalize"}, "drop": {"missing": "drop"}}

each_kind = pytest.mark.parametrize("kind", KINDS)
each_way = pytest.mark.parametrize("options", list(WAYS.values()), ids=list(WAYS))
each_bayesian = pytest.mark.parametrize("options", list(BAYESIAN.values()), ids=list(BAYESIAN))
pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:The best number of components"),
]


def rows_for(options, n=160):
    """Rows of two clusters and some of noise; with gaps if these are allowed."""
    random = np.random.default_rng(3)
    labels = random.integers(2, size=n)
    rows = MEANS[labels] + random.normal(size=(n, 3)) @ (np.eye(3) + 0.3 * np.eye(3, k=1))
    rows[: n // 16] = random.uniform(-6, 8, (n // 16, 3))
    return with_gaps(rows, 0.2) if "missing" in options else rows


def mixture(kind, options, **more):
    """A fit of a few steps from given values."""
    covariance = COVARIANCES[kind]
    precisions = np.broadcast_to(np.eye(3) if covariance.has_matrices else 1.0,
                                 covariance.shape(2, 3))  # fmt: skip
    share = options.get("noise", 0.0)
    start = {
        "weights_init": np.array([0.6, 0.4]) * (1 - share),
        "means_init": MEANS + np.array([0.5, -0.5, 0.2]),
        "precisions_init": precisions,
    }  # fmt: skip
    course = {"tol": 0, "max_iter": 3, "reg_covar": 1e-3, "random_state": 0}
    return GaussianMixture(2, covariance_type=kind, **start | course | options | more)


def bayesian(kind, options):
    return BayesianGaussianMixture(
        n_components=2, covariance_type=kind, tol=0, max_iter=4, random_state=0, refine="none",
        weight_concentration_prior=0.1, init_params="random_from_data", **options,
    )  # fmt: skip


def matrices(model):
    covariance = COVARIANCES[model.covariance_type]
    return covariance.as_matrices(model.covariances_, (2, 3))


def numbers(model):
    """Parameters and bounds in one row."""
    bounds = np.atleast_1d(model.lower_bounds_)
    found = (model.weights_, model.means_, model.covariances_, bounds)
    return np.concatenate([np.ravel(values) for values in found])


# --- what is fitted


@pytest.mark.slow
@each_kind
@each_way
def test_steps_are_those_of_a_loop_over_rows(options, kind):
    rows = rows_for(options)
    weights = np.random.default_rng(0).integers(0, 4, len(rows)) / 2
    model = mixture(kind, options)
    found = model.fit(rows, sample_weight=weights)
    kept = rows if options.get("missing") != "drop" else rows[~np.isnan(rows).any(axis=1)]
    counts = weights if len(kept) == len(rows) else weights[~np.isnan(rows).any(axis=1)]
    boxed = kept[counts > 0]
    direct = Direct(
        kind, model.weights_init, model.means_init, np.stack([np.eye(3)] * 2), 1e-3,
        options.get("noise"), np.nanmax(boxed, axis=0) - np.nanmin(boxed, axis=0),
        options.get("prior"), np.array([True, False]) if "fixed" in options else None,
    )  # fmt: skip
    bounds = []
    for _ in range(3):
        bound, direct = direct.step(kept, counts)
        bounds.append(bound)
    assert_allclose(found.lower_bounds_, bounds, rtol=1e-9)
    assert_allclose(found.weights_, direct.weights, rtol=1e-9)
    assert_allclose(found.noise_weight_, direct.noise or 0, rtol=1e-9)
    assert_allclose(found.means_, direct.means, rtol=1e-9, atol=1e-9)
    assert_allclose(matrices(found), direct.covariances, rtol=1e-8, atol=1e-9)


@pytest.mark.slow
@each_kind
@each_way
def test_the_bound_never_falls(options, kind):
    rows = rows_for(options)
    found = mixture(kind, options, max_iter=25, reg_covar=0).fit(rows)
    assert len(found.lower_bounds_) > 5
    assert (np.diff(found.lower_bounds_) > -1e-12 * np.abs(found.lower_bounds_[1:])).all()


@each_way
def test_a_row_of_weight_two_is_two_rows(options):
    rows = rows_for(options)
    weights = np.arange(len(rows)) % 3
    weighted = mixture("full", options).fit(rows, sample_weight=weights)
    repeated = mixture("full", options).fit(np.repeat(rows, weights, axis=0))
    assert_allclose(numbers(weighted), numbers(repeated), rtol=1e-8, atol=1e-10)


@pytest.mark.slow
@each_kind
@each_bayesian
def test_a_row_of_weight_two_is_two_rows_for_variational_mixtures(options, kind):
    rows = rows_for(options)
    weights = 1 + np.arange(len(rows)) % 2
    start = mixture(kind, {"missing": "marginalize"}).fit(rows)
    models = [bayesian(kind, options | {"start_from": start}) for _ in range(2)]
    weighted = models[0].fit(rows, sample_weight=weights)
    repeated = models[1].fit(np.repeat(rows, weights, axis=0))
    assert_allclose(numbers(weighted), numbers(repeated), rtol=1e-7, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "tied"])
@each_way
def test_chunks_do_not_matter(options, kind):
    rows = rows_for(options)
    found = [
        numbers(mixture(kind, options).fit(da.from_array(rows, chunks=(chunks, 3))))
        for chunks in (160, 37)
    ]
    assert_allclose(*found, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
@each_way
def test_a_fit_that_is_killed_again_and_again_ends_in_the_same_bits(options, tmp_path):
    rows = da.from_array(rows_for(options), chunks=((60, 1, 0, 99), 3))
    model = mixture("full", options)
    whole = mixture("full", options).fit(rows)
    found, attempts = in_attempts(model, rows, tmp_path / "checkpoint")
    assert attempts > 2
    assert bits(found) == bits(whole)
    assert found.n_rows_dropped_ == whole.n_rows_dropped_


@each_bayesian
def test_a_variational_fit_that_is_killed_ends_in_the_same_bits(options, tmp_path):
    rows = da.from_array(rows_for(options), chunks=((60, 1, 0, 99), 3))
    whole = bayesian("full", options).fit(rows)
    found, attempts = in_attempts(bayesian("full", options), rows, tmp_path / "checkpoint")
    assert attempts > 2
    assert bits(found) == bits(whole)


# --- what is asked of it


@pytest.mark.slow
@each_way
def test_a_saved_model_answers_as_before(options, tmp_path):
    rows = rows_for(options)
    known = rows if options.get("missing") != "drop" else rows[~np.isnan(rows).any(axis=1)]
    found = mixture("full", options).fit(rows)
    found.save(tmp_path / "model")
    again = load(tmp_path / "model")
    for ask in ("predict", "predict_proba", "score_samples", "impute", "score", "bic"):
        assert_array_equal(getattr(again, ask)(known), getattr(found, ask)(known), err_msg=ask)
    lazy = da.from_array(known, chunks=(50, 3))
    assert_array_equal(found.predict(lazy).compute(), found.predict(known))
    filled = found.impute(known)
    assert_array_equal(filled[~np.isnan(known)], known[~np.isnan(known)])
    assert np.isfinite(filled).all()
    drawn, labels = found.sample(50)
    assert drawn.shape == (50, 3)
    assert labels.max() == 1
    assert_array_equal(again.fit(rows).means_, found.means_)


@pytest.mark.parametrize("how", ["marginalize", "drop"])
@pytest.mark.slow
def test_a_selection_with_all_of_it_is_that_of_single_fits(how):
    options = {"missing": how, "noise": True, "prior": PRIOR, "random_state": 0}
    rows = rows_for(options, 400)
    found = GaussianMixtureSelector([1, 2], covariance_type=("full", "tied"), **options).fit(rows)
    for row in found.results_.itertuples():
        alone = GaussianMixture(row.n_components, covariance_type=row.covariance_type, **options)
        assert_allclose(row.lower_bound, alone.fit(rows).lower_bound_, rtol=1e-4)
    best = found.best_estimator_
    assert (best.noise, best.missing) == (True, how)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["marginalize", "drop"])
def test_a_selection_that_is_killed_again_and_again_ends_in_the_same_bits(how, tmp_path):
    options = {"missing": how, "noise": True, "prior": PRIOR, "random_state": 0, "refine": "none"}
    rows = da.from_array(rows_for(options), chunks=((60, 1, 0, 99), 3))
    model = GaussianMixtureSelector(
        [1, 2], covariance_type=("full", "tied"), tol=0, max_iter=4, **options
    )
    whole = GaussianMixtureSelector(**model.get_params()).fit(rows)
    found, attempts = in_attempts(model, rows, tmp_path / "checkpoint")
    assert attempts > 2
    assert bits(found.best_estimator_) == bits(whole.best_estimator_)
    assert found.results_.lower_bound.tolist() == whole.results_.lower_bound.tolist()
