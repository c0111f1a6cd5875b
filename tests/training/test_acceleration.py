"""SQUAREM: longer steps to the same end in fewer passes, and never to a lower likelihood."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.errors import CollapsedComponentError, ConfigurationError
from daskgmm.model.covariance import COVARIANCES
from daskgmm.model.expectation import Accumulator, Expectation, add_moments
from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.unconstrained import Coordinates
from daskgmm.training.acceleration import (
    TAIL,
    AccelerationState,
    acceleration_named,
    plain,
    squarem,
)
from daskgmm.training.em import EMSettings, em
from daskgmm.training.starts import InMemory
from daskgmm.training.states import StopReason, Trace
from daskgmm.training.stopping import stopping_named
from tests.support import reference

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)


def overlapping(n=3000, n_features=3, seed=0, spread=0.8):
    random = np.random.default_rng(seed)
    centres = random.normal(0, spread, (4, n_features))
    shapes = random.normal(size=(4, n_features, n_features)) / 2 + np.eye(n_features)
    labels = random.integers(0, 4, n)
    noise = random.normal(size=(n, n_features))
    return centres[labels] + np.einsum("nd,nde->ne", noise, shapes[labels])


def start_for(rows, kind, seed=0, n_components=4):
    """Random responsibilities: a start of which EM is slow to leave the neighbourhood."""
    random = np.random.default_rng(seed)
    covariances = reference.random_mixture(kind, n_components, rows.shape[1], seed).covariances
    means = rows[random.choice(len(rows), n_components, replace=False)]
    weights = random.dirichlet(np.full(n_components, 3.0))
    return Mixture.from_covariances(COVARIANCES[kind], weights, means, covariances)


def passes_over(rows, weights=None, dtype=DOUBLE):
    frame = Frame.identity(rows.shape[1])
    z = rows if weights is None else rows * np.sqrt(weights)[:, np.newaxis]
    return InMemory(rows.T.astype(dtype), weights, frame, dtype, z.T @ z)


def recipe_for(
    rows, *, accelerate=squarem, tol=1e-6, max_iter=3000, stopping="lower_bound", ridge=1e-6,
    dtype=DOUBLE,
):  # fmt: skip
    return EMSettings(
        tol, max_iter, stopping_named(stopping), np.full(rows.shape[1], ridge), rows.std(axis=0),
        dtype, accelerate,
    )  # fmt: skip


def run(rows, starts, expect=None, **options):
    traces = [one if isinstance(one, Trace) else Trace(one) for one in starts]
    expect = expect or passes_over(rows, dtype=options.get("dtype", DOUBLE))
    return list(em(traces, expect, recipe_for(rows, **options)))


def distance(one: Mixture, other: Mixture) -> float:
    step = Coordinates.combine((-1, Coordinates.of(one)), (1, Coordinates.of(other)))
    return step.length(one)


def same_bits(one: Trace, other: Trace):
    assert one.lower_bounds == other.lower_bounds
    assert (one.change, one.stopped) == (other.change, other.stopped)
    for name in ("weights", "means", "covariances", "factors"):
        assert_array_equal(getattr(one.mixture, name), getattr(other.mixture, name))
    assert_array_equal(one.moments.sums, other.moments.sums)


class Counting:
    """A pass that keeps what it was asked and what it answered."""

    def __init__(self, expect):
        self.expect, self.asked, self.answers = expect, [], []

    def __call__(self, mixtures, origins=None):
        found = self.expect(mixtures, origins)
        if origins is None:
            self.asked.append(list(mixtures))
            self.answers.append(found)
        return found


# --- coordinates


def test_a_mixture_comes_back_from_its_coordinates(covariance_type):
    mixture = reference.random_mixture(covariance_type, 4, 3)
    back = Coordinates.of(mixture).mixture(mixture)
    for name in ("weights", "means", "covariances", "factors"):
        assert_allclose(getattr(back, name), getattr(mixture, name), rtol=1e-12, atol=1e-14)


@settings(max_examples=60)
@given(data=st.data())
def test_any_numbers_are_a_proper_mixture(data):
    kind = data.draw(st.sampled_from(list(COVARIANCES)))
    like = reference.random_mixture(kind, 3, 2, data.draw(st.integers(0, 99)))
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    size = data.draw(st.sampled_from([0.1, 1.0, 5.0]))
    here = Coordinates.of(like)
    there = Coordinates(
        here.log_weights + size * random.normal(size=3),
        here.means + size * random.normal(size=here.means.shape),
        here.factors + size * np.triu(random.normal(size=here.factors.shape))
        if like.covariance.has_matrices
        else here.factors + size * random.normal(size=here.factors.shape),
    )
    found = there.mixture(like)
    assert_allclose(found.weights.sum(), 1, rtol=1e-12)
    assert found.weights.min() > 0
    assert found.deviations.min() > 0
    again = found.covariance.covariances(found.factors)
    assert_array_equal(again, found.covariances)
    if size < 5:  # beyond that matrices are too badly conditioned to be factorised again
        assert_allclose(found.covariance.factorise(again), found.factors, rtol=1e-4, atol=1e-6)


def test_coordinates_that_overflow_are_no_mixture(covariance_type):
    like = reference.random_mixture(covariance_type, 3, 2)
    here = Coordinates.of(like)
    for size in (1e5, -1e5, np.nan):
        assert replace(here, factors=here.factors + size).mixture(like) is None
    assert replace(here, means=here.means * np.inf).mixture(like) is None


@pytest.mark.slow
def test_the_length_of_a_small_change_is_felt_by_the_rows_and_has_no_units(covariance_type):
    """Twice the divergence, where components lie apart; for matrices but for the shear's share."""
    apart = reference.random_mixture(covariance_type, 3, 2, spread=200.0)
    rows = np.concatenate(
        [
            apart.means[k] + apart.covariance.colour(noise, apart.factors, k)
            for k, noise in enumerate(np.random.default_rng(0).normal(size=(3, 200_000, 2)))
        ]
    )
    sample_weights = np.repeat(apart.weights, 200_000)
    expect = passes_over(rows, sample_weights)
    here = Coordinates.of(apart)
    for changed in (
        replace(here, log_weights=here.log_weights + np.array([0.02, -0.01, 0.0])),
        replace(here, means=here.means + np.array([0.02, -0.01])),
        replace(here, factors=here.factors + 0.02 * _diagonal(here.factors, covariance_type)),
    ):
        other = changed.mixture(apart)
        lost = expect([apart])[0].lower_bound - expect([other])[0].lower_bound
        step = Coordinates.combine((1, Coordinates.of(other)), (-1, here))
        assert_allclose(step.length(apart) ** 2, 2 * lost, rtol=0.25)


