"""Signals end a fit at once, with their own exit code, and leave nothing."""

import os
import signal
import subprocess

import numpy as np
import pandas as pd
import pytest

from tests.command import COMMAND


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    values = np.random.default_rng(0).normal(size=(20_000, 4))
    pd.DataFrame(values, columns=list("abcd")).to_parquet(path)
    return path


def fitting(rows, run, *options):
    """A fit that takes hours, once it has made ten passes."""
    command = [*COMMAND, "fit", rows, "-k", "8", "-o", run, "--tol", "0", "--max-iter", "1000000"]
    process = subprocess.Popen(
        [*command, "--subsample", "none", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for line in process.stderr:
        if line.startswith("Pass 10"):
            return process
    pytest.fail("The fit ended by itself.")


def living(session):
    """Processes of a session that are not only waiting to be counted out."""
    listed = subprocess.run(
        ["ps", "-eo", "sess=,stat=,args="], capture_output=True, text=True, check=True
    )
    found = (line.split(None, 2) for line in listed.stdout.splitlines())
    return [line for line in found if int(line[0]) == session and not line[1].startswith("Z")]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("cluster", [(), ("--workers", "1")], ids=["here", "cluster"])
def test_a_signal_ends_a_fit_and_leaves_nothing(rows, tmp_path, number, code, cluster):
    process = fitting(rows, tmp_path / "run", *cluster)
    assert [one.name[:9] for one in tmp_path.iterdir()] == [".run.tmp-"]
    os.killpg(process.pid, number)  # as a terminal does: to the workers as well
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, "")
    assert err.splitlines() == ["error: Interrupted.", "Run the same command to start again."]
    assert list(tmp_path.iterdir()) == []
    assert living(process.pid) == []


def test_what_a_killed_fit_leaves_goes_with_the_next(rows, tmp_path):
    process = fitting(rows, tmp_path / "run")
    process.kill()
    process.communicate()
    assert len(list(tmp_path.iterdir())) == 1
    done = subprocess.run(
        [*COMMAND, "fit", rows, "-k", "1", "-o", tmp_path / "run"], capture_output=True, check=True
    )
    assert done.stdout
    assert [one.name for one in tmp_path.iterdir()] == ["run"]


def test_a_replaced_run_survives_an_interrupted_replacement(rows, tmp_path):
    first = [*COMMAND, "fit", rows, "-k", "1", "-o", tmp_path / "run"]
    subprocess.run(first, capture_output=True, check=True)
    before = (tmp_path / "run" / "run.json").read_bytes()
    process = fitting(rows, tmp_path / "run", "--force")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert [one.name for one in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "run.json").read_bytes() == before
