"""Digits: data far from zero, tight, or strongly correlated, against extended precision."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from daskgmm.model.assignment import moments_under
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.features import FeatureKernel
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.precision import (
    COVARIANCE_TOLERANCE,
    TOLERANCE,
    exact_covariances,
    exact_log_densities,
    exact_logits,
    feature_components,
)
from daskgmm.model.prediction import Predictor
from daskgmm.training.em import EMSettings, advance
from daskgmm.training.starts import InMemory
from daskgmm.training.stopping import lower_bound_change
from tests.support import reference
from tests.support.mixtures import random_mixture
from tests.support.rounding import covariance_errors, log_density_errors, logit_errors

pytestmark = pytest.mark.skipif(
    not reference.EXTENDED, reason="no long double wider than a double here"
)

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)


def blobs(offset=0.0, scale=1.0, width=1.0, distance=4.0, n=300, n_features=2):
    """Two clusters, and which row is in which."""
    random = np.random.default_rng(0)
    labels = np.arange(n) % 2
    rows = width * random.normal(size=(n, n_features)) + distance * labels[:, np.newaxis]
    return offset + scale * rows, labels


def correlated(n=300):
    """One long thin cloud at 45 degrees, condition 1e10, cut in two across."""
    random = np.random.default_rng(0)
    along, across = random.normal(size=n), 1e-5 * random.normal(size=n)
    rows = np.column_stack([along + across, along - across]) / np.sqrt(2)
    return rows, (along > 0).astype(int)


# Data, and how close log-densities (nats) and covariances (relative) have to come. Rows at
# distance 1 are held to 1e-16, so what is 1e-6 wide has 10 digits and what is 1e-9 wide has 7.
HARD = {
    "offset 1e8": (blobs(offset=1e8), 1e-11, 1e-12),
    "scale 1e-8": (blobs(scale=1e-8), 1e-12, 1e-12),
    "offset 1e6, scale 1e-3": (blobs(offset=1e6, scale=1e-3), 1e-11, 1e-12),
    "width 1e-6 at distance 1": (blobs(width=1e-6, distance=1.0), 1e-8, 1e-9),
    "width 1e-9 at distance 1": (blobs(width=1e-9, distance=1.0), 1e-5, 1e-6),
    "width 1e-6 at distance 1, offset 1e3": (
        blobs(width=1e-6, distance=1.0, offset=1e3),
        1e-8,
        1e-9,
    ),
}
hard = pytest.mark.parametrize("name", list(HARD))


def start_of(rows, labels, kind, dtype=DOUBLE):
    """The labelled mixture in the frame that a fit would choose."""
    frame = reference.frame_of(rows, kind, dtype)
    gamma = np.stack([labels == 0, labels == 1]).astype(float)
    moments = moments_under(gamma, rows.T, frame, COVARIANCES[kind])
    mixture = moments.maximise(COVARIANCES[kind], np.zeros(rows.shape[1]), 0.0)
    return mixture, frame


class Step(NamedTuple):
    moments: Moments
    plain: Mixture
    outcome: Mixture
    calls: list


def one_step(mixture, rows, frame, dtype=DOUBLE):
    """The chosen path: what `em` does in one step without a ridge."""
    n_features = rows.shape[1]
    recipe = EMSettings(0, 1, lower_bound_change, np.zeros(n_features), np.ones(n_features), dtype)
    scatter = reference.total_scatter(rows, frame)
    calls = []

    def expect(mixtures, origins=None):
        calls.append(origins)
        return InMemory(rows.T, None, frame, dtype, scatter)(mixtures, origins)

    (moments,), (outcome,) = advance([mixture], expect, recipe)
    # The M-step adds machine epsilons to the weights; what that does has a test of its own.
    plain = moments.maximise(mixture.covariance, np.zeros(n_features), 0.0)
    return Step(moments, plain, outcome, calls)


def is_positive_definite(mixture):
    return all(
        np.linalg.eigvalsh(matrix.astype(float)).min() > 0 for matrix in reference.matrices(mixture)
    )


@hard
def test_log_densities_of_hard_data_keep_the_digits_that_the_data_have(covariance_type, name):
    (rows, labels), tolerance, _ = HARD[name]
    mixture, frame = start_of(rows, labels, covariance_type)
    found = Predictor(mixture, frame).log_densities(rows)
    exact = reference.log_density(reference.standard(rows, frame), mixture) + frame.log_jacobian
    assert_allclose(found, exact.astype(float), rtol=0, atol=tolerance * np.abs(found).max())


@hard
def test_a_step_on_hard_data_keeps_the_digits_that_the_data_have(covariance_type, name):
    (rows, labels), in_density, in_covariance = HARD[name]
    mixture, frame = start_of(rows, labels, covariance_type)
    moments, stepped, *_ = one_step(mixture, rows, frame)
    z = reference.standard(rows, frame)
    likelihood, weights, means, covariances = reference.step(z, mixture)
    expected = float(likelihood) + len(rows) * frame.log_jacobian
    assert_allclose(moments.log_likelihood, expected, rtol=in_density)
    assert_allclose(stepped.weights, weights.astype(float), rtol=1e-11)
    off = np.abs(stepped.means - means.astype(float)) / stepped.deviations
    assert off.max() < in_covariance
    assert reference.relative_error(stepped.covariances, covariances) < in_covariance
    assert is_positive_definite(stepped)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_a_step_on_features_correlated_to_1e10_keeps_the_digits_that_the_data_have(kind):
    rows, labels = correlated()
    mixture, frame = start_of(rows, labels, kind)
    moments, stepped, *_ = one_step(mixture, rows, frame)
    z = reference.standard(rows, frame)
    # What LAPACK's rounding makes of factors at this condition, up to 1e-9 of the covariances
    # that follow and another with each BLAS, was lost before the step.
    likelihood, _, _, covariances = reference.step(z, mixture, by_factors=True)
    # A density hangs on differences of 1e-5: 11 digits of 16 are left of those.
    exact = float(likelihood) + len(rows) * frame.log_jacobian
    assert_allclose(moments.log_likelihood, exact, rtol=1e-10)
    assert is_positive_definite(stepped)
    assert reference.relative_error(stepped.covariances, covariances) < 2e-11
    thin, exactly_thin = (
        np.linalg.det(reference.matrices(one).astype(float)[0])
        for one in (stepped, _with_covariances(stepped, covariances))
    )
    assert_allclose(thin, exactly_thin, rtol=1e-5)


def _with_covariances(mixture, covariances):
    return Mixture.from_covariances(
        mixture.covariance, mixture.weights, mixture.means, covariances.astype(float)
    )


@pytest.mark.parametrize(
    ("dtype", "distance", "tolerance"),
    [(DOUBLE, 1e6, 1e-9), (SINGLE, 1e3, 1e-4), (SINGLE, 1e4, 1e-3)],
)
def test_the_epsilons_that_guard_against_empty_components_change_no_covariance(
    covariance_type, dtype, distance, tolerance
):
    rows, labels = blobs(distance=distance)
    mixture, frame = start_of(rows.astype(dtype), labels, covariance_type, dtype)
    _, plain, outcome, _ = one_step(mixture, rows.astype(dtype), frame, dtype)
    assert reference.relative_error(outcome.covariances, plain.covariances) < tolerance


# --- the bound


def by_features_alone(mixture, rows, frame, monkeypatch):
    """What the fast way says, were there no bound."""
    with monkeypatch.context() as patch:
        patch.setattr(
            "daskgmm.model.kernels.features.feature_components",
            lambda one, _: np.ones(len(one.weights), bool),
        )
        fast = FeatureKernel([mixture], frame, DOUBLE)
    fast.add(rows.T)
    return fast.take()[0].complete(mixture, reference.total_scatter(rows, frame))


def test_the_bound_leaves_the_fast_way_where_that_would_be_wrong(covariance_type, monkeypatch):
    rows, labels = blobs(width=1e-6, distance=1.0)
    mixture, frame = start_of(rows, labels, covariance_type)
    assert not feature_components(mixture, DOUBLE).any()
    exact = reference.log_density(reference.standard(rows, frame), mixture).sum()
    exact = float(exact) + len(rows) * frame.log_jacobian
    fast = by_features_alone(mixture, rows, frame, monkeypatch)
    off = abs(fast.log_likelihood - exact) / len(rows)
    assert off > 100 * TOLERANCE[DOUBLE]  # wrong, and by more than is put up with,
    assert off < 10 * log_density_errors(mixture, DOUBLE).max()  # as the bound foretells
    moments, *_ = one_step(mixture, rows, frame)
    assert abs(moments.log_likelihood - exact) / len(rows) < 1e-7


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_a_tight_component_among_wide_ones_is_centred_alone(kind, monkeypatch):
    random = np.random.default_rng(0)
    rows = random.normal(size=(400, 2))
    labels = np.arange(400) % 2
    rows[labels == 1] = 1 + 1e-6 * rows[labels == 1]
    mixture, frame = start_of(rows, labels, kind)
    assert feature_components(mixture, DOUBLE).tolist() == [True, False]
    moments, stepped, *_ = one_step(mixture, rows, frame)
    assert np.abs(moments.origins[0]).max() == 0
    assert np.abs(moments.origins[1]).max() > 0
    likelihood, _, _, covariances = reference.step(reference.standard(rows, frame), mixture)
    exact = float(likelihood) + len(rows) * frame.log_jacobian
    assert_allclose(moments.log_likelihood, exact, rtol=1e-10)
    assert reference.relative_error(stepped.covariances, covariances) < 1e-8
    fast = by_features_alone(mixture, rows, frame, monkeypatch)
    blurred = fast.origins + (fast.sums[-3:-1] / fast.sums[-1]).T
    variance = (fast.sums[0] / fast.sums[-1])[1] - (blurred[1] ** 2)[0]
    if kind != "spherical":
        assert abs(variance / mixture.deviations[1, 0] ** 2 - 1) > 1e-6


@pytest.mark.parametrize("kind", list(COVARIANCES))
@pytest.mark.parametrize("distance", [1e2, 1e3, 1e4, 1e5, 1e6])
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
def test_what_the_bound_lets_through_is_within_the_tolerance(kind, distance, dtype):
    rows, labels = blobs(distance=distance)
    rows = rows.astype(dtype)
    mixture, frame = start_of(rows, labels, kind, dtype)
    moments, stepped, *_ = one_step(mixture, rows, frame, dtype)
    z = reference.standard(rows, frame)
    likelihood, _, _, covariances = reference.step(z, mixture)
    off = moments.log_likelihood / len(rows) - float(likelihood) / len(rows) - frame.log_jacobian
    resolution = float(np.finfo(dtype).eps) * distance  # what the rows themselves are held to
    assert abs(off) < 10 * max(TOLERANCE[dtype], resolution)
    error = reference.relative_error(stepped.covariances, covariances)
    assert error < 10 * max(TOLERANCE[dtype], resolution)
    assert is_positive_definite(stepped)


@pytest.mark.parametrize("kind", list(COVARIANCES))
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_ordinary_data_go_the_fast_way_in_one_pass_wherever_they_lie(kind, offset):
    rows, labels = blobs(offset=offset)
    mixture, frame = start_of(rows, labels, kind)
    assert feature_components(mixture, DOUBLE).all()
    _, stepped, _, calls = one_step(mixture, rows, frame)
    assert calls == [None]
    assert feature_components(stepped, DOUBLE).all()


def test_moments_about_origins_too_far_from_the_new_means_are_taken_again():
    rows, labels = blobs(width=1e-6, distance=1.0)
    tight, frame = start_of(rows, labels, "full")
    wide = Mixture.from_covariances(
        tight.covariance, tight.weights, tight.means + 0.2, np.stack([np.eye(2)] * 2)
    )
    wide = Mixture.from_covariances(
        wide.covariance, wide.weights, wide.means, wide.covariances / 50
    )
    _, stepped, _, calls = one_step(wide, rows, frame)
    assert len(calls) == 2
    _, _, _, covariances = reference.step(reference.standard(rows, frame), wide)
    assert reference.relative_error(stepped.covariances, covariances) < 1e-9
    once = Accumulator(Expectation((wide,), frame, DOUBLE))([(rows.T, None)])[0]
    blurred = once.maximise(wide.covariance, np.zeros(2), 0.0)
    assert reference.relative_error(blurred.covariances, covariances) > 1e-6


def test_bounds_grow_with_distance_over_width_squared():
    for kind, covariance in COVARIANCES.items():
        shape = covariance.shape(1, 3)
        unit = np.broadcast_to(np.eye(3), shape) if covariance.has_matrices else np.ones(shape)
        weights, means = np.ones(1), np.full((1, 3), 2.0)

        def at(width, distance, covariance=covariance, unit=unit, weights=weights, means=means):
            return Mixture.from_covariances(covariance, weights, distance * means, width**2 * unit)

        epsilon = np.finfo(np.float64).eps
        near, far, tight = at(1, 1), at(1, 100), at(0.01, 1)
        zero = np.zeros((1, 3))
        assert_allclose(covariance_errors(near, zero, DOUBLE), 12 * epsilon, err_msg=kind)
        assert_allclose(covariance_errors(far, zero, DOUBLE), 12e4 * epsilon)
        assert_allclose(covariance_errors(tight, zero, DOUBLE), 12e4 * epsilon)
        assert_allclose(log_density_errors(near, DOUBLE), 27 * epsilon)
        assert covariance_errors(far, far.means, DOUBLE) == 0


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [SINGLE, DOUBLE], ids=str)
def test_components_are_exact_enough_where_their_errors_are_small_enough(covariance, dtype):
    random = np.random.default_rng(0)
    found = []
    for seed, narrow in enumerate(np.geomspace(1e-6, 1, 20)):
        mixture = random_mixture(covariance, 40, 5, seed, narrow)  # more than are together
        mixture = replace(mixture, means=10 ** (seed % 4) * mixture.means)
        origins = mixture.means + random.normal(size=(40, 1)) * np.geomspace(1e-4, 1e4, 40)[:, None]
        checked = (
            (exact_log_densities(mixture, dtype), log_density_errors(mixture, dtype), TOLERANCE),
            (
                exact_covariances(mixture, origins, dtype),
                covariance_errors(mixture, origins, dtype),
                COVARIANCE_TOLERANCE,
            ),
        )
        for exact, errors, tolerance in checked:
            assert_array_equal(exact, errors <= tolerance[dtype])
            found.extend(exact)
        for most in np.geomspace(1e-15, 1, 30):
            assert exact_logits(mixture, dtype, most) == (
                logit_errors(mixture, dtype).max() <= most
            )
    assert 0.1 < np.mean(found) < 0.9


def test_what_overflows_is_not_exact_enough(covariance):
    mixture = random_mixture(covariance)
    far = replace(mixture, means=1e200 * mixture.means)
    assert not exact_log_densities(far, DOUBLE).any()
    assert not exact_covariances(far, mixture.means, DOUBLE).any()
    assert not exact_logits(far, DOUBLE, 1.0)


# --- many features


@pytest.mark.slow
@pytest.mark.parametrize("n_features", [200, 300])
def test_beyond_180_features_full_covariances_are_whitened_not_written_out(n_features):
    mixture = reference.random_mixture("full", 2, n_features)
    assert not feature_components(mixture, DOUBLE).any()
    random = np.random.default_rng(0)
    rows = mixture.means[random.integers(0, 2, 2000)] + random.normal(size=(2000, n_features))
    expectation = Expectation((mixture,), Frame.identity(n_features), DOUBLE)
    ((_, kernel),) = expectation.kernels()
    assert isinstance(kernel, CentredKernel)
    (moments,) = Accumulator(expectation)([(rows.T, None)])
    theirs = GaussianMixture(
        2,
        weights_init=mixture.weights,
        means_init=mixture.means,
        precisions_init=mixture.covariance.precisions(mixture.factors),
        max_iter=1,
        tol=1e9,
    )
    with pytest.warns(ConvergenceWarning):
        theirs.fit(rows)
    ours = moments.maximise(mixture.covariance, np.full(n_features, 1e-6), 2e-16)
    assert_allclose(moments.lower_bound, theirs.lower_bound_, rtol=1e-11)
    assert_allclose(ours.means, theirs.means_, rtol=1e-9, atol=1e-10)
    assert reference.relative_error(ours.covariances, theirs.covariances_) < 1e-10


@pytest.mark.parametrize("kind", ["tied", "diag", "spherical"])
def test_the_other_types_keep_the_fast_way_at_any_number_of_features(kind):
    mixture = reference.random_mixture(kind, 2, 300, spread=0.1)
    assert feature_components(mixture, DOUBLE).all()