def _diagonal(factors, kind):
    return np.broadcast_to(np.eye(2), factors.shape) if COVARIANCES[kind].has_matrices else 1.0


# --- laws


@pytest.mark.slow
@settings(max_examples=40)
@given(data=st.data())
def test_the_bound_never_falls_from_any_start_over_any_chunks_and_weights(data):
    kind = data.draw(st.sampled_from(list(COVARIANCES)))
    n_features = data.draw(st.integers(1, 3))
    rows = overlapping(data.draw(st.integers(60, 400)), n_features, data.draw(st.integers(0, 99)))
    n_components = data.draw(st.integers(1, 4))
    start = start_for(rows, kind, data.draw(st.integers(0, 99)), n_components)
    weights = None
    if data.draw(st.booleans()):
        weights = np.random.default_rng(1).uniform(0.1, 3, len(rows))
    edges = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    expect = in_chunks(rows, weights, [0, *edges, len(rows)])
    expect = Counting(expect)
    (*_, last) = run(rows, [start], expect, tol=0, max_iter=40, ridge=0.0)
    bounds = np.array(last.best.lower_bounds)
    assert len(bounds) == len(expect.asked) == 40
    assert np.diff(bounds).min() > -1e-12
    # What is returned is the M-step of the mixture that has the bound that is reported.
    found = [answer[0].lower_bound for answer in expect.answers]
    latest = max(i for i, bound in enumerate(found) if bound == last.best.lower_bound)
    assert expect.answers[latest][0] is last.best.moments


