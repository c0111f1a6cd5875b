"""Variational mixtures: scikit-learn's values, and what all fits do with rows, files and passes."""

import warnings

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import BayesianGaussianMixture as Theirs

from daskgmm import BayesianGaussianMixture, GaussianMixture, load, open_dataset
from daskgmm.errors import ConfigurationError, DataError
from tests.support.reference import THEIRS
from tests.support.warned import WITH_LITTLE_VARIANCE

PRIORS = ["dirichlet_process", "dirichlet_distribution"]
INITS = ["kmeans", "random", "k-means++", "random_from_data"]
"""For tied covariances the first two: scikit-learn starts the others from all rows' second moments
about zero over K, so its start depends on where zero is."""
PARAMETERS = [
    "weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_",
    "weight_concentration_", "mean_precision_", "degrees_of_freedom_",
    "weight_concentration_prior_", "mean_precision_prior_", "mean_prior_",
    "degrees_of_freedom_prior_", "covariance_prior_",
]  # fmt: skip
each_kind = pytest.mark.parametrize("kind", THEIRS)
each_prior = pytest.mark.parametrize("prior", PRIORS)


def clusters(seed=0, n=300, n_features=3, n_clusters=3, offset=0.0):
    random = np.random.default_rng(seed)
    roots = random.normal(size=(n_clusters, n_features, n_features))
    centres = random.normal(0, 4, (n_clusters, n_features)) + offset
    labels = random.integers(0, n_clusters, n)
    noise = random.normal(size=(n, 1, n_features))
    return centres[labels] + (noise @ roots[labels])[:, 0]


def quietly(estimator, X, **more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return estimator.fit(X, **more)


def ours(**parameters):
    return BayesianGaussianMixture(subsample=None, **parameters)


def assert_same(found, expected):
    for name in PARAMETERS:
        own, others = (np.asarray(getattr(one, name)) for one in (found, expected))
        assert own.shape == others.shape, name
        scale = max(np.abs(others).max(), 1e-300)
        assert_allclose(own, others, rtol=1e-6, atol=1e-6 * scale, err_msg=name)
    assert_allclose(found.lower_bound_, np.ravel(expected.lower_bound_)[0], rtol=1e-8)


def random_setting(seed):
    """Parameters and rows, of all that scikit-learn's constructor takes."""
    random = np.random.default_rng(seed)
    kind, n_features = THEIRS[seed % 4], int(random.integers(1, 7))
    X = clusters(seed, int(random.integers(40, 400)), n_features, int(random.integers(1, 5)))
    X *= 10.0 ** random.integers(-2, 3)
    spread = np.atleast_2d(np.cov(X.T)) * random.uniform(0.2, 2)
    scales = {
        "full": spread, "tied": spread, "diag": np.diag(spread), "spherical": float(spread[0, 0]),
    }  # fmt: skip

    def maybe(value):
        return value if random.random() < 0.4 else None

    parameters = {
        "n_components": int(random.integers(1, 9)),
        "covariance_type": kind,
        "tol": 10.0 ** random.integers(-6, 0),
        "reg_covar": float(random.choice([0, 1e-6, 1e-3])),
        "max_iter": int(random.integers(1, 30)),
        "init_params": str(random.choice(INITS[: 2 if kind == "tied" else 4])),
        "weight_concentration_prior_type": PRIORS[seed // 4 % 2],
        "weight_concentration_prior": maybe(10.0 ** random.uniform(-4, 3)),
        "mean_precision_prior": maybe(10.0 ** random.uniform(-2, 2)),
        "mean_prior": maybe(X.mean(axis=0) + random.normal(size=n_features)),
        "degrees_of_freedom_prior": maybe(n_features + random.uniform(-0.9, 10)),
        "covariance_prior": maybe(scales[kind]),
        "random_state": int(random.integers(1000)),
    }
    return parameters, X


def compare(seed):
    parameters, X = random_setting(seed)
    expected, found = quietly(Theirs(**parameters), X), quietly(ours(**parameters), X)
    assert_same(found, expected)
    assert (found.n_iter_, found.converged_) == (expected.n_iter_, expected.converged_)
    bounds = np.ravel(expected.lower_bounds_)
    assert_allclose(found.lower_bounds_, bounds, rtol=1e-8, atol=1e-8 * np.abs(bounds).max())
    assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-6)
    assert_allclose(found.score_samples(X), expected.score_samples(X), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(16))
def test_values_are_scikit_learns_from_its_start(seed):
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(16, 200))
@WITH_LITTLE_VARIANCE
def test_values_are_scikit_learns_in_more_settings(seed):
    compare(seed)


