"""Rows of this process's memory and of Dask's graphs, sent to a cluster."""

import gc
import operator
import os
import signal

import cloudpickle
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm import GaussianMixture, open_dataset
from daskgmm.data.containers.arrays import from_numpy
from daskgmm.errors import ClusterError, ConfigurationError, DataError
from daskgmm.passes.engine.graph import run_pass
from daskgmm.passes.engine.keys import Phase
from daskgmm.passes.engine.work import Work, each_part
from daskgmm.passes.memory_limits import Limit, largest_worker
from tests.support.clusters import assert_forgotten, recording, running
from tests.support.fits import bits
from tests.support.rows import overlapping


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster


def everything_of(rows):
    """What comes of a fit, a score and an update: Dask's warning of large graphs is an error."""
    model = GaussianMixture(2, random_state=0, refine="none", tol=10).fit(rows)
    fitted = model.means_
    return np.vstack([fitted, model.score(rows) * np.ones(8), model.partial_fit(rows).means_])


@pytest.mark.slow
def test_an_array_in_memory_travels_in_small_graphs_and_comes_to_the_same(cluster):
    rows = np.random.default_rng(0).normal(size=(400_000, 8))
    with Client(cluster):
        there = everything_of(rows)
    assert_array_equal(there, everything_of(rows))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_parameters_however_large_travel_without_a_warning_of_large_graphs(cluster):
    rows = 30 * np.random.default_rng(0).normal(size=(3000, 100))
    start = {
        "weights_init": np.full(150, 1 / 150),
        "means_init": rows[:150],
        "precisions_init": np.tile(np.eye(100), (150, 1, 1)),
    }
    model = GaussianMixture(150, max_iter=2, reg_covar=1, **start)
    with Client(cluster) as client:
        there = model.fit(rows).covariances_
        assert_forgotten(client)
    assert_array_equal(there, model.fit(rows).covariances_)


def standardised(rows):
    return (rows - rows.mean(0)) / rows.std(0)


@pytest.mark.slow
def test_rows_whose_chunks_share_tasks_travel_in_small_graphs_and_come_to_the_same(cluster):
    rows = np.random.default_rng(0).normal(size=(400_000, 8))
    X = standardised(da.from_array(rows, chunks=(50_000, 8)))
    with Client(cluster):
        there = everything_of(X)
    assert_array_equal(there, everything_of(X))


def sharing_inputs():
    rows = overlapping(20_000, 4)
    x = da.from_array(rows, chunks=(4000, 4))
    frame = dd.from_pandas(pd.DataFrame(rows, columns=list("abcd")), npartitions=5)
    return {
        "standardised": standardised(x),
        "projected": x @ (x.T @ x / len(rows)),
        "rows chosen": x[x[:, 0] > x[:, 0].mean()],
        "in other chunks": x.rechunk((3000, 4)),
        "running sums": da.cumsum(x, axis=0),
        "standardised frame": standardised(frame),
        "in other partitions": frame.repartition(npartitions=3),
    }


@pytest.mark.filterwarnings("ignore:Best performing initialization")
@pytest.mark.parametrize("kind", sharing_inputs())
@pytest.mark.slow
def test_no_pass_sends_rows_and_no_bit_changes_where_chunks_share_tasks(kind, cluster):
    X = sharing_inputs()[kind]
    with Client(cluster) as client:
        with recording() as graphs:
            there = bits(X)
        assert len(graphs) >= 3
        assert max(len(cloudpickle.dumps(graph)) for graph in graphs) < 20_000
        assert_forgotten(client)
    assert there == bits(X)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Best performing initialization")
