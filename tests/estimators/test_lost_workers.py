"""A client or scheduler that goes away in the middle of a fit ends it in our words."""

import asyncio
import os
import signal
import threading
from contextlib import contextmanager

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

from daskgmm import GaussianMixture, open_dataset
from daskgmm.errors import ClusterError
from daskgmm.passes.engine.workers import explaining_losses
from tests.support.started import started

ENDLESS = {"subsample": None, "tol": 0, "max_iter": 10**6, "random_state": 0}

pytestmark = pytest.mark.timeout(60)  # a fit that hangs tells nothing


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(0)
    return rng.normal(size=(4000, 2)) + 3 * rng.integers(0, 2, (4000, 1))


@pytest.fixture(scope="module")
def file(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, rows)
    return str(path)


@pytest.fixture
def cluster():
    with LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def config_as_it_was():
    """Dask leaves its configuration changed where a client is closed inside its `with` block."""
    before = dict(dask.config.config)
    yield
    if "scheduler" not in before:
        dask.config.config.pop("scheduler", None)


@pytest.fixture
def client(cluster):
    with Client(cluster.scheduler_address) as client:
        yield client


def in_memory(rows, _):
    return rows, {}


def persisted(rows, _):
    return da.from_array(rows, chunks=500).persist(), {}


def cached(_, file):
    return open_dataset(file, block_rows=500), {"cache": "memory"}


def staged(_, file):
    return open_dataset(file, block_rows=500), {"cache": "disk"}


def read_again(_, file):
    return open_dataset(file, block_rows=500), {"cache": "none"}


KINDS = (in_memory, persisted, cached, staged, read_again)


def beside(action):
    """Call it in another thread while a pass goes on, which may outrun it."""
    threading.Thread(target=action).start()


def at_once(action):
    """Call it between two passes."""
    action()


def fit(rows, action, how=at_once, **parameters):
    def disturb(state):
        if state.iteration == 3:
            how(action)

    GaussianMixture(2, callbacks=[disturb], **ENDLESS | parameters).fit(rows)


@contextmanager
def lost():
    with pytest.raises(ClusterError) as caught:
        yield
    told = ("connection to the scheduler was lost", "client was closed before")
    assert any(each in caught.value.cause for each in told)
    assert "run the same again" in caught.value.remedy


@pytest.mark.parametrize("how", [at_once, beside])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_a_client_that_is_closed(client, rows, file, kind, how):
    X, parameters = kind(rows, file)
    with lost():
        fit(X, client.close, how, **parameters)


async def stopped():
    raise asyncio.CancelledError


def test_a_call_that_a_closing_client_stops(client):
    """Which Dask tells as a variable of its own that has no value."""
    with lost(), explaining_losses():
        client.sync(stopped)


@pytest.mark.slow
def test_a_variable_without_a_value_in_a_task_is_told_as_it_is(client):
    def task():
        raise UnboundLocalError("value")

    with pytest.raises(UnboundLocalError, match="value"), explaining_losses():
        client.submit(task).result()


@pytest.mark.slow
@pytest.mark.parametrize("how", [at_once, beside])
def test_a_cluster_that_is_closed(cluster, rows, how):
    with Client(cluster), lost():
        fit(rows, cluster.close, how)


@pytest.mark.slow
def test_a_client_that_is_closed_within_the_starts_of_k_means(cluster, file, monkeypatch):
    from dask_ml.cluster import KMeans

    client = Client(cluster)
    begin = KMeans.fit

    def close_and_begin(self, *args, **kwargs):
        client.close()
        return begin(self, *args, **kwargs)

    monkeypatch.setattr(KMeans, "fit", close_and_begin)
    with lost():
        fit(*cached(None, file)[:1], lambda: None, init_params="k-means||")
    assert da.ones(3, chunks=1).sum().compute() == 3  # in threads again


@pytest.mark.slow
def test_a_scheduler_that_is_killed(rows, tmp_path):
    where = tmp_path / "scheduler.json"
    quiet = ("--scheduler-file", where)
    with (
        started(["dask", "scheduler", "--port", 0, "--dashboard-address", ":0", *quiet]) as boss,
        started(["dask", "worker", "--no-nanny", "--no-dashboard", *quiet]),
        Client(scheduler_file=str(where)),
        lost(),
    ):
        fit(rows, lambda: os.kill(boss.process.pid, signal.SIGKILL))


@pytest.mark.slow
def test_a_callback_computes_where_its_caller_would(client, rows):
    """Not on the client that the fit holds on to."""
    before = GaussianMixture(2, random_state=0).fit(rows)
    with (
        LocalCluster(n_workers=1, processes=False, dashboard_address=":0") as other,
        Client(other, set_as_default=False) as there,
    ):

        def score(state):
            with there.as_current():
                before.score(da.from_array(rows, chunks=500))

        GaussianMixture(2, random_state=0, callbacks=[score]).fit(rows)
        prefixes = there.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert any(prefix.startswith("gmm-predict") for prefix in prefixes)
