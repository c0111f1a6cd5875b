"""Moments of rows with missing values, against a loop over rows."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.missing import accumulation
from daskgmm.model.missing.patterns import Missing, by_pattern
from daskgmm.passes.engine.blas import one_thread
from tests.support import missing, reference
from tests.support.rows import gaussian

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
EPSILON = float(np.finfo(np.float64).eps)

each_way = pytest.mark.parametrize(
    ("fewest", "compiled"),
    [(10**9, False), (1, False), (1, True), (6, False)],
    ids=["row by row", "numpy", "compiled", "mixed"],
)


@pytest.fixture
def fewest_rows(monkeypatch, fewest):
    monkeypatch.setattr(accumulation, "FEWEST_ROWS", fewest)
    monkeypatch.setattr(accumulation, "FEWEST_ROWS_ALONG_AXES", fewest)


def rows_and_mixture(kind, n=300, n_components=3, n_features=4, share=0.3, seed=0):
    mixture = reference.random_mixture(kind, n_components, n_features, seed)
    z = mixture.means[np.random.default_rng(seed).integers(n_components, size=n)]
    z = missing.with_gaps(z + gaussian(n, n_features), share, seed)
    frame = Frame(np.arange(n_features) * 10.0, np.exp2(np.arange(n_features) % 2))
    if kind == "spherical":
        frame = Frame(frame.origin, np.full(n_features, 2.0))
    return z, frame, mixture


def moments_of(mixtures, frame, z, weights=None, cuts=(), dtype=DOUBLE, **options):
    rows = frame.leave(z).T.astype(dtype)
    edges = [0, *cuts, len(z)]
    blocks = [
        (np.ascontiguousarray(rows[:, a:b]), None if weights is None else weights[a:b])
        for a, b in itertools.pairwise(edges)
    ]
    options = {"missing": Missing.MARGINALIZE} | options
    expectation = Expectation(tuple(mixtures), frame, dtype, **options)
    with one_thread():
        return expectation.complete(Accumulator(expectation)(blocks))


def assert_step(found, mixture, frame, expected, tolerance=1e-9):
    likelihood, weights, means, covariances = expected
    ridge = np.full(mixture.n_features, 1e-3)
    after = found.maximise(mixture.covariance, ridge, EPSILON)
    assert_allclose(after.weights, weights, rtol=tolerance)
    assert_allclose(after.means, means, rtol=tolerance, atol=tolerance)
    assert reference.relative_error(after.covariances, covariances) < tolerance
    assert_allclose(found.log_likelihood, likelihood, rtol=tolerance)


def jacobian(z, frame, weights=None):
    """What log-densities in data units differ by, over all rows."""
    own = np.ones(len(z)) if weights is None else weights
    return -float(own @ (~np.isnan(z) @ np.log(frame.scale)))


@pytest.mark.slow
@each_way
@pytest.mark.usefixtures("fewest_rows")
@pytest.mark.parametrize("weighted", [False, True])
def test_a_step_is_that_of_a_loop_over_rows(covariance, compiled, weighted):
    z, frame, mixture = rows_and_mixture(covariance.name)
    z[5] = np.nan
    weights = np.random.default_rng(1).integers(0, 4, len(z)) + 0.0 if weighted else None
    root = 1.0 if weights is None else np.sqrt(weights)[:, np.newaxis]
    options = {"compiled": compiled, "scatter": scatter_of(z * root), "cuts": (1, 90)}
    (found,) = moments_of([mixture], frame, z, weights, **options)
    likelihood, *others = missing.step(z, mixture, 1e-3, weights)
    assert found.rows == len(z)
    assert found.weight == (len(z) if weights is None else weights.sum())
    expected = (likelihood + jacobian(z, frame, weights), *others)
    assert_step(found, mixture, frame, expected)


def test_a_step_in_single_precision_is_that_in_double(covariance):
    z, frame, mixture = rows_and_mixture(covariance.name, n=3000)
    z = frame.enter(frame.leave(z).astype(np.float32).astype(float))
    (single,) = moments_of([mixture], frame, z, dtype=SINGLE, scatter=scatter_of(z))
    (double,) = moments_of([mixture], frame, z, scatter=scatter_of(z))
    assert_allclose(single.log_likelihood, double.log_likelihood, rtol=1e-5)
    assert_allclose(single.sums[-1], double.sums[-1], rtol=1e-4)
    assert_allclose(single.means, double.means, atol=1e-4)


def scatter_of(z):
    """Second moments of the complete rows."""
    complete = z[~np.isnan(z).any(axis=1)]
    return complete.T @ complete


@pytest.mark.slow
@each_way
@pytest.mark.usefixtures("fewest_rows")
def test_a_step_about_other_origins_is_the_same(covariance, compiled):
    z, frame, mixture = rows_and_mixture(covariance.name)
    origins = (mixture.means + 0.5,)
    (found,) = moments_of([mixture], frame, z, origins=origins, compiled=compiled)
    assert_array_equal(found.origins, origins[0])
    likelihood, *others = missing.step(z, mixture, 1e-3)
    assert_step(found, mixture, frame, (likelihood + jacobian(z, frame), *others))


@pytest.mark.slow
def test_mixtures_of_all_types_advance_together(monkeypatch):
    monkeypatch.setattr(accumulation, "FEWEST_ROWS", 6)
    z, frame, _ = rows_and_mixture("spherical")
    mixtures = [
        reference.random_mixture(kind, k, 4, seed=k) for k in (2, 3) for kind in reference.THEIRS
    ]
    together = moments_of(mixtures, frame, z, scatter=scatter_of(z))
    for mixture, found in zip(mixtures, together, strict=True):
        likelihood, *others = missing.step(z, mixture, 1e-3)
        assert_step(found, mixture, frame, (likelihood + jacobian(z, frame), *others))


@pytest.mark.parametrize("compiled", [False, True])
def test_rows_that_lack_nothing_have_the_ordinary_moments_to_the_bit(covariance, compiled):
    z, frame, mixture = rows_and_mixture(covariance.name, share=0.0)
    options = {"scatter": z.T @ z, "compiled": compiled, "cuts": (7, 100)}
    (found,) = moments_of([mixture], frame, z, **options)
    (ordinary,) = moments_of([mixture], frame, z, missing=Missing.ERROR, **options)
    assert_array_equal(found.sums, ordinary.sums)
    assert_array_equal(found.shared, ordinary.shared)
    assert found.log_likelihood == ordinary.log_likelihood


def test_dropped_rows_count_as_absent(covariance):
    z, frame, mixture = rows_and_mixture(covariance.name)
    weights = np.arange(len(z)) % 3.0
    complete = ~np.isnan(z).any(axis=1)
    options = {"scatter": scatter_of(z), "missing": Missing.DROP}
    (found,) = moments_of([mixture], frame, z, weights, **options)
    (without,) = moments_of([mixture], frame, z[complete], weights[complete], **options)
    assert_array_equal(found.sums, without.sums)
    assert (found.rows, found.weight) == (without.rows, without.weight)


@pytest.mark.parametrize("compiled", [False, True])
def test_gaps_in_rows_of_no_weight_alone_change_nothing(covariance, compiled):
    z, frame, mixture = rows_and_mixture(covariance.name, share=0.0)
    weights = np.ones(len(z))
    weights[::9] = 0.0
    options = {"compiled": compiled, "scatter": z.T @ (z * weights[:, np.newaxis])}
    (expected,) = moments_of([mixture], frame, z, weights, **options)
    z[::9, 1] = np.nan
    (found,) = moments_of([mixture], frame, z, weights, **options)
    assert_allclose(found.sums, expected.sums, rtol=1e-12, atol=1e-12)
    assert_allclose(found.shared, expected.shared, rtol=1e-12, atol=1e-12)
    assert (found.rows, found.weight) == (expected.rows, expected.weight)


@each_way
@pytest.mark.usefixtures("fewest_rows")
def test_whole_weights_count_as_repeated_rows_and_chunks_do_not_count(covariance, compiled):
    z, frame, mixture = rows_and_mixture(covariance.name)
    weights = np.arange(len(z)) % 3
    z[1] = z[3]  # of weight zero, so anything
    z[0] = [np.nan, np.inf, 0.0, np.nan]
    repeated = np.repeat(z, weights, axis=0)
    options = {"compiled": compiled, "scatter": scatter_of(repeated)}
    (one,) = moments_of([mixture], frame, z, weights.astype(float), cuts=(1, 2, 150), **options)
    (other,) = moments_of([mixture], frame, repeated, **options)
    assert_allclose(one.sums, other.sums, rtol=1e-11, atol=1e-9)
    assert_allclose(one.shared, other.shared, rtol=1e-11, atol=1e-9)
    assert_allclose(one.log_likelihood, other.log_likelihood, rtol=1e-11)
    assert (one.rows, one.weight) == (len(z), len(repeated))


def test_the_order_of_columns_does_not_count(covariance):
    z, frame, mixture = rows_and_mixture(covariance.name)
    order = np.array([2, 0, 3, 1])
    options = {"scatter": scatter_of(z)}
    (found,) = moments_of([mixture], frame, z, **options)
    turned = mixture.of_features(order), frame.of_features(order), z[:, order]
    (other,) = moments_of([turned[0]], *turned[1:], scatter=scatter_of(turned[2]))
    assert_allclose(other.means, found.means[:, order], rtol=1e-10, atol=1e-10)
    assert_allclose(other.log_likelihood, found.log_likelihood, rtol=1e-10)


def test_rows_of_which_nothing_is_known_take_the_weights_and_add_nothing(covariance):
    _, frame, mixture = rows_and_mixture(covariance.name)
    (found,) = moments_of([mixture], frame, np.full((50, 4), np.nan), scatter=np.zeros((4, 4)))
    assert found.log_likelihood == 0.0
    assert_allclose(found.sums[-1], 50 * mixture.weights)
    after = found.maximise(covariance, np.zeros(4), EPSILON)
    assert_allclose(after.means, mixture.means, atol=1e-12)
    assert reference.relative_error(after.covariances, mixture.covariances) < 1e-12


@pytest.mark.slow
def test_more_patterns_than_are_kept_are_all_summed(covariance, monkeypatch):
    monkeypatch.setattr(accumulation, "FEWEST_ROWS", 1)
    monkeypatch.setattr(accumulation, "FEWEST_ROWS_ALONG_AXES", 1)
    monkeypatch.setattr(accumulation, "MOST_KEPT", 2)
    z, frame, mixture = rows_and_mixture(covariance.name)
    (found,) = moments_of([mixture], frame, z, cuts=(100, 200), scatter=scatter_of(z))
    likelihood, *others = missing.step(z, mixture, 1e-3)
    assert_step(found, mixture, frame, (likelihood + jacobian(z, frame), *others))


@pytest.mark.parametrize("n_features", [5, 20, 70])
def test_rows_are_sorted_by_what_they_lack(n_features):
    rows = missing.with_gaps(gaussian(200, n_features), share=0.1).T
    order, groups = found = by_pattern(rows)
    assert_array_equal(np.sort(order), np.arange(200))
    assert not np.isnan(rows[:, order[: found.n_complete]]).any()
    seen = {group.missing.tobytes() for group in groups}
    assert len(seen) == len(groups)
    for group in groups:
        own = rows[:, order[group.window]]
        assert_array_equal(np.isnan(own), np.repeat(group.missing[:, None], own.shape[1], axis=1))
        assert (np.diff(order[group.window]) > 0).all()
    assert groups[-1].stop == 200


def test_stretches_are_the_rows_in_order_with_their_patterns():
    rows = missing.with_gaps(gaussian(200, 3), share=0.2).T
    found = by_pattern(rows)
    parts = list(found.stretches(33))
    assert_array_equal(np.concatenate([part.order for part in parts]), found.order)
    for part in parts:
        lacks = np.isnan(rows[:, part.order])
        assert not lacks[:, : part.n_complete].any()
        for group in part.groups:
            assert (lacks[:, group.window] == group.missing[:, np.newaxis]).all()
        ends = [group.stop for group in part.groups]
        assert ends == [group.start for group in part.groups][1:] + ends[-1:]
        assert not ends or ends[-1] == len(part.order)


def test_rows_that_are_gathered_part_by_part_give_the_same(covariance, monkeypatch):
    z, frame, mixture = rows_and_mixture(covariance.name, share=0)
    z[np.arange(len(z)) % 3 == 0, 1] = np.nan
    monkeypatch.setattr(accumulation, "FEWEST_ROWS", 4)
    monkeypatch.setattr(accumulation, "FEWEST_ROWS_ALONG_AXES", 4)
    monkeypatch.setattr(accumulation, "GATHERED_VALUES", 24 * z.shape[1])
    (found,) = moments_of([mixture], frame, z, scatter=scatter_of(z))
    likelihood, *others = missing.step(z, mixture, 1e-3)
    assert_step(found, mixture, frame, (likelihood + jacobian(z, frame), *others))
