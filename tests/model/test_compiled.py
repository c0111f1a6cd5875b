"""The compiled kernel beyond the laws that all kernels share: tiles, batches, extremes, cache."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite.binding import get_host_cpu_features
from numba import njit, types
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import softmax

from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.compiled import TILE, CompiledKernel
from daskgmm.model.kernels.costs import WIDE
from daskgmm.model.kernels.features import FeatureKernel
from daskgmm.model.kernels.loops.compiling import along_rows
from daskgmm.model.kernels.loops.registers import exponential
from daskgmm.model.kernels.screened import ScreenedKernel
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.model.scoring import Scorer, Scoring
from daskgmm.passes.engine.blas import one_thread
from tests.support import reference

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)


@pytest.fixture(autouse=True)
def as_in_a_task():
    with one_thread():
        yield


def rows_of(n, n_features, dtype=DOUBLE, seed=0):
    return np.random.default_rng(seed).normal(0, 1.5, (n_features, n)).astype(dtype)


def moments_of(kernel, mixtures, rows, weights=None, dtype=DOUBLE):
    made = kernel(mixtures, Frame.identity(len(rows)), dtype)
    made.add(rows, weights)
    return made.take()


@pytest.mark.skipif(not get_host_cpu_features().get("avx512f"), reason="it has no such vectors")
def test_loops_along_rows_take_vectors_of_512_bits():
    @along_rows
    def double(values):
        for r in range(len(values)):
            values[r] *= 2

    double.compile((types.Array(types.float64, 1, "C"),))
    (code,) = double.inspect_asm().values()
    assert "zmm" in code


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE])
def test_work_arrays_begin_with_a_cache_line(dtype):
    mixture = reference.random_mixture("full", 3, 5)
    frame = Frame.identity(5)
    (pairs,) = ScreenedKernel([mixture], frame, dtype).works
    features = CompiledKernel([mixture], frame, dtype).work
    arrays = [own for own in (*pairs, *features) if isinstance(own, np.ndarray)]
    made = [own for own in arrays if own.size]
    assert {own.ctypes.data % 64 for own in made} == {0}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(COVARIANCES))
@pytest.mark.parametrize("n_features", [1, 9, 10, 11, 56, 57, 120])
@pytest.mark.parametrize("n_components", [4, 25, 150])
def test_tiles_and_few_components_at_a_time_leave_nothing_out(kind, n_features, n_components):
    mixture = reference.random_mixture(kind, n_components, n_features)
    kernel = CompiledKernel([mixture], Frame.identity(n_features), DOUBLE)
    tiles = np.diff(kernel.form.tiles)
    assert tiles.sum() == kernel.length
    assert (tiles > 0).all()
    assert tiles.max() <= max(1.5 * TILE, n_features + 1)
    rows = rows_of(1100, n_features)
    (found,), (expected,) = (
        moments_of(kernel, [mixture], rows) for kernel in (CompiledKernel, FeatureKernel)
    )
    scale = np.abs(expected.sums).max()
    assert_allclose(found.sums, expected.sums, rtol=1e-10, atol=1e-12 * scale)
    assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=1e-11)


@pytest.mark.parametrize("kind", list(COVARIANCES))
@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize(("n_features", "n"), [(1, 9000), (3, 8500), (14, 4500), (60, 1100)])
def test_predictions_are_those_of_numpy(kind, dtype, n_features, n):
    mixture = reference.random_mixture(kind, 5, n_features)
    rows, frame = rows_of(n, n_features, dtype).T, Frame.identity(n_features)
    found = Predictor(mixture, frame, compiled=True)
    expected = Predictor(mixture, frame)
    rounding = 1e-9 if dtype == DOUBLE else 2e-3
    for one, other in zip(found.everything(rows)[1:], expected.everything(rows)[1:], strict=True):
        assert_allclose(one, other, rtol=rounding, atol=rounding)
    densities = expected.responsibilities(rows)
    chosen = np.take_along_axis(densities, found.labels(rows)[:, np.newaxis], axis=1)[:, 0]
    assert_allclose(chosen, densities.max(axis=1), rtol=rounding)


@pytest.mark.parametrize("kind", list(COVARIANCES))
@pytest.mark.parametrize("weighted", [False, True])
def test_scores_of_a_batch_are_those_of_numpy(kind, weighted):
    mixtures = tuple(reference.random_mixture(kind, k, 4, k) for k in (1, 3, 6))
    rows = rows_of(9000, 4).T
    weights = np.random.default_rng(2).uniform(0, 2, len(rows)) if weighted else None
    found, expected = (
        Scorer(Scoring(mixtures, Frame.identity(4), DOUBLE, compiled)).totals(rows, weights)
        for compiled in (True, False)
    )
    assert_allclose(found, expected, rtol=1e-11)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_value_that_is_not_finite_is_found_in_its_row(bad):
    rows = rows_of(6000, 2).T
    rows[5500, 1] = bad
    predictor = Predictor(reference.random_mixture("full", 3, 2), Frame.identity(2), compiled=True)
    with pytest.raises(NotFiniteError) as caught:
        predictor.labels(rows)
    assert (caught.value.flaw.row, caught.value.flaw.feature) == (5500, 1)


@pytest.mark.parametrize("kind", ["full", "tied"])
def test_centred_moments_are_computed_block_by_block_of_the_matrix(kind):
    mixture = reference.random_mixture(kind, 2, 150)
    rows, weights = rows_of(700, 150), np.random.default_rng(1).uniform(0, 2, 700)
    (found,) = moments_of(CentredKernel, [mixture], rows, weights)
    covariances = np.broadcast_to(mixture.covariances, (2, 150, 150))
    centred = rows - mixture.means[:, :, np.newaxis]
    distances = np.einsum("kdn,kde,ken->kn", centred, np.linalg.inv(covariances), centred)
    logits = np.log(mixture.weights) - 0.5 * np.linalg.slogdet(covariances).logabsdet
    gamma = softmax(logits[:, np.newaxis] - 0.5 * distances, axis=0) * weights
    expected = np.einsum("kdn,kn,ken->kde", centred, gamma, centred)
    if kind == "tied":
        assert_allclose(found.shared, expected.sum(axis=0), rtol=1e-8, atol=1e-8)
    else:
        i, j = np.triu_indices(150)
        assert_allclose(found.sums[: len(i)].T, expected[:, i, j], rtol=1e-8, atol=1e-8)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_mixture_gets_the_same_bits_whatever_batch_it_is_in(data):
    kind = data.draw(st.sampled_from(list(COVARIANCES)))
    n_features = data.draw(st.integers(1, 14))
    sizes = data.draw(st.lists(st.integers(1, 30), min_size=1, max_size=6))
    dtype = data.draw(st.sampled_from([DOUBLE, SINGLE]))
    weighted = data.draw(st.booleans())
    rows = rows_of(data.draw(st.integers(1, 5000)), n_features, dtype)
    weights = np.random.default_rng(2).uniform(0, 2, rows.shape[1]) if weighted else None
    mixtures = [reference.random_mixture(kind, k, n_features, i) for i, k in enumerate(sizes)]
    together = moments_of(CompiledKernel, mixtures, rows, weights, dtype)
    for mixture, found in zip(mixtures, together, strict=True):
        (alone,) = moments_of(CompiledKernel, [mixture], rows, weights, dtype)
        assert_array_equal(found.sums, alone.sums)
        assert found.log_likelihood == alone.log_likelihood


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_row_without_density_cannot_pass_unnoticed(bad, weighted, dtype):
    mixture = reference.random_mixture("full", 3, 2)
    rows = rows_of(1000, 2)
    rows[1, 500] = bad
    weights = np.ones(1000) if weighted else None
    with np.errstate(all="ignore"):
        (found,) = moments_of(CompiledKernel, [mixture], rows.astype(dtype), weights, dtype)
    assert not np.isfinite(found.log_likelihood)


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)
def test_a_responsibility_that_no_sum_can_feel_is_none(dtype):
    far = Mixture.from_covariances(
        COVARIANCES["diag"], np.array([0.5, 0.5]), np.array([[0.0], [40.0]]), np.ones((2, 1))
    )
    rows = np.zeros((1, 10), dtype)
    (found,) = moments_of(CompiledKernel, [far], rows, dtype=dtype)
    assert_array_equal(found.sums[-1], [10, 0])


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "lowest"), [(DOUBLE, 700), (SINGLE, 87)], ids=["f8", "f4"])
def test_the_exponential_is_within_an_ulp_and_keeps_nan(dtype, lowest):
    @njit(fastmath={"contract"})
    def exponentials(points):
        out = np.empty_like(points)
        for i in range(len(points)):
            out[i] = exponential.exp(points[i])
        return out

    least = np.log10(np.finfo(dtype).tiny)
    points = np.append(-np.logspace(least, np.log10(lowest), 200_000), 0.0).astype(dtype)
    exact = np.exp(points.astype(np.longdouble))
    errors = np.abs(exponentials(points) - exact) / np.spacing(exact.astype(dtype))
    assert errors.max() < (1 if reference.EXTENDED else 2)
    assert np.isnan(exponentials(np.array([np.nan], dtype))).all()


def test_responsibilities_are_exact_over_their_whole_range():
    """A row's responsibility for the second of two components falls from 1/2 to 1e-87."""
    distances = np.linspace(0, 199, 400)
    points = -distances / 20  # two unit normals at -10 and 10 have log-odds of 20 x
    mixture = Mixture.from_covariances(
        COVARIANCES["spherical"], np.array([0.5, 0.5]), np.array([[-10.0], [10.0]]), np.ones(2)
    )
    found = [moments_of(CompiledKernel, [mixture], np.array([[x]]))[0].sums[-1, 1] for x in points]
    exact = 1 / (1 + np.exp(-20 * points.astype(np.longdouble)))
    # The logits are of order 100, and an error in them is one of their exponential.
    assert_allclose(found, exact.astype(float), rtol=200 * 2.3e-16)


