"""A search for a start comes to the same bits on any number of threads."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.fitting.settings import Candidate
from daskgmm.jobs.planning.source import imagined
from daskgmm.model import parallel
from daskgmm.model.parallel import Lender, helped
from daskgmm.training import kmeans
from daskgmm.training.refinement import partial
from tests.support.rows import correlated
from tests.training.test_refinement import sample_of

DOUBLE = np.dtype(np.float64)


@pytest.fixture
def in_many_parts(monkeypatch):
    """All that may be spread over threads is."""
    for module, name, value in (
        (parallel, "_WORTH_A_PART", 1.0),
        (parallel, "FEWEST_ROWS", 50),
        (parallel, "_SLICE_VALUES", 1),
        (parallel, "_FEWEST_COMPONENTS", 1),
        (kmeans, "_DISTANCES", 256),
        (partial, "_ROWS_NORMALISED", 64),
        (partial, "_FEATURE_VALUES", 2**10),
    ):
        monkeypatch.setattr(module, name, value)


def searched(threads, kind, *, compiled=False, weighted=False):
    """What a search finds on so many threads, as bytes, and the threads that did something."""
    n, n_features, n_components = 600, 4, 5
    rows, _ = correlated(n, n_features, n_components, spread=2, apart=1.5)
    weights = np.random.default_rng(0).uniform(0.5, 2, n) if weighted else None
    model = GaussianMixture(n_components, covariance_type=kind, n_init=2)
    candidate = Candidate.of(model, imagined(n, n_features, DOUBLE), in_memory=False)
    sample = replace(sample_of(rows, kind, weights=weights, budget=5e7), compiled=compiled)
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
