"""A search that is cut off after any of its steps, and goes on, ends in the same bits."""

from dataclasses import replace

import numpy as np
import pytest

from daskgmm.errors import CollapsedComponentError
from daskgmm.fitting.stored.tensors import from_plain, to_plain
from daskgmm.model.covariance import COVARIANCES
from daskgmm.training.initialisation import initialiser_named
from daskgmm.training.refinement.halving import FIRST_STEPS
from daskgmm.training.refinement.sampled import SampledRows
from daskgmm.training.refinement.search import LEAST_BUDGET
from daskgmm.training.search_progress import Paused, SearchRecorder, Steps
from daskgmm.training.starts import StartPlan, StartValues
from tests.support.rows import correlated
from tests.training.test_refinement import sample_of
from tests.training.test_starts import recipe

PARAMETERS = [
    ("full", "kmeans", 3, 2, 400),
    ("tied", "random", 2, 1, 300),
    ("diag", "k-means++", 3, 3, 200),
    ("spherical", "random_from_data", 2, 1, 100),
    ("full", "random", 6, 1, 60),
    ("full", "kmeans", 1, 1, 50),
    ("full", "kmeans", 24, 1, 400),
    ("full", "kmeans", 30, 1, 900),
    ("full", "kmeans", 5, 1, 30),
]

TRIED = {24: (4, False), 30: (2, False), 5: (4, True)}
"""Starts that are tried with so many components, and whether they are smoothed to the end."""


def through_a_file(steps):
    arrays = {}
    plain = to_plain(steps, "steps", arrays)
    return from_plain(plain, {name: array.copy() for name, array in arrays.items()})


def in_stretches(search, most):
    """The result of a search that is paused after so many multiplications, and how often it was."""
    steps = Steps()
    pauses = 0
    while True:
        recorder = SearchRecorder(earlier=steps, most=most)
        try:
            return search(recorder), pauses, recorder.progress
        except Paused:
            steps, pauses = through_a_file(recorder.steps), pauses + 1


def bits_of(trace, random):
    arrays = {}
    plain = to_plain(trace, "trace", arrays)
    drawn = random.random_sample(3).tobytes()
    return plain, {name: array.tobytes() for name, array in arrays.items()}, drawn


@pytest.mark.parametrize("most", [0.0, 3e6])
@pytest.mark.parametrize(("kind", "name", "k", "n_init", "n"), PARAMETERS)
@pytest.mark.slow
def test_wherever_a_search_is_cut_it_ends_in_the_same_bits(kind, name, k, n_init, n, most):
    rows, _ = correlated(n, 2, 3, spread=2, apart=1.0)
    if k == 30:  # clusters that the first two starts find
        rows += 300 * np.random.default_rng(0).normal(size=(30, 2))[np.arange(n) % 30]
    plan = StartPlan(COVARIANCES[kind], k, n_init, initialiser_named(name), StartValues())

    def search(recorder):
        random = np.random.RandomState(3)
        sample = sample_of(rows, kind, ridge=1e-9, budget=LEAST_BUDGET)
        sample = replace(sample, all_rows=10 * n)
        trace, refinement = plan.refined(replace(sample, recorder=recorder), random)
        return bits_of(trace, random), refinement, sample.budget.spent

    alone = SearchRecorder()
    expected = search(alone)
    if k in TRIED:
        assert (alone.progress.of, expected[1].smoothed) == TRIED[k]
    found, pauses, progress = in_stretches(search, most)
    assert found == expected
    assert progress == alone.progress
    assert pauses > (10 if most == 0 else 0)


def test_em_on_a_sample_ends_in_the_same_bits():
    rows, _ = correlated(200, 2, 3, spread=2, apart=1.0)
    plan = StartPlan(COVARIANCES["full"], 3, 2, initialiser_named("random"), StartValues())
    sample = sample_of(rows)

    def search(recorder):
        random = np.random.RandomState(3)
        settings = recipe(2, max_iter=20)
        traces = plan.starts(
            rows, None, sample.frame, settings, random,
            fit_on_sample=True, compiled=False, recorder=recorder,
        )  # fmt: skip
        return [bits_of(trace, random) for trace in traces]

    found, pauses, _ = in_stretches(search, 0.0)
    assert found == search(SearchRecorder())
    assert pauses >= 5


def test_nothing_is_kept_where_nobody_asks_for_it():
    rows, _ = correlated(200, 2, 3, spread=2, apart=1.0)
    sample = sample_of(rows)
    plan = StartPlan(COVARIANCES["full"], 3, 1, initialiser_named("kmeans"), StartValues())
    plan.refined(sample, np.random.RandomState(0))
    assert (sample.recorder.steps.place, sample.recorder.steps.steps) == (None, ())


def test_a_search_that_has_ended_ends_again_without_a_step():
    rows, _ = correlated(300, 2, 3, spread=2, apart=1.0)
    plan = StartPlan(COVARIANCES["full"], 3, 2, initialiser_named("kmeans"), StartValues())

    def search(recorder):
        sample, random = sample_of(rows, budget=LEAST_BUDGET), np.random.RandomState(3)
        trace, _ = plan.refined(replace(sample, recorder=recorder), random)
        return bits_of(trace, random)

    first = SearchRecorder(earlier=Steps())
    expected = search(first)
    again = SearchRecorder(earlier=through_a_file(first.steps), most=0.0)  # a step would pause it
    assert search(again) == expected


@pytest.mark.slow
def test_a_search_whose_starts_have_all_collapsed_collapses_again(monkeypatch):
    rows, _ = correlated(300, 2, 3, spread=2, apart=1.0)
    plan = StartPlan(COVARIANCES["full"], 3, 2, initialiser_named("kmeans"), StartValues())
    advanced, taken = SampledRows.advanced, []

    def collapsing(self, runs, steps, until=None):
        taken.append(steps)
        if steps == FIRST_STEPS:
            return advanced(self, runs, steps, until)
        runs.clear()
        self.collapses.append(CollapsedComponentError("It collapsed.", "Mend it."))
        return []

    monkeypatch.setattr(SampledRows, "advanced", collapsing)

    def search(recorder):
        sample = replace(sample_of(rows, budget=LEAST_BUDGET), recorder=recorder)
        plan.refined(sample, np.random.RandomState(3))

    first = SearchRecorder(earlier=Steps())
    with pytest.raises(CollapsedComponentError):
        search(first)
    with pytest.raises(CollapsedComponentError):
        search(SearchRecorder(earlier=through_a_file(first.steps)))