@pytest.mark.parametrize(
    ("rows_dtype", "dtype"),
    [
        (DOUBLE, DOUBLE),
        (SINGLE, SINGLE),
        (SINGLE, DOUBLE),
        (DOUBLE, SINGLE),
    ],
    ids=str,
)
def test_read_only_rows_in_any_layout_go_through_the_same_loop(rows_dtype, dtype):
    mixture = reference.random_mixture("full", 2, 3)
    rows = rows_of(600, 3, rows_dtype)
    strided = np.zeros((6, 1200), rows_dtype)
    strided[::2, ::2] = rows
    sums = []
    for block in (rows, np.asfortranarray(rows), strided[::2, ::2]):
        block.flags.writeable = False
        sums.append(moments_of(CompiledKernel, [mixture], block, dtype=dtype)[0].sums)
    assert_array_equal(sums[0], sums[1])
    assert_array_equal(sums[0], sums[2])


def test_it_is_taken_where_asked_for_and_the_form_serves_all_components(monkeypatch):
    monkeypatch.setattr("daskgmm.model.kernels.strategy.costs", lambda: WIDE)
    frame = Frame.identity(7)
    fine = reference.random_mixture("full", 8, 7)
    tight = Mixture.from_covariances(
        COVARIANCES["full"], np.full(2, 0.5), np.repeat([[0.0], [1.0]], 7, axis=1),
        np.stack([np.eye(7), 1e-14 * np.eye(7)]),
    )  # fmt: skip

    def kinds(*mixtures, compiled):
        made = Expectation(mixtures, frame, DOUBLE, compiled=compiled).kernels()
        return [type(kernel) for _, kernel in made]

    assert kinds(fine, compiled=True) == [CompiledKernel]
    assert kinds(fine, compiled=False) == [FeatureKernel]
    assert kinds(fine, tight, compiled=True) == [CompiledKernel, ScreenedKernel]
    assert kinds(tight, compiled=True) == [ScreenedKernel]


def test_few_components_of_many_features_are_whitened_instead():
    mixture = reference.random_mixture("full", 1, 80)
    expectation = Expectation((mixture,), Frame.identity(80), DOUBLE, compiled=True)
    ((_, made),) = expectation.kernels()
    assert type(made) is ScreenedKernel
    assert made.by_features == [None]
    found = expectation.complete(Accumulator(expectation)([(rows_of(50, 80), None)]))
    assert found[0].rows == 50


@pytest.mark.slow
def test_without_a_place_for_the_cache_it_is_compiled_anew(tmp_path):
    """As in a container whose user can write neither beside the package nor at home."""
    script = """
import numba.core.caching as caching
caching.CacheImpl._locator_classes = []
import numpy as np
from daskgmm.model.kernels.loops.neighbours import usual_loop
print(usual_loop(np.dtype(float), np.dtype(float)).signatures)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "float64" in done.stdout