@pytest.mark.slow
@each_kind
@each_prior
def test_several_starts_and_a_warm_start_take_scikit_learns_course(kind, prior):
    X = clusters(3, 200)
    parameters = {
        "n_components": 5, "covariance_type": kind, "random_state": 2, "n_init": 3, "max_iter": 7,
        "weight_concentration_prior_type": prior, "init_params": "random",
    }  # fmt: skip
    assert_same(quietly(ours(**parameters), X), quietly(Theirs(**parameters), X))
    warm = {**parameters, "warm_start": True, "max_iter": 3}
    found, expected = ours(**warm), Theirs(**warm)
    for _ in range(3):
        assert_same(quietly(found, X), quietly(expected, X))
        assert found.converged_ == expected.converged_


@each_kind
@each_prior
def test_there_and_back_to_scikit_learn(kind, prior):
    X = clusters(1)
    parameters = {
        "n_components": 4, "covariance_type": kind, "random_state": 0, "max_iter": 10,
        "weight_concentration_prior_type": prior,
    }  # fmt: skip
    theirs = quietly(Theirs(**parameters), X)
    found = BayesianGaussianMixture.from_sklearn(theirs)
    assert_same(found, theirs)
    back = found.to_sklearn()
    assert_allclose(back.score_samples(X), theirs.score_samples(X), rtol=1e-9)
    again = quietly(BayesianGaussianMixture(**parameters, start_from=theirs), X)
    more = quietly(theirs.set_params(warm_start=True), X)
    assert_same(again, more)


def test_the_history_has_the_evidence_lower_bound_a_row_and_it_never_falls():
    """Of far too many components, as of one, it lies below the evidence, which is a density."""
    X = clusters(2)
    model = ours(n_components=8, random_state=0, reg_covar=0, tol=1e-6, max_iter=500).fit(X)
    bounds = np.array([entry["lower_bound"] for entry in model.history_])
    assert (np.diff(bounds) > -1e-12).all()
    total = np.diff(bounds) * len(X)
    assert_allclose(np.diff(model.lower_bounds_), total, rtol=1e-6, atol=1e-9)
    assert_allclose([entry["change"] for entry in model.history_[1:]], total, rtol=1e-6, atol=1e-9)
    moved = ours(n_components=8, random_state=0, reg_covar=0, tol=1e-6, max_iter=500).fit(4 * X)
    jacobian = X.shape[1] * np.log(4)
    assert_allclose(moved.history_[-1]["lower_bound"] + jacobian, bounds[-1], rtol=1e-9)


@pytest.mark.slow
@each_kind
@each_prior
def test_integer_weights_are_repeated_rows(kind, prior):
    X, times = clusters(4, 150), np.random.default_rng(0).integers(0, 4, 150)
    start = GaussianMixture(3, covariance_type=kind, random_state=0).fit(X)
    parameters = {
        "n_components": 3, "covariance_type": kind, "start_from": start, "max_iter": 8,
        "weight_concentration_prior_type": prior,
    }  # fmt: skip
    weighted = quietly(ours(**parameters), X, sample_weight=times)
    repeated = quietly(ours(**parameters), np.repeat(X, times, axis=0))
    assert_same(weighted, repeated)


@pytest.mark.slow
@each_kind
@each_prior
def test_a_model_comes_back_from_its_file_to_the_bit_and_goes_on(kind, prior, tmp_path):
    X = clusters(5)
    parameters = {
        "n_components": 6, "covariance_type": kind, "random_state": 0, "max_iter": 6,
        "weight_concentration_prior_type": prior, "mean_prior": [0.0, 1, 2],
    }  # fmt: skip
    model = quietly(ours(**parameters), X)
    model.save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is BayesianGaussianMixture
    assert again.get_params() == model.get_params()
    for name in [*PARAMETERS, "lower_bound_", "lower_bounds_", "history_", "n_iter_"]:
        assert_array_equal(getattr(again, name), getattr(model, name), err_msg=name)
    assert_array_equal(again.score_samples(X), model.score_samples(X))
    for one in (model, again):
        quietly(one.set_params(warm_start=True), X)
    assert_array_equal(again.means_, model.means_)
    assert again.lower_bound_ == model.lower_bound_


