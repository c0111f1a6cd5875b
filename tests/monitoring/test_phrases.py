"""The words for a fit's progress, and that every medium uses them."""

from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from daskgmm import GaussianMixture
from daskgmm.cli.output.lines import pass_line
from daskgmm.cli.output.live import LiveView
from daskgmm.cli.output.watch import event_line
from daskgmm.monitoring import phrases
from daskgmm.monitoring.forecast import Forecast
from daskgmm.monitoring.history import LOST, RUNNING, FitHistory
from daskgmm.monitoring.messages import ended, passed, searched, started
from daskgmm.monitoring.notebook import NotebookObserver
from daskgmm.monitoring.observer import Observer, Reason
from daskgmm.monitoring.page.panels.heading import Heading
from daskgmm.monitoring.page.panels.workers import Workers
from daskgmm.monitoring.page.view import PageView
from daskgmm.monitoring.service.state import TaskProgress
from daskgmm.monitoring.text import (
    capitalised,
    count,
    duration,
    html,
    number,
    plural,
    time_so_far,
)
from daskgmm.passes.engine.progress import STARTS, PassProgress
from daskgmm.training.search_progress import SearchProgress


class Recorder(Observer):
    """Keeps what observers are told."""

    def start(self, about):
        self.about, self.passes = about, []

    def tell(self, made):
        self.passes.append(made)

    def end(self, ending):
        self.ending = ending


@pytest.fixture(scope="module")
def recorded():
    recorder, rows = Recorder(), np.random.default_rng(0).normal(size=(400, 2))
    options = {"n_init": 2, "tol": 1e-9, "max_iter": 3, "subsample": None, "random_state": 0}
    with pytest.warns(match="did not converge"):
        GaussianMixture(2, **options, callbacks=[recorder]).fit(rows)
    return recorder


class Handle:
    def display(self, output):
        self.output = output

    update = display


def test_terminal_watch_notebook_and_page_say_the_same_of_a_pass(recorded):
    made = recorded.passes[-2]
    expected = [str(one) for one in phrases.figures_of_state(made.state, 1e-9)]
    assert [one.split()[0] for one in expected[:2]] == ["lower", "change"]
    assert expected[2] == "2 of 2 starts go on"

    event = passed(recorded.about, made)
    run = FitHistory(event["run_id"], heard=0.0).after(event, 0.0)
    assert event_line(event, run) == f"Pass 2: {', '.join(expected)}"

    observer = NotebookObserver(Handle())
    observer._about, observer._forecast, observer._made = recorded.about, Forecast(1e-9, 3), made
    assert observer._text() == " · ".join(["Pass 3 of at most 3", *expected])

    panel = Heading()
    panel.show(PageView((run,), run, None, {"tcp://a": "0"}, 0.0))
    for one in (phrases.pass_number(2, 3), *phrases.figures_of_event(event)):
        assert f"<dt>{one.label}</dt><dd>{html(one.value)}" in panel.root.text
        assert one.note in panel.root.text

    assert pass_line(made.state) == ", ".join(expected).replace(" (tol 1e-09)", "")
    forecast = Forecast(1e-9, 3).after(recorded.passes[0].state).after(made.state)
    live = LiveView("-", "pass 3", 1.0, "of at most 3", forecast=forecast)
    file = StringIO()
    Console(file=file, width=200).print(live)
    shown = file.getvalue()
    assert all(part in shown for part in ("pass 3 of at most 3", expected[0], *expected[2:]))
    assert expected[1].split(" (")[0] in shown
    assert "tol 1e-09" in shown


SEARCH = SearchProgress("em", 3, 10, 30_000, 41.0, 100.0, tried=15, taken=2)
SAID = "starts: 3 of 10, 41% of EM on 30,000 rows"
MORE = ("2 of 15 moves taken", "at most 40 s left")


