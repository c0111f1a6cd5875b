"""Only the pairs that count: bounds hold, what is dropped is below rounding, and ways agree."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.model import screening
from daskgmm.model.assignment import moments_under
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.arguments import Strategy
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.compiled import CompiledKernel
from daskgmm.model.kernels.costs import NARROW, WIDE
from daskgmm.model.kernels.loops import moments
from daskgmm.model.kernels.models import model_of
from daskgmm.model.kernels.screened import ScreenedKernel
from daskgmm.model.kernels.strategy import strategy_of
from daskgmm.model.kernels.tiles import most_tile_rows, tile_rows, works_for
from daskgmm.model.mixture import Mixture
from daskgmm.model.prediction import NotFiniteError, Predictor
from daskgmm.passes.engine.blas import one_thread
from tests.support import reference
from tests.support.rows import correlated
from tests.support.strategies import ALL_PAIRS, LISTED, MIXED, SCREENED, STRATEGIES

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)
each_kind = pytest.mark.parametrize("kind", list(COVARIANCES))
each_type = pytest.mark.parametrize("dtype", [DOUBLE, SINGLE], ids=str)


@pytest.fixture(autouse=True)
def as_in_a_task():
    with one_thread():
        yield


def mixture_of(rows, labels, kind, weights=None):
    """The labelled rows' mixture, in the rows' own coordinates."""
    covariance, n_components = COVARIANCES[kind], labels.max() + 1
    own = [np.cov(rows[labels == k].T, bias=True) for k in range(n_components)]
    matrices = np.stack([np.atleast_2d(one) for one in own])
    if kind == "tied":
        matrices = matrices.mean(axis=0)
    elif kind == "diag":
        matrices = np.diagonal(matrices, axis1=1, axis2=2).copy()
    elif kind == "spherical":
        matrices = np.trace(matrices, axis1=1, axis2=2) / rows.shape[1]
    elif kind != "full":
        matrices = np.diagonal(matrices.mean(axis=0)).copy()
    means = np.stack([rows[labels == k].mean(axis=0) for k in range(n_components)])
    shares = np.bincount(labels) / len(labels) if weights is None else weights
    return Mixture.from_covariances(covariance, shares, means, matrices)


def moments_of(kernel, mixture, rows, dtype=DOUBLE, weights=None):
    made = kernel([mixture], Frame.identity(rows.shape[1]), dtype)
    made.add(rows.astype(dtype).T, weights)
    return made.take()[0]


def assert_same_moments(found, expected, tolerance):
    """Moments in units of a component's rows times a deviation, or two of them multiplied."""
    assert_array_equal(found.origins, expected.origins)
    n_features = expected.origins.shape[1]
    units = np.full((len(expected.sums), 1), expected.sums[-1].max())
    units[: -1 - n_features] = max(np.abs(expected.sums[: -1 - n_features]).max(initial=0), 1)
    assert (np.abs(found.sums - expected.sums) <= tolerance * units).all()
    assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=10 * tolerance)
    if expected.shared.size:
        assert_allclose(
            found.shared, expected.shared, atol=tolerance * np.abs(expected.shared).max()
        )
    if tolerance < 1e-9:
        covariance = COVARIANCES["full"]  # and the tightest directions have their digits too
        if len(expected.sums) == covariance.feature_length(n_features):
            made = [one.maximise(covariance, np.zeros(n_features), 0) for one in (found, expected)]
            assert reference.relative_error(made[0].covariances, made[1].covariances) < 1e-9


@pytest.mark.slow
@each_kind
@each_type
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("n_components", "n_features", "apart"), [(7, 3, 1), (5, 12, 2), (30, 6, 3)]
)
def test_pairs_that_count_make_the_moments_of_all(
    kind, dtype, weighted, n_components, n_features, apart
):
    rows, labels = correlated(5000, n_features, n_components, spread=50, apart=apart)
    mixture = mixture_of(rows, labels, kind)
    weights = np.random.default_rng(1).uniform(0, 3, len(rows)) if weighted else None
    expected = moments_of(CentredKernel, mixture, rows, dtype, weights)
    for kernel in (SCREENED, ALL_PAIRS, LISTED):
        found = moments_of(kernel, mixture, rows, dtype, weights)
        assert_same_moments(found, expected, 1e-11 if dtype == DOUBLE else 1e-3)


