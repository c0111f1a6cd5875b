"""Signals end a fit at once, with their own exit code, and leave its checkpoint."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.support.command import COMMAND, here, made
from tests.support.rows import parquet_of

__all__ = ["here"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    values = np.random.default_rng(0).normal(size=(2_000, 4))
    return parquet_of(values, path)


def fitting(rows, run, *options):
    """A fit that takes hours, once it has made ten passes."""
    command = [*COMMAND, "fit", rows, "-k", "8", "-o", run, "--tol", "0", "--max-iter", "1000000"]
    process = subprocess.Popen(
        [*command, "--subsample", "none", "--refine", "none", *options],
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
    """Processes of a session that have not ended: those that have are yet to be counted out, or
    have given back their memory, and so the words that they were started with."""
    listed = subprocess.run(
        ["ps", "-eo", "sess=,stat=,args="], capture_output=True, text=True, check=True
    )
    found = (line.split(None, 2) for line in listed.stdout.splitlines())
    own = [line for line in found if int(line[0]) == session]
    return [line for line in own if not (line[1].startswith("Z") or line[2].startswith("["))]


def names(run):
    return sorted(path.name for path in run.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param((), id="here"),
        pytest.param(("--workers", "1"), id="cluster", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_fit_and_leaves_its_checkpoint_only(rows, tmp_path, number, code, cluster):
    run = tmp_path / "run"
    process = fitting(rows, run, *cluster)
    assert {".lock", "run.json"} <= set(names(run))
    assert "model.safetensors" not in names(run)
    os.killpg(process.pid, number)  # as a terminal does: to the workers as well
    out, err = process.communicate(timeout=200)
    assert (process.returncode, out) == (code, "")
    told = err.splitlines()
    cause = told.index("error: Interrupted.")
    assert "continues from its checkpoint" in told[cause + 1]
    assert "Traceback" not in err
    assert names(run) == ["checkpoint.safetensors", "run.json"]
    record = json.loads((run / "run.json").read_text())
    assert (record["state"], record["failure"]["kind"]) == ("failed", "interrupted")
    assert living(process.pid) == []


@pytest.mark.slow
def test_what_a_killed_fit_leaves_is_in_the_way_of_others_until_forced(rows, tmp_path):
    run = tmp_path / "run"
    process = fitting(rows, run)
    process.kill()
    process.communicate()
    assert {"checkpoint.safetensors", "run.json"} <= set(names(run))
    other = ("fit", rows, "-k", 1, "-o", run)
    assert made(*other).code == 73
    assert made(*other, "--force").code == 0
    assert names(run) == ["model.safetensors", "run.json"]


@pytest.mark.slow
def test_a_replaced_run_survives_an_interrupted_replacement(rows, tmp_path):
    run = tmp_path / "run"
    assert made("fit", rows, "-k", 1, "-o", run).code == 0
    before = [(run / name).read_bytes() for name in ("run.json", "model.safetensors")]
    process = fitting(rows, run, "--force")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=200)
    assert names(run) == ["_replacing", "model.safetensors", "run.json"]
    assert names(run / "_replacing") == ["checkpoint.safetensors", "run.json"]
    assert [(run / name).read_bytes() for name in ("run.json", "model.safetensors")] == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.slow
def test_what_ends_before_its_first_pass_says_that_it_begins_anew(rows, tmp_path, here, number):
    run = tmp_path / "run"
    process = subprocess.Popen(
        [*COMMAND, "fit", rows, "-k", "1000", "-o", run], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr.readline().startswith("Fitting ")  # finding starts takes it a minute
    process.send_signal(number)
    _, err = process.communicate(timeout=200)
    anew = "un the same command again: no pass was finished, so it starts from the beginning."
    assert (anew in err) is (number == signal.SIGINT)
    done = here("show", run)
    assert done.code == 66
    assert "no pass was finished, so it starts from the beginning." in done.err


HALF_MADE = """
import os, signal
from daskgmm.cli.exits import Terminated, interruptible

class Half:
    def __init__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        self.made = True

    def __del__(self):
        print(self.made)

try:
    with interruptible():
        Half()
except Terminated:
    print("terminated")
"""


def test_what_a_signal_finds_half_made_goes_quietly():
    done = subprocess.run(
        [sys.executable, "-c", HALF_MADE], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("terminated\n", "")
