"""Responsibilities of the pairs that count, by the logits of all pairs and by what bounds leave."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.noise import Noise
from daskgmm.model.screening import directions, upper_bounds
from daskgmm.training.refinement.moves import promising_moves
from daskgmm.training.refinement.partial import NEAR, Neighbourhoods
from daskgmm.training.refinement.sampled import EMRun
from daskgmm.training.refinement.shares import shares_of_all, shares_within_bounds
from tests.support.mixtures import random_mixture
from tests.support.rows import correlated
from tests.training.test_refinement import of_labels, sample_of

DOUBLE = np.dtype(np.float64)


def rows_of(mixture, n, seed=0):
    """Rows (D, n) of a mixture, some between its components, and one far away."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(mixture.n_components, size=n)
    lowers = np.linalg.cholesky(mixture.covariances)[labels]
    noise = rng.normal(size=(n, mixture.n_features, 1))
    rows = mixture.means[labels] + (lowers @ noise)[:, :, 0]
    rows[::5] = (rows[::5] + mixture.means[rng.integers(mixture.n_components)]) / 2
    rows[-1] = 1e4
    return np.ascontiguousarray(rows.T)


@pytest.mark.parametrize("noise", [None, 0.1])
@pytest.mark.parametrize(("n_features", "narrow"), [(1, 0.3), (3, 1e-3), (30, 0.3), (30, 1e-4)])
def test_bounds_leave_out_only_what_counts_for_nothing(n_features, narrow, noise):
    mixture = random_mixture(COVARIANCES["full"], 12, n_features, 0, narrow)
    if noise is not None:
        mixture = mixture.beside(
            Noise(noise, np.full(n_features, -20.0), np.full(n_features, 40.0))
        )
    z = rows_of(mixture, 500)
    expected = shares_of_all(mixture, z, Frame.identity(n_features), DOUBLE)
    found = shares_within_bounds(mixture, z)
    assert_allclose(found.log_densities, expected.log_densities, rtol=1e-10, atol=1e-9)
    everything = np.arange(z.shape[1], dtype=np.int32)
    for k in range(12):
        logs, own = expected.at(k, everything), found.at(k, everything)
        assert (np.diff(found.of(k)[0]) > 0).all()
        count = logs > -39
        assert_allclose(own[count], logs[count], rtol=1e-10, atol=1e-8)
        assert not np.isposinf(own).any()
        assert (own[~count] < -38).all()


@pytest.mark.parametrize("narrow", [0.3, 1e-6])
def test_bounds_are_above_the_logits_of_thin_components_far_away(narrow):
    mixture = random_mixture(COVARIANCES["full"], 7, 30, 2, narrow)
    mixture = replace(mixture, means=mixture.means + 100.0)
    z = rows_of(mixture, 300)
    kernel = CentredKernel([mixture], Frame.identity(30), DOUBLE)
    logits = kernel.logits(z)
    upper = upper_bounds(mixture, directions(mixture, mixture.factors), z)
    assert (upper >= logits).all()
    assert np.median(upper - logits) < np.abs(logits).max()


def test_moves_are_ranked_alike_by_all_pairs_and_by_those_that_bounds_leave():
    rows, labels = correlated(6000, 30, 8, spread=3, apart=2.0)
    sample = sample_of(rows)
    labels[labels == 1] = 0  # a component of two clusters, and a cluster of two components
    labels[(labels == 2) & (rows[:, 0] > np.median(rows[labels == 2, 0]))] = 1
    (run,) = sample.advanced([EMRun(of_labels(sample, labels, "full"))], 3)
    ranked = []
    for share in (1.0, 0.1):
        sample.budget.observe(share)
        assert sample.bounds_pay(run.mixture) == (share < 1)
        ranked.append(promising_moves(run, sample, np.zeros(8, np.bool_), 5))
    every, bounded = ranked
    assert len(every) == 5
    for one, other in zip(every, bounded, strict=True):
        assert_allclose(other.gain, one.gain, rtol=1e-8)
        assert_allclose(other.mixture.means, one.mixture.means, rtol=1e-7, atol=1e-9)


def test_a_region_has_the_responsibilities_that_were_left_out():
    rows, labels = correlated(3000, 30, 4, spread=10, apart=6.0)
    sample = sample_of(rows)
    (run,) = sample.advanced([EMRun(of_labels(sample, labels, "full"))], 3)
    sample.budget.observe(0.1)
    around = Neighbourhoods(run.mixture, run.moments, sample)
    kernel = CentredKernel([run.mixture], sample.frame, DOUBLE)
    windows = [sample.rows[:, first : first + 500] for first in range(0, 3000, 500)]
    logits = np.hstack([kernel.logits(window).copy() for window in windows])
    logs = logits - logsumexp(logits, axis=0)
    region = around.region((0, 2))
    assert (logs[0, region.rows] < -100).any()  # rows of the other component
    assert_allclose(region.log_share, logs[0, region.rows], rtol=1e-9, atol=1e-12)
    assert_array_equal(np.flatnonzero(np.exp(logs[[0, 2]]).max(axis=0) > NEAR), region.rows)


def test_a_component_without_weight_has_nothing_of_any_row():
    mixture = random_mixture(COVARIANCES["full"], 3, 30, 0, 0.3)
    weights = np.array([0.5, 0.0, 0.5])
    with np.errstate(divide="ignore"):
        mixture = replace(mixture, weights=weights)
        z = rows_of(mixture, 50)
        ways = (
            shares_of_all(mixture, z, Frame.identity(30), DOUBLE),
            shares_within_bounds(mixture, z),
        )
    for found in ways:
        assert len(found.of(1)[0]) == 0
        assert np.isneginf(found.at(1, np.arange(5, dtype=np.int32))).all()