def in_chunks(rows, weights, edges):
    """A pass over rows (n, D) in blocks, added as the real one adds them."""
    frame = Frame.identity(rows.shape[1])
    z = rows if weights is None else rows * np.sqrt(weights)[:, np.newaxis]

    def expect(mixtures, origins=None):
        expectation = Expectation(tuple(mixtures), frame, DOUBLE, z.T @ z, origins)
        total = None
        for first, last in pairwise(edges):
            own = None if weights is None else weights[first:last]
            found = Accumulator(expectation)([(rows[first:last].T, own)])
            total = found if total is None else add_moments(total, found)
        return expectation.complete(total)

    return expect


@pytest.mark.parametrize("dtype", [DOUBLE, SINGLE])
@pytest.mark.parametrize("stopping", ["lower_bound", "parameters"])
@pytest.mark.slow
def test_no_more_passes_to_a_bound_that_is_no_lower(covariance_type, dtype, stopping):
    """How many fewer hangs on the processor's rounding: the benchmark `passes` tells that."""
    tol = {"lower_bound": 1e-6, "parameters": 1e-3}[stopping]
    made = {plain: 0, squarem: 0}
    for seed in range(2):
        rows = overlapping(seed=seed)
        start = start_for(rows, covariance_type, seed)
        ends = {}
        for way in made:
            states = run(
                rows,
                [start],
                accelerate=way,
                tol=tol,
                stopping=stopping,
                dtype=dtype,
                max_iter=9000,
            )
            ends[way] = states[-1].best
            assert ends[way].stopped is StopReason.CONVERGED
            made[way] += len(states)
        gain = ends[squarem].lower_bound - ends[plain].lower_bound
        assert gain > -5e-6
    assert made[squarem] <= made[plain]


@pytest.mark.slow
@pytest.mark.parametrize("stopping", ["lower_bound", "parameters"])
def test_where_it_stops_em_stands_still(covariance_type, stopping):
    """Convergence is EM's: plain steps from the result change no more."""
    rows = overlapping()
    for tol in (1e-4, 1e-6):
        last = run(rows, [start_for(rows, covariance_type)], tol=tol, stopping=stopping)[-1].best
        assert last.stopped is StopReason.CONVERGED
        again = run(rows, [last.mixture], accelerate=plain, tol=0, max_iter=2, stopping=stopping)
        assert abs(again[-1].best.change) < 1.5 * tol  # single parameters may speed up


@pytest.mark.parametrize(("name", "stricter"), [("lower_bound", 2.0), ("parameters", 1.3)])
def test_after_trials_as_much_less_is_asked_as_the_rule_says(name, stricter):
    rule = stopping_named(name)
    for change in (0.99, -0.99):
        assert rule.is_met(change, 1.0, tried=False)
        assert not rule.is_met(change, 1.0, tried=True)
        assert rule.is_met(change / stricter, 1.0, tried=True)
    assert not rule.is_met(1.01, 1.0, tried=False)


def test_a_mixture_of_one_is_found_as_soon_as_without():
    rows = overlapping()
    start = start_for(rows, "full", n_components=1)
    assert len(run(rows, [start])) == len(run(rows, [start], accelerate=plain)) == 3


# --- trials that are refused


def refused_in(states):
    """Passes (from 1) whose trial was refused: their bound is the one before."""
    bounds = states[-1].best.lower_bounds
    trials = [None, *(state.best.acceleration.trial for state in states)]
    return [
        number
        for number in range(2, len(bounds) + 1)
        if trials[number - 1] is not None and bounds[number - 1] == bounds[number - 2]
    ]


