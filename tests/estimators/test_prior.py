"""Fits with priors and fixed parts through the estimators: starts, files, resumption, refusals."""

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, GaussianMixtureSelector, Prior, load
from daskgmm.errors import ConfigurationError
from daskgmm.model.covariance import COVARIANCES
from tests.fitting.test_checkpoint import bits, in_attempts
from tests.support.faithful import faithful, with_noise
from tests.support.rows import separated

each_kind = pytest.mark.parametrize("kind", list(COVARIANCES))
ignore_passes = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@each_kind
def test_a_prior_keeps_from_collapse_what_has_more_components_than_values(kind):
    rows = np.repeat(separated(9), 20, axis=0)
    found = GaussianMixture(
        5, covariance_type=kind, prior="default", reg_covar=0, random_state=0, refine="none",
        tol=1e-6,
    ).fit(rows)  # fmt: skip
    assert np.isfinite(found.lower_bound_)
    assert (np.diff(found.lower_bounds_) > -1e-12).all()
    assert found.components_["condition"].max() < 1e3


@each_kind
@ignore_passes
def test_a_fit_with_a_prior_that_is_killed_again_and_again_ends_in_the_same_bits(kind, tmp_path):
    rows = da.from_array(with_noise(700), chunks=((300, 1, 0, 436), 2))
    model = GaussianMixture(
        2, covariance_type=kind, random_state=0, tol=0, max_iter=5, prior=Prior(scale=2.0),
        noise=True, refine="none",
    )  # fmt: skip
    whole = GaussianMixture(**model.get_params()).fit(rows)
    found, attempts = in_attempts(model, rows, tmp_path / "checkpoint")
    assert attempts > 3
    assert bits(found) == bits(whole)


@each_kind
@ignore_passes
def test_a_fit_with_fixed_parts_that_is_killed_ends_in_the_same_bits(kind, tmp_path):
    rows = da.from_array(faithful(700), chunks=((300, 1, 0, 399), 2))
    model = GaussianMixture(
        2, covariance_type=kind, random_state=0, tol=0, max_iter=5, prior="default",
        fixed={"means": [True, False]}, means_init=[[2.0, 55.0], [np.nan, np.nan]],
    )  # fmt: skip
    whole = GaussianMixture(**model.get_params()).fit(rows)
    found, attempts = in_attempts(model, rows, tmp_path / "checkpoint")
    assert attempts > 3
    assert bits(found) == bits(whole)
    assert_allclose(found.means_[0], [2.0, 55.0], rtol=1e-15)


