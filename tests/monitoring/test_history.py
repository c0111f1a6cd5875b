from itertools import pairwise

import pytest

from daskgmm.monitoring.history import MOST_POINTS, MOST_RUNS, FitHistories
from tests.support.fit_events import end, made, start


def history_of(*events, **options):
    history = FitHistories(**options)
    for at, event in enumerate(events):
        history.add(event, float(at))
    return history


def test_a_fit_is_followed_from_its_start_to_its_end():
    history = history_of(start(), made(1), made(2))
    (run,) = history.runs
    assert (run.state, run.running, run.iteration, run.heard) == ("running", True, 2, 2.0)
    history.add(end(), 3.0)
    (run,) = history.runs
    assert (run.state, run.running, run.heard) == ("converged", False, 3.0)
    assert run.about == start()
    assert run.latest == made(2)
    assert [point.iteration for point in run.points] == [1, 2]
    assert run.points[0].weights == (0.25, 0.75)
    assert run.points[0].rows_per_second == 20
    assert (run.passes, run.rows, run.seconds) == (2, 20, 1.0)


def test_a_fit_whose_start_was_missed_is_followed_all_the_same():
    (run,) = history_of(made(41), made(42)).runs
    assert (run.state, run.iteration, run.started) == ("running", 42, 41.0)
    assert run.about == {}


def test_a_fit_that_resumes_goes_on_and_makes_passes_again():
    events = start(), made(1), made(2), made(3), end(stopped="interrupted"), start(), made(3)
    (run,) = history_of(*events).runs
    assert run.running
    assert [point.iteration for point in run.points] == [1, 2, 3]
    assert run.passes == 4


def test_a_fit_whose_process_left_is_lost_until_it_is_heard_of_again():
    history = history_of(start(), made(1), start("b"), end("b"))
    history.mark_lost(["a" * 32, "b", "unknown"], 7.0)
    states = {run.run_id: run.state for run in history.runs}
    assert states == {"a" * 32: "lost", "b": "converged"}
    history.add(made(2), 8.0)
    assert history.runs[0].state == "running"


@pytest.mark.slow
@pytest.mark.parametrize("passes", [MOST_POINTS, MOST_POINTS + 1, 5_000, 20_000])
def test_points_of_a_long_fit_are_thinned_evenly_and_the_first_and_latest_stay(passes):
    history = history_of(start(), *(made(iteration) for iteration in range(1, passes + 1)))
    (run,) = history.runs
    iterations = [point.iteration for point in run.points]
    assert MOST_POINTS / 2 <= len(iterations) <= MOST_POINTS
    assert (iterations[0], iterations[-1]) == (1, passes)
    steps = {after - before for before, after in pairwise(iterations[:-1])}
    assert steps == {run.every}
    assert 0 < iterations[-1] - iterations[-2] <= run.every
    assert (run.passes, run.rows) == (passes, 10 * passes)


def test_runs_that_ended_are_forgotten_first_the_oldest_first():
    history = history_of(start("old", 0.0))
    for number in range(3 * MOST_RUNS):
        history.add(start(f"{number}", float(number)), float(number))
        history.add(end(f"{number}"), float(number))
    runs = [run.run_id for run in history.runs]
    newest = range(3 * MOST_RUNS - 1, 2 * MOST_RUNS, -1)
    assert runs == ["old", *(f"{number}" for number in newest)]


def test_of_runs_that_all_go_on_the_one_silent_longest_is_forgotten():
    history = history_of(start("a"), start("b"), made(1, "a"), start("c"), most=2)
    assert {run.run_id for run in history.runs} == {"a", "c"}


def test_those_that_run_come_first_and_of_these_the_newest():
    history = history_of(start("a", 1.0), start("b", 2.0), start("c", 3.0), end("c"))
    assert [run.run_id for run in history.runs] == ["b", "a", "c"]


def test_what_is_no_event_of_a_fit_is_let_pass():
    history = history_of("text", None, {"event": "pass"}, {"event": "other", "run_id": "a"}, [])
    assert (history.runs, history.version) == ((), 0)


def test_the_version_grows_with_what_is_told():
    history = history_of(start())
    before = history.version
    history.add(made(1), 1.0)
    assert history.version > before