class KilledError(Exception):
    pass


@pytest.mark.slow
@each_kind
def test_a_fit_that_was_killed_resumes_to_the_same_bits(kind, tmp_path):
    X = da.from_array(clusters(6), chunks=(70, 3))
    parameters = {
        "n_components": 5, "covariance_type": kind, "random_state": 0, "tol": 0, "max_iter": 8,
        "n_init": 2,
    }  # fmt: skip
    whole = quietly(BayesianGaussianMixture(**parameters), X)

    def stop(state):
        if state.iteration == 3:
            raise KilledError

    file = tmp_path / "checkpoint"
    with pytest.raises(KilledError):
        BayesianGaussianMixture(**parameters, checkpoint=file, callbacks=[stop]).fit(X)
    resumed = quietly(BayesianGaussianMixture(**parameters, checkpoint=file), X)
    for name in [*PARAMETERS, "lower_bounds_"]:
        assert_array_equal(getattr(resumed, name), getattr(whole, name), err_msg=name)
    assert resumed.n_passes_ == whole.n_passes_


@pytest.mark.slow
def test_all_inputs_give_the_same_mixture(tmp_path):
    X = clusters(7)
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame.to_parquet(tmp_path / "rows.parquet", row_group_size=100)
    parameters = {"n_components": 4, "random_state": 0, "max_iter": 9}
    expected = quietly(ours(**parameters), X)
    for rows in (frame, da.from_array(X, chunks=(64, 3)), open_dataset(tmp_path / "rows.parquet")):
        found = quietly(ours(**parameters), rows)
        assert_same(found, expected)
        assert_array_equal(np.asarray(found.predict(rows)), expected.predict(X))
        assert_allclose(found.score(rows), expected.score(X))


def test_components_that_rows_do_not_need_are_emptied():
    random = np.random.default_rng(0)
    X = random.normal(size=(600, 2)) + 12 * random.integers(0, 3, (600, 1))
    with warnings.catch_warnings():  # that is no fault of theirs
        warnings.simplefilter("error", UserWarning)
        model = ours(n_components=8, random_state=0, tol=1e-2).fit(X)
    assert (model._moments.sums[-1] >= 1).sum() == 3
    assert len(np.unique(model.predict(X))) == 3
    assert (model.components_["flags"] == ("empty",)).sum() == 5
    drawn, _ = model.sample(500)
    assert drawn.shape == (500, 2)


@pytest.mark.parametrize("refine", ["split-merge", "none", "auto"])
def test_a_search_starts_it_from_the_likeliest_mixture_and_auto_is_none(refine):
    X = clusters(8, 2000, n_clusters=5)
    model = quietly(BayesianGaussianMixture(n_components=5, random_state=0, refine=refine), X)
    assert (model.refinement_ is None) == (refine != "split-merge")
    none = quietly(BayesianGaussianMixture(n_components=5, random_state=0, refine="none"), X)
    if refine == "auto":
        assert_array_equal(model.means_, none.means_)
    else:
        assert model.lower_bound_ >= none.lower_bound_


def test_a_sample_on_which_it_runs_first_stands_for_all_rows():
    X = clusters(9, 4000)
    prior = "dirichlet_distribution"  # which does not depend on the components' order
    parameters = {"n_components": 3, "random_state": 0, "weight_concentration_prior_type": prior}
    whole = quietly(ours(**parameters, max_iter=300), X)
    model = BayesianGaussianMixture(**parameters, subsample=1000, max_iter=300)
    quietly(model, X)
    assert model.n_iter_ < whole.n_iter_
    assert_allclose(model.lower_bound_, whole.lower_bound_, rtol=1e-6)


def test_rows_in_a_plane_have_scikit_learns_bound_too():
    """Their covariance is no proper prior, so the evidence lower bound has no value."""
    X = clusters(0, 12, n_features=10)
    parameters = {"n_components": 2, "random_state": 0, "reg_covar": 1e-2}
    assert_same(quietly(ours(**parameters), X), quietly(Theirs(**parameters), X))


