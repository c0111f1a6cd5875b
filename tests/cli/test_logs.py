"""Logs for programs: nothing but JSON on standard error, and all that happens in it."""

import json
import logging
import subprocess
import sys

import pandas as pd
import pytest

from daskgmm.cli.output.json_logs import _log_search
from daskgmm.monitoring.messages import searched
from daskgmm.passes.engine.progress import PassProgress
from daskgmm.training.search_progress import SearchProgress
from tests.support.command import COMMAND, here, in_process, made
from tests.support.paths import IRIS

__all__ = ["here"]

FIT = (
    "fit", IRIS, "--columns", "sepal_length,sepal_width", "-k", 3,
    "--seed", 0, "--refine", "none",
)  # fmt: skip
JSON = ("--log-format", "json")
FIELDS = {"run_id", "event", "iteration", "lower_bound", "change", "rows", "seconds"}


def events(text):
    """The lines, each of which must be strict JSON with the fields of all."""
    lines = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert all(set(line) >= FIELDS | {"time", "level", "message"} for line in lines)
    return lines


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A complete run and the events of its fit."""
    path = tmp_path_factory.mktemp("runs") / "run"
    done = made(*FIT, "-o", path, *JSON)
    assert done.code == 0
    return path, events(done.err)


def test_a_fit_tells_its_start_each_pass_and_its_end(run):
    path, lines = run
    record = json.loads((path / "run.json").read_text())
    assert {line["run_id"] for line in lines} == {record["run_id"]}
    names = [line["event"] for line in lines if line["event"] != "log"]
    assert names == ["fit-start", *["pass"] * record["result"]["n_iter"], "fit-end"]
    passes = [line for line in lines if line["event"] == "pass"]
    for line, traced in zip(passes, record["trace"], strict=True):
        assert line["iteration"] == traced["iteration"]
        assert line["lower_bound"] == traced["lower_bound"]
        assert line["rows"] == 150
        assert line["seconds"] > 0
    assert passes[0]["change"] is None
    assert passes[-1]["change"] < 1e-3
    end = lines[-1]
    assert end["lower_bound"] == record["result"]["lower_bound"]
    assert (end["iteration"], end["stopped"]) == (record["result"]["n_iter"], "converged")


def test_no_progress_line_is_shown_nor_any_event_hidden(tmp_path, run):
    done = in_process(*FIT, "-o", tmp_path / "run", *JSON, "--no-progress")
    assert [line["event"] for line in events(done.err)] == [line["event"] for line in run[1]]
    assert done.out.splitlines()[0].startswith("component")


def test_the_level_decides_what_is_told(tmp_path, here):
    done = here(*FIT, "-o", tmp_path / "run", *JSON, "--log-level", "warning", "--max-iter", 2)
    (line,) = events(done.err)
    assert (line["event"], line["level"]) == ("warning", "warning")
    assert "did not converge in 2 passes" in line["message"]


def test_doing_nothing_is_told_too(run, here):
    (line,) = events(here(*FIT, "-o", run[0], *JSON).err)
    assert (line["event"], "already complete" in line["message"]) == ("log", True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "RUN", IRIS, "-o", "out"],
        ["score", "RUN", IRIS, "--json"],
        ["plot", "RUN", IRIS, "-o", "figure.png"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_other_jobs_tell_their_start_and_end(tmp_path, monkeypatch, here, run, arguments):
    monkeypatch.chdir(tmp_path)
    done = here(*[run[0] if word == "RUN" else word for word in arguments], *JSON)
    assert done.code == 0
    first, *_, last = events(done.err)
    assert (first["event"], last["event"]) == (f"{arguments[0]}-start", f"{arguments[0]}-end")


def test_a_score_carries_the_id_of_the_models_run(run, here):
    lines = events(here("score", run[0], IRIS, "--fail-below", 100, *JSON).err)
    assert [line["event"] for line in lines] == ["score-start", "score-end", "error"]
    assert {line["run_id"] for line in lines} == {run[1][0]["run_id"]}


def test_what_only_reads_a_model_says_nothing(run, here):
    assert here("show", run[0], *JSON).err == ""
    assert here("config", "fit", *JSON).err == ""


FAILURES = [
    (["fit", "nope.csv", "-k", 2, "-o", "run"], 66),
    (["fit", IRIS, "-k", 0, "-o", "run"], 2),
    (["fit", IRIS, "--nonsense"], 2),
    (["fitt"], 2),
    (["fit", IRIS, "-k", 2, "-o", "nowhere/run"], 73),
    (["fit", IRIS, "-k", 2, "-o", "run"], 65),
    (["show", "nope"], 66),
]


@pytest.mark.parametrize(("arguments", "code"), FAILURES)
def test_a_failure_is_the_last_event_with_cause_remedy_and_code(here, tmp_path, monkeypatch,
                                                                arguments, code):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = here(*arguments, *JSON)
    assert (done.code, done.out) == (code, "")
    last = events(done.err)[-1]
    assert (last["event"], last["level"], last["exit_code"]) == ("error", "error", code)
    assert last["cause"]
    assert last["remedy"]


def test_a_format_from_a_variable_or_a_file_holds_for_wrong_usage_too(tmp_path, here, monkeypatch):
    file = tmp_path / "job.toml"
    file.write_text("[fit]\nlog-format = 'json'\n")
    (line,) = events(here("fit", "--config", file, "--nonsense").err)
    assert line["exit_code"] == 2
    monkeypatch.setenv("DASKGMM_LOG_FORMAT", "json")
    (line,) = events(here("show", "--nonsense").err)
    assert line["exit_code"] == 2


def test_a_wrong_file_is_told_in_the_format_that_it_asks_for(tmp_path, here):
    file = tmp_path / "job.toml"
    file.write_text("log-format = 'json'\nsede = 1\n")
    (line,) = events(here("fit", "--config", file, IRIS, "-k", 2, "-o", "run").err)
    assert "line 2: 'sede'" in line["cause"]


@pytest.mark.slow
def test_a_cluster_and_debugging_leave_no_other_line(tmp_path):
    done = in_process(
        *FIT, "-o", tmp_path / "run", *JSON, "--workers", 1, "--log-level", "debug", command=COMMAND
    )
    assert done.code == 0
    lines = events(done.err)
    assert "on an embedded cluster of 1 worker" in lines[0]["message"] or len(lines) > 1
    assert [line["event"] for line in lines].count("fit-end") == 1


CHATTY = """
import logging, sys, threading, warnings
from daskgmm.cli.main import run

