"""The page's panels, without a browser."""

import numpy as np
import pytest
from bokeh.document import Document
from bokeh.document.events import ColumnDataChangedEvent, ColumnsPatchedEvent, ColumnsStreamedEvent

from daskgmm.monitoring.history import MOST_POINTS, FitHistory
from daskgmm.monitoring.page.feed import Feed
from daskgmm.monitoring.page.panels import CHARTS, TEXTS
from daskgmm.monitoring.page.panels.bound import span
from daskgmm.monitoring.page.panels.change import span as change_span
from daskgmm.monitoring.page.panels.heading import Heading
from daskgmm.monitoring.page.panels.parameters import Parameters
from daskgmm.monitoring.page.panels.weights import Weights, colour, fading
from daskgmm.monitoring.page.panels.workers import MOST, Workers
from daskgmm.monitoring.page.view import PageView, view
from daskgmm.monitoring.service.state import ClusterFits, TaskProgress
from tests.support.fit_events import end, made, start

RUN = "a" * 32


def run_of(*events, run=None):
    run = run or FitHistory(RUN, heard=0.0)
    for at, event in enumerate(events):
        run = run.after(event, float(at))
    return run


def seen(run, now=0.0, **options):
    defaults = {"runs": (run,), "progress": None, "workers": {"tcp://a": "0"}}
    return PageView(run=run, now=now, **{**defaults, **options})


def text_of(panel, run, **options):
    panel.show(seen(run, **options))
    return panel.root.text


@pytest.mark.slow
def test_a_browser_is_sent_new_passes_only():
    feed, run, sent = Feed(), run_of(start()), []
    document = Document()
    document.add_root(feed.source)
    document.on_change(sent.append)
    for iteration in range(1, 3 * MOST_POINTS):
        run = run.after(made(iteration), 0.0)
        feed.show(run)
        assert list(feed.source.data["iteration"]) == [point.iteration for point in run.points]
    fresh = Feed()
    fresh.show(run)
    for name, column in fresh.source.data.items():
        np.testing.assert_array_equal(feed.source.data[name], column)
    kinds = [type(event) for event in sent]
    assert set(kinds) == {ColumnDataChangedEvent, ColumnsStreamedEvent, ColumnsPatchedEvent}
    # All of them at first, and each time that every second pass is left out.
    assert kinds.count(ColumnDataChangedEvent) == 3


def test_another_run_takes_the_place_of_the_one_before():
    feed = Feed()
    feed.show(run_of(start(), made(1), made(2)))
    feed.show(run_of(start(), made(7, weights=[0.2, 0.3, 0.5])))
    assert feed.source.data["iteration"] == [7]
    assert feed.source.data["component 2"] == [0.5]
    feed.show(None)
    assert feed.source.data["iteration"] == []


def test_what_a_logarithm_does_not_have_is_left_out():
    feed = Feed()
    feed.show(run_of({**made(1, weights=[0.0, 1.0]), "change": None}, {**made(2), "change": -0.5}))
    np.testing.assert_array_equal(feed.source.data["change"], [np.nan, 0.5])
    np.testing.assert_array_equal(feed.source.data["component 0"], [np.nan, 0.25])


@pytest.mark.slow
@pytest.mark.parametrize(
    "run",
    [
        None,
        run_of(start()),
        run_of(made(1)),
        run_of({"event": "pass", "run_id": RUN}),
        run_of(start(), made(1), end()),
        run_of(start(), {"event": "fit-end", "run_id": RUN}),
    ],
)
def test_every_panel_takes_a_run_of_which_little_is_known(run):
    feed = Feed()
    feed.show(run)
    shown = PageView(() if run is None else (run,), run, None, {}, 0.0)
    for panel in [*(chart(feed.source) for chart in CHARTS), *(text() for text in TEXTS)]:
        panel.show(shown)