def test_weights_that_share_tasks_with_the_rows_are_sent_once_too(cluster):
    x = da.from_array(overlapping(20_000, 4), chunks=(4000, 4))
    weights = abs(x[:, 0] - x[:, 0].mean())

    def fitted():
        return GaussianMixture(2, random_state=0, tol=0, max_iter=3).fit(x, sample_weight=weights)

    with Client(cluster), recording() as graphs:
        there = fitted()
    assert max(len(cloudpickle.dumps(graph)) for graph in graphs) < 20_000
    assert_array_equal(there.means_, fitted().means_)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of clusters that are torn down under load
@pytest.mark.parametrize("kind", ["standardised", "in other chunks"])
def test_a_worker_that_dies_takes_no_held_part_of_a_graph_along(kind):
    X = sharing_inputs()[kind]
    expected = bits(X)
    with running(n_workers=2) as client:
        killed = []

        def kill_one(state):
            if state.iteration == 2:
                holding = client.run(lambda dask_worker: (len(dask_worker.data), os.getpid()))
                held, pid = max(holding.values())
                assert held > 0
                killed.append(pid)
                os.kill(pid, signal.SIGKILL)

        assert bits(X, callbacks=[kill_one]) == expected
        assert len(killed) == 1


def test_a_line_of_text_that_a_worker_decoded_is_told(cluster, tmp_path):
    lines = [f"{number},{number / 7}" for number in range(100)]
    lines[41] = "41,nan"
    (tmp_path / "rows.csv").write_text("\n".join(["a,b", *lines]))
    dataset = open_dataset(tmp_path / "rows.csv", columns=["a", "b"])
    with Client(cluster), pytest.raises(DataError, match=r"line 43"):
        GaussianMixture(2, cache="memory").fit(dataset)


def test_the_largest_worker_is_known_by_its_limit(cluster):
    with Client(cluster) as client:
        (worker,) = client.scheduler_info()["workers"].values()
        assert largest_worker() == Limit(worker["memory_limit"], worker["nthreads"])


# --- names


class Unread:
    """A value that Dask may not look into."""

    def __dask_tokenize__(self):
        raise AssertionError("Dask makes a name of it")


def test_dask_makes_no_name_of_what_a_pass_carries(cluster):
    def begin(argument):
        assert isinstance(argument, Unread)
        return each_part(
            lambda _, __, blocks: sum(block.rows.shape[1] for block in blocks), operator.add
        )

    source = from_numpy(np.zeros((10, 2)))
    with Client(cluster):
        work = Work(begin, operator.add, Unread())
        assert run_pass(source, [range(1)], work, Phase.PASS) == 10


# --- what a cluster holds already


def persisted():
    return da.from_array(overlapping(900, 4), chunks=(300, 4)).persist()


@pytest.mark.slow
def test_a_frame_made_of_a_persisted_array_is_fitted(cluster):
    with Client(cluster):
        rows = persisted()
        X = dd.from_dask_array(rows, columns=list("abcd"))
        model = GaussianMixture(1).fit(X, sample_weight=X["a"] ** 2)
        weights = (rows[:, 0] ** 2).compute()
        expected = np.average(rows.compute(), axis=0, weights=weights)
        assert_allclose(model.means_[0], expected, rtol=1e-10)
        assert_allclose(model.score(X), np.mean(model.score_samples(X).compute()), rtol=1e-10)
        assert model.partial_fit(X).n_rows_ == 1800


def test_values_that_a_cluster_has_forgotten_are_told_as_such(cluster):
    with Client(cluster) as client:
        rows = persisted()
        X = dd.from_dask_array(rows, columns=list("abcd"))
        del rows
        gc.collect()
        assert_forgotten(client)
        with pytest.raises(ClusterError, match="no longer holds values"):
            GaussianMixture(1).fit(X)


def test_values_of_a_cluster_whose_client_is_closed_are_a_configuration_error(cluster):
    with Client(cluster):
        rows = persisted()
        X = dd.from_dask_array(rows, columns=list("abcd"))
    for of_cluster in (rows, X):
        with pytest.raises(ConfigurationError, match="no client is active"):
            GaussianMixture(1).fit(of_cluster)
