"""What is written of a fit and what is read: the fields that are declared, and no others."""

import numpy as np
import pytest
from bokeh.models import ColumnDataSource

from daskgmm import GaussianMixture
from daskgmm.cli.commands.watch import _require_success
from daskgmm.cli.exits import CommandFailure
from daskgmm.cli.output.watch import event_line, runs_table
from daskgmm.monitoring.events import EventObserver
from daskgmm.monitoring.follow import Follower
from daskgmm.monitoring.messages import searched
from daskgmm.monitoring.observer import Observer
from daskgmm.monitoring.page.panels import CHARTS, TEXTS
from daskgmm.monitoring.page.view import view
from daskgmm.monitoring.schema import END, EVENTS, FIELDS, PASS, START, STARTS, fields_of, is_ours
from daskgmm.monitoring.service.http import runs_as_json
from daskgmm.monitoring.service.metrics import Collector
from daskgmm.monitoring.service.state import ClusterFits
from daskgmm.training.search_progress import EM, SearchProgress


class Client:
    """Keeps what is logged."""

    id = "Client-1"

    def __init__(self):
        self.events = []

    def log_event(self, _topic, event):
        self.events.append(event)


def events_of(rows):
    events = EventObserver(client := Client())

    class Relay(Observer):
        start, tell, end = events.start, events.tell, events.end

    model = GaussianMixture(2, subsample=None, tol=0, max_iter=3, callbacks=[Relay()])
    try:
        model.fit(rows)
    except ValueError:
        return client.events
    return client.events


@pytest.fixture(scope="module")
def written():
    with pytest.warns(match="did not converge"):
        good = events_of(np.random.default_rng(0).normal(size=(300, 2)))
    search = searched(good[0]["run_id"], Client.id, 0, SearchProgress(EM, 2, 3, 300, 1.0, 4.0), 1.5)
    return [good[0], search, *good[1:], *events_of(np.full((50, 2), np.nan))]


def test_each_event_is_written_with_the_fields_that_are_declared(written):
    assert {event["event"] for event in written} == set(EVENTS)
    for event in written:
        assert set(event) == set(fields_of(event["event"]))
        assert is_ours(event)


def test_fields_keep_their_names():
    """Other programs read them."""
    both = {"event", "run_id", "time", "client"}
    limits = {"tol", "stopping", "acceleration", "max_iter", "n_init", "rows"}
    assert set(fields_of(START)) == both | limits | {
        *("estimator", "n_components", "covariance_type", "n_features", "columns", "parts"),
        *("host", "pid"),
    }
    assert set(fields_of(STARTS)) == both | {
        *("candidate", "phase", "done", "of", "share", "rows", "seconds_left"),
        *("moves_tried", "moves_taken"),
    }
    assert set(fields_of(PASS)) == both | limits | {
        *("iteration", "passes", "lower_bound", "change", "seconds", "bytes_read", "starts"),
        *("starts_going", "criterion", "candidates", "moves_tried", "moves_taken", "budget_ended"),
        *("weights", "means", "deviations", "empty"),
    }
    assert set(fields_of(END)) == both | {
        *("iteration", "lower_bound", "seconds", "stopped", "message", "error"),
    }


class Declared(dict):
    """An event that refuses to be read by a name that it doesn't have by the schema."""

    def _check(self, name):
        assert name in fields_of(dict.__getitem__(self, "event")), name

    def __getitem__(self, name):
        self._check(name)
        return super().__getitem__(name)

    def get(self, name, default=None):
        self._check(name)
        return super().get(name, default)


def test_only_fields_that_are_declared_are_read(written):
    fits, follower, collector = ClusterFits(), Follower(), Collector()
    panels = [*(chart(ColumnDataSource()) for chart in CHARTS), *(text() for text in TEXTS)]
    collector._clusters.append(fits)
    for at, event in enumerate(map(Declared, written)):
        fits.histories.add(event, float(at))
        for news in follower.add(float(at), event):
            if news.event is not None:
                event_line(news.event, news.run)
        shown = view(fits, "", {"tcp://a": "0"})
        for panel in panels:
            panel.show(shown)
    list(collector.collect())
    runs_as_json(fits)
    runs_table(fits.histories.runs)
    for run in fits.histories.runs:
        try:
            _require_success(run)
        except CommandFailure:
            assert run.state == "failed"


def test_an_event_without_a_required_field_is_no_fits(written):
    for event in written:
        for name, field in FIELDS.items():
            rest = {key: value for key, value in event.items() if key != name}
            if name in ("means", "deviations", "weights"):
                continue  # they must agree with each other
            assert is_ours(rest) == (event["event"] not in field.required)