def test_a_trial_that_would_lower_the_likelihood_is_refused_and_em_goes_on_from_where_it_stood():
    rows = overlapping(spread=0.5)
    expect = Counting(passes_over(rows))
    states = run(rows, [start_for(rows, "full")], expect)
    refused = refused_in(states)
    assert refused  # on these rows extrapolation does fail
    for number in refused:
        before, at, after = (states[number + shift - 1].best for shift in (-1, 0, 1))
        assert expect.asked[number - 1][0] is before.acceleration.trial
        answer = expect.answers[number - 1][0]
        outcome = recipe_for(rows).maximise(before.acceleration.trial, answer)
        assert answer.lower_bound < before.lower_bound or not before.acceleration.leads_on(
            before.mixture, outcome
        )
        assert at.mixture is before.mixture
        assert at.moments is before.moments
        assert at.acceleration.trial is None
        assert at.acceleration.origin is before.acceleration.origin
        assert at.acceleration.radius == before.acceleration.length / 2
        assert expect.asked[number][0] is before.mixture
        assert after.lower_bound >= before.lower_bound


def beyond_all_reason(acceleration, before, after, gain):
    """Trials so far off that each is refused."""
    if acceleration.trial is None:
        return AccelerationState(replace(after, means=after.means + 50.0), length=8.0)
    return acceleration


def without_numbers(acceleration, before, after, gain):
    """Trials whose likelihood is NaN."""
    return (
        AccelerationState(replace(after, means=after.means * np.nan))
        if acceleration.trial is None
        else acceleration
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "stopping"), [(beyond_all_reason, "lower_bound"), (without_numbers, "parameters")]
)
def test_where_every_trial_fails_the_steps_are_those_of_em(covariance_type, way, stopping):
    rows = overlapping(600)
    starts = [start_for(rows, covariance_type)]
    options = {"tol": 1e-4, "stopping": stopping}
    tried = run(rows, starts, accelerate=way, **options)[-1].best
    alone = run(rows, starts, accelerate=plain, **options)[-1].best
    steps = tried.lower_bounds[::2]
    assert tried.lower_bounds[1::2] == steps[: len(steps) - len(tried.lower_bounds) % 2]
    common = min(len(steps), len(alone.lower_bounds))
    assert steps[:common] == alone.lower_bounds[:common]
    assert tried.stopped is StopReason.CONVERGED
    assert len(steps) >= len(alone.lower_bounds)


def test_a_trial_that_collapses_is_refused_and_the_start_lives_on():
    rows = overlapping(600)
    plain_pass = passes_over(rows)

    def expect(mixtures, origins=None):
        """Moments of a trial are such that its first component holds a single row."""
        return [
            replace(found, log_likelihood=0.0, sums=alone(found.sums))
            if mixture.means[0, 0] > 40
            else found
            for mixture, found in zip(mixtures, plain_pass(mixtures, origins), strict=True)
        ]

    def alone(sums):
        return np.column_stack([np.r_[np.zeros(len(sums) - 1), 1.0], sums[:, 1:]])

    start = start_for(rows, "full")
    far = replace(start, means=start.means + 50.0)
    with pytest.raises(CollapsedComponentError):  # what such a trial would do to a start
        run(rows, [far], expect, accelerate=plain, ridge=0.0)
    last = run(rows, [start], expect, accelerate=beyond_all_reason, tol=1e-3, ridge=0.0)[-1].best
    assert last.stopped is StopReason.CONVERGED
    assert last.lower_bound < 0


def test_passes_of_refused_trials_count_in_max_iter():
    rows = overlapping(600)
    starts = [start_for(rows, "full")]
    expect = Counting(passes_over(rows))
    states = run(rows, starts, expect, accelerate=beyond_all_reason, tol=0, max_iter=8)
    assert [state.iteration for state in states] == list(range(1, 9))
    assert len(expect.asked) == len(states[-1].best.lower_bounds) == 8
    assert states[-1].best.stopped is StopReason.MAX_ITER
    # The pass before the last was EM's; the last was refused and changes nothing.
    four = run(rows, starts, accelerate=plain, tol=0, max_iter=4)[-1].best
    assert_array_equal(states[-1].best.mixture.means, four.mixture.means)
    assert states[-1].best.lower_bound == four.lower_bound