@each_kind
@each_type
@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 5, 6, 7, 8, 9, 13])
def test_all_pairs_leave_out_no_feature_whatever_number_of_them_goes_at_once(
    kind, dtype, n_features
):
    # A component of few rows is summed in double, in as many rows at once as fit.
    rows, labels = correlated(4000, n_features, 3, spread=5, apart=2)
    labels[:20], rows[:20] = 3, rows[:20] + 40
    mixture = mixture_of(rows, labels, kind)
    expected = moments_of(CentredKernel, mixture, rows, dtype)
    for kernel in (ALL_PAIRS, LISTED):
        found = moments_of(kernel, mixture, rows, dtype)
        assert_same_moments(found, expected, 1e-11 if dtype == DOUBLE else 1e-3)


@each_type
@pytest.mark.parametrize("n_features", [1, 3, 6, 7])
@pytest.mark.parametrize("n", [1, 7, 8, 31, 33, 71, 203])  # most are summed in double
def test_rows_that_fill_no_register_count_as_the_others(dtype, n_features, n):
    rows, labels = correlated(900, n_features, 3, spread=5, apart=1)
    mixture = mixture_of(rows, labels, "full")
    expected = moments_of(CentredKernel, mixture, rows[:n], dtype)
    found = moments_of(ALL_PAIRS, mixture, rows[:n], dtype)
    tolerance = 1e-11 if dtype == DOUBLE else 1e-3
    assert_allclose(found.sums, expected.sums, atol=tolerance * n)
    assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=tolerance)


@pytest.mark.parametrize("kind", ["full", "tied"])
@each_type
@pytest.mark.parametrize(("n_components", "n_features"), [(3, 95), (3, 96), (2, 150), (1, 200)])
def test_rows_in_blocks_and_strips_make_the_moments_of_all(kind, dtype, n_components, n_features):
    rows, labels = correlated(1500, n_features, n_components, spread=20, apart=0.3)
    mixture = mixture_of(rows, labels, kind)
    # Few are summed in double, and make no covariance.
    for some in (rows,) if dtype == DOUBLE else (rows, rows[:40]):
        expected = moments_of(CentredKernel, mixture, some, dtype)
        found = moments_of(SCREENED, mixture, some, dtype)
        assert_same_moments(found, expected, 1e-11 if dtype == DOUBLE else 1e-3)
    logits = [
        kernel([mixture], Frame.identity(n_features), dtype).logits(rows[:300].astype(dtype).T)
        for kernel in (CentredKernel, SCREENED)
    ]
    best = [found.max(axis=0) for found in logits]
    assert_allclose(best[1], best[0], atol=1e-10 if dtype == DOUBLE else 1e-2, rtol=0)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_bound_is_above_the_logit_wherever_rows_and_components_lie(data):
    """Whatever the bound leaves out has a logit further below the row's largest than its gap."""
    kind = data.draw(st.sampled_from(list(COVARIANCES)))
    dtype = data.draw(st.sampled_from([DOUBLE, SINGLE]))
    n_features = data.draw(st.integers(1, 9))
    n_components = data.draw(st.integers(1, 12))
    spread = 10.0 ** data.draw(st.integers(0, 3))
    far = 10.0 ** data.draw(st.integers(0, 4))
    rows, labels = correlated(600, n_features, n_components, spread=spread, apart=3)
    mixture = mixture_of(rows, labels, kind)
    rows = (far * rows).astype(dtype)
    exact = reference.log_joint(
        rows.astype(np.longdouble), mixture, by_factors=kind in ("full", "tied")
    ).T
    kernel = SCREENED([mixture], Frame.identity(n_features), dtype)
    found = kernel.logits(rows.T)
    left_out = np.isneginf(found)
    assert left_out.sum() < left_out.size
    below = exact.max(axis=0) - exact
    assert (below[left_out] > 104).all()
    with np.errstate(invalid="ignore"):
        error = np.abs(found - exact)[~left_out]
    scale = np.abs(exact)[~left_out] + np.abs(mixture.log_normalisers).max()
    assert (error <= 1e4 * np.finfo(dtype).eps * scale + 1e-9).all()


