"""Single precision: which sums are made in double beside it, and what it leaves of the digits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskgmm.model.assignment import moments_under
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import ABOUT_MEANS
from daskgmm.model.mixture import Mixture
from daskgmm.model.precision import (
    COVARIANCE_TOLERANCE,
    SINGLE_ERROR,
    fragile_components,
    logits_dtype,
    step_suffices,
    working_dtype,
)
from tests.support import reference
from tests.support.rounding import covariance_errors, logit_errors
from tests.support.rows import correlated
from tests.support.strategies import ALL_PAIRS, SCREENED

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)


def six_rows_beside_thousands(n_features=12):
    """Rows of two clusters, and of a third with fewer rows than features; and their mixture."""
    random = np.random.default_rng(3)
    labels = np.repeat([0, 1, 2], [4000, 4000, 6])
    means = 6 * np.eye(3, n_features)
    rows = (means[labels] + random.normal(size=(len(labels), n_features))).astype(SINGLE)
    rows = rows.astype(float)
    gamma = (labels == np.arange(3)[:, np.newaxis]).astype(float)
    under = moments_under(gamma, rows.T, Frame.identity(n_features), COVARIANCES["full"])
    return rows, under.maximise(COVARIANCES["full"], np.full(n_features, 1e-7), 0.0)


def moments_in(dtype, mixture, rows):
    frame = Frame.identity(rows.shape[1])
    expectation = Expectation((mixture,), frame, dtype, compiled=True)
    assert expectation.dtypes == (dtype,)
    return Accumulator(expectation)([(rows.astype(dtype).T, None)])[0]


def test_a_component_of_few_rows_leaves_the_others_in_single_precision_and_keeps_its_digits():
    rows, mixture = six_rows_beside_thousands()
    assert fragile_components(mixture, SINGLE).tolist() == [False, False, True]
    assert working_dtype(mixture, SINGLE) == DOUBLE  # where a loop is not worth compiling
    ridge = np.full(rows.shape[1], 1e-7)
    single, double = (moments_in(dtype, mixture, rows) for dtype in (SINGLE, DOUBLE))
    assert double.coarse.tolist() == [0, 0, 0]
    assert (single.coarse[:2] > 0).all()
    assert single.coarse[2] == 0
    stepped, expected = (one.maximise(mixture.covariance, ridge, 0.0) for one in (single, double))
    assert reference.relative_error(stepped.covariances, expected.covariances) < 2e-3
    assert step_suffices(mixture, stepped, single, SINGLE)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
@pytest.mark.parametrize("n_features", [4, 40])
def test_means_that_move_far_cost_single_precision_no_digits(kind, n_features):
    random = np.random.default_rng(0)
    labels, width, covariance = np.arange(20_000) % 4, 2.0**-9, COVARIANCES[kind]
    means = 3 * random.normal(size=(4, n_features))
    rows = means[labels] + width * random.normal(size=(len(labels), n_features))
    rows = rows.astype(SINGLE).astype(float)
    away = means + 0.2 * random.normal(size=means.shape)
    shape = covariance.shape(4, n_features)
    unit = np.eye(n_features) if covariance.has_matrices else 1.0
    mixture = Mixture.from_covariances(
        covariance, np.full(4, 0.25), away, np.broadcast_to(0.2**2 * unit, shape)
    )
    for kernel in (SCREENED, ALL_PAIRS):
        single, double = (
            moments_of(kernel, mixture, rows.astype(dtype), dtype) for dtype in (SINGLE, DOUBLE)
        )
        assert single.coarse.max() <= ABOUT_MEANS
        stepped, expected = (
            one.maximise(covariance, np.zeros(n_features), 0.0) for one in (single, double)
        )
        assert covariance_errors(expected, single.origins, SINGLE).max() > 1e-3
        assert reference.relative_error(stepped.covariances, expected.covariances) < 3e-4
        assert step_suffices(mixture, stepped, single, SINGLE)


def moments_of(kernel, mixture, rows, dtype):
    made = kernel([mixture], Frame.identity(rows.shape[1]), dtype)
    made.add(rows.T)
    return made.take()[0]


@pytest.mark.parametrize(("n_features", "thinnest"), [(8, 1e-4), (100, 1e-3)])
def test_logits_in_single_precision_are_off_by_no_more_than_is_put_up_with(n_features, thinnest):
    random = np.random.default_rng(0)
    axes = [np.linalg.qr(random.normal(size=(n_features, n_features)))[0] for _ in range(12)]
    deviations = np.logspace(0, np.log10(thinnest), n_features)
    means = 3 * random.normal(size=(12, n_features))
    matrices = np.stack([(own * deviations**2) @ own.T for own in axes])
    mixture = Mixture.from_covariances(
        COVARIANCES["full"], np.full(12, 1 / 12), means, (matrices + matrices.swapaxes(1, 2)) / 2
    )
    noise = random.normal(size=(50, n_features)) * deviations
    rows = np.concatenate([mean + noise @ own.T for mean, own in zip(means, axes, strict=True)])
    assert logits_dtype(mixture, SINGLE) == SINGLE
    frame = Frame.identity(n_features)
    single, double = (
        SCREENED([mixture], frame, dtype).logits(rows.astype(dtype).T) for dtype in (SINGLE, DOUBLE)
    )
    assert np.abs(single.max(axis=0) - double.max(axis=0)).max() <= SINGLE_ERROR


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    n_features=st.sampled_from([2, 3, 5, 10, 20, 50, 100, 200]),
    decades=st.floats(0, 5),
    apart=st.sampled_from([0.3, 3.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_logits_in_single_precision_are_off_by_no_more_than_reckoned(
    n_features, decades, apart, seed
):
    """At rows of correlated components in standard coordinates, which are rounded themselves."""
    n = 600 + 12 * n_features
    rows, labels = correlated(n, n_features, 3, spread=10**decades, apart=apart, seed=seed)
    rows /= 2.0 ** np.round(np.log2(rows.std(axis=0)))
    gamma = (labels == np.arange(3)[:, np.newaxis]).astype(float)
    covariance, frame = COVARIANCES["full"], Frame.identity(n_features)
    under = moments_under(gamma, rows.T, frame, covariance)
    mixture = under.maximise(covariance, np.zeros(n_features), 0.0)
    rows, labels = rows[:400], labels[:400]
    single, double = (
        SCREENED([mixture], frame, dtype).logits(rows.astype(dtype).T) for dtype in (SINGLE, DOUBLE)
    )
    own = labels, np.arange(len(rows))
    off = np.abs(single[own] - double[own]) / logit_errors(mixture, SINGLE)[labels]
    assert np.quantile(off, 0.99) <= 1
    assert off.max() <= 2  # in the tails, where coordinates are larger than 1


def test_components_without_rows_need_no_second_pass():
    rows = np.random.default_rng(0).normal(size=(5000, 3))
    means = np.array([[0.0] * 3, [1e5] * 3])
    mixture = Mixture.from_covariances(
        COVARIANCES["diag"], np.array([0.5, 0.5]), means, np.ones((2, 3))
    )
    moments = moments_in(DOUBLE, mixture, rows)
    after = moments.maximise(mixture.covariance, np.full(3, 1e-12), float(np.finfo(DOUBLE).eps))
    assert moments.sums[-1, 1] == 0
    assert covariance_errors(after, moments.origins, DOUBLE)[1] > COVARIANCE_TOLERANCE[DOUBLE]
    assert step_suffices(mixture, after, moments, DOUBLE)