def test_terminal_watch_notebook_and_page_say_the_same_of_the_search_for_starts(recorded):
    event = searched(recorded.about.run_id, None, 0, SEARCH, 40.0)
    line = ", ".join([SAID, *MORE])
    run = FitHistory(event["run_id"], heard=0.0).after(event, 0.0)
    assert event_line(event, run) == capitalised(line)

    observer = NotebookObserver(Handle())
    observer._pass = PassProgress(STARTS, 1, lambda: 0, events=lambda: [event])
    assert (observer._text(), observer._share()) == (capitalised(line), 0.41)

    panel, workers = Heading(), Workers()
    panel.show(PageView((run,), run, None, {"tcp://a": "0"}, 0.0))
    for one in phrases.search_figures([event]):
        assert f"<dt>{one.label}</dt><dd>{html(one.value)}" in panel.root.text
        assert one.note in panel.root.text
    assert "at most 40 s" in panel.root.text
    progress = TaskProgress("initialisation", 4, 0.0, {"tcp://a": 4})
    workers.show(PageView((run,), run, progress, {"tcp://a": "0"}, 0.0))
    assert capitalised(line) in workers.root.text

    file = StringIO()
    Console(file=file, width=100).print(LiveView("-", "finding", 1.0, search=[event]))
    first, second, *_ = file.getvalue().splitlines()
    assert first.startswith(f"- {SAID} ━")
    assert second == f"  {', '.join(MORE)}, 0:01 so far"


def test_searches_of_several_candidates_are_added_up():
    events = [
        searched("a" * 32, None, 0, SearchProgress("found", 4, 4, 900, 1.0, 9.0, 5, 1), 0.0),
        searched("a" * 32, None, 1, SearchProgress("em", 3, 4, 900, 1.0, 2.0), 7.0),
    ]
    assert phrases.search_line(events) == (
        "starts: 7 of 8, 75% of EM on 900 rows, 1 of 5 moves taken, at most 7.0 s left"
    )


def test_watch_and_notebook_say_the_same_of_the_end(recorded):
    made, handle = recorded.passes[-1], Handle()
    event = ended(recorded.about, made, recorded.ending)
    run = FitHistory(event["run_id"], heard=0.0).after(started(recorded.about), 0.0)
    run = run.after(passed(recorded.about, made), 0.0).after(event, 0.0)
    observer = NotebookObserver(handle)
    observer._made = made
    assert observer._end_text(recorded.ending) == event_line(event, run)
    assert event_line(event, run).startswith("The fit stopped without converging after 3 passes")


def test_every_state_of_a_fit_has_words():
    states = {RUNNING, LOST, *(reason.value for reason in Reason)}
    assert set(phrases.STATES) == states
    for state in states - {RUNNING}:
        assert phrases.ended(state, 1).endswith(" after 1 pass.")
    assert phrases.ended("failed", 2, seconds=3.0, bound=-1.0, message="NaN in row 3.") == (
        "The fit failed after 2 passes in 3.0 s: NaN in row 3."
    )


def test_figures_as_phrases():
    assert str(phrases.pass_number(7, None)) == "pass 7"
    assert str(phrases.lower_bound(None)) == "lower bound unknown"
    assert str(phrases.change(-0.0123, 1e-3)) == "change -1.23e-02 (tol 0.001)"
    assert str(phrases.speed(4.2e6, 2.0)) == "2.1M rows/s"
    assert str(phrases.remaining(1, 130.0)) == "about 1 pass, 2 min 10 s left"
    assert phrases.rows_and_columns(1000, 1) == "1,000 rows of 1 column"
    assert phrases.rows_and_columns(None, 2) == "rows of 2 columns"


def test_numbers_and_durations_are_short():
    assert [count(n) for n in (3, 5e6, 1234, 9.996e5, 4.2e9)] == ["3", "5M", "1.23k", "1M", "4.2G"]
    assert [number(value) for value in (None, -0.5, 1e-7)] == ["–", "−0.5", "1e−7"]
    assert [plural(*one) for one in ((1, "pass"), (2, "pass"), (0, "row"))] == [
        "1 pass", "2 passes", "0 rows",
    ]  # fmt: skip
    assert [time_so_far(s) for s in (0, 59.6, 3599, 3600, 36061)] == [
        "0:00", "1:00", "59:59", "1:00:00", "10:01:01",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        *((0, "0.0 s"), (0.21, "0.2 s"), (9.96, "10 s"), (42, "42 s"), (59.6, "1 min")),
        *((199, "3 min 19 s"), (300, "5 min"), (725, "12 min"), (5400, "1 h 30 min")),
        *((7200, "2 h"), (86400, "1 day"), (200_000, "2 days 8 h")),
    ],
)
def test_a_duration_has_about_two_digits(seconds, expected):
    assert duration(seconds) == expected
