"""How many passes a fit still needs, from how it went so far."""

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

from daskgmm import GaussianMixture
from daskgmm.monitoring.forecast import Forecast, Remaining, passes_left, remaining_of
from daskgmm.monitoring.history import FitHistory
from tests.monitoring.test_history import made
from tests.support.warned import WITH_SMALL_COMPONENTS

pytestmark = pytest.mark.filterwarnings("ignore:Best performing initialization")

LOTS = 10_000


def linear(rate, count, first=1.0):
    return [first * rate**n for n in range(count)]


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("seen", [3, 5, 20])
def test_linear_convergence_is_foreseen_to_the_pass(rate, seen):
    tol = rate ** (seen + 29.5)
    changes = linear(rate, seen + 40)
    needed = next(n for n, change in enumerate(changes) if change < tol) + 1
    assert passes_left(changes[:seen], tol, LOTS) == needed - seen


@pytest.mark.parametrize("sign", [1, -1])
def test_noise_and_single_outliers_sway_it_little(sign):
    rng = np.random.default_rng(0)
    changes = np.array(linear(0.8, 12)) * np.exp(rng.normal(0, 0.05, 12)) * sign
    changes[8] *= 100
    exact = math.log(changes[-1] / (sign * 1e-6)) / -math.log(0.8)
    assert passes_left(changes.tolist(), 1e-6, LOTS) == pytest.approx(exact, rel=0.1)


def test_repeated_changes_of_refused_trials_count_as_passes():
    changes = [change for change in linear(0.5, 12) for _ in range(2)]
    alone = math.log(changes[-1] / 1e-9) / -math.log(0.5)
    assert passes_left(changes, 1e-9, LOTS) == pytest.approx(2 * alone, abs=3)


@pytest.mark.parametrize(
    "changes",
    [[], [math.inf], [math.inf, 1.0, 0.5], [0.1, 0.2, 0.4], [1.0, 1.0, 1.0], [0.0] * 5],
    ids=["none", "first", "few", "growing", "constant", "zero"],
)
def test_nobody_knows_before_changes_have_shrunk_a_few_times(changes):
    assert passes_left(changes, 1e-3, LOTS) is None


def test_never_more_than_may_be_made_nor_less_than_one():
    assert passes_left(linear(0.9, 5), 1e-9, 7) == 7
    assert passes_left(linear(0.9, 5), 0.0, 7) == 7
    assert passes_left(linear(0.1, 5), 1.0, 7) == 1


def states_of(rows, n_components, **options):
    states = []
    options |= {"refine": "none", "callbacks": (states.append,)}
    model = GaussianMixture(n_components, random_state=0, **options)
    model.fit(rows)
    return states


def forecast_after(states, tol, max_iter):
    forecast = Forecast(tol, max_iter)
    for state in states:
        forecast = forecast.after(state)
    return forecast


def standard(rows):
    return rows / rows.std(axis=0)


REAL = {
    "iris": (load_iris().data, 3),
    "wine": (standard(load_wine().data), 3),
    "cancer": (standard(load_breast_cancer().data[:, :6]), 4),
    "digits": (load_digits().data[:, [10, 20, 28, 36, 43]], 6),
    "iris-4": (load_iris().data, 4),
}


@pytest.mark.slow
@pytest.mark.parametrize("acceleration", [None, "squarem"])
@pytest.mark.parametrize("name", REAL)
@WITH_SMALL_COMPONENTS
def test_half_way_the_end_of_a_real_fit_is_foreseen_within_a_factor_of_five_or_not_at_all(
    name, acceleration
):
    rows, n_components = REAL[name]
    states = states_of(
        rows, n_components, tol=1e-4, max_iter=500, subsample=None, acceleration=acceleration
    )
    half = len(states) // 2
    actual, left = len(states) - half, forecast_after(states[:half], 1e-4, 500).remaining
    print(f"{name} {acceleration}: {left} foreseen, {actual} made")
    assert left is None or actual / 5 <= left.passes <= 5 * actual


def test_the_end_of_a_fit_in_its_tail_is_foreseen():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20_000, 2)) + 3 * rng.integers(0, 2, 20_000)[:, np.newaxis]
    states = states_of(rows, 2, tol=1e-9, max_iter=500, subsample=5000)
    for passes in range(len(states) // 2, len(states)):
        left = forecast_after(states[:passes], 1e-9, 500).remaining.passes
        assert left == pytest.approx(len(states) - passes, rel=0.2, abs=1)


def test_a_forecast_follows_a_fit_to_its_end():
    states = states_of(load_iris().data, 3, tol=1e-4, max_iter=200, subsample=None)
    forecast, shares = Forecast(1e-4, 200), []
    assert (forecast.remaining, forecast.share) == (None, None)
    for state in states:
        forecast = forecast.after(state)
        shares.append(forecast.share)
    assert forecast.remaining == Remaining(0, 0)
    assert shares[0] is None
    assert shares[1] == 0
    assert shares[-1] == 1
    assert all(0 <= share <= 1 for share in shares[1:])


def test_the_start_that_needs_most_decides_and_the_bound_is_what_is_left():
    rows = np.random.default_rng(0).normal(size=(300, 2))
    states = states_of(rows, 3, tol=1e-9, max_iter=20, n_init=3, subsample=None)
    forecast = forecast_after(states[:10], 1e-9, 20)
    assert len(forecast.changes) == 3
    each = [passes_left(changes, 1e-9, 10) for changes in forecast.changes]
    left = forecast.remaining and forecast.remaining.passes
    assert left == (None if None in each else max(each))
    assert left in (None, *range(1, 11))


@WITH_SMALL_COMPONENTS
def test_time_left_is_passes_times_what_a_pass_takes():
    rows, n_components = REAL["digits"]
    states = states_of(rows, n_components, tol=1e-4, max_iter=500, subsample=None)
    forecast = forecast_after(states[:27], 1e-4, 500)
    left = forecast.remaining
    assert left.seconds == left.passes * sorted(forecast.seconds)[2]


def test_a_fit_elsewhere_is_foreseen_from_its_changes_and_the_time_between_its_passes():
    run = FitHistory("a" * 32, heard=0.0)
    for iteration in range(1, 6):  # halved each, a second apart
        run = run.after(made(iteration), 0.0)
    assert remaining_of(run) is None  # max_iter is not known
    run = replace(run, latest={**run.latest, "max_iter": 100})
    assert remaining_of(run) == Remaining(5, 5.0)
    assert remaining_of(replace(run, latest={**run.latest, "max_iter": 7})).passes == 2
    first = FitHistory("a" * 32, heard=0.0).after({**made(1), "max_iter": 100}, 0.0)
    assert remaining_of(first) is None
