"""What the passes of a fit are told of the mixtures that share them."""

from dataclasses import replace

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.data.source import Source
from daskgmm.fitting.settings import Candidate, Settings
from daskgmm.training.stopping import PREDICTED, STOPPING

SOURCE = Source((), 5, np.dtype(np.float64), lengths=(100_000,))


def settings_of(*sizes, n_init):
    estimators = [
        GaussianMixture(n_components=size, n_init=n_init, refine="none") for size in sizes
    ]
    candidates = [Candidate.of(one, SOURCE, in_memory=False) for one in estimators]
    return Settings.of(estimators[0], tuple(candidates), SOURCE.dtype)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({}, PREDICTED),
        ({"refine": "none"}, STOPPING["lower_bound"]),
        ({"max_iter": 5}, STOPPING["lower_bound"]),
        ({"acceleration": "squarem"}, STOPPING["lower_bound"]),
        ({"stopping": "parameters"}, STOPPING["parameters"]),
    ],
    ids=["defaults", "scikit-learn's course", "few passes", "accelerated", "parameters"],
)
def test_what_is_left_counts_where_starts_were_refined(options, rule):
    estimator = GaussianMixture(3, **options)
    candidates = (Candidate.of(estimator, SOURCE, in_memory=False),)
    assert Settings.of(estimator, candidates, SOURCE.dtype).stopping is rule


@pytest.mark.parametrize("n_init", [1, 10])
def test_starts_that_share_a_pass_do_not_make_its_tasks_longer(n_init):
    # Each start has as much to do for a row as one alone.
    settings = settings_of(20, 100, 50, n_init=n_init)
    assert settings.fewest_rows(50) == 32 * 100
    assert 80 < settings.fewest_rows(5) < 200


def test_starts_of_few_components_need_no_memory_to_tell_hundreds_apart():
    task = settings_of(100, n_init=10).task(SOURCE)
    assert task.n_components == 1000
    assert task.kernel_bytes < replace(task, most_components=1000).kernel_bytes - 2**25
