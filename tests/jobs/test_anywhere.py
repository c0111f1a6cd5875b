"""Jobs run in any process and thread: beside an event loop, in a task, in a daemon."""

import asyncio
import threading
from multiprocessing import get_context

import numpy as np
import pytest
from distributed import Client, LocalCluster

from daskgmm import jobs
from tests.support.rows import parquet_of
from tests.support.tasks import fit_in_task, fit_with_workers, score_in_task


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    values = np.random.default_rng(0).normal(size=(5_000, 3))
    return str(parquet_of(values, path, 500))


@pytest.fixture(scope="module")
def expected(rows, tmp_path_factory):
    """What a fit in the main thread of a process comes to."""
    return bound(
        jobs.fit(
            rows, str(tmp_path_factory.mktemp("run") / "run"), components=2, seed=0, refine="none"
        )
    )


@pytest.fixture(scope="module")
def cluster():
    """Processes of one thread each, in which a task that waits for another one waits for ever."""
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with Client(cluster, set_as_default=False) as client:
        yield client


def bound(record):
    return record["result"]["lower_bound"]


@pytest.mark.slow
def test_beside_a_running_event_loop(rows, tmp_path, cluster, expected):
    async def main():
        here = jobs.fit(rows, str(tmp_path / "here"), components=2, seed=0, refine="none")
        address = cluster.scheduler_address
        there = jobs.fit(
            rows, str(tmp_path / "there"), components=2, seed=0, refine="none", scheduler=address
        )
        return here, there, jobs.score(str(tmp_path / "there"), rows, scheduler=address)

    here, there, scores = asyncio.run(main())
    assert bound(here) == bound(there) == expected
    assert scores["rows"] == 5_000


@pytest.mark.slow
def test_an_embedded_cluster_beside_a_running_event_loop(rows, tmp_path, expected):
    async def main():
        return jobs.fit(rows, str(tmp_path / "run"), components=2, seed=0, refine="none", workers=1)

    assert bound(asyncio.run(main())) == expected


@pytest.mark.slow
def test_in_another_thread(rows, tmp_path, expected):
    found = []
    fit = lambda: found.append(  # noqa: E731  a thread's target
        jobs.fit(rows, str(tmp_path / "run"), components=2, seed=0, refine="none")
    )
    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert [bound(record) for record in found] == [expected]


def test_small_inputs_stay_in_the_task_that_asks(rows, tmp_path, client, expected):
    found = client.submit(fit_in_task, rows, str(tmp_path / "run"), pure=False).result()
    assert (bound(found["record"]), found["place"]) == (expected, "in this process")
    assert client.submit(score_in_task, str(tmp_path / "run"), rows).result()["rows"] == 5_000


@pytest.mark.slow
def test_dask_mls_starts_stay_there_too(rows, tmp_path, client):
    pytest.importorskip("dask_ml")
    task = client.submit(fit_in_task, rows, str(tmp_path / "run"), init="k-means||", pure=False)
    assert task.result()["record"]["result"]["converged"]


def test_larger_inputs_go_to_the_cluster_of_the_task(rows, tmp_path, client, expected):
    task = client.submit(fit_in_task, rows, str(tmp_path / "run"), small_bytes=0, pure=False)
    found = task.result()
    assert bound(found["record"]) == expected
    assert found["place"] == f"on 1 worker of {client.scheduler.address}"


def test_a_task_may_name_its_own_scheduler(rows, tmp_path, client, expected):
    address = client.scheduler.address
    task = client.submit(fit_in_task, rows, str(tmp_path / "run"), scheduler=address, pure=False)
    assert bound(task.result()["record"]) == expected


def test_a_task_cannot_start_workers(rows, tmp_path, client):
    task = client.submit(fit_with_workers, rows, str(tmp_path / "run"), pure=False)
    assert task.result() == "ConfigurationError"


@pytest.mark.slow
def test_an_active_client_is_used(rows, tmp_path, client, expected):
    places = []
    with client.as_current():
        record = jobs.fit(
            rows,
            str(tmp_path / "run"),
            components=2,
            seed=0,
            refine="none",
            listener=Places(places),
        )
    assert places == [f"on 1 worker of {client.scheduler.address}"]
    assert bound(record) == expected


def test_an_asynchronous_client_is_left_alone(rows, tmp_path, cluster, expected):
    async def main():
        async with Client(cluster.scheduler_address, asynchronous=True):
            return jobs.fit(rows, str(tmp_path / "run"), components=2, seed=0, refine="none")

    assert bound(asyncio.run(main())) == expected


@pytest.mark.slow
def test_in_a_daemonic_process(rows, tmp_path, expected):
    context = get_context("spawn")
    with context.Pool(1) as pool:
        small = pool.apply(fit_in_task, (rows, str(tmp_path / "small")))
        large = pool.apply(fit_in_task, (rows, str(tmp_path / "large")), {"small_bytes": 0})
        refused = pool.apply(fit_with_workers, (rows, str(tmp_path / "refused")))
    assert [bound(found["record"]) for found in (small, large)] == [expected] * 2
    assert large["place"] == "in this process"
    assert refused == "ConfigurationError"


class Places:
    """Notes where jobs run."""

    def __init__(self, found):
        self.found = found

    def wait(self, what):
        pass

    def start(self, start):
        self.found.append(start.place)

    def tell(self, state):
        pass

    def watch(self, a_pass):
        pass
