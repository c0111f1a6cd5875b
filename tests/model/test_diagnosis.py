"""How components stand: closed forms for two of them, and what is flagged."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import norm

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import Predictor
from daskgmm.model.questions import diagnosis
from daskgmm.model.questions.distances import bhattacharyya
from tests.support.mixtures import matrices_of, random_mixture

each_kind = pytest.mark.parametrize("kind", list(COVARIANCES))


def two(apart, width=1.0):
    """Two components of one feature."""
    return Mixture.from_covariances(
        COVARIANCES["diag"],
        np.array([0.5, 0.5]),
        np.array([[0.0], [apart]]),
        np.array([[1.0], [width]]),
    )


@each_kind
def test_conditions_and_overlaps_are_those_of_all_pairs(kind):
    mixture = random_mixture(COVARIANCES[kind], n_components=12, n_features=4)
    mixture = replace(mixture, means=3 * mixture.means)
    assert_allclose(
        diagnosis.condition_numbers(mixture), np.linalg.cond(matrices_of(mixture)), rtol=1e-8
    )
    distances = bhattacharyya(mixture, mixture)
    np.fill_diagonal(distances, np.inf)
    assert_allclose(diagnosis.overlaps(mixture), np.exp(-distances.min(axis=1)), rtol=1e-12)


@each_kind
def test_those_that_coincide_are_those_that_overlap_so_much(kind):
    mixture = random_mixture(COVARIANCES[kind], n_components=12, n_features=4)
    means = mixture.means.copy()
    means[7] = means[2] + 1e-3  # next to equal, where covariances are shared
    mixture = replace(mixture, means=means)
    if mixture.covariance is not COVARIANCES["tied"]:
        like = np.where(np.arange(12) == 7, 2, np.arange(12))
        like = np.where(np.arange(12) == 9, 4, like)  # the same width about another mean
        mixture = replace(mixture.of_components(like), weights=mixture.weights, means=mixture.means)
    expected = diagnosis.overlaps(mixture) >= diagnosis.COINCIDENCE
    assert np.flatnonzero(expected).tolist() == [2, 7]
    assert diagnosis.coinciding(mixture).tolist() == expected.tolist()


def test_hundreds_of_components_are_told_apart_without_their_covariances(monkeypatch):
    mixture = random_mixture(COVARIANCES["full"], n_components=300, n_features=30)
    mixture = replace(mixture, means=3 * mixture.means)
    compared = []
    monkeypatch.setattr(
        diagnosis, "bhattacharyya", lambda *pair: compared.append(pair) or bhattacharyya(*pair)
    )
    assert not diagnosis.coinciding(mixture).any()
    assert not compared


@pytest.mark.parametrize("apart", [0.0, 1.0, 3.0, 30.0])
def test_entropy_is_that_of_a_components_own_rows(apart):
    def uncertainty(x):
        share = norm.pdf(x) / (norm.pdf(x) + norm.pdf(x, apart)) if x < 40 else 0.0
        return norm.pdf(x) * -sum(p * np.log(p) for p in (share, 1 - share) if p > 0)

    expected, _ = quad(uncertainty, -9, 9)
    found = diagnosis.entropies(Predictor(two(apart), Frame.identity(1)))
    assert_allclose(found, expected, atol=0.03)


def test_a_component_alone_overlaps_with_none():
    mixture = random_mixture(COVARIANCES["full"], n_components=1)
    (found,) = diagnosis.diagnosed(Predictor(mixture, Frame.identity(3)), None, 1e-6)
    assert (found.overlap, found.entropy, found.flags) == (0, 0, ())
    assert np.isnan(found.rows)


def test_what_is_odd_is_flagged():
    mixture = replace(
        two(1e-3), means=np.array([[0.0], [1e-3]]), covariances=np.array([[1e-6], [1.1e-6]])
    )
    mixture = Mixture.from_covariances(
        mixture.covariance, mixture.weights, mixture.means * 1e-3, mixture.covariances
    )
    flags = [
        one.flags for one in diagnosis.diagnosed(Predictor(mixture, Frame.identity(1)), None, 1e-6)
    ]
    assert flags == [(diagnosis.COINCIDES, diagnosis.ON_REG_COVAR)] * 2
