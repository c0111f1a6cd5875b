"""Commands whose standard streams are closed or broken."""

import json
import shlex
import subprocess

import numpy as np
import pandas as pd
import pytest

from tests.command import COMMAND


@pytest.fixture
def rows(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


def in_shell(folder, arguments, redirected):
    line = f"{shlex.join(COMMAND)} {arguments} {redirected}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_fit_whose_streams_are_closed_does_its_job(rows, closed):
    done = in_shell(rows, "fit rows.csv -k 2 -o run", closed)
    assert done.returncode == 0
    assert json.loads((rows / "run" / "run.json").read_text())["state"] == "complete"


def test_a_failure_that_nobody_hears_keeps_its_exit_code(rows):
    assert in_shell(rows, "fit nowhere.csv -k 2 -o run", "2>&-").returncode == 66


def test_results_are_the_same_where_only_messages_are_shut_out(rows):
    in_shell(rows, "fit rows.csv -k 2 -o run", "")
    heard, unheard = (in_shell(rows, "show run", closed).stdout for closed in ("", "2>&-"))
    assert heard == unheard != ""


@pytest.mark.parametrize("arguments", ["--help", "--version", "fit --help", "show --help"])
def test_help_that_finds_no_space_ends_with_the_code_of_outputs(tmp_path, arguments):
    done = in_shell(tmp_path, arguments, ">/dev/full")
    assert done.returncode == 73
    assert done.stderr.startswith("error: No space is left")
    assert "Traceback" not in done.stderr


def test_a_failure_that_cannot_be_told_keeps_its_exit_code(tmp_path):
    assert in_shell(tmp_path, "fit nowhere.csv -k 2 -o run", "2>/dev/full").returncode == 66
