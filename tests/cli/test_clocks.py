"""The clock is set while a fit runs: neither it nor its lock nor its record minds."""

import json
import signal
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pytest

from daskgmm.data.storage.folder import Folder
from daskgmm.jobs.models import find_model
from tests.support.command import a_moment, in_process, made
from tests.support.rows import parquet_of
from tests.support.stores import s3, s3_server

__all__ = ["s3", "s3_server"]

pytestmark = pytest.mark.slow

DAY = 86_400
_WITH_A_CLOCK = """
import datetime, pathlib, sys, time
import pandas, pyarrow.parquet, sklearn.mixture  # compiled code must have the true class
path, true = pathlib.Path(sys.argv.pop(1)), time.time

def now():
    return true() + float(path.read_text())

class Datetime(datetime.datetime):
    __slots__ = ()

    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(now(), tz)

time.time, datetime.datetime = now, Datetime
from daskgmm.cli import main
main()
"""


class Clock:
    """What time it is for commands that are run by it."""

    def __init__(self, path):
        self._path = path
        self.set(0)
        self.command = (sys.executable, "-c", _WITH_A_CLOCK, str(path))

    def set(self, seconds):
        """Off the true time by some seconds, at once."""
        beside = self._path.with_suffix(".new")
        beside.write_text(str(seconds))
        beside.replace(self._path)


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    values = np.random.default_rng(0).normal(size=(4000, 3)) + np.arange(4000)[:, np.newaxis] % 3
    return parquet_of(values, path)


def fit(rows, run):
    fixed = ("--tol", "0", "--max-iter", "200", "--subsample", "none", "--refine", "none")
    return ("fit", rows, "-k", "3", "--seed", "0", "--no-progress", *fixed, "-o", run)


@pytest.fixture(scope="module")
def calm(rows, tmp_path_factory):
    """What a run comes to whose clock goes on as clocks do."""
    run = tmp_path_factory.mktemp("calm") / "run"
    assert made(*fit(rows, run)).code == 0
    return result(str(run))


def result(run, options=None):
    model = find_model(run, options).estimator
    return model.lower_bounds_, model.means_.tobytes(), model.covariances_.tobytes()


def frozen(clock, command, folder):
    """The process of a fit that stands still in the middle of its passes."""
    process = subprocess.Popen(
        [*clock.command, *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    while "checkpoint.safetensors" not in folder.names():
        assert process.poll() is None, process.stderr.read()
        a_moment()
    process.send_signal(signal.SIGSTOP)
    return process


def times_of(folder):
    record = json.loads(folder.read("run.json"))
    started, ended = (datetime.fromisoformat(record["timings"][at]) for at in ("started", "ended"))
    assert min(one["seconds"] for one in record["trace"]) > 0
    seconds = record["timings"]["seconds"]
    assert ended - started >= timedelta(seconds=seconds) > timedelta(0)
    return seconds


@pytest.mark.parametrize(("jump", "told"), [(DAY, "running for 1 day"), (-DAY, "running since")])
def test_a_jump_takes_a_run_from_nobody_and_is_no_part_of_its_duration(
    clock, rows, calm, tmp_path, jump, told
):
    run = tmp_path / "run"
    folder = Folder.of(run, {})
    process = frozen(clock, fit(rows, run), folder)
    clock.set(jump)
    second = in_process(*fit(rows, run), command=clock.command)
    process.send_signal(signal.SIGCONT)
    said = process.communicate()[1]
    assert second.code == 73, second.err
    assert f"process {process.pid} on" in second.err
    assert told in second.err
    assert process.returncode == 0, said
    assert result(str(run)) == calm
    assert times_of(folder) < DAY / 2


@pytest.mark.slow
def test_in_a_store_the_living_keep_their_lock_and_the_dead_lose_it_whatever_the_clocks_show(
    clock, rows, calm, s3
):  # fmt: skip
    run = f"{s3.url}/run"
    folder = Folder.of(run, s3.options)
    command = (*fit(rows, run), *s3.arguments)
    process = frozen(clock, command, folder)
    clock.set(DAY)
    second = in_process(*command, command=clock.command)
    process.kill()
    process.communicate()
    assert second.code == 73, second.err
    assert f"process {process.pid} on" in second.err
    assert "it last renewed its lock" in second.err
    assert ".lock" in folder.names()
    clock.set(-DAY)
    third = in_process(*command, command=clock.command)
    assert third.code == 0, third.err
    assert result(run, s3.options) == calm
    assert times_of(folder) < DAY / 2