def test_silence_is_told_once_it_is_longer_than_usual():
    run = run_of(start(), {**made(1), "seconds": 60.0})
    assert "No news since" not in text_of(Heading(), run, now=170.0)
    assert "No news since" in text_of(Heading(), run, now=200.0)
    assert "(3 min 19 s)" in text_of(Heading(), run, now=200.0)
    busy = TaskProgress("pass", 4, 150.0, {})
    assert "No news" not in text_of(Heading(), run, now=200.0, progress=busy)
    ended = run.after(end(), 2.0)
    assert "No news" not in text_of(Heading(), ended, now=1e6)
    compiling = run_of(start())
    assert "No news" not in text_of(Heading(), compiling, now=100.0)
    assert "No news since" in text_of(Heading(), compiling, now=150.0)


def test_a_cluster_without_workers_is_told():
    assert "no workers" in text_of(Heading(), run_of(start()), workers={})


def test_why_a_fit_failed_is_told():
    failed = run_of(start(), {**end(stopped="failed"), "message": "NaN in <row> 3"})
    assert "NaN in &lt;row&gt; 3" in text_of(Heading(), failed)


def test_first_passes_that_dwarf_the_others_are_out_of_sight():
    bounds = [-1e9, *np.linspace(-3, -2, 30)]
    run = run_of(*({**made(at + 1), "lower_bound": bound} for at, bound in enumerate(bounds)))
    low, high = span(run)
    assert -3 <= low < -2.8
    assert high == -2
    usual = run_of(*({**made(at + 1), "lower_bound": at / 30} for at in range(31)))
    assert span(usual) == (0, 1)
    changes = [1e9, 0.1, 0.01, 0.001]
    run = run_of(*({**made(at + 1), "change": change} for at, change in enumerate(changes)))
    assert change_span(run, 1e-5) == (1e-5, 0.1)
    assert change_span(run_of(made(1), made(2)), 0.0) == (0.25, 0.5)
    assert change_span(None, 0.0) == (1, 1)


def test_of_many_workers_the_first_are_shown_and_the_others_counted():
    workers = {f"tcp://{number}": str(number) for number in range(100)}
    progress = TaskProgress("pass", 200, 0.0, dict.fromkeys(workers, 2))
    told = text_of(Workers(), run_of(start()), progress=progress, workers=workers)
    assert told.count('class="row"') == MOST
    assert f"{100 - MOST} more workers: {2 * (100 - MOST)} tasks" in told
    assert "200 of 200 tasks" in told


def test_components_are_told_apart_and_those_that_die_are_found():
    assert len({colour(index, 100) for index in range(100)}) > 90
    assert len({colour(index, 10) for index in range(10)}) == 10
    assert fading((0.5, 0.4, 0.09, 0.01)) == [3]


def test_those_that_die_are_named_together_where_they_would_hide_each_other():
    feed, weights = Feed(), [0.5, 0.4, 0.05, 0.04, 0.001, *([0.0001] * 7)]
    run = run_of(made(3, weights=weights))
    panel = Weights(feed.source)
    panel.show(seen(run))
    labels = panel.root.renderers[0].data_source.data
    together = "components 5, 6, 7, 8, 9 and 2 more"
    assert labels["text"] == ["component 4", together]
    panel.show(seen(run_of(start())))
    assert panel.root.renderers[0].data_source.data["text"] == []


def test_components_that_emptied_are_marked_and_the_others_counted():
    whole = made(3, weights=[0.7, 0.2999, 0.0001])
    whole |= {"means": [[0.0], [1.0], [2.0]], "deviations": [[1.0]] * 3}
    text = text_of(Parameters(), run_of(start(), whole | {"empty": [2]}))
    assert text.count("empty") == 1
    assert "2 of 3 components hold rows." in text
    assert "hold rows" not in text_of(Parameters(), run_of(start(), whole))


def test_the_run_that_is_asked_for_is_shown_and_else_the_first():
    fits = ClusterFits()
    assert view(fits, "", {}).run is None
    for run_id in ("aa", "bb"):
        fits.histories.add(start(run_id), 0.0)
    assert view(fits, "b", {}).run.run_id == "bb"
    assert view(fits, "", {}).run is view(fits, "no such", {}).run is fits.histories.runs[0]
