"""An ONNX runtime gives what `predict` gives here."""

import json

import numpy as np
import onnxruntime
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture
from daskgmm.model.covariance import COVARIANCES
from tests.support.faithful import with_noise
from tests.support.rows import correlated

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def answers(model, rows):
    session = onnxruntime.InferenceSession(
        model.to_onnx().SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(["label", "probabilities", "log_density"], {"X": rows})


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(COVARIANCES))
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n_components", [1, 4])
def test_a_runtime_answers_as_predict_does_for_any_number_of_rows(kind, dtype, n_components):
    rows, _ = correlated(900, 5, 4, spread=10, apart=3)
    rows = (rows * np.logspace(-2, 2, 5) + 100).astype(dtype)
    model = GaussianMixture(n_components, covariance_type=kind, random_state=0, max_iter=3)
    model.fit(rows)
    near = 1e-9 if dtype == np.float64 else 2e-3
    for n in (1, 7, 900):
        label, shares, density = answers(model, rows[:n])
        assert_allclose(density, model.score_samples(rows[:n]), atol=near)
        assert_allclose(shares, model.predict_proba(rows[:n]), atol=near)
        sure = shares.max(axis=1) > 0.51
        assert_array_equal(label[sure], model.predict(rows[:n])[sure])
        assert density.dtype == dtype


def test_a_row_far_from_all_has_one_component_and_a_finite_density():
    rows, _ = correlated(300, 3, 3, spread=3, apart=3)
    model = GaussianMixture(3, random_state=0, max_iter=3).fit(rows)
    far = np.full((1, 3), 1e6)
    _, shares, density = answers(model, far)
    assert_allclose(shares.sum(axis=1), 1)
    assert_allclose(density, model.score_samples(far), rtol=1e-12)


def test_the_columns_are_in_the_metadata():
    rows, _ = correlated(300, 2, 2, spread=3, apart=3)
    frame = pd.DataFrame(rows, columns=["Größe", "x"])
    model = GaussianMixture(2, random_state=0, max_iter=3).fit(frame)
    (found,) = model.to_onnx().metadata_props
    assert (found.key, json.loads(found.value)) == ("columns", ["Größe", "x"])


@pytest.mark.parametrize("n_clusters", [1, 2])
def test_clusters_are_labelled_as_a_merged_mixture_does(n_clusters):
    rows, _ = correlated(500, 3, 4, spread=3, apart=3)
    merged = GaussianMixture(4, random_state=0, max_iter=3).fit(rows).merge(n_clusters, "overlap")
    label, shares, density = answers(merged, rows)
    assert_array_equal(label, merged.predict(rows))
    assert_allclose(shares, merged.predict_proba(rows), atol=1e-9)
    assert_allclose(density, merged.score_samples(rows), atol=1e-9)


@pytest.mark.parametrize("kind", ["full", "diag"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_noise_is_labelled_as_predict_does(kind, dtype):
    rows = with_noise(600).astype(dtype)
    model = GaussianMixture(2, covariance_type=kind, noise=True, random_state=0).fit(rows)
    for own in (rows, rows[:1], np.full((1, 2), 1e6, dtype)):
        label, shares, density = answers(model, own)
        near = 1e-9 if dtype == np.float64 else 2e-3
        assert_allclose(density, model.score_samples(own), atol=near)
        assert_allclose(shares, model.predict_proba(own), atol=near)
        sure = shares.max(axis=1) > 0.51
        assert_array_equal(label[sure], model.predict(own)[sure])
    assert label.tolist() == [-1]
