"""Commands whose standard streams are closed or broken."""

import gzip
import json
import os
import pty
import shlex
import subprocess

import numpy as np
import pandas as pd
import pytest

from daskgmm.cli.exits import Exit, code_for
from daskgmm.cli.output.streams import OutputClosedError
from tests.support.command import COMMAND, made


@pytest.fixture
def rows(tmp_path):
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
    frame.to_csv(tmp_path / "rows.csv", index=False)
    return tmp_path


def in_shell(folder, arguments, redirected):
    line = f"{shlex.join(COMMAND)} {arguments} {redirected}"
    return subprocess.run(
        ["bash", "-c", line], cwd=folder, capture_output=True, text=True, check=False, timeout=200
    )


@pytest.mark.slow
@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_fit_whose_streams_are_closed_does_its_job(rows, closed):
    done = in_shell(rows, "fit rows.csv -k 2 -o run --refine none", closed)
    assert done.returncode == 0
    assert json.loads((rows / "run" / "run.json").read_text())["state"] == "complete"


@pytest.mark.slow
def test_a_failure_that_nobody_hears_keeps_its_exit_code(rows):
    assert in_shell(rows, "fit nowhere.csv -k 2 -o run", "2>&-").returncode == 66


@pytest.mark.slow
def test_results_are_the_same_where_only_messages_are_shut_out(rows):
    made("fit", rows / "rows.csv", "-k", 2, "-o", rows / "run")
    heard, unheard = (
        in_shell(rows, "score run rows.csv", closed).stdout for closed in ("", "2>&-")
    )
    assert heard == unheard != ""


@pytest.mark.parametrize("arguments", ["--help", "--version", "fit --help", "show --help"])
def test_help_that_finds_no_space_ends_with_the_code_of_outputs(tmp_path, arguments):
    done = in_shell(tmp_path, arguments, ">/dev/full")
    assert done.returncode == 73
    assert done.stderr.startswith("error: No space is left")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_failure_that_cannot_be_told_keeps_its_exit_code(tmp_path):
    assert in_shell(tmp_path, "fit nowhere.csv -k 2 -o run", "2>/dev/full").returncode == 66


def complete(folder):
    record = json.loads((folder / "run" / "run.json").read_text())
    return record["state"] == "complete" and record["result"]["n_iter"] == 40


LONG = "fit rows.csv -k 2 -o run --tol 0 --max-iter 40 --seed 0"


@pytest.mark.parametrize(
    "options",
    [
        "",
        "--log-format json",
        pytest.param("--log-level debug --workers 1", marks=pytest.mark.slow),
    ],
)
@pytest.mark.slow
def test_a_reader_of_messages_may_leave_early_and_the_fit_goes_on(rows, options):
    in_shell(rows, f"{LONG} {options}", "2>&1 >/dev/null | head -1; echo ${PIPESTATUS[0]} >code")
    assert (rows / "code").read_text() == "0\n"
    assert complete(rows)


@pytest.mark.slow
def test_messages_that_find_no_space_are_left_unsaid(rows):
    done = in_shell(rows, f"{LONG} --log-format json", "2>/dev/full")
    assert (done.returncode, complete(rows)) == (0, True)


@pytest.mark.slow
def test_a_terminal_that_is_closed_takes_the_lines_with_it_and_not_the_fit(rows):
    screen, terminal = pty.openpty()
    command = [*COMMAND, *shlex.split(LONG)]
    with subprocess.Popen(
        command, cwd=rows, stdout=subprocess.PIPE, stderr=terminal, start_new_session=True
    ) as process:
        os.close(terminal)
        os.read(screen, 1)
        os.close(screen)
        process.communicate(timeout=200)
    assert (process.returncode, complete(rows)) == (0, True)


def test_a_pipe_that_breaks_elsewhere_is_no_reader_that_left():
    assert code_for(BrokenPipeError) != Exit.BROKEN_PIPE
    assert code_for(OutputClosedError) == Exit.BROKEN_PIPE


@pytest.mark.slow
def test_a_command_ends_with_its_code_while_arrow_still_reads_ahead(tmp_path):
    text = b"a,b\n" + b"0.123456,1.234567\n" * 3_000_000
    with gzip.open(tmp_path / "rows.csv.gz", "wb", compresslevel=1) as file:
        file.write(text)
    codes = [in_shell(tmp_path, "fit rows.csv.gz -k 2 -o /proc/run", "") for _ in range(4)]
    assert [done.returncode for done in codes] == [73] * 4
