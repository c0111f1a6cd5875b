"""Hundreds of components: a row is held against the neighbours of one, and none is missed."""

import tracemalloc
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.kernels import neighbours, overlap
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.models import model_of, neighbours_of
from daskgmm.model.kernels.screened import ScreenedKernel
from daskgmm.model.mixture import Mixture
from daskgmm.passes.engine.blas import one_thread
from tests.support.strategies import SCREENED

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)


@pytest.fixture(autouse=True)
def as_in_a_task():
    with one_thread():
        yield


@pytest.fixture
def known(monkeypatch):
    """However few components there are, and however near."""
    monkeypatch.setattr(neighbours, "FEWEST", 2)
    monkeypatch.setattr(neighbours, "MOST_NEIGHBOURS", 1.0)


def drawn(n_components, n_features, *, spread, away, n=0, seed=0, widths=(1.0,)):
    """A mixture of full covariances with axes of their own, and rows of it."""
    rng = np.random.default_rng(seed)
    means = away * rng.normal(size=(n_components, n_features))
    axes = np.linalg.qr(rng.normal(size=(n_components, n_features, n_features)))[0]
    roots = axes * np.logspace(0, -np.log10(spread), n_features)
    roots *= rng.choice(widths, size=(n_components, 1, 1))
    weights = rng.dirichlet(np.full(n_components, 3.0))
    mixture = Mixture.from_covariances(
        COVARIANCES["full"], weights, means, roots @ roots.swapaxes(1, 2)
    )
    labels = rng.choice(n_components, size=n, p=weights)
    noise = rng.normal(size=(n, n_features, 1))
    return mixture, means[labels] + (roots[labels] @ noise)[:, :, 0]


def sums_of(kernel, mixture, rows, dtype=DOUBLE, weights=None):
    made = kernel([mixture], Frame.identity(rows.shape[1]), dtype)
    made.add(np.ascontiguousarray(rows.astype(dtype).T), weights)
    return made, made.take()[0]


@pytest.mark.slow
@pytest.mark.usefixtures("known")
@settings(max_examples=30, deadline=None)
@given(
    n_components=st.integers(2, 40),
    n_features=st.integers(1, 7),
    spread=st.sampled_from([1, 10, 1e4]),
    away=st.floats(0.1, 300),
    widths=st.sampled_from([(1.0,), (1.0, 1e-6), (1.0, 30.0)]),
    seed=st.integers(0, 1000),
)
def test_no_usual_row_may_be_shared_out_beyond_the_neighbours(
    n_components, n_features, spread, away, widths, seed
):
    mixture, _ = drawn(n_components, n_features, spread=spread, away=away, seed=seed, widths=widths)
    model = model_of(mixture, DOUBLE)
    found = neighbours.Neighbours.of(mixture, model)
    rng = np.random.default_rng(seed)
    near = np.zeros((n_components, n_components), bool)
    for k in range(n_components):
        near[k, found.near.neighbours[found.near.starts[k] : found.near.starts[k + 1]]] = True
    assert near.diagonal().all()
    # Rows on the very edge of what is usual, towards each other component and anywhere.
    length = np.sqrt(2 * (model.normalisers - found.near.logits))
    roots = np.linalg.cholesky(mixture.covariances)
    for i in range(n_components):
        lines = rng.normal(size=(n_components, n_features))
        towards = np.linalg.solve(roots[i], (mixture.means - mixture.means[i]).T).T
        for y in (lines, towards, (mixture.means - mixture.means[i]) @ roots[i]):
            size = np.linalg.norm(y, axis=1, keepdims=True)
            rows = mixture.means[i] + (length[i] * y / np.where(size > 0, size, 1)) @ roots[i].T
            white = np.einsum("knd,kde->kne", rows - mixture.means[:, np.newaxis], mixture.factors)
            logits = model.normalisers[:, np.newaxis] - 0.5 * (white**2).sum(axis=2)
            places = (rows - mixture.means[i]) @ found.turn.T
            usual = (places**2).sum(axis=1) <= found.reach[i]
            below = logits[i] - logits > model.gaps[:, np.newaxis]
            assert below[~near[i]][:, usual].all()


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("away", [2, 30])
def test_rows_held_against_neighbours_make_the_moments_of_all(dtype, weighted, away):
    mixture, rows = drawn(60, 5, spread=30, away=away, n=9000)
    rows[::100] *= 3  # some that are usual for none
    weights = np.random.default_rng(1).uniform(0, 3, len(rows)) if weighted else None
    made, found = sums_of(ScreenedKernel, mixture, rows, dtype, weights)
    assert made.neighbours[0] is not None
    _, expected = sums_of(CentredKernel, mixture, rows, dtype, weights)
    tolerance = 1e-11 if dtype == DOUBLE else 1e-3
    units = np.abs(expected.sums).max(axis=1, keepdims=True)
    assert (np.abs(found.sums - expected.sums) <= tolerance * units).all()
    assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=tolerance)
    assert found.rows == len(rows)


