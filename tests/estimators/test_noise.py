"""Fits with noise: they find the clusters as if it were not there, on any input, and resume."""

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, GaussianMixtureSelector, load
from daskgmm.errors import ConfigurationError, DataError
from daskgmm.model.covariance import COVARIANCES
from tests.fitting.test_checkpoint import bits, in_attempts
from tests.support.faithful import faithful, with_noise

each_kind = pytest.mark.parametrize("kind", list(COVARIANCES))


def fitted(rows, **options):
    return GaussianMixture(2, **{"random_state": 0, "refine": "none"} | options).fit(rows)


def in_order(model):
    """Weights without noise, means and covariances, by the first mean."""
    order = np.argsort(model.means_[:, 0])
    weights = model.weights_[order] / model.weights_.sum()
    covariances = model.covariances_
    return weights, model.means_[order], covariances if covariances.ndim < 3 else covariances[order]


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_noise_leaves_the_clusters_as_they_are_without(kind):
    clean = fitted(faithful(), covariance_type=kind)
    found = fitted(with_noise(), covariance_type=kind, noise=True, tol=1e-5)
    disturbed = fitted(with_noise(), covariance_type=kind)
    assert_allclose(found.noise_weight_, 0.05, atol=0.01)
    assert_allclose(found.weights_.sum() + found.noise_weight_, 1)
    for own, expected, tolerance in zip(
        in_order(found), in_order(clean), (0.01, 0.01, 0.05), strict=True
    ):
        size = np.abs(expected).max(axis=tuple(range(1, expected.ndim)), keepdims=True)
        assert (np.abs(own - expected) < tolerance * size).all()
    lengths = [np.abs(in_order(one)[2]).max() for one in (disturbed, clean)]
    assert lengths[0] > 1.2 * lengths[1]  # what noise does to a fit that knows nothing of it


@each_kind
def test_the_likelihood_never_falls_with_noise(kind):
    found = fitted(with_noise(400), covariance_type=kind, noise=0.2, tol=1e-9, reg_covar=0,
                   refine="none")  # fmt: skip
    assert found.n_iter_ > 3
    assert (np.diff(found.lower_bounds_) > -1e-12).all()


@each_kind
def test_a_row_of_weight_two_is_two_rows(kind):
    rows = with_noise(300)
    weights = np.random.default_rng(0).integers(1, 4, len(rows))
    start = {"means_init": faithful()[[0, -1]], "noise": 0.1, "covariance_type": kind}
    found = GaussianMixture(2, **start, random_state=0, max_iter=4, tol=0, init_params="random")
    twice = GaussianMixture(2, **start, random_state=0, max_iter=4, tol=0, init_params="random")
    chosen = (np.full(2, 0.45), np.broadcast_to(_precisions(kind), COVARIANCES[kind].shape(2, 2)))
    for one in (found, twice):
        one.set_params(weights_init=chosen[0], precisions_init=chosen[1])
    with pytest.warns(match="did not converge"):
        found.fit(rows, sample_weight=weights)
    with pytest.warns(match="did not converge"):
        twice.fit(np.repeat(rows, weights, axis=0))
    assert_allclose(found.noise_weight_, twice.noise_weight_, rtol=1e-10)
    assert_allclose(found.means_, twice.means_, rtol=1e-10)
    assert_allclose(found.covariances_, twice.covariances_, rtol=1e-9)
    assert_allclose(found.lower_bound_, twice.lower_bound_, rtol=1e-12)


def _precisions(kind):
    covariance = COVARIANCES[kind]
    return np.eye(2) / 20 if covariance.has_matrices else 1 / 20


@each_kind
def test_a_saved_model_has_its_noise(kind, tmp_path):
    rows = with_noise(400)
    found = fitted(rows, covariance_type=kind, noise=True)
    found.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    assert again.noise is True
    assert again.noise_weight_ == found.noise_weight_ > 0
    assert again.noise_density_ == found.noise_density_
    assert_array_equal(again.predict_proba(rows), found.predict_proba(rows))
    assert again.bic(rows) == found.bic(rows)


