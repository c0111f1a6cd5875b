"""Clusters of any class: a job starts, scales and closes them."""

import json
import os
import signal
import subprocess
import time

import dask.array as da
import psutil
import pytest
from distributed import Client, SchedulerPlugin
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture, jobs, load
from daskgmm.errors import ConfigurationError
from daskgmm.jobs.listener import Silence
from tests.support.clusters import cluster_of
from tests.support.command import COMMAND, here
from tests.support.paths import IRIS
from tests.support.rows import two_groups

__all__ = ["here"]

CLASS = "tests.support.stand_in.StandIn"
FIT = (
    "fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 2, "--seed", 0, "--refine", "none",
    "--no-progress",
)  # fmt: skip
OPTIONS = {"columns": ["sepal_length", "sepal_width"], "components": 2, "seed": 0}


@pytest.fixture
def notes(tmp_path):
    """What was done with the cluster, a line a call."""

    class Notes:
        path = tmp_path / "notes"

        def __call__(self):
            return self.path.read_text().splitlines() if self.path.exists() else []

    return Notes()


@pytest.fixture
def config(tmp_path, notes):
    """Write a file with the table, and return the arguments that name it."""

    def write(**more):
        values = {"class": CLASS, "notes": str(notes.path)} | more
        lines = [f"{key} = {toml(value)}" for key, value in values.items()]
        (tmp_path / "job.toml").write_text("\n".join(["[cluster]", *lines]) + "\n")
        return ("--config", tmp_path / "job.toml")

    return write


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


@pytest.mark.slow
def test_a_job_starts_scales_and_closes_its_cluster(tmp_path, here, config, notes):
    run = tmp_path / "run"
    done = here(*FIT[:-1], "-o", run, *config(scale=2), "--wait-for-workers", 2)
    assert done.code == 0, done.err
    assert notes() == ["start", "scale 2", "close"]
    assert "on 2 workers of tcp://" in done.err
    assert here(*FIT, "-o", tmp_path / "alone").code == 0
    assert (load(run).means_ == load(tmp_path / "alone").means_).all()
    assert here(*FIT, "-o", run, *config(scale=2)).code == 0  # complete: no cluster is needed
    assert len(notes()) == 3


@pytest.mark.slow
def test_an_adaptive_cluster_keeps_a_worker_for_the_job(tmp_path, here, config, notes):
    adapt = {"minimum": 0, "maximum": 2, "interval": "100ms"}
    done = here(*FIT, "-o", tmp_path / "run", *config(adapt=adapt))
    assert done.code == 0, done.err
    options = "[('interval', '100ms'), ('maximum', 2), ('minimum', 1)]"
    assert (notes()[1], notes()[-1]) == (f"adapt {options}", "close")
    done = here(*FIT, "-o", tmp_path / "two", *config(adapt=adapt), "--wait-for-workers", 3)
    assert (done.code, "at most 2 workers, and 3 are waited for" in done.err) == (2, True)
    assert notes()[-1] == "close"


@pytest.mark.slow
def test_a_class_that_starts_without_workers_gets_those_that_are_waited_for(
    tmp_path, here, config, notes
):
    done = here("score", "run", IRIS, *config())
    assert notes() == []
    assert here(*FIT, "-o", tmp_path / "run").code == 0
    done = here("score", tmp_path / "run", IRIS, *config(), "--wait-for-workers", 2)
    assert done.code == 0, done.err
    assert notes() == ["start", "scale 2", "close"]


@pytest.mark.slow
def test_it_is_closed_after_bad_rows_and_where_it_does_not_start(tmp_path, here, config, notes):
    (tmp_path / "bad.csv").write_text("a\n1\n\n2\nx\n")
    done = here("fit", tmp_path / "bad.csv", "-k", 1, "-o", tmp_path / "run", *config(scale=1))
    assert done.code == 65
    assert notes() == ["start", "scale 1", "close"]
    done = here(*FIT, "-o", tmp_path / "run", *config(fault="start"))
    assert done.code == 75
    assert "did not start: sbatch: no such partition" in done.err
    assert notes()[3:] == ["start", "close"]


@pytest.mark.slow
@pytest.mark.parametrize("when", ["start", "pass"])
def test_it_is_closed_after_an_interrupt(tmp_path, notes, when):
    class Interrupt(Silence):
        def tell(self, state):
            raise KeyboardInterrupt

    cluster = {"class": CLASS, "notes": str(notes.path), "scale": 1}
    if when == "start":
        cluster["fault"] = "interrupt"
    with pytest.raises(KeyboardInterrupt):
        jobs.fit(IRIS, str(tmp_path / "run"), **OPTIONS, cluster=cluster, listener=Interrupt())
    assert notes() == (["start", "close"] if when == "start" else ["start", "scale 1", "close"])


@pytest.mark.slow
def test_a_failure_to_close_does_not_hide_the_result(tmp_path, here, config):
    done = here(*FIT, "-o", tmp_path / "run", *config(scale=1, fault="close"))
    assert done.code == 0
    assert "was not closed properly: scancel: no answer" in done.err