@each_type
def test_components_apart_are_left_out_and_components_together_are_not(dtype):
    for apart, low, high in [(3, 0.05, 0.12), (0, 0.9, 1)]:
        rows, labels = correlated(20_000, 12, 20, spread=10, apart=apart)
        kernel = SCREENED([mixture_of(rows, labels, "full")], Frame.identity(12), dtype)
        kernel.add(rows.astype(dtype).T)
        assert low <= kernel.counted[0] / (20 * len(rows)) <= high


def test_tiles_in_which_most_pairs_count_go_by_features_and_the_sums_are_one():
    (rows, _), far = correlated(12_000, 5, 4, spread=3, apart=0.3), 40.0
    rows = np.concatenate([rows + far, rows])  # to the first, few components are near
    means = np.concatenate([np.zeros((3, 5)), np.full((1, 5), far)])
    mixture = Mixture.from_covariances(
        COVARIANCES["full"], np.full(4, 0.25), means, np.stack([np.eye(5)] * 4)
    )
    kernel = MIXED([mixture], Frame.identity(5), DOUBLE)
    kernel.add(rows.T)
    assert kernel.counted[0] > 0
    assert kernel.counted[1] > 0
    expected = moments_of(CentredKernel, mixture, rows)
    assert_same_moments(kernel.take()[0], expected, 1e-11)


def test_tiles_in_which_few_pairs_count_leave_the_others_out_of_their_sums():
    (rows, _), far = correlated(12_000, 5, 4, spread=3, apart=0.3), 40.0
    rows = np.concatenate([rows + far, rows])
    means = np.concatenate([np.zeros((3, 5)), np.full((1, 5), far)])
    mixture = Mixture.from_covariances(
        COVARIANCES["full"], np.full(4, 0.25), means, np.stack([np.eye(5)] * 4)
    )
    strategy = Strategy(by_features=False, screened=False, most=0.0, listed=0.5)
    kernel = ScreenedKernel([mixture], Frame.identity(5), DOUBLE, strategy=strategy)
    kernel.add(rows.T)
    whole, logits, listed = kernel.counted[[2, 5, 6]]
    assert whole + logits == len(rows)
    assert 0 < logits <= listed < 1.5 * logits
    expected = moments_of(CentredKernel, mixture, rows)
    assert_same_moments(kernel.take()[0], expected, 1e-11)
    pair = 5 * 6  # of 4 components
    done = (4 * whole + (4 * logits + listed) / 2) * pair
    assert_allclose(kernel.share(len(rows)), done / (len(rows) * 4 * 2 * kernel.length))


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
@each_type
def test_a_component_a_million_widths_away_keeps_its_digits_beside_wide_ones(kind, dtype):
    """Rows at distance 1 hold 1e-16, so that what is 1e-6 wide has ten digits."""
    width = 1e-6 if dtype == DOUBLE else 2.0**-12
    random = np.random.default_rng(0)
    rows = random.normal(size=(4000, 2))
    labels = np.arange(4000) % 2
    rows[labels == 1] = 1 + width * rows[labels == 1]
    rows = rows.astype(dtype).astype(float)
    mixture = mixture_of(rows, labels, kind)
    likelihood, weights, _, covariances = reference.step(rows, mixture)
    for kernel in (SCREENED, ALL_PAIRS):
        found = moments_of(kernel, mixture, rows, dtype)
        stepped = found.maximise(mixture.covariance, np.zeros(2), 0.0)
        tolerance = 1e-8 if dtype == DOUBLE else 2e-3
        assert_allclose(found.log_likelihood, float(likelihood), rtol=tolerance)
        assert_allclose(stepped.weights, weights.astype(float), rtol=tolerance)
        assert reference.relative_error(stepped.covariances, covariances) < tolerance