def test_numbers_in_single_precision_are_scikit_learns_within_its_rounding():
    X = clusters(1).astype(np.float32)
    found = quietly(ours(n_components=3, random_state=0, max_iter=5), X)
    expected = quietly(Theirs(n_components=3, random_state=0, max_iter=5), X.astype(np.float64))
    assert found.means_.dtype == np.float32
    assert_allclose(found.means_, expected.means_, rtol=1e-4, atol=1e-4)
    assert_allclose(found.lower_bound_, expected.lower_bound_, rtol=1e-5)


def test_far_from_zero_the_fit_is_that_near_zero():
    parameters = {"n_components": 3, "random_state": 0, "max_iter": 10}
    near = quietly(ours(**parameters), clusters(1))
    far = quietly(ours(**parameters), clusters(1, offset=1e8))
    assert_allclose(far.means_ - 1e8, near.means_, atol=1e-5)
    assert_allclose(far.covariances_, near.covariances_, rtol=1e-5)
    assert_allclose(far.lower_bound_, near.lower_bound_, rtol=1e-6)


def test_components_in_another_order_are_the_same_mixture():
    X = clusters(2)
    model = quietly(ours(n_components=3, random_state=0, max_iter=20), X)
    other = quietly(ours(n_components=3, random_state=1, init_params="random", max_iter=20), X)
    turned = model.align_to(other)
    order = model.match(other)
    assert_array_equal(turned.mean_precision_, model.mean_precision_[order])
    assert_array_equal(turned.weight_concentration_[1], model.weight_concentration_[1][order])
    assert_allclose(turned.score_samples(X), model.score_samples(X))
    assert type(model.marginal([0, 2])) is GaussianMixture


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"weight_concentration_prior_type": "beta"}, "'beta' is not known"),
        ({"weight_concentration_prior": 0}, "'weight_concentration_prior' parameter"),
        ({"mean_precision_prior": -1.0}, "above 0"),
        ({"degrees_of_freedom_prior": 2}, "should be greater than 2, but got 2.000"),
        ({"mean_prior": [1, 2]}, r"shape of \(3,\), but got \(2,\)"),
        ({"covariance_prior": -np.eye(3)}, "should be symmetric, positive-definite"),
        ({"covariance_type": "spherical", "covariance_prior": 0.0}, "should be positive"),
        ({"refine": "best"}, "refine='best' is not known"),
    ],
)
def test_priors_that_cannot_be_are_refused(parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        BayesianGaussianMixture(**parameters).fit(clusters())


def test_rows_that_weigh_next_to_nothing_have_no_covariance_for_a_prior():
    with pytest.raises(DataError, match=r"The rows weigh 0\.3 in all"):
        BayesianGaussianMixture().fit(clusters(), sample_weight=np.full(300, 1e-3))


def test_its_means_can_be_adapted_and_the_result_is_a_model_like_it(tmp_path):
    X = clusters(2)
    model = quietly(ours(n_components=3, random_state=0, max_iter=5), X)
    moved = model.adapt(X + 1)
    assert (moved.means_ > model.means_ - 1e-9).any()
    assert_array_equal(moved.mean_precision_, model.mean_precision_)
    moved.save(tmp_path / "model")
    assert_array_equal(load(tmp_path / "model").score_samples(X), moved.score_samples(X))


def test_it_has_no_partial_fit():
    assert not hasattr(BayesianGaussianMixture(), "partial_fit")


def with_gaps(X, share=0.3, seed=0):
    gaps = np.random.default_rng(seed).random(X.shape) < share
    return np.where(gaps, np.nan, X)


def expected_moments(theirs, X, kind):
    """Counts, means and scatter of rows with gaps, by a loop over rows and components."""
    n_components, n_features = theirs.means_.shape
    covariances = {
        "full": lambda: theirs.covariances_,
        "tied": lambda: np.broadcast_to(theirs.covariances_, (n_components, *2 * (n_features,))),
        "diag": lambda: np.stack([np.diag(one) for one in theirs.covariances_]),
        "spherical": lambda: theirs.covariances_[:, None, None] * np.eye(n_features),
    }[kind]()
    # What scikit-learn's E-step adds to the log-densities of whole rows.
    nowhere = theirs._estimate_log_prob(theirs.means_).diagonal() + theirs._estimate_log_weights()
    constants = nowhere + np.linalg.slogdet(2 * np.pi * covariances)[1] / 2
    counts, first = np.zeros(n_components), np.zeros((n_components, n_features))
    second = np.zeros((n_components, n_features, n_features))
    for row in X:
        known = ~np.isnan(row)
        logits, guesses, left = constants.copy(), [], []
        for k, (mean, matrix) in enumerate(zip(theirs.means_, covariances, strict=True)):
            inverse = np.linalg.inv(matrix[np.ix_(known, known)])
            apart = (row - mean)[known]
            logits[k] -= apart @ inverse @ apart / 2
            logits[k] -= np.linalg.slogdet(2 * np.pi * matrix[np.ix_(known, known)])[1] / 2
            slopes = matrix[:, known] @ inverse
            guesses.append(np.where(known, row, mean + slopes @ apart))
            left.append(matrix - slopes @ matrix[known])
        shares = np.exp(logits - np.logaddexp.reduce(logits))
        counts += shares
        for k in range(n_components):
            first[k] += shares[k] * guesses[k]
            second[k] += shares[k] * (np.outer(guesses[k], guesses[k]) + left[k])
    means = first / counts[:, None]
    scatter = second / counts[:, None, None] - means[:, :, None] * means[:, None]
    scatter += theirs.reg_covar * np.eye(n_features)
    if kind == "tied":
        return counts, means, np.einsum("k,kde->de", counts, scatter) / counts.sum()
    if kind != "full":
        scatter = np.diagonal(scatter, axis1=1, axis2=2)
    return counts, means, scatter.mean(axis=1) if kind == "spherical" else scatter


@pytest.mark.slow
@each_kind
@each_prior
def test_missing_values_have_posteriors_as_a_loop_over_rows_finds_them(kind, prior):
    whole = clusters(3, 120)
    X = with_gaps(whole)
    spread = np.cov(whole.T)
    scale = {"full": spread, "tied": spread, "diag": np.diag(spread), "spherical": 2.0}[kind]
    parameters = {
        "n_components": 3, "covariance_type": kind, "weight_concentration_prior_type": prior,
        "mean_prior": whole.mean(axis=0), "covariance_prior": scale, "random_state": 0,
    }  # fmt: skip
    theirs = quietly(Theirs(**parameters, max_iter=3), whole)
    found = ours(**parameters, start_from=theirs, max_iter=4, tol=0, missing="marginalize")
    quietly(found, X)
    for _ in range(4):
        moments = expected_moments(theirs, X, kind)
        theirs._estimate_weights(moments[0])
        theirs._estimate_means(*moments[:2])
        theirs._estimate_precisions(*moments)
    theirs._set_parameters(theirs._get_parameters())
    for name in PARAMETERS:
        expected = np.asarray(getattr(theirs, name))
        assert_allclose(getattr(found, name), expected, rtol=1e-7, atol=1e-9, err_msg=name)
    bounds = [entry["lower_bound"] for entry in found.history_]
    assert (np.diff(bounds) > -1e-6).all()
    assert np.isfinite(found.predict_proba(X)).all()


def test_where_no_value_is_missing_it_is_the_ordinary_fit_to_the_bit():
    X = clusters(3)
    parameters = {"n_components": 4, "random_state": 0, "max_iter": 8}
    expected = quietly(ours(**parameters), X)
    for missing in ("drop", "marginalize"):
        found = quietly(ours(**parameters, missing=missing), X)
        assert_array_equal(found.covariances_, expected.covariances_)
        assert found.lower_bounds_ == expected.lower_bounds_


@pytest.mark.slow
@each_kind
def test_with_missing_values_the_bound_depends_neither_on_units_nor_on_the_frame(kind):
    X = with_gaps(clusters(4, 200))
    bounds = []
    for unit in (1.0, 2.0**7):
        model = ours(
            n_components=3, covariance_type=kind, random_state=0, reg_covar=0, tol=0, max_iter=30,
            missing="marginalize",
        )  # fmt: skip
        quietly(model, unit * X)
        own = np.array([entry["lower_bound"] for entry in model.history_])
        assert (np.diff(own) > -1e-10).all()
        bounds.append(own + (~np.isnan(X)).sum() / len(X) * np.log(unit))
    assert_allclose(*bounds, rtol=1e-9)