@pytest.mark.slow
def test_arguments_are_neither_recorded_nor_shown(tmp_path, here, config):
    token = "a-very-secret-token"  # noqa: S105
    run = tmp_path / "run"
    own = config(scale=1, token=token)
    assert here(*FIT, "-o", run, *own).code == 0
    record = json.loads((run / "run.json").read_text())
    assert record["resources"]["cluster"] == CLASS
    assert token not in (run / "run.json").read_text()
    adapted = tmp_path / "adapted"
    assert here("adapt", run, FIT[1], "-o", adapted, *own).code == 0
    assert json.loads((adapted / "run.json").read_text())["resources"]["cluster"] == CLASS
    assert token not in (adapted / "run.json").read_text()
    shown = here("config", "fit", *own)
    assert (shown.code, CLASS in shown.out, token in shown.out) == (0, True, False)


WRONG = [
    ({"class": "nowhere.Cluster"}, "can't be imported"),
    ({"class": "distributed.NoCluster"}, "can't be imported"),
    ({"class": "pathlib.Path"}, "is not a class of clusters"),
    ({"class": 3}, "The cluster has no class"),
    ({"scale": 2, "adapt": {"maximum": 3}}, "both scale and adapt"),
    ({"scale": 0}, "scale of the cluster is 0"),
    ({"adapt": 3}, "adapt of the cluster is 3"),
    ({"n_wokers": 3}, "doesn't take its arguments"),
]


@pytest.mark.parametrize(("values", "cause"), WRONG)
def test_what_makes_no_cluster_is_wrong_usage(tmp_path, here, config, notes, values, cause):
    done = here(*FIT, "-o", tmp_path / "run", *config(**values))
    assert done.code == 2
    assert cause in done.err
    assert notes() == []


@pytest.mark.slow
def test_the_command_line_and_variables_win_over_the_file(
    tmp_path, here, config, notes, monkeypatch
):
    own = config(scale=1)
    done = here(*FIT, "-o", tmp_path / "run", *own, "--scheduler", tmp_path / "none.json",
                "--tls-ca", tmp_path / "none")  # fmt: skip
    assert (done.code, notes()) == (2, [])  # of its certificate, not of the cluster
    assert "cluster class" not in done.err
    with pytest.raises(ConfigurationError, match="Both the cluster class"):
        jobs.fit(IRIS, "run", **OPTIONS, cluster={"class": CLASS}, workers=2)
    table = {"class": CLASS, "notes": str(notes.path), "scale": 1}
    monkeypatch.setenv("DASKGMM_CLUSTER", json.dumps(table))
    assert here(*FIT, "-o", tmp_path / "run").code == 0
    assert notes() == ["start", "scale 1", "close"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "size"),
    [
        (signal.SIGINT, 130, "n_workers = 2"),
        (signal.SIGTERM, 143, 'adapt = {minimum = 2, maximum = 3, interval = "100ms"}'),
    ],
)
def test_workers_of_a_local_cluster_end_with_an_interrupted_command(tmp_path, number, code, size):
    run = tmp_path / "run"
    (tmp_path / "job.toml").write_text(
        f'[cluster]\nclass = "distributed.LocalCluster"\n{size}\n'
        'threads_per_worker = 1\ndashboard_address = ":0"\n'
    )
    options = ("--tol", 0, "--max-iter", 1_000_000, "--subsample", "none", "--refine", "none")
    words = (*COMMAND, *FIT, "-o", run, "--config", tmp_path / "job.toml", *options)
    command = subprocess.Popen(
        [*map(str, words)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not (run / "checkpoint.safetensors").exists():
        assert command.poll() is None, command.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    workers = psutil.Process(command.pid).children(recursive=True)
    assert len(workers) >= 2
    os.killpg(command.pid, number)
    _, told = command.communicate(timeout=200)
    assert command.returncode == code
    assert "continues from its checkpoint" in told
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []


@pytest.mark.slow
def test_a_fit_goes_on_with_the_same_bits_where_a_cluster_shrinks_to_nothing_and_grows():
    class Regrowing(SchedulerPlugin):
        def remove_worker(self, scheduler, worker, **_):
            if not scheduler.workers:
                cluster.scale(2)

    def scale(state):
        if state.iteration in sizes:
            cluster.scale(sizes[state.iteration])

    sizes = {3: 0, 5: 1}
    fixed = {"tol": 0, "max_iter": 7, "subsample": None, "refine": "none", "random_state": 0}
    rows = da.from_array(two_groups(), chunks=(250, 3))
    with cluster_of(2) as cluster, Client(cluster):
        cluster.scheduler.add_plugin(Regrowing())
        with pytest.warns(ConvergenceWarning):
            changed = GaussianMixture(2, callbacks=[scale], **fixed).fit(rows)
    with pytest.warns(ConvergenceWarning):
        steady = GaussianMixture(2, **fixed).fit(rows)
    assert (changed.means_ == steady.means_).all()
    assert changed.lower_bound_ == steady.lower_bound_
