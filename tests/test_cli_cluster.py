"""Where a command runs: an embedded cluster, one that is there, or one that does not answer."""

import json
import socket
import time
from pathlib import Path

import pytest
from distributed import LocalCluster

from daskgmm import load
from daskgmm.jobs import scheduler
from tests.command import here, in_process

__all__ = ["here"]

IRIS = Path(__file__).parents[1] / "examples" / "data" / "iris.csv"
FIT = ("fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 3, "--seed", 0)


def means(run):
    return load(run / "model.safetensors").means_


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same fit in its own process, without a cluster."""
    run = tmp_path_factory.mktemp("alone") / "run"
    assert in_process(*FIT, "-o", run).code == 0
    return means(run)


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


def test_an_embedded_cluster_gives_the_same_bits_and_ends_quietly(tmp_path, alone):
    done = in_process(*FIT, "-o", tmp_path / "run", "--workers", 2, "--threads", 1)
    assert done.code == 0
    assert (means(tmp_path / "run") == alone).all()
    first, *others, last = done.err.splitlines()
    assert first == "Fitting rows of 2 columns on an embedded cluster of 2 workers."
    assert all(line.startswith(("Dashboard: http://", "Decoded rows are ")) for line in others)
    assert any(line.endswith("/daskgmm") for line in others)
    assert last.startswith("Pass ")
    assert "lower bound" in done.out


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


def silent():
    """A socket that takes connections and says nothing."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server


def closed_port():
    with silent() as server:
        return server.getsockname()[1]


def test_a_scheduler_that_is_not_there_is_given_up_in_time(tmp_path, here, monkeypatch):
    monkeypatch.setattr(scheduler, "CONNECT_SECONDS", 1.5)
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
            assert "within 1.5 seconds" in done.err
            assert time.monotonic() - began < 5
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["state"], record["failure"]["kind"]) == ("failed", "ClusterError")


@pytest.mark.slow
def test_the_command_gives_a_silent_scheduler_fifteen_seconds(tmp_path):
    with silent() as server:
        port = server.getsockname()[1]
        done = in_process(*FIT, "-o", tmp_path / "run", "--scheduler", f"127.0.0.1:{port}")
    assert done.code == 75
    assert len(done.err.splitlines()) == 2
    assert "within 15 seconds" in done.err