def test_what_a_rare_component_loses_is_below_1e_12_of_it():
    """One row in 1e9 is the component's; the others would give it up to 40 nats' worth each."""
    covariance, weights = COVARIANCES["spherical"], np.array([1 - 1e-9, 1e-9])
    mixture = Mixture.from_covariances(covariance, weights, np.array([[0.0], [9.0]]), np.ones(2))
    rows = np.array([[0.0], [9.0]])
    counts = np.array([1e9, 1.0])
    found = moments_of(SCREENED, mixture, rows, weights=counts)
    expected = moments_of(ALL_PAIRS, mixture, rows, weights=counts)
    assert_allclose(found.sums[-1], expected.sums[-1], rtol=1e-12)
    assert_allclose(found.means, expected.means, atol=1e-11)


def test_gaps_grow_with_the_number_of_components_and_with_their_rarity():
    def of(weights):
        k = len(weights)
        return screening.gaps(
            Mixture.from_covariances(
                COVARIANCES["diag"], np.array(weights), np.zeros((k, 1)), np.ones((k, 1))
            )
        )

    assert_allclose(of([0.5, 0.5])[0], -np.log(1e-12) + 2 * np.log(1e3) + 2 * np.log(2))
    assert_allclose(of([0.999, 0.001])[1] - of([0.999, 0.001])[0], np.log(999))
    assert np.isinf(of([1.0, 0.0])[1])


@each_kind
@each_type
def test_what_is_shown_as_zero_hangs_on_row_and_model_only(kind, dtype):
    rows, labels = correlated(3000, 4, 6, spread=100, apart=15)
    rows = rows.astype(dtype)
    predictor = Predictor(mixture_of(rows, labels, kind), Frame.identity(4), compiled=True)
    together = predictor.responsibilities(rows)
    cuts = [0, 1, 2, 64, 65, 700, 2048, 3000]
    apart = np.concatenate([predictor.responsibilities(rows[a:b]) for a, b in pairwise(cuts)])
    assert_array_equal(together == 0, apart == 0)
    plain = Predictor(mixture_of(rows, labels, kind), Frame.identity(4)).responsibilities(rows)
    near = 1e-300 if dtype == DOUBLE else 1e-35
    assert (plain[together == 0] < near).all()
    assert_allclose(together, plain, rtol=1e-7 if dtype == DOUBLE else 0.05, atol=near)
    assert 0.1 < (together == 0).mean() < 0.9


@each_kind
def test_a_component_that_nothing_reaches_has_no_rows_and_makes_no_nan(kind):
    rows, labels = correlated(500, 3, 2, spread=3, apart=1)
    mixture = mixture_of(rows, labels, kind)
    lost = Mixture(
        mixture.covariance, mixture.weights, mixture.means + np.array([[0.0], [1e6]]),
        mixture.covariances, mixture.factors,
    )  # fmt: skip
    for kernel in (SCREENED, ALL_PAIRS):
        found = moments_of(kernel, lost, rows)
        assert found.sums[-1, 1] == 0
        assert np.isfinite(found.sums).all()
        assert np.isfinite(found.log_likelihood)


@pytest.mark.parametrize("kernel", [SCREENED, ALL_PAIRS, MIXED])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_a_row_without_density_cannot_pass_unnoticed(bad, kernel):
    rows, labels = correlated(3000, 2, 3, spread=3, apart=1)
    mixture = mixture_of(rows, labels, "full")
    rows[500, 1] = bad
    with np.errstate(all="ignore"):
        assert not np.isfinite(moments_of(kernel, mixture, rows).log_likelihood)