def test_a_checkpoint_is_not_that_of_another_prior(tmp_path):
    path = tmp_path / "checkpoint"
    options = {"random_state": 0, "checkpoint": path}

    def end(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        GaussianMixture(2, prior=Prior(mean_precision=1.0), callbacks=[end], **options).fit(
            faithful(200)
        )
    with pytest.raises(ConfigurationError, match="prior"):
        GaussianMixture(2, prior=Prior(mean_precision=2.0), **options).fit(faithful(200))


@pytest.mark.slow
@pytest.mark.parametrize(
    "prior", ["default", Prior(np.array([3.0, 70.0]), 0.5, 5, np.diag([0.2, 30.0]))], ids=str
)
def test_a_saved_model_has_its_prior(prior, tmp_path):
    found = GaussianMixture(2, prior=prior, random_state=0).fit(faithful(300))
    found.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    if prior == "default":
        assert again.prior == "default"
    else:
        assert_array_equal(again.prior.scale, prior.scale)
    assert_array_equal(again.fit(faithful(300)).means_, found.means_)


def test_fixed_parts_are_saved_with_what_is_to_be_found(tmp_path):
    means = [[2.0, 55.0], [np.nan, np.nan]]
    found = GaussianMixture(2, fixed={"means": [True, False]}, means_init=means, random_state=0)
    found.fit(faithful(300)).save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert_array_equal(again.means_init, means)
    assert_array_equal(again.fit(faithful(300)).means_, found.means_)


@pytest.mark.slow
@each_kind
def test_what_is_to_be_found_is_found_beside_what_is_known(kind):
    rows = separated(900, apart=9.0)
    whole = GaussianMixture(3, covariance_type=kind, random_state=0).fit(rows)
    place = int(np.argmin(np.abs(whole.means_ - [9, 0]).sum(axis=1)))
    means, weights = np.full((3, 2), np.nan), np.full(3, np.nan)
    means[0], weights[0] = whole.means_[place], whole.weights_[place]
    found = GaussianMixture(
        3, covariance_type=kind, random_state=0, means_init=means, weights_init=weights,
        fixed={"means": [True, False, False], "weights": [True, False, False]}, tol=1e-8,
    ).fit(rows)  # fmt: skip
    assert_allclose(found.means_[0], means[0], rtol=1e-14)
    assert found.weights_[0] == weights[0]
    assert_allclose(found.lower_bound_, whole.lower_bound_, atol=1e-4)


def test_a_known_background_lets_the_others_be_learned():
    rows = np.vstack([separated(300), np.random.default_rng(1).normal(0, 30, (600, 2))])
    precisions = np.stack([np.eye(2) / 900, *np.full((3, 2, 2), np.nan)])
    precisions[1:] = np.eye(2)
    means = np.array([[0, 0], [1, 1], [1, 5], [5, 1]])
    known = [True, False, False, False]
    found = GaussianMixture(
        4, means_init=means, precisions_init=precisions, random_state=0, tol=1e-6,
        fixed={"means": known, "covariances": known}, max_iter=500,
    ).fit(rows)  # fmt: skip
    assert_allclose(found.covariances_[0], 900 * np.eye(2), rtol=1e-12)
    assert_allclose(found.weights_[0], 2 / 3, atol=0.03)
    expected = np.array([[0, 0], [0, 6], [6, 0]])
    order = np.lexsort(np.round(found.means_[1:]).T[::-1])
    assert_allclose(found.means_[1:][order], expected, atol=0.5)


@pytest.mark.slow
def test_candidates_have_each_a_prior_of_their_number():
    rows = faithful(300)
    selector = GaussianMixtureSelector([2, 3], prior="default", random_state=0).fit(rows)
    for row in selector.results_.itertuples():
        alone = GaussianMixture(row.n_components, prior="default", random_state=0).fit(rows)
        assert_allclose(row.lower_bound, alone.lower_bound_, rtol=1e-10)
    assert selector.best_estimator_.prior == "default"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prior": "flat"}, "'prior' parameter is 'flat'"),
        ({"prior": Prior(mean_precision=-1)}, "mean_precision of the prior is -1"),
        ({"prior": Prior(mean=[1.0])}, r"mean of the prior has the shape \(1,\)"),
        ({"prior": Prior(degrees_of_freedom=0.5)}, "degrees_of_freedom of the prior is 0.5"),
        ({"prior": Prior(scale=[[1, 2], [2, 1]])}, "scale of the prior is not a covariance"),
        ({"prior": Prior(scale=float("nan"))}, "scale of the prior is nan"),
        ({"fixed": ["means"]}, "'fixed' parameter"),
        ({"fixed": {"mean": [True, False]}}, "'fixed' parameter"),
        ({"fixed": {"means": [True, False]}}, "means_init is not given"),
        ({"fixed": {"means": [1, 0]}}, r"fixed\['means'\]"),
        ({"fixed": {"means": [True]}}, r"fixed\['means'\]"),
        (
            {"fixed": {"means": [True, False]}, "means_init": [[np.nan, 1], [2, 3]]},
            "means_init is NaN for component 0",
        ),
        ({"means_init": [[np.nan, 1], [2, 3]]}, "holds NaN"),
        (
            {
                "fixed": {"covariances": [True, False]},
                "covariance_type": "tied",
                "precisions_init": np.eye(2),
            },
            "all share one",
        ),
        (
            {"fixed": {"weights": [True, False]}, "weights_init": [1.2, np.nan]},
            "sum to 1.2",
        ),
        (
            {"fixed": {"means": True}, "means_init": np.eye(2), "refine": "split-merge"},
            "split-merge",
        ),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(ConfigurationError, match=said):
        GaussianMixture(2, **options).fit(faithful(100))


# --- updates


FIXED = {"fixed": {"means": [True, False]}, "means_init": [[2.0, 55.0], [np.nan, np.nan]]}
OWN = Prior([3.0, 70.0], 0.5, 5, np.diag([0.2, 30.0]))


@pytest.mark.slow
@each_kind
@pytest.mark.parametrize(
    "options",
    [{"prior": OWN}, {"prior": OWN, "noise": True}, FIXED, FIXED | {"prior": OWN}],
    ids=["prior", "noise", "fixed", "both"],
)
@ignore_passes
def test_an_update_that_forgets_is_one_more_step_of_the_fit(kind, options):
    rows = with_noise(300)
    course = {"covariance_type": kind, "tol": 0, "random_state": 0, "refine": "none"}
    course |= {"init_params": "random_from_data", "subsample": None} | options
    short, whole = (GaussianMixture(2, max_iter=n, **course).fit(rows) for n in (3, 4))
    short.partial_fit(rows, forgetting=0)
    assert_allclose(short.means_, whole.means_, rtol=1e-9)
    assert_allclose(short.covariances_, whole.covariances_, rtol=1e-8, atol=1e-10)
    assert_allclose(short.weights_, whole.weights_, rtol=1e-9)
    assert_allclose(short.lower_bounds_, whole.lower_bounds_, rtol=1e-10)


@pytest.mark.slow
@each_kind
def test_an_update_by_the_rows_themselves_has_the_prior_of_their_fit(kind):
    rows = faithful(300)
    course = {"covariance_type": kind, "prior": "default", "tol": 1e-9, "random_state": 0}
    found = GaussianMixture(2, max_iter=1000, **course).fit(rows)
    before = found.means_.copy(), found.covariances_.copy()
    found.partial_fit(rows, forgetting=0)
    assert_allclose(found.means_, before[0], rtol=1e-4)
    assert_allclose(found.covariances_, before[1], rtol=1e-3, atol=1e-6)


def test_a_prior_that_needs_rows_is_refused_where_none_are_remembered():
    fitted = GaussianMixture(2, random_state=0).fit(faithful(200))
    found = GaussianMixture.from_sklearn(fitted.to_sklearn()).set_params(prior="default")
    with pytest.raises(ConfigurationError, match="holds no moments"):
        found.partial_fit(faithful(100), forgetting=0)
    found.set_params(prior=OWN).partial_fit(faithful(100), forgetting=0)


def test_fixed_parts_of_another_order_are_refused_by_an_update():
    rows = faithful(300)
    found = GaussianMixture(2, random_state=0, **FIXED).fit(rows)
    other = GaussianMixture(2, random_state=0).fit(rows)
    other = other.align_to(found)
    swapped = found.align_to(GaussianMixture(
        2, random_state=0, weights_init=other.weights_[::-1], means_init=other.means_[::-1],
        precisions_init=other.precisions_[::-1],
    ).fit(rows))  # fmt: skip
    assert_array_equal(swapped.means_, found.means_[::-1])
    with pytest.raises(ConfigurationError, match="fixed are not those"):
        swapped.partial_fit(rows)
