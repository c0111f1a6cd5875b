"""Rows of regions: logits and sums as of feature vectors, whichever way they are made."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.model.covariance import COVARIANCES
from daskgmm.training.refinement.region_rows import FeatureRows, WhitenedRows
from tests.support.mixtures import random_mixture


@pytest.mark.parametrize("each", [1, 2])
@pytest.mark.parametrize("n_features", [1, 3, 16, 40])
@pytest.mark.parametrize("narrow", [0.3, 1e-3])
def test_whitened_rows_give_what_feature_vectors_do(n_features, each, narrow):
    rng = np.random.default_rng(n_features)
    sizes = [1, 7, 130]
    references = random_mixture(COVARIANCES["full"], 3, n_features, 0, narrow)
    references = replace(references, means=np.zeros((3, n_features)))
    mixture = random_mixture(COVARIANCES["full"], 3 * each, n_features, 1, narrow)
    centred = [rng.normal(size=(n_features, size)) for size in sizes]
    found = []
    for kind in (WhitenedRows, FeatureRows):
        rows = kind(centred, references)
        assert rows.starts.tolist() == [0, 1, 8]
        logits = np.full((each, sum(sizes)), np.nan)
        rows.write_logits(mixture, logits)
        gamma = rng.random(logits.shape) if not found else found[0][2]
        length = mixture.covariance.feature_length(n_features)
        sums = np.full((length, 3 * each), np.nan, order="F")
        rows.write_sums(gamma, sums)
        found.append((logits, sums, gamma))
    (logits, sums, _), (expected, of_features, _) = found
    size = np.abs(expected).max() + 1
    assert_allclose(logits, expected, atol=1e-9 * size, rtol=0)
    assert_allclose(sums, of_features, rtol=1e-10, atol=1e-10)