@pytest.mark.usefixtures("known")
def test_components_apart_are_not_looked_at():
    mixture, rows = drawn(100, 6, spread=10, away=40, n=20_000)
    near = neighbours_of(mixture, DOUBLE).near
    assert len(near.neighbours) < 3 * 100
    kernel, _ = sums_of(ScreenedKernel, mixture, rows)
    assert kernel.counted[3] < 0.7 * 100 * len(rows)


def test_neighbours_are_sought_among_many_components_that_lie_apart_and_only_there():
    few, _ = drawn(neighbours.FEWEST - 1, 6, spread=3, away=100)
    many, _ = drawn(neighbours.FEWEST, 6, spread=3, away=100)
    together, _ = drawn(neighbours.FEWEST, 6, spread=3, away=1)
    assert neighbours_of(few, DOUBLE) is None
    assert neighbours_of(many, DOUBLE) is not None
    assert neighbours_of(together, DOUBLE) is None


def test_too_many_pairs_that_are_close_are_not_looked_into(monkeypatch):
    monkeypatch.setattr(overlap, "FEWEST_CLOSE", 0)
    together, _ = drawn(neighbours.FEWEST, 3, spread=3, away=0.1)
    assert neighbours_of(together, DOUBLE) is None


@pytest.mark.slow
@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("widths", [(1.0,), (1.0, 0.01)])
def test_neighbours_are_made_in_the_memory_that_is_predicted(widths):
    n_components, n_features = 1000, 3
    mixture, _ = drawn(n_components, n_features, spread=1, away=2, widths=widths)
    model = model_of(mixture, DOUBLE)
    tracemalloc.start()
    try:
        neighbours.Neighbours.of(mixture, model)
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert taken <= 8 * neighbours.sorting_values(n_components, n_features)


@pytest.mark.usefixtures("known")
def test_equal_components_are_grouped_and_take_the_rows_that_are_theirs():
    few, rows = drawn(12, 3, spread=3, away=40, n=3000)
    mixture = few.of_components(np.repeat(np.arange(12), 5))
    mixture = Mixture.from_covariances(
        mixture.covariance, mixture.weights / 5, mixture.means, mixture.covariances
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = neighbours_of(mixture, DOUBLE)
    assert_array_equal(np.sort(np.concatenate(found.groups)), np.arange(60))
    assert min(map(len, found.groups)) > 0
    _, moments = sums_of(ScreenedKernel, mixture, rows)
    _, expected = sums_of(ScreenedKernel, few, rows)
    counts = moments.sums[-1].reshape(12, 5)
    assert_allclose(counts, np.repeat(expected.sums[-1, :, np.newaxis] / 5, 5, axis=1), rtol=1e-9)


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_row_without_density_cannot_pass_unnoticed(bad):
    mixture, rows = drawn(30, 3, spread=3, away=40, n=3000)
    rows[500, 1] = bad
    with np.errstate(all="ignore"):
        _, found = sums_of(ScreenedKernel, mixture, rows)
    assert not np.isfinite(found.log_likelihood)


@pytest.mark.usefixtures("known")
def test_a_component_without_weight_takes_no_rows_and_hides_none():
    mixture, rows = drawn(30, 3, spread=3, away=40, n=3000)
    weights = mixture.weights.copy()
    weights[3] = 0
    empty = Mixture(
        mixture.covariance, weights / weights.sum(), mixture.means, mixture.covariances,
        mixture.factors,
    )  # fmt: skip
    _, found = sums_of(ScreenedKernel, empty, rows)
    _, expected = sums_of(CentredKernel, empty, rows)
    assert found.sums[-1, 3] == 0
    assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=1e-12)


@pytest.mark.usefixtures("known")
def test_a_mixture_gets_the_same_bits_whatever_batch_it_is_in():
    one, rows = drawn(30, 4, spread=10, away=20, n=5000)
    other, _ = drawn(50, 4, spread=10, away=20, seed=1)
    together = ScreenedKernel([one, other], Frame.identity(4), DOUBLE)
    together.add(rows.T)
    for mixture, found in zip((one, other), together.take(), strict=True):
        _, alone = sums_of(ScreenedKernel, mixture, rows)
        assert_array_equal(found.sums, alone.sums)


@pytest.mark.usefixtures("known")
def test_screened_kernels_do_not_ask_for_neighbours_where_all_pairs_count():
    mixture, _ = drawn(30, 3, spread=3, away=40)
    kernel = SCREENED([mixture], Frame.identity(3), DOUBLE)
    assert kernel.neighbours[0] is not None
    whole = ScreenedKernel(
        [mixture], Frame.identity(3), DOUBLE, strategy=kernel.strategies[0]._replace(screened=False)
    )
    assert whole.neighbours[0] is None
