"""Rows of this process's memory, sent to a cluster."""

import numpy as np
import pytest
from distributed import Client, LocalCluster
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster


def everything_of(rows):
    """What comes of a fit, a score and an update: Dask's warning of large graphs is an error."""
    model = GaussianMixture(2, random_state=0, tol=10).fit(rows)
    fitted = model.means_
    return np.vstack([fitted, model.score(rows) * np.ones(8), model.partial_fit(rows).means_])


def test_an_array_in_memory_travels_in_small_graphs_and_comes_to_the_same(cluster):
    rows = np.random.default_rng(0).normal(size=(400_000, 8))
    with Client(cluster):
        there = everything_of(rows)
    assert_array_equal(there, everything_of(rows))