def test_a_value_that_is_not_finite_is_found_in_its_row():
    rows, labels = correlated(6000, 3, 5, spread=1000, apart=3)
    mixture = mixture_of(rows, labels, "full")
    rows[5500, 1] = np.nan
    with pytest.raises(NotFiniteError) as caught:
        Predictor(mixture, Frame.identity(3), compiled=True).labels(rows)
    assert (caught.value.flaw.row, caught.value.flaw.feature) == (5500, 1)


def test_a_mixture_gets_the_same_bits_whatever_batch_it_is_in():
    rows, labels = correlated(5000, 8, 5, spread=100, apart=2)
    one, other = mixture_of(rows, labels, "full"), mixture_of(rows, labels % 3, "full")
    together = ScreenedKernel([one, other], Frame.identity(8), DOUBLE)
    together.add(rows.T)
    for mixture, found in zip((one, other), together.take(), strict=True):
        alone = moments_of(ScreenedKernel, mixture, rows)
        assert_array_equal(found.sums, alone.sums)
        assert found.log_likelihood == alone.log_likelihood


@settings(deadline=None)
@given(st.data())
def test_directions_bound_the_logit_wherever_rows_and_components_lie(data):
    """They are multiplied in single precision, with rows that are not centred."""
    kind, dtype = data.draw(st.sampled_from(["full", "tied"])), data.draw(st.sampled_from([4, 8]))
    n_features, n_components = data.draw(st.integers(1, 9)), data.draw(st.integers(2, 12))
    spread, far = 10.0 ** data.draw(st.integers(0, 3)), 10.0 ** data.draw(st.integers(0, 4))
    width, off = 10.0 ** data.draw(st.integers(-6, 0)), 10.0 ** data.draw(st.integers(0, 6))
    rows, labels = correlated(600, n_features, n_components, spread=spread, apart=3)
    rows += off
    centres = np.stack([rows[labels == k].mean(axis=0) for k in range(n_components)])
    tight = labels % 2 == 1
    rows[tight] = centres[labels[tight]] + width * (rows[tight] - centres[labels[tight]])
    mixture = mixture_of(rows, labels, kind, np.full(n_components, 1 / n_components))
    rows = off + (far * (rows - off)).astype(f"f{dtype}")
    found = SCREENED([mixture], Frame.identity(n_features), np.dtype(f"f{dtype}")).logits(rows.T)
    exact = reference.log_joint(rows.astype(np.longdouble), mixture).T
    left_out = np.isneginf(found)
    assert not left_out.all(axis=0).any()
    below = exact.max(axis=0) - exact
    assert (below[left_out] > (104 if dtype == 4 else 749)).all()


@pytest.mark.parametrize("feature", [0, 2])
def test_rows_that_single_precision_does_not_hold_are_held_against_all(feature):
    rows, labels = correlated(600, 3, 12, spread=10, apart=3)
    mixture = mixture_of(rows, labels, "full")
    rows[[3, 70], feature] = 1e100, -1e100
    exact = reference.log_joint(rows.astype(np.longdouble), mixture).T
    found = SCREENED([mixture], Frame.identity(3), DOUBLE).logits(rows.T)
    assert_allclose(found.max(axis=0), exact.max(axis=0), rtol=1e-11)
    assert_array_equal(found.argmax(axis=0), exact.argmax(axis=0))


@pytest.fixture
def way(monkeypatch):
    """The strategy of labelled rows' mixture on a kind of processor."""

    def strategy(processor, kind, n_components, n_features, spread):
        monkeypatch.setattr("daskgmm.model.kernels.strategy.costs", lambda: processor)
        rows, labels = correlated(4000, n_features, n_components, spread=spread, apart=3)
        return strategy_of(mixture_of(rows, labels, kind), DOUBLE)

    return strategy


