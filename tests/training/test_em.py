"""The EM loop, fed by a plain function on one array: no Dask anywhere."""

import math
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Theirs

from daskgmm.errors import CollapsedComponentError, ConfigurationError, DataError
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.training.em import EMSettings, em
from daskgmm.training.starts import InMemory
from daskgmm.training.states import FitState, StopReason, Trace
from daskgmm.training.stopping import PREDICTED, EMStep, lower_bound_left, stopping_named
from tests.support import reference
from tests.support.rows import overlapping

DOUBLE = np.dtype(np.float64)


def some_rows(n=400, n_features=2, seed=0):
    return overlapping(n, n_features, seed)


def passes_over(rows, weights=None):
    frame = Frame.identity(rows.shape[1])
    return InMemory(rows.T, weights, frame, DOUBLE, reference.total_scatter(rows, frame))


def recipe(rows, *, tol=1e-3, max_iter=100, stopping="lower_bound", ridge=1e-6):
    n_features = rows.shape[1]
    return EMSettings(
        tol,
        max_iter,
        stopping_named(stopping),
        np.full(n_features, ridge),
        rows.std(axis=0),
        DOUBLE,
    )


def from_rows(rows, kind, n_components=3, seed=0):
    """A start with the rows' covariance and some rows as means."""
    random = np.random.default_rng(seed)
    n_features = rows.shape[1]
    matrix = np.atleast_2d(np.cov(rows.T))
    covariances = reference.in_shape(COVARIANCES[kind], np.stack([matrix] * n_components))
    means = rows[random.choice(len(rows), n_components, replace=False)]
    weights = np.full(n_components, 1 / n_components)
    assert means.shape == (n_components, n_features)
    return Mixture.from_covariances(COVARIANCES[kind], weights, means, covariances)


def run(rows, mixtures, expect=None, **options):
    traces = [Trace(mixture) for mixture in mixtures]
    return list(em(traces, expect or passes_over(rows), recipe(rows, **options)))


def theirs_from(mixture, **options):
    return Theirs(
        mixture.n_components,
        covariance_type=mixture.covariance.name,
        weights_init=mixture.weights,
        means_init=mixture.means,
        precisions_init=mixture.covariance.precisions(mixture.factors),
        **options,
    )


def same_bits(one: Trace, other: Trace):
    assert one.lower_bounds == other.lower_bounds
    for name in ("weights", "means", "covariances", "factors"):
        assert_array_equal(getattr(one.mixture, name), getattr(other.mixture, name))
    assert_array_equal(one.moments.sums, other.moments.sums)
    assert (one.change, one.stopped) == (other.change, other.stopped)


# --- what EM is


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data())
def test_the_likelihood_never_falls(data):
    kind = data.draw(st.sampled_from(list(COVARIANCES)))
    n_features = data.draw(st.integers(1, 3))
    n_components = data.draw(st.integers(1, 4))
    rows = some_rows(data.draw(st.integers(40, 300)), n_features, data.draw(st.integers(0, 99)))
    start = from_rows(rows, kind, n_components, seed=data.draw(st.integers(0, 99)))
    weights = None
    if data.draw(st.booleans()):
        weights = np.random.default_rng(1).uniform(0.1, 3, len(rows))
    frame = Frame.identity(n_features)
    z = rows if weights is None else rows * np.sqrt(weights)[:, np.newaxis]
    expect = InMemory(rows.T, weights, frame, DOUBLE, z.T @ z)
    (*_, last) = run(rows, [start], expect, tol=0, max_iter=25, ridge=0.0)
    bounds = np.array(last.best.lower_bounds)
    # Rounding: a bound is a mean of terms of order 10, summed in the same order each time.
    assert np.diff(bounds).min(initial=0) > -1e-12


