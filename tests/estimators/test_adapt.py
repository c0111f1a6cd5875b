"""Means that are moved towards new rows, by as much as a component has of them."""

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, load
from daskgmm.errors import ConfigurationError
from daskgmm.model.covariance import COVARIANCES
from tests.support.faithful import faithful, with_noise

each_kind = pytest.mark.parametrize("kind", list(COVARIANCES))


def fitted(kind="full", **options):
    return GaussianMixture(2, covariance_type=kind, random_state=0, refine="none", **options).fit(
        with_noise(400)
    )


@pytest.mark.slow
@each_kind
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.parametrize("relevance", [0.0, 16.0, 1e9])
def test_means_are_between_the_old_ones_and_those_of_the_rows(kind, noise, relevance):
    model, rows = fitted(kind, noise=noise), faithful(100, seed=3) + np.array([0.1, 3])
    found = model.adapt(rows, relevance)
    shares = model.predict_proba(rows)[:, :2]
    counts = shares.sum(axis=0)[:, np.newaxis]
    expected = (shares.T @ rows + relevance * model.means_) / (counts + relevance)
    assert_allclose(found.means_, expected, rtol=1e-10)
    assert_array_equal(found.covariances_, model.covariances_)
    assert_array_equal(found.weights_, model.weights_)
    assert found.noise_weight_ == model.noise_weight_
    assert found.n_rows_ == 100
    assert found.n_passes_ == 1


def test_the_model_itself_stays_and_the_new_one_is_a_whole_estimator(tmp_path):
    model, rows = fitted(), faithful(100)
    before = model.means_.copy()
    found = model.adapt(da.from_array(rows, chunks=(30, 2)))
    assert_array_equal(model.means_, before)
    assert_allclose(found.means_, model.adapt(rows).means_, rtol=1e-12)
    found.save(tmp_path / "model.safetensors")
    assert_array_equal(load(tmp_path / "model.safetensors").means_, found.means_)
    assert len(found.predict(rows)) == 100


def test_a_component_without_new_rows_stays():
    model = fitted()
    place = int(model.means_[:, 0].argmax())
    found = model.adapt(model.means_[[place]])
    assert_allclose(found.means_[1 - place], model.means_[1 - place], rtol=1e-9)


@pytest.mark.parametrize("relevance", [-1, float("nan"), float("inf"), "much"])
def test_other_relevances_are_refused(relevance):
    with pytest.raises(ConfigurationError, match="relevance"):
        fitted().adapt(faithful(50), relevance)