@pytest.mark.parametrize("processor", [NARROW, WIDE], ids=["narrow", "wide"])
def test_small_mixtures_go_whole_and_large_ones_are_screened(way, processor):
    assert not way(processor, "full", 5, 4, 1000).screened
    assert not way(processor, "full", 10, 3, 1000).screened  # a bound costs as much as a logit
    assert way(processor, "full", 10, 10, 1000).screened
    assert way(processor, "diag", 20, 16, 100).screened
    assert way(processor, "full", 50, 7, 3).by_features
    assert not way(processor, "full", 3, 2, 3).by_features  # all pairs cost less than six features
    assert way(processor, "full", 5, 3, 1000).listed == 0  # registers hold all sums
    assert way(processor, "full", 5, 12, 1000).listed > 0


def test_wide_registers_make_features_pay_sooner(way):
    assert way(WIDE, "full", 10, 10, 3).by_features
    assert not way(NARROW, "full", 10, 10, 3).by_features


@pytest.mark.parametrize("matrices", [True, False])
@pytest.mark.parametrize(
    ("n_components", "n_features"), [(1, 1), (10, 10), (20, 50), (8, 1000), (200, 50), (4096, 32)]
)
def test_tiles_are_of_odd_multiples_of_whole_vectors(n_components, n_features, matrices):
    n = tile_rows(n_components, n_features, matrices=matrices)
    assert n % 64 == 0
    assert n % 128 == 64
    assert 64 <= n < (16384 if matrices else 2048)
    assert n * n_components <= max(3 * 2**20 if matrices else 2**20, 256 * n_components)


@pytest.mark.parametrize("matrices", [True, False])
@pytest.mark.parametrize(("most", "n_features"), [(5, 4), (60, 50), (700, 50), (700, 9), (900, 2)])
def test_no_mixture_of_fewer_components_has_longer_tiles_than_are_counted(
    most, n_features, matrices
):
    rows = [tile_rows(k, n_features, matrices=matrices) for k in range(1, most + 1)]
    assert max(rows) == most_tile_rows(most, n_features, matrices=matrices)


def test_mixtures_that_are_computed_one_after_another_share_memory():
    sizes = (3, 40, 300)
    mixtures = [mixture_of(*correlated(6000, 5, k, spread=10, apart=3), "full") for k in sizes]
    works = works_for([model_of(mixture, DOUBLE) for mixture in mixtures], DOUBLE)
    for name in ("pair_logits", "z", "upper"):
        assert len({getattr(own, name).ctypes.data for own in works}) == 1, name
    assert tuple(len(own.active) for own in works) == sizes


def test_tiles_grow_with_the_matrices_that_each_reads():
    sizes = [(3, 4), (20, 20), (50, 50), (100, 50), (200, 50)]
    rows = [tile_rows(*size, matrices=True) for size in sizes]
    assert rows == sorted(rows)
    assert rows[0] == 1984 < rows[2] < rows[-1]
    assert [tile_rows(*size, matrices=False) for size in sizes] == [1984] * len(sizes)


@pytest.mark.parametrize("kernel", [SCREENED, ALL_PAIRS, MIXED, CompiledKernel])
def test_weights_may_lie_in_memory_in_any_layout(kernel):
    rows, labels = correlated(3000, 4, 3, spread=10, apart=2)
    mixture = mixture_of(rows, labels, "full")
    table = np.random.default_rng(1).uniform(0, 3, (3000, 4))
    strided = moments_of(kernel, mixture, rows, weights=table[:, -1])
    assert_array_equal(
        strided.sums, moments_of(kernel, mixture, rows, weights=table[:, -1].copy()).sums
    )