@pytest.mark.parametrize("covariance_type", reference.THEIRS)
def test_one_component_is_the_rows_mean_and_covariance_after_one_step(covariance_type):
    rows = some_rows()
    (state,) = run(rows, [from_rows(rows, covariance_type, 1)], max_iter=1, ridge=0.0)
    found = state.best.mixture
    np.testing.assert_allclose(found.means[0], rows.mean(axis=0), rtol=1e-12)
    variances = found.deviations[0] ** 2
    expected = rows.var(axis=0)
    if covariance_type == "spherical":
        expected = np.full(2, expected.mean())
    np.testing.assert_allclose(variances, expected, rtol=1e-12)


# --- stopping


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", reference.THEIRS)
@pytest.mark.parametrize("tol", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("seed", range(3))
def test_it_stops_at_scikit_learns_iteration(covariance_type, tol, seed):
    rows = some_rows(seed=seed)
    start = from_rows(rows, covariance_type, seed=seed)
    states = run(rows, [start], tol=tol, max_iter=3000)
    theirs = theirs_from(start, tol=tol, max_iter=3000).fit(rows)
    assert len(states) == theirs.n_iter_
    assert states[-1].best.stopped is StopReason.CONVERGED
    assert states[-1].finished
    np.testing.assert_allclose(states[-1].best.lower_bounds, theirs.lower_bounds_, rtol=1e-11)


def test_it_stops_after_max_iter_and_says_so(covariance_type):
    rows = some_rows()
    states = run(rows, [from_rows(rows, covariance_type)], tol=0, max_iter=7)
    assert [state.iteration for state in states] == [1, 2, 3, 4, 5, 6, 7]
    assert [state.best.stopped for state in states] == [None] * 6 + [StopReason.MAX_ITER]
    assert all(state.rows == len(rows) for state in states)
    assert "raise max_iter" in StopReason.MAX_ITER.value


def test_convergence_in_the_last_permitted_pass_counts_as_convergence():
    rows = some_rows()
    start = from_rows(rows, "full")
    needed = len(run(rows, [start]))
    assert run(rows, [start], max_iter=needed)[-1].best.stopped is StopReason.CONVERGED
    assert run(rows, [start], max_iter=needed - 1)[-1].best.stopped is StopReason.MAX_ITER


def test_no_pass_is_made_where_none_is_allowed():
    def never(mixtures, origins=None):
        raise AssertionError

    rows = some_rows()
    assert run(rows, [from_rows(rows, "full")], never, max_iter=0) == []


@pytest.mark.slow
@pytest.mark.parametrize("covariance_type", reference.THEIRS)
@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_stopping_on_parameters_is_the_hand_written_loop(covariance_type, tol):
    rows = some_rows()
    start = from_rows(rows, covariance_type)
    states = run(rows, [start], tol=tol, max_iter=9000, stopping="parameters")
    units = rows.std(axis=0)
    per_entry = {
        "full": np.outer(units, units),
        "tied": np.outer(units, units),
        "diag": units**2,
        "spherical": units.min() ** 2,  # the strictest of the features
    }[covariance_type]
    before = start
    for number, state in enumerate(states, start=1):
        after = state.traces[0].mixture
        change = max(
            np.abs(after.weights - before.weights).max(),
            (np.abs(after.means - before.means) / units).max(),
            (np.abs(after.covariances - before.covariances) / per_entry).max(),
        )
        np.testing.assert_allclose(state.best.change, change, rtol=1e-9)
        assert (change < tol) == (number == len(states))
        before = after


@pytest.mark.slow
def test_units_do_not_move_the_stop_on_parameters(covariance_type):
    rows = some_rows()
    start = from_rows(rows, covariance_type)
    factor = 2.0**20
    larger = Mixture.from_covariances(
        start.covariance, start.weights, factor * start.means, factor**2 * start.covariances
    )
    options = {"tol": 1e-3, "stopping": "parameters", "max_iter": 200}
    small = run(rows, [start], ridge=0.0, **options)
    large = run(factor * rows, [larger], ridge=0.0, **options)
    assert len(small) == len(large)


def bounds_of(*values):
    return EMStep(None, None, values[-2], values[-1], None, *values[:-2])


def test_what_is_left_is_the_sum_of_gains_that_shrink_evenly():
    gains = 0.1 * 0.9 ** np.arange(200)
    bounds = -3 + np.cumsum([0, *gains])
    assert_allclose(lower_bound_left(bounds_of(*bounds[3:6])), bounds[-1] - bounds[5], rtol=1e-6)
    # Where they shrink fast, the last gain counts; where they grow, there is no end in sight.
    assert lower_bound_left(bounds_of(-3.0, -2.0, -1.9)) == pytest.approx(0.1)
    assert lower_bound_left(bounds_of(-3.0, -2.9, -2.7)) == np.inf
    # Neither rounding nor a ridge keeps EM going.
    assert lower_bound_left(bounds_of(-3.0, -3.0 + 1e-12, -3.0 + 3e-12)) < 1e-11
    assert lower_bound_left(bounds_of(-3.0, -2.9, -2.95)) == pytest.approx(-0.05)
    assert lower_bound_left(bounds_of(-3.0, -2.9)) == pytest.approx(0.1)
    assert lower_bound_left(bounds_of(-np.inf, -3.0)) == np.inf


def test_by_what_is_left_em_stops_no_farther_from_its_end_than_by_its_last_step(covariance_type):
    rows = some_rows()
    start = from_rows(rows, covariance_type)
    *_, short = em([Trace(start)], passes_over(rows), recipe(rows, tol=1e-4))
    predicted = replace(recipe(rows, tol=1e-4, max_iter=2000), stopping=PREDICTED)
    *_, near = em([Trace(start)], passes_over(rows), predicted)
    assert near.iteration > short.iteration
    assert near.best.stopped is StopReason.CONVERGED
    assert near.best.lower_bound > short.best.lower_bound
    assert lower_bound_left(bounds_of(*near.best.lower_bounds[-3:])) < 1e-4


def test_an_unknown_rule_is_named_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'aitken'.*lower_bound, parameters"):
        stopping_named("aitken")


# --- several starts


def collapsing(rows, n_components=3):
    """A start with a component that one far row has to itself."""
    rows[0] = 1e3
    start = from_rows(rows[1:], "full", n_components)
    means = start.means.copy()
    means[1] = rows[0]
    return Mixture.from_covariances(start.covariance, start.weights, means, start.covariances)


def test_a_collapsed_start_is_given_up_and_named_and_the_others_go_on(caplog):
    rows = some_rows()
    bad = collapsing(rows)
    good = from_rows(rows[1:], "full", 1)
    states = run(rows, [bad, good], ridge=0.0, max_iter=50)
    last = states[-1]
    assert last.traces[0].stopped is StopReason.COLLAPSED
    assert last.traces[1].stopped is StopReason.CONVERGED
    assert last.best is last.traces[1]
    assert last.alive == [last.traces[1]]
    assert "Component 1 of 3" in caplog.text


def test_if_every_start_collapses_the_error_names_the_component():
    rows = some_rows()
    with pytest.raises(CollapsedComponentError, match="Component 1 of 3") as caught:
        run(rows, [collapsing(rows), collapsing(rows)], ridge=0.0)
    assert "reg_covar" in caught.value.remedy


@pytest.mark.slow
def test_starts_share_their_passes_and_leave_them_as_they_stop():
    rows = some_rows()
    starts = [from_rows(rows, "full", seed=seed) for seed in range(4)]
    asked = []
    plain = passes_over(rows)

    def counting(mixtures, origins=None):
        asked.append(len(mixtures))
        return plain(mixtures, origins)

    states = run(rows, starts, counting, tol=1e-5, max_iter=300)
    lengths = [len(trace.lower_bounds) for trace in states[-1].traces]
    assert len(set(lengths)) > 1  # else this shows nothing
    assert len(asked) == len(states) == max(lengths)
    assert asked == [sum(length > i for length in lengths) for i in range(len(asked))]


def test_each_of_several_starts_takes_the_steps_that_it_takes_alone(covariance_type):
    rows = some_rows()
    starts = [from_rows(rows, covariance_type, seed=seed) for seed in range(3)]
    together = run(rows, starts, max_iter=300)[-1]
    for start, trace in zip(starts, together.traces, strict=True):
        same_bits(trace, run(rows, [start], max_iter=300)[-1].best)


def test_the_best_start_is_the_first_of_those_that_are_equal_but_for_rounding():
    mixture = reference.random_mixture("full", 1, 1)

    def ended(bound):
        return Trace(mixture, lower_bounds=(bound,), stopped=StopReason.CONVERGED)

    traces = (ended(-3.0), ended(-2.0), ended(-2.0 + 1e-12))
    assert FitState(1, traces, 1, 0.0).best is traces[1]
    traces = (ended(-3.0), ended(-2.0), ended(-2.0 + 1e-6))
    assert FitState(1, traces, 1, 0.0).best is traces[2]


# --- states


def test_states_cannot_be_changed():
    rows = some_rows()
    (state, *_) = run(rows, [from_rows(rows, "full")])
    for value, name in [
        (state, "traces"),
        (state.best, "mixture"),
        (state.best.mixture, "weights"),
        (state.best.moments, "sums"),
    ]:
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


def test_earlier_states_stay_as_they_were(covariance_type):
    rows = some_rows()
    kept = []
    start = from_rows(rows, covariance_type)
    for state in em([Trace(start)], passes_over(rows), recipe(rows, tol=0, max_iter=5)):
        trace = state.best
        kept.append((trace.mixture.means.copy(), trace.moments.sums.copy(), trace))
    for means, sums, trace in kept:
        assert_array_equal(trace.mixture.means, means)
        assert_array_equal(trace.moments.sums, sums)


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 3, 6])
def test_a_state_is_enough_to_go_on_from_with_the_same_bits(covariance_type, after):
    rows = some_rows()
    starts = [from_rows(rows, covariance_type, seed=seed) for seed in range(3)]
    whole = run(rows, starts, tol=1e-4, max_iter=2000)
    assert len(whole) > after + 2
    resumed = list(
        em(whole[after - 1].traces, passes_over(rows), recipe(rows, tol=1e-4, max_iter=2000))
    )
    for one, other in zip(whole[-1].traces, resumed[-1].traces, strict=True):
        same_bits(one, other)


