"""Anybody may log anything under our topic: nothing that shows fits breaks of it."""

import json
from contextlib import suppress
from io import StringIO
from urllib.request import urlopen

import numpy as np
import pytest
from bokeh.core.json_encoder import serialize_json
from bokeh.document import Document
from distributed import Client, LocalCluster
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from daskgmm import GaussianMixture
from daskgmm.cli.commands.watch import _require_success
from daskgmm.cli.exits import CommandFailure
from daskgmm.cli.output.watch import WatchDisplay, as_line, event_line, runs_table
from daskgmm.monitoring import install
from daskgmm.monitoring.events import TOPIC
from daskgmm.monitoring.follow import Follower, News
from daskgmm.monitoring.page.document import Page
from daskgmm.monitoring.schema import START
from daskgmm.monitoring.service.http import runs_as_json
from daskgmm.monitoring.service.metrics import Collector
from daskgmm.monitoring.service.plugin import FitPlugin
from daskgmm.monitoring.service.state import ClusterFits
from tests.support.command import here
from tests.support.fit_events import end, made, start

__all__ = ["here"]

RUN = "a" * 32
CONSOLE = Console(file=StringIO())

numbers = st.integers() | st.floats() | st.sampled_from([10**400, -1, 0, 1e308, 5e-324, 2**63])
leaves = st.none() | st.booleans() | numbers | st.text() | st.binary() | st.just("\ud800\x1b[2J")
garbage = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | st.none(), inner, max_size=3)
        | st.tuples(inner)
        | st.sets(st.integers(), max_size=2)
    ),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def client():
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def real():
    """Messages of a fit, as they are logged."""
    found = []

    class Told:
        id = "Client-1"

        def log_event(self, _, event):
            found.append(event)

    from daskgmm.monitoring.events import EventObserver
    from daskgmm.monitoring.observer import Observer

    events = EventObserver(Told())

    class Relay(Observer):
        start, tell, end = events.start, events.tell, events.end

    X = np.random.default_rng(0).normal(size=(300, 8))
    GaussianMixture(2, subsample=None, tol=0, max_iter=4, callbacks=[Relay()]).fit(X)
    return found


@pytest.fixture(scope="module")
def messages():
    with pytest.warns(match="did not converge"):
        return real()


def draw(events):
    """The page, as browsers are sent it."""
    fits, document = ClusterFits(), Document()
    plugin, page = FitPlugin(fits), Page(fits, lambda: {"tcp://a": "0"}, "")
    for root in page.roots:
        document.add_root(root)
    for event in events:
        plugin.log_event(TOPIC, event)
        page.update()
    serialize_json(document.to_json())


def show(events):
    """What else is made of events: the page's data, metrics and what `watch` prints."""
    fits = ClusterFits()
    plugin, follower = FitPlugin(fits), Follower()
    for at, event in enumerate(events):
        plugin.log_event(TOPIC, event)
        for news in follower.add(float(at), event):
            if news.event is not None:
                as_line(news.event), event_line(news.event, news.run)
    registry, collector = CollectorRegistry(), Collector()
    collector._clusters.append(fits)
    registry.register(collector)
    generate_latest(registry)
    runs = fits.histories.runs
    runs_table(runs).encode()
    for run in runs:
        picture = WatchDisplay(CONSOLE)
        picture.show(News(run))
        str(picture.lines()).encode()
        if not run.running:
            with suppress(CommandFailure):
                _require_success(run)
    return json.loads(json.dumps(runs_as_json(fits), allow_nan=False))["runs"]


@pytest.mark.slow
@given(garbage)
@example({"event": ["pass"], "run_id": RUN})
@example({"event": "pass", "run_id": ["a"], "iteration": 1})
def test_what_is_no_event_of_a_fit_is_let_pass(event):
    assert show([start(), made(1), event, made(2)])[0]["latest"]["iteration"] == 2


def changed(messages, data):
    """A fit's messages with one of them spoilt."""
    at = data.draw(st.integers(0, len(messages) - 1))
    name = data.draw(st.sampled_from([*messages[at], "other"]))
    spoilt = dict(messages[at])
    if data.draw(st.booleans()):
        spoilt.pop(name, None)
    else:
        spoilt[name] = data.draw(garbage)
    return [*messages[:at], spoilt, *messages[at + 1 :]]


@pytest.mark.slow
@settings(max_examples=300)
@given(st.data())
def test_a_real_event_with_a_field_missing_or_of_another_type_breaks_nothing(messages, data):
    show(changed(messages, data))


@settings(max_examples=10, deadline=None)  # a page is made anew each time
@given(st.data())
@pytest.mark.slow
def test_nor_does_it_break_the_page(messages, data):
    draw(changed(messages, data))


def test_real_events_are_all_taken(messages):
    (run,) = show(messages)
    assert [point["iteration"] for point in run["passes"]] == [1, 2, 3, 4]
    assert (run["start"], run["end"]) == (messages[0], messages[-1])
    assert run["latest"] == messages[-2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [("seconds", float("inf")), ("weights", [0.5, None]), ("rows", -1), ("means", [[1], [1, 2]])],
)
def test_a_pass_of_impossible_numbers_is_not_shown(messages, name, value):
    spoilt = {**messages[2], name: value}
    draw([*messages[:2], spoilt])
    (run,) = show([*messages[:2], spoilt])
    assert [point["iteration"] for point in run["passes"]] == [1]


@pytest.mark.slow
def test_on_a_real_cluster_fits_are_shown_and_watched_all_the_same(client, here):
    foreign = (
        *("text", None, 7, ["a"], {"event": "pass"}, {"event": [], "run_id": {}}),
        {**made(3, RUN), "seconds": "long"},
        {**start(RUN), "n_components": 5},
        {**end(RUN), "stopped": ["failed"]},
    )
    for event in foreign:
        client.log_event(TOPIC, event)
    install(client)
    for event in foreign:
        client.log_event(TOPIC, event)
    model = GaussianMixture(2, random_state=0, subsample=None)
    model.fit(np.random.default_rng(0).normal(size=(500, 2)))
    with urlopen(client.dashboard_link.replace("status", "daskgmm.json")) as answer:  # noqa: S310
        (run,) = json.load(answer)["runs"]
    assert run["state"] == "converged"
    with urlopen(client.dashboard_link.replace("status", "metrics")) as answer:  # noqa: S310
        assert f'daskgmm_running{{run="{run["run_id"]}"}} 0.0' in answer.read().decode()
    there = ("--scheduler", client.scheduler.address)
    assert here("watch", *there, "--once").out.splitlines()[1].split()[1] == "converged"
    assert here("watch", *there, "--run", run["run_id"][:8], "--once", "--json").code == 0
    client.log_event(TOPIC, {"event": START, "run_id": "b" * 32, "client": client.id})
    client.log_event(client.id, "no mapping")
    done = here("watch", *there, "--once")
    assert (done.code, "running" in done.out) == (0, True)
