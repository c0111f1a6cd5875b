"""Dask's report of what a cluster did for a command."""

import os
import re
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from bokeh.document import Document
from bokeh.document.callbacks import invoke_with_curdoc
from distributed import Client, LocalCluster

from daskgmm.jobs.cluster.dashboard import reported
from daskgmm.jobs.cluster.resources import Resources
from tests.support.browsing import browser, chromium
from tests.support.command import here, in_process
from tests.support.rows import prepare

__all__ = ["browser", "chromium", "here"]


@pytest.fixture(scope="module")
def address():
    with LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        processes=False,
        protocol="tcp://",
        dashboard_address=":0",
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("rows"))


def is_report(file):
    return "Dask Performance Report" in file.read_text() and not list(file.parent.glob(".*"))


@pytest.mark.parametrize("command", ["fit", "select", "update", "predict", "score", "sample"])
@pytest.mark.slow
def test_every_command_that_runs_passes_writes_one(tmp_path, rows, address, here, command):
    model, mixture = rows.saved, ("--columns", "a,b", "--max-iter", 5)
    arguments = {
        "fit": (rows.parquet, "-k", 2, "-o", tmp_path / "out", *mixture),
        "select": (rows.parquet, "-k", 2, "-o", tmp_path / "out", *mixture),
        "update": (model, rows.parquet, "-o", tmp_path / "out"),
        "predict": (model, rows.parquet, "-o", tmp_path / "out"),
        "score": (model, rows.parquet),
        "sample": (model, "-n", 10, "-o", tmp_path / "out"),
    }[command]
    report = tmp_path / "reports" / "report.html"
    report.parent.mkdir()
    done = here(command, *arguments, "--scheduler", address, "--performance-report", report)
    assert done.code == 0, done.err
    assert is_report(report)
    assert f"Performance report: {report}" in done.err


@pytest.mark.slow
def test_small_inputs_get_a_cluster_for_it(tmp_path, rows):
    report = tmp_path / "report.html"
    variables = os.environ | {"DASKGMM_PERFORMANCE_REPORT": str(report)}
    done = in_process("score", rows.saved, rows.parquet, env=variables)
    assert done.code == 0
    assert "on an embedded cluster" in done.err
    assert is_report(report)


@pytest.mark.slow
def test_a_command_that_fails_leaves_one_too(tmp_path, address, here):
    pd.DataFrame({"a": [1.0, float("nan")]}).to_parquet(tmp_path / "flawed.parquet")
    report = tmp_path / "reports" / "report.html"
    report.parent.mkdir()
    where = ("--scheduler", address, "--performance-report", report)
    done = here("fit", tmp_path / "flawed.parquet", "-k", 1, "-o", tmp_path / "run", *where)
    assert done.code == 65
    assert is_report(report)


@pytest.mark.slow
def test_a_job_that_is_interrupted_leaves_one_too(tmp_path, address, monkeypatch):
    patience = "daskgmm.jobs.cluster.dashboard._SECONDS_FOR_LAST_WORDS"
    monkeypatch.setattr(patience, 200.0)  # of a busy machine
    report = tmp_path / "report.html"
    with Client(address) as client, pytest.raises(KeyboardInterrupt), reported(client, str(report)):
        raise KeyboardInterrupt
    assert is_report(report)


def test_a_report_that_could_not_be_written_is_refused_before(tmp_path, rows, here):
    report = tmp_path / "missing" / "report.html"
    done = here("score", rows.saved, rows.parquet, "--performance-report", report)
    assert (done.code, done.out) == (73, "")
    assert f"{report.parent} does not exist" in done.err


def test_a_figure_without_rows_has_no_report(tmp_path, rows, here):
    wanted = ("-o", tmp_path / "figure.png", "--performance-report", tmp_path / "report.html")
    done = here("plot", rows.saved, *wanted)
    assert (done.code, done.out) == (2, "")


def test_without_bokeh_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("daskgmm.errors.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'daskgmm\[dashboard\]'"):
        Resources(performance_report=str(tmp_path / "report.html"))


@pytest.mark.slow
def test_a_cluster_that_goes_away_leaves_a_warning(tmp_path, caplog):
    with (
        LocalCluster(n_workers=0, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        reported(client, str(tmp_path / "report.html")),
    ):
        cluster.close()
    assert "The performance report" in caplog.text
    assert list(Path(tmp_path).iterdir()) == []


def fail():
    raise KeyError("a group that is gone")


@pytest.mark.slow
def test_a_page_that_failed_and_was_closed_spoils_no_report(tmp_path, address):
    left = Document()
    with suppress(KeyError):
        invoke_with_curdoc(left, fail)  # as the dashboard's page of groups does at times
    left.callbacks.destroy()
    report = tmp_path / "report.html"
    with Client(address) as client, reported(client, str(report)):
        client.submit(sum, [1, 2]).result()
    assert is_report(report)


@pytest.mark.slow
def test_a_report_is_read_without_a_network(tmp_path, address, browser):
    report = tmp_path / "report.html"
    with Client(address) as client, reported(client, str(report)):
        client.submit(sum, [1, 2]).result()
    fetched = r"""<(?:script|link|img)[^>]*(?:src|href)\s*=\s*["']?https?:"""
    assert not re.findall(fetched, report.read_text())
    page = browser(report.as_uri())
    assert "Dask Performance Report" in page.title()
    page.wait_for_selector("text=number of tasks: 1")