@pytest.mark.parametrize("kind", ["full", "tied"])
@pytest.mark.parametrize("acceleration", [None, "squarem"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_that_is_killed_again_and_again_ends_in_the_same_bits(kind, acceleration, tmp_path):
    rows = da.from_array(with_noise(700), chunks=((300, 1, 0, 436), 2))
    model = GaussianMixture(
        2, covariance_type=kind, random_state=0, tol=0, max_iter=6, noise=True,
        acceleration=acceleration, refine="none",
    )  # fmt: skip
    whole = GaussianMixture(**model.get_params()).fit(rows)
    found, attempts = in_attempts(model, rows, tmp_path / "checkpoint")
    assert attempts > 3
    assert bits(found) == bits(whole)
    assert found.noise_weight_ == whole.noise_weight_


def test_dask_rows_are_labelled_lazily_with_noise_last():
    rows = with_noise(400)
    found = fitted(rows, noise=True)
    lazy = da.from_array(rows, chunks=(100, 2))
    assert_array_equal(found.predict(lazy).compute(), found.predict(rows))
    shares = found.predict_proba(lazy)
    assert shares.shape == (len(rows), 3)
    assert_array_equal(shares.compute(), found.predict_proba(rows))
    assert set(found.predict(rows)) == {-1, 0, 1}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The best number of components")
def test_noise_is_one_more_parameter_of_each_candidate():
    rows = with_noise(600)
    plain, noisy = (
        GaussianMixtureSelector(range(1, 4), random_state=0, noise=noise).fit(rows)
        for noise in (False, True)
    )
    for one, more in ((plain, 0), (noisy, 1)):
        for row in one.results_.itertuples():
            n_parameters = 6 * row.n_components - 1 + more
            expected = (row.bic - row.aic) / (np.log(len(rows)) - 2)
            assert_allclose(n_parameters, expected, rtol=1e-9)
    assert noisy.best_params_["n_components"] == 2
    assert noisy.best_estimator_.noise_weight_ > 0.03


def test_sampled_noise_is_uniform_over_the_box():
    rows = with_noise(1_000)
    found = fitted(rows, noise=True)
    drawn, labels = found.sample(20_000)
    noise = drawn[labels == -1]
    assert_allclose(len(noise) / len(drawn), found.noise_weight_, atol=0.005)
    sides = rows.max(axis=0) - rows.min(axis=0)
    share = (noise - rows.min(axis=0)) / sides
    assert ((share >= 0) & (share <= 1)).all()
    assert_allclose(share.mean(axis=0), 0.5, atol=0.05)
    assert_allclose(share.var(axis=0), 1 / 12, atol=0.01)


def test_new_rows_change_the_share_of_noise():
    rows = with_noise(600)
    found = fitted(rows, noise=True)
    before = found.noise_weight_
    found.partial_fit(faithful(600, seed=5), forgetting=0)
    assert found.noise_weight_ < before / 3
    assert_allclose(found.weights_.sum() + found.noise_weight_, 1)


def test_warm_start_goes_on_with_the_share_that_was_found():
    rows = with_noise(600)
    found = fitted(rows, noise=True, warm_start=True, tol=1e-6)
    before = found.noise_weight_
    found.fit(rows)
    assert found.n_iter_ == 1
    assert_allclose(found.noise_weight_, before, atol=1e-3)


def test_a_feature_without_range_is_refused_with_its_name():
    rows = with_noise(200)
    rows = np.column_stack([rows, np.full(len(rows), 7.0)])
    with pytest.raises(DataError, match="Feature 2 is 7 in all rows") as found:
        fitted(rows, noise=True)
    assert "without noise" in str(found.value)


@pytest.mark.parametrize("noise", ["yes", 0, 1.0, -0.1, None, float("nan")])
def test_other_values_of_noise_are_refused(noise):
    with pytest.raises(ConfigurationError, match="'noise' parameter"):
        fitted(faithful(100), noise=noise)


def test_what_cannot_hold_noise_says_so():
    found = fitted(with_noise(300), noise=True)
    for ask in (
        found.to_sklearn,
        lambda: found.merge(criterion="overlap"),
    ):
        with pytest.raises(ConfigurationError, match="cannot hold the noise"):
            ask()


@each_kind
def test_noise_and_missing_values_go_together(kind):
    rows = with_noise(1_500)
    gaps = rows.copy()
    gaps[np.random.default_rng(0).uniform(size=rows.shape) < 0.15] = np.nan
    options = {"covariance_type": kind, "noise": True, "tol": 1e-5}
    found = fitted(gaps, missing="marginalize", **options)
    whole = fitted(rows, **options)
    if kind in {"full", "tied"}:  # the others' noise fills the corners of their ellipses
        assert_allclose(found.noise_weight_, whole.noise_weight_, atol=0.02)
    order = [np.argsort(one.means_[:, 0]) for one in (found, whole)]
    if kind != "spherical":  # whose clusters are no likely ones
        assert_allclose(found.means_[order[0]], whole.means_[order[1]], rtol=0.03)
    assert_allclose(found.noise_density_, 1 / np.prod(np.nanmax(gaps, 0) - np.nanmin(gaps, 0)))
    shares = found.predict_proba(gaps)
    assert shares.shape == (len(rows), 3)
    assert_allclose(shares.sum(axis=1), 1)
    nothing = np.full((1, 2), np.nan)
    assert_allclose(found.predict_proba(nothing)[0], [*found.weights_, found.noise_weight_])
    # What is known of a row has the density of the marginal mixture.
    one = np.array([[3.0, np.nan]])
    marginal = found.marginal([0])
    assert_allclose(found.score_samples(one), marginal.score_samples([[3.0]]), rtol=1e-10)
    assert_allclose(found.predict_proba(one), marginal.predict_proba([[3.0]]), atol=1e-10)