@pytest.mark.parametrize("kind", ["full", "diag", "spherical"])
def test_rows_whose_bounds_overflow_go_to_their_component_whatever_is_beside_them(kind):
    rng = np.random.default_rng(0)
    means, covariance = 1e5 * rng.normal(size=(60, 16)), COVARIANCES[kind]
    shape = covariance.shape(60, 16)
    unit = np.broadcast_to(np.eye(16), shape).copy() if kind == "full" else np.ones(shape)
    mixture = Mixture.from_covariances(covariance, np.full(60, 1 / 60), means, unit)
    rows = np.concatenate([means + rng.normal(size=means.shape), 1e22 * rng.normal(size=(5, 16))])
    frame = Frame.identity(16)
    plain = Predictor(mixture, frame)
    for own in (rows, rows[:62], rows[60:]):
        found = Predictor(mixture, frame, compiled=True)
        near = np.abs(own).max(axis=1) < 1e10
        assert_array_equal(found.labels(own)[near], plain.labels(own)[near])
        assert_allclose(found.log_densities(own), plain.log_densities(own), rtol=1e-12)


def test_means_may_lie_in_memory_in_any_layout():
    rows, labels = correlated(500, 4, 3, spread=10, apart=2)
    mixture = mixture_of(rows, labels, "full")
    other = Mixture(
        mixture.covariance, mixture.weights, np.asfortranarray(mixture.means),
        mixture.covariances, mixture.factors,
    )  # fmt: skip
    assert_array_equal(
        moments_of(SCREENED, other, rows).sums, moments_of(SCREENED, mixture, rows).sums
    )


@each_type
@pytest.mark.parametrize("kind", list(COVARIANCES))
def test_columns_in_other_units_off_the_origin_and_a_constant_one_change_nothing(kind, dtype):
    """As tables have them: columns from 1e-6 to 1e6, far from zero, and one that says nothing."""
    rows, labels = correlated(6000, 5, 6, spread=30, apart=2)
    rows = np.column_stack([rows * np.logspace(-6, 6, 5) + 3e6, np.full(len(rows), 7.0)])
    rows = rows.astype(dtype)
    frame = reference.frame_of(rows, kind, dtype)
    gamma = (labels == np.arange(6)[:, np.newaxis]).astype(float)
    under = moments_under(gamma, rows.T, frame, COVARIANCES[kind])
    mixture = under.maximise(COVARIANCES[kind], np.full(6, 1e-6), 0.0)
    made = {}
    for name, kernel in {"centred": CentredKernel, **STRATEGIES}.items():
        own = kernel([mixture], frame, DOUBLE)
        own.add(rows.T)
        (found,) = own.take()
        made[name] = found.maximise(mixture.covariance, np.full(6, 1e-6), 0.0), found
    expected, exact = made.pop("centred")
    for stepped, found in made.values():
        assert_allclose(found.log_likelihood, exact.log_likelihood, rtol=1e-9)
        assert_allclose(stepped.weights, expected.weights, rtol=1e-8)
        assert reference.relative_error(stepped.covariances, expected.covariances) < 1e-8


def test_about_given_origins_all_pairs_are_not_taken_for_as_cheap_as_features():
    rows, labels = correlated(2000, 7, 50, spread=3, apart=0)
    mixture = mixture_of(rows, labels, "full")
    free, held = (
        ScreenedKernel([mixture], Frame.identity(7), DOUBLE, origins).strategies[0]
        for origins in (None, [mixture.means])
    )
    assert free.by_features
    assert not held.by_features
    assert held.most > free.most


def test_rows_of_single_precision_in_double_need_no_loop_of_their_own():
    rows, labels = correlated(40_000, 6, 5, spread=100, apart=2)
    single = rows.astype(SINGLE)
    mixture = mixture_of(rows, labels, "full")
    found, expected = (ScreenedKernel([mixture], Frame.identity(6), DOUBLE) for _ in range(2))
    before = set(moments.loop._ready)
    expected.add(single.astype(DOUBLE).T)
    found.add(single.T)
    assert set(moments.loop._ready) == before | {(DOUBLE, DOUBLE)}
    assert_same_moments(found.take()[0], expected.take()[0], 1e-11)
