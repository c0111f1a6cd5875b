"""Runs as processes that are killed, started twice, stopped, and short of space."""

import json
import os
import random
import resource
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from daskgmm import load
from tests.support.command import COMMAND, a_moment, in_process, made
from tests.support.rows import parquet_of

QUIET = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    values = np.random.default_rng(0).normal(size=(20_000, 4))
    return parquet_of(values, path, 2_000)


def fit(rows, run, *more, passes=24):
    """The arguments of a fit that takes as many passes as it may."""
    fixed = ("--tol", "0", "--max-iter", passes, "--subsample", "none", "--no-progress")
    return [str(one) for one in ("fit", rows, "-k", 8, "-o", run, "--seed", 1, *fixed, *more)]


def record(run):
    return json.loads((run / "run.json").read_text())


def result(run):
    """What must be the same to the bit: parameters, trace and counts."""
    model, found = load(run / "model.safetensors"), record(run)
    trace = [{key: one[key] for key in one if key != "seconds"} for one in found["trace"]]
    arrays = (model.weights_, model.means_, model.covariances_)
    return [array.tobytes() for array in arrays], trace, found["result"]


@pytest.fixture(scope="module")
def undisturbed(rows, tmp_path_factory):
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    assert made(*fit(rows, run)).code == 0
    return result(run)


def version(run):
    """What tells a checkpoint from one before."""
    try:
        return (run / "checkpoint.safetensors").stat().st_ino
    except FileNotFoundError:
        return None


def killed_at(command, run, passes):
    """Start a command and kill it when its checkpoint has been written so many times.

    Returns its exit code, which is 0 where it was quicker.
    """
    process = subprocess.Popen(
        [*COMMAND, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=QUIET
    )
    seen, last = 0, version(run)
    while process.poll() is None and seen < passes:
        now = version(run)
        seen, last = seen + (now != last), now
        a_moment()
    process.kill()
    process.communicate()
    return process.returncode


@pytest.mark.slow
def test_a_fit_that_is_killed_again_and_again_ends_as_one_that_is_not(rows, tmp_path, undisturbed):
    run, draw, attempts = tmp_path / "run", random.Random(0), 0  # noqa: S311  no secret
    while not attempts or record(run)["state"] == "running":
        killed_at(fit(rows, run), run, draw.randint(2, 8))
        attempts += 1
    assert attempts > 3
    assert record(run)["attempts"] == attempts
    assert result(run) == undisturbed
    left = {path.name for path in run.iterdir()} - {".lock"}  # of one killed after its work
    assert left == {"model.safetensors", "run.json"}


@pytest.mark.slow
def test_a_fit_that_is_killed_in_a_store_goes_on_there(rows, s3, tmp_path, undisturbed):
    command = fit(rows, f"{s3.url}/run", *s3.arguments)
    process = subprocess.Popen(
        [*COMMAND, *command, "--progress"], stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr:
        if line.startswith("Pass 10"):
            break
    process.kill()
    process.communicate()
    assert "checkpoint.safetensors" in names(s3)
    done = in_process(*command, "--progress")
    assert done.code == 0, done.err
    assert "from its checkpoint" in done.err
    assert names(s3) == ["model.safetensors", "run.json"]
    s3.filesystem.get(f"{s3.url}/run", str(tmp_path / "run"), recursive=True)
    assert result(tmp_path / "run") == undisturbed
    again = made(*command)
    assert "is already complete: nothing was done" in again.err
    assert made("show", f"{s3.url}/run", *s3.arguments).code == 0
    text = (tmp_path / "run" / "run.json").read_text() + done.err + again.err + again.out
    assert s3.options["secret"] not in text


def names(s3):
    return sorted(path.rpartition("/")[2] for path in s3.filesystem.ls(f"{s3.url}/run"))


@pytest.mark.slow
def test_a_command_started_twice_at_once_makes_one_run(rows, tmp_path, undisturbed):
    run = tmp_path / "run"
    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(lambda _: in_process(*fit(rows, run)), range(2)))
    # The second may have come when the first was through.
    assert sorted(one.code for one in ended) in ([0, 73], [0, 0])
    for one in ended:
        if one.code:
            assert f"{run} is being written by" in one.err
        assert "Traceback" not in one.err
    assert result(run) == undisturbed


@pytest.mark.slow
def test_a_second_command_is_told_who_is_there(rows, tmp_path):
    run = tmp_path / "run"
    first = subprocess.Popen(
        [*COMMAND, *fit(rows, run, "--progress", passes=100_000)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in first.stderr:
        if line.startswith("Pass 10"):
            break
    second = in_process(*fit(rows, run, passes=100_000))
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)
    assert (first.returncode, second.code) == (143, 73)
    owner = f"{run} is being written by run {record(run)['run_id']} (process {first.pid} on "
    assert owner in second.err
    failed = made("show", run)
    assert (failed.code, failed.out) == (66, "")
    assert "The run was interrupted" in failed.err


def limited(size):
    """In a child: writing beyond a size fails as it does on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.slow
@pytest.mark.parametrize("size", [500, 4000])
def test_what_does_not_fit_on_the_disk_is_told_and_done_later(rows, tmp_path, undisturbed, size):
    run = tmp_path / "run"  # its record takes more than 500 bytes, its checkpoint more than 4000
    done = in_process(*fit(rows, run), preexec_fn=partial(limited, size), command=COMMAND)
    assert (done.code, done.out) == (73, "")
    assert "can't be written: File too large" in done.err
    assert len(done.err.splitlines()) == 2
    if size > 500:
        assert record(run)["failure"]["kind"] == "OutputError"
    else:
        assert list(tmp_path.iterdir()) == []
    assert in_process(*fit(rows, run)).code == 0
    assert result(run) == undisturbed


def test_an_output_that_may_only_be_read_is_refused(rows):
    done = in_process(*fit(rows, "/proc/run"))
    assert done.code == 73
    assert "/proc/run can't be written" in done.err
    assert not Path("/proc/run").exists()
