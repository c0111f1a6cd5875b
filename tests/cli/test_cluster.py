"""Where a command runs: an embedded cluster, one that is there, or one that does not answer."""

import json
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from distributed import Client, Event

from daskgmm import GaussianMixture, load, open_dataset
from daskgmm.errors import ClusterError, DataError
from daskgmm.jobs.cluster import scheduler
from daskgmm.jobs.cluster.classes import ClusterSpec, started_cluster
from daskgmm.jobs.cluster.local import embedded, settings_for_workers
from daskgmm.passes.engine import workers as engine
from tests.support.clusters import closed_port, cluster_of, running, silent
from tests.support.command import COMMAND, here, in_process, made
from tests.support.paths import IRIS
from tests.support.started import started

__all__ = ["here"]

FIT = (
    "fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 3,
    "--seed", 0, "--refine", "none",
)  # fmt: skip


def means(run):
    return load(run / "model.safetensors").means_


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same fit without a cluster."""
    run = tmp_path_factory.mktemp("alone") / "run"
    assert made(*FIT, "-o", run).code == 0
    return means(run)


@pytest.fixture(scope="module")
def cluster():
    """One worker, a thread here."""
    with cluster_of(1, processes=False, protocol="tcp://") as cluster:
        yield cluster


@pytest.mark.slow
def test_an_embedded_cluster_gives_the_same_bits_and_ends_quietly(tmp_path, alone):
    done = in_process(*FIT, "-o", tmp_path / "run", "--workers", 2, "--threads", 1, command=COMMAND)
    assert done.code == 0
    assert (means(tmp_path / "run") == alone).all()
    first, *others, last = done.err.splitlines()
    assert first == "Fitting rows of 2 columns on an embedded cluster of 2 workers."
    assert all(line.startswith("Dashboard: http://") for line in others)
    assert any(line.endswith("/daskgmm") for line in others)
    assert last.startswith("Pass ")
    assert "lower bound" in done.out


@pytest.mark.slow
def test_a_running_cluster_is_found_by_its_address_and_by_its_file(tmp_path, cluster, alone, here):
    address = cluster.scheduler_address
    file = tmp_path / "scheduler.json"
    file.write_text(json.dumps({"address": address}))
    done = in_process(*FIT, "-o", tmp_path / "one", "--scheduler", address)
    assert done.code == 0
    assert done.err.splitlines()[0] == f"Fitting rows of 2 columns on 1 worker of {address}."
    assert (means(tmp_path / "one") == alone).all()
    assert here(*FIT, "-o", tmp_path / "two", "--scheduler", file).code == 0
    assert (means(tmp_path / "two") == alone).all()


@pytest.mark.slow
def test_scores_and_predictions_run_there_too(tmp_path, cluster, here):
    there = ("--scheduler", cluster.scheduler_address)
    here(*FIT, "-o", tmp_path / "run")
    assert here("score", tmp_path / "run", IRIS, *there).code == 0
    assert here("predict", tmp_path / "run", IRIS, "-o", tmp_path / "out", *there).code == 0
    assert len(list((tmp_path / "out").glob("part-*"))) == 1
    assert cluster.status.name == "running"


def test_a_failure_on_a_worker_keeps_its_code_and_words(tmp_path, cluster, here):
    (tmp_path / "ragged.csv").write_text("a,b\n" + "1,2\n" * 10 + "3\n")
    there = ("--scheduler", cluster.scheduler_address)
    done = here("fit", tmp_path / "ragged.csv", "-k", 1, "-o", tmp_path / "run", *there)
    assert done.code == 65
    assert "ragged.csv, row 10 (line 12)" in done.err


def test_a_scheduler_that_is_not_there_is_given_up_in_time(tmp_path, here, monkeypatch):
    assert scheduler.CONNECT_SECONDS == 15
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 0.7)
    with silent() as server:
        names = [
            f"127.0.0.1:{closed_port()}",
            f"tcp://127.0.0.1:{server.getsockname()[1]}",
            str(tmp_path / "scheduler.json"),
        ]
        for name in names:
            began = time.monotonic()
            done = here(*FIT, "-o", tmp_path / "run", "--scheduler", name)
            assert (done.code, done.out) == (75, "")
            assert name in done.err
            assert "within 0.7 seconds" in done.err
            assert time.monotonic() - began < 5
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["state"], record["failure"]["kind"]) == ("failed", "ClusterError")


@contextmanager
def scheduler_alone(folder):
    """The file of a scheduler that no worker has come to."""
    file = folder / "scheduler.json"
    command = ["dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with started([*command, "--scheduler-file", file]) as alone:
        alone.until("Scheduler at")
        yield file


HASTY = """
from daskgmm.cli import main
from daskgmm.jobs.cluster import scheduler
scheduler.CONNECT_SECONDS = 1.5
main()
"""


@pytest.mark.slow
def test_a_process_that_gives_a_silent_scheduler_up_says_nothing_else(tmp_path):
    with silent() as server:
        there = ("--scheduler", f"127.0.0.1:{server.getsockname()[1]}")
        hasty = (sys.executable, "-c", HASTY)
        done = in_process(*FIT, "-o", tmp_path / "run", *there, command=hasty)
    assert done.code == 75
    assert len(done.err.splitlines()) == 2
    assert "within 1.5 seconds" in done.err


@pytest.fixture
def alone_scheduler(tmp_path):
    with scheduler_alone(tmp_path) as file:
        yield file


@pytest.fixture(scope="module")
def lone_scheduler(tmp_path_factory):
    """One to which no worker comes."""
    with scheduler_alone(tmp_path_factory.mktemp("scheduler")) as file:
        yield file


def worker(file):
    return started(["dask", "worker", "--no-nanny", "--no-dashboard", "--scheduler-file", file])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "select", "update", "predict", "score", "sample"])
def test_a_job_without_workers_ends_with_75_and_says_what_to_do(
    tmp_path, lone_scheduler, here, command
):
    run, out = tmp_path / "run", ("-o", tmp_path / "out")
    here(*FIT, "-o", run)
    arguments = {
        "fit": (*FIT, *out),
        "select": ("select", *FIT[1:], *out),
        "update": ("update", run, IRIS, *out),
        "predict": ("predict", run, IRIS, *out),
        "score": ("score", run, IRIS),
        "sample": ("sample", run, "-n", 9, *out),
    }[command]
    done = here(*arguments, "--scheduler", lone_scheduler, "--worker-timeout", 0.5)
    assert done.code == 75
    assert "error: No worker is there after 0.5 s" in done.err
    assert "--worker-timeout" in done.err


@pytest.mark.slow
def test_too_few_workers_are_told_by_number(tmp_path, cluster, here):
    wanted = ("--wait-for-workers", 2, "--worker-timeout", 0.5)
    there = ("--scheduler", cluster.scheduler_address)
    done = here(*FIT, "-o", tmp_path / "run", *there, *wanted)
    assert done.code == 75
    assert "1 of 2 workers are there after 0.5 s" in done.err


@contextmanager
def once_a_task_runs(client, act):
    """Rows that take longer than any test; once a worker begins with them, something happens.

    What waits travels by value, being a local function.
    """

    def wait(block):
        Event("a task runs").set()
        time.sleep(600)
        return block

    def follow():
        Event("a task runs", client=client).wait()
        act()

    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        yield da.ones((4, 2), chunks=(2, 2)).map_blocks(wait, meta=np.empty((0, 2)))
        following.result()


@pytest.mark.slow
def test_workers_that_all_go_away_in_a_pass_are_waited_for_and_given_up(
    alone_scheduler, monkeypatch, caplog
):
    monkeypatch.setattr(engine, "_SECONDS_BEFORE_WARNING", 0.0)
    with worker(alone_scheduler) as lost, Client(scheduler_file=alone_scheduler) as client:
        client.wait_for_workers(1)
        with (
            once_a_task_runs(client, lost.process.kill) as rows,
            engine.waiting_for_workers(3.0),
            pytest.raises(ClusterError, match="No worker is there after 3 s"),
        ):
            GaussianMixture().fit(rows)
    assert "No worker is there" in caplog.text


@pytest.mark.slow
def test_a_cache_is_chosen_once_the_first_worker_has_come(alone_scheduler, tmp_path, caplog):
    numbers = np.random.default_rng(0).normal(size=(40, 2))
    pd.DataFrame(numbers, columns=["a", "b"]).to_parquet(tmp_path / "rows.parquet")
    caplog.set_level("DEBUG")
    with Client(scheduler_file=alone_scheduler) as client, ThreadPoolExecutor(1) as pool:
        rows = open_dataset(tmp_path / "rows.parquet")
        fitting = pool.submit(GaussianMixture().fit, rows)
        with worker(alone_scheduler):
            fitting.result(120)
        assert client.status == "running"
    assert "cached: memory" in caplog.text


@pytest.mark.slow
def test_a_restarted_cluster_is_told_as_such():
    with (
        running() as client,
        Client(client.cluster, set_as_default=False) as other,
        once_a_task_runs(other, other.restart) as rows,
        pytest.raises(ClusterError, match=r"was restarted \(client\.restart\(\)\)"),
    ):
        GaussianMixture().fit(rows)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:\\s*Port 8787 is already in use")  # by another test
@pytest.mark.parametrize(("own", "trim"), [(None, str(2**25)), ("65536", "65536")])
def test_workers_keep_the_memory_they_free_unless_the_user_says_otherwise(own, trim, monkeypatch):
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    if own is not None:
        monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", own)
    names = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
    with embedded(1) as client:
        (found,) = client.run(lambda: [os.environ.get(name) for name in names]).values()
    assert found == [str(2**22), trim]


@pytest.mark.parametrize("own", [None, 12345])
def test_what_the_user_configured_of_the_workers_memory_stays(own):
    name = "distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_"
    with dask.config.set({} if own is None else {name: own}), settings_for_workers():
        assert dask.config.get(name) == (2**25 if own is None else own)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:\\s*Port 8787 is already in use")  # by another test
def test_a_worker_of_a_job_comes_back_however_long_it_takes_to_start():
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "1ms"}), embedded(1) as client:
        (before,) = client.run(os.getpid).values()
        os.kill(before, signal.SIGKILL)
        assert client.submit(os.getpid, pure=False).result(60) != before
        assert client.cluster.workers  # none is given up


PROFILED = "distributed.worker.profile.enabled"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:\\s*Port 8787 is already in use")  # by another test
@pytest.mark.parametrize(
    "begun",
    [
        partial(embedded, 1),
        partial(started_cluster, ClusterSpec("distributed.LocalCluster", {"n_workers": 1})),
    ],
    ids=["embedded", "of a class"],
)
def test_workers_of_a_job_are_profiled_only_where_that_can_not_stop_them(begun):
    with dask.config.set({PROFILED: True}), begun() as client:
        assert set(client.run(dask.config.get, PROFILED).values()) == {sys.version_info >= (3, 12)}


@pytest.mark.slow
def test_a_file_that_vanishes_in_a_fit_is_a_changed_input(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n3,4\n")
    rows = open_dataset(tmp_path)
    (tmp_path / "b.csv").unlink()
    with pytest.raises(DataError, match=r"b\.csv is gone: it was there"):
        GaussianMixture().fit(rows)