def test_going_on_from_a_finished_state_makes_no_pass():
    rows = some_rows()
    last = run(rows, [from_rows(rows, "full")])[-1]
    assert list(em(last.traces, passes_over(rows), recipe(rows))) == []


def test_max_iter_counts_the_passes_before_a_resume():
    rows = some_rows()
    whole = run(rows, [from_rows(rows, "full")], tol=0, max_iter=10)
    resumed = list(em(whole[5].traces, passes_over(rows), recipe(rows, tol=0, max_iter=10)))
    assert [state.iteration for state in resumed] == [7, 8, 9, 10]


def test_a_likelihood_that_is_no_number_is_an_error_not_a_result():
    rows = some_rows()
    plain = passes_over(rows)

    def broken(mixtures, origins=None):
        from dataclasses import replace

        return [replace(one, log_likelihood=math.nan) for one in plain(mixtures, origins)]

    with pytest.raises(DataError, match="nan in pass 1"):
        run(rows, [from_rows(rows, "full")], broken)


def test_max_iter_reached_here_is_max_iter_reached_there():
    rows = some_rows()
    start = from_rows(rows, "full")
    with pytest.warns(ConvergenceWarning):
        theirs = theirs_from(start, tol=1e-9, max_iter=5).fit(rows)
    state = run(rows, [start], tol=1e-9, max_iter=5)[-1]
    np.testing.assert_allclose(state.best.mixture.means, theirs.means_, rtol=1e-10)