def test_a_component_is_not_emptied_by_a_trial():
    before = reference.random_mixture("full", 3, 2)

    def with_weights(*weights):
        return replace(before, weights=np.array(weights))

    points = (
        with_weights(0.3, 0.3, 0.4), with_weights(0.2, 0.35, 0.45), with_weights(0.13, 0.4, 0.47)
    )  # fmt: skip
    acceleration = squarem(
        AccelerationState(origin=points[0], radius=64.0), points[1], points[2], 1e-4
    )
    assert acceleration.length > 4 * distance(points[0], points[1])
    assert 0.1 * 0.13 * 0.9 < acceleration.trial.weights[0] < 0.13


# --- the tail


@pytest.mark.slow
def test_until_its_steps_gain_little_em_goes_its_own_way(covariance_type):
    """There it chooses the optimum; and a fit that ends there is EM's to the bit."""
    rows = overlapping()
    start = start_for(rows, covariance_type)
    same_bits(
        run(rows, [start], tol=TAIL)[-1].best,
        run(rows, [start], accelerate=plain, tol=TAIL)[-1].best,
    )
    alone, helped = run(rows, [start], accelerate=plain), run(rows, [start])
    tried = next(at for at, state in enumerate(helped) if state.best.acceleration.trial)
    bounds = helped[tried].best.lower_bounds
    assert bounds == alone[tried].best.lower_bounds
    assert bounds[-1] - bounds[-2] < TAIL
    assert np.diff(bounds[:-1]).min() >= TAIL or len(bounds) < 4


@pytest.mark.slow
def test_a_trial_from_which_em_turns_back_is_refused_though_the_likelihood_rose():
    rows = overlapping(600)
    start = run(rows, [start_for(rows, "full")], tol=1e-5)[-1].best.mixture
    optimum = run(rows, [start], tol=1e-11)[-1].best.mixture

    def past_it(acceleration, before, after, gain):
        """The far side of the optimum: half as far as EM is on this side."""
        if acceleration.trial is not None or acceleration.origin is None:
            return AccelerationState(origin=before)
        beyond = Coordinates.combine((1.5, Coordinates.of(optimum)), (-0.5, Coordinates.of(after)))
        return AccelerationState(beyond.mixture(after), before, distance(after, optimum))

    states = run(rows, [start], accelerate=past_it, tol=0, max_iter=40)
    expect = passes_over(rows)
    turned = 0
    for number in refused_in(states):
        stood = states[number - 2].best
        (answer,) = expect([stood.acceleration.trial])
        turned += answer.lower_bound >= stood.lower_bound
    assert turned


# --- states


@cache
def of_three_starts(covariance_type):
    """Rows, and the states of a whole run on them."""
    rows = overlapping(800)
    return rows, run(rows, [start_for(rows, covariance_type, seed) for seed in range(3)])


@pytest.mark.slow
@pytest.mark.parametrize("after", range(1, 7))  # two rounds of three passes
def test_a_state_is_enough_to_go_on_from_with_the_same_bits(covariance_type, after):
    rows, whole = of_three_starts(covariance_type)
    assert len(whole) > after + 2
    resumed = run(rows, whole[after - 1].traces)
    assert len(resumed) == len(whole) - after
    for one, other in zip(whole[-1].traces, resumed[-1].traces, strict=True):
        same_bits(one, other)


@pytest.mark.slow
def test_each_of_several_starts_takes_the_steps_that_it_takes_alone(covariance_type):
    rows = overlapping(800)
    starts = [start_for(rows, covariance_type, seed) for seed in range(3)]
    expect = Counting(passes_over(rows))
    together = run(rows, starts, expect)
    assert len(expect.asked) == max(len(trace.lower_bounds) for trace in together[-1].traces)
    for start, trace in zip(starts, together[-1].traces, strict=True):
        same_bits(trace, run(rows, [start])[-1].best)


@pytest.mark.parametrize("name", ["aitken", "", 3, True, ["squarem"]])
def test_an_unknown_way_is_named_with_the_known_ones(name):
    with pytest.raises(ConfigurationError, match=r"acceleration=.*None, 'squarem'"):
        acceleration_named(name)