def score(*_):
    warnings.warn("the rows look odd", UserWarning)
    logging.getLogger("somebody").warning("hello")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    raise RuntimeError("the sky fell")

import daskgmm.jobs.scoring
daskgmm.jobs.scoring.run_score = score
sys.exit(run(sys.argv[1:]))
"""


def chatty(*arguments):
    command = [sys.executable, "-c", CHATTY, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_what_libraries_warn_of_and_what_fails_beside_are_events(run):
    done = chatty("score", run[0], IRIS, *JSON)
    assert done.returncode == 70
    lines = events(done.stderr)
    assert [line["event"] for line in lines] == ["warning", "warning", "warning", "error"]
    messages = [line["message"] for line in lines]
    assert messages[0] == "UserWarning: the rows look odd"
    assert messages[1] == "hello"
    assert "ZeroDivisionError" in messages[2]
    assert "the sky fell" in messages[3]
    assert all("traceback" not in line for line in lines)


@pytest.mark.slow
def test_debugging_adds_the_traceback_to_the_event(run):
    done = chatty("score", run[0], IRIS, *JSON, "--log-level", "debug")
    last = events(done.stderr)[-1]
    assert "in score" in last["traceback"]
    assert last["exit_code"] == 70


@pytest.mark.filterwarnings("default:Column 'const'")
@pytest.mark.slow
def test_what_libraries_warn_of_is_a_line_without_its_code(tmp_path, here):
    frame = pd.read_csv(IRIS)[["sepal_length", "sepal_width"]].assign(const=1.0)
    frame.to_csv(tmp_path / "rows.csv", index=False)
    fit = ("fit", tmp_path / "rows.csv", "-k", 2, "--seed", 0)
    said = in_process(*fit, "-o", tmp_path / "run").err.splitlines()
    assert "warning: Column 'const' is constant; leave it out." in said
    assert not [line for line in said if "UserWarning" in line or "warnings.warn" in line]
    silent = here(*fit, "-o", tmp_path / "again", "--log-level", "error")
    assert (silent.code, silent.err) == (0, "")


def test_the_search_for_starts_is_an_event_with_its_figures(caplog):
    event = searched("a" * 32, None, 0, SearchProgress("em", 3, 10, 30_000, 41.0, 100.0), 40.0)
    with caplog.at_level(logging.INFO):
        _log_search(PassProgress("gmm-init-starts", 1, lambda: 0, events=lambda: [event]))
    (record,) = caplog.records
    assert record.getMessage() == "Starts: 3 of 10, 41% of EM on 30,000 rows, at most 40 s left"
    assert record.fields["event"] == "starts"
    assert [record.fields[name] for name in ("phase", "done", "of", "share")] == ["em", 3, 10, 0.41]
    assert "client" not in record.fields
