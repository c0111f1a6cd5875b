"""A search for a start comes to the same bits on any number of threads."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.fitting.settings import Candidate
from daskgmm.jobs.planning.source import imagined
from daskgmm.model.kernels.compiled import compile_ahead
from daskgmm.model.parallel import Lender, helped
from tests.support.rows import correlated
from tests.training.test_refinement import sample_of

DOUBLE = np.dtype(np.float64)


def searched(threads, kind, *, compiled=False, weighted=False):
    """What a search finds on so many threads, as bytes, and the threads that did something."""
    n, n_features, n_components = 600, 4, 5
    rows, _ = correlated(n, n_features, n_components, spread=30, apart=1.5)
    rows = rows * np.logspace(-2, 3, n_features) + 1e3  # in other units, off the origin
    rows[:, 0] = 7.0  # and one column says nothing
    weights = np.random.default_rng(0).uniform(0.5, 2, n) if weighted else None
    model = GaussianMixture(n_components, covariance_type=kind, n_init=2)
    candidate = Candidate.of(model, imagined(n, n_features, DOUBLE), in_memory=False)
    sample = replace(
        sample_of(rows, kind, ridge=1e-6, weights=weights, budget=5e7), compiled=compiled
    )
    worked, started = set(), threading.Thread.start

    def noted(thread):
        worked.add(thread)
        started(thread)

    with pytest.MonkeyPatch.context() as patch, helped(Lender(), lambda: threads - 1):
        patch.setattr(threading.Thread, "start", noted)
        trace, refinement = candidate.plan.refined(sample, np.random.RandomState(0))
    mixture = trace.mixture
    arrays = (mixture.weights, mixture.means, mixture.covariances, mixture.factors)
    found = [np.asarray(one).tobytes() for one in arrays]
    return (*found, repr(refinement), sample.budget.spent), len(worked)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_a_search_comes_to_the_same_bits_on_any_number_of_threads(
    covariance_type, weighted, in_many_parts
):
    expected, alone = searched(1, covariance_type, weighted=weighted)
    assert alone == 0
    for threads in (2, 8):
        found, helpers = searched(threads, covariance_type, weighted=weighted)
        assert found == expected
        assert helpers > 0


@pytest.mark.slow
def test_so_it_does_by_the_compiled_loop(covariance_type, in_many_parts):
    compile_ahead(DOUBLE, DOUBLE)
    expected, _ = searched(1, covariance_type, compiled=True)
    assert searched(2, covariance_type, compiled=True)[0] == expected
    assert searched(8, covariance_type, compiled=True)[0] == expected


@pytest.mark.slow
def test_so_it_does_where_bounds_leave_few_pairs(in_many_parts, monkeypatch):
    monkeypatch.setattr("daskgmm.training.refinement.region_rows._MANY_FEATURES", 1)
    monkeypatch.setattr("daskgmm.training.refinement.sampled.MANY_PAIRS", 2.0)
    expected, _ = searched(1, "full")
    assert searched(2, "full")[0] == expected
    assert searched(8, "full")[0] == expected
