"""Passes tell whoever tracks them how far they are; nothing else of them changes."""

import logging
import operator
import os
import pickle
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from distributed import Event

from daskgmm import GaussianMixture
from daskgmm.data.source import Source
from daskgmm.passes.engine.client import running_on
from daskgmm.passes.engine.execution import compute
from daskgmm.passes.engine.graph import pass_graph
from daskgmm.passes.engine.keys import Phase
from daskgmm.passes.engine.progress import STARTS, tracking
from daskgmm.passes.engine.work import Work
from tests.support.clusters import in_threads
from tests.support.tasks import HeldPart, begin_sum

FREE, HELD = 6, 4

pytestmark = pytest.mark.timeout(60)  # of a pass that fails nothing is told


@pytest.fixture(scope="module")
def client():
    with in_threads(n_workers=2, threads_per_worker=4) as client:
        yield client


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).normal(size=(3000, 2))


def wait_until(condition):
    """Ask again and again, until the test's time is up."""
    while not condition():
        threading.Event().wait(0.02)


class Gate:
    """A threading event as a part that stays in this process takes it."""

    def __init__(self):
        self.event = threading.Event()

    def read(self):
        self.event.wait()
        yield 0

    inputs, label = (), "gate"


def work_over(parts, suffix, tracker):
    source = Source(tuple(parts), 1, np.dtype(np.float64))
    groups = [range(start, start + 2) for start in range(0, len(parts), 2)]
    with tracking(tracker):
        return pass_graph(source, groups, Work(begin_sum, operator.add, 0), "gmm-pass", suffix)


@contextmanager
def under_way(client, graph, root):
    """A pass in a thread beside; its result comes into the list."""
    found = []

    def run():
        with running_on(client):
            found.append(compute(graph, root, Phase.PASS))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield found
    thread.join()


def test_threads_tell_each_part_that_they_have_read(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)  # so that no task waits behind the gate
    told, gate = [], Gate()
    with running_on(None):
        parts = [*map(HeldPart, range(FREE)), gate, gate]
        graph, root = work_over(parts, "a", told.append)
        (tracked,) = told
        assert (tracked.name, tracked.parts) == ("gmm-pass", FREE + 2)
        assert (tracked.done(), tracked.workers()) == (0, None)
    with under_way(None, graph, root) as found:
        wait_until(lambda: tracked.done() == FREE)
        gate.event.set()
    assert tracked.done() == FREE + 2
    assert found == [sum(range(FREE))]


def test_a_cluster_tells_the_parts_of_finished_tasks_and_its_workers(client):
    told, name = [], "tracking-gate"
    parts = [HeldPart(i, None if i < FREE else name) for i in range(FREE + HELD)]
    with running_on(client):
        graph, root = work_over(parts, "b", told.append)
    (tracked,) = told
    with under_way(client, graph, root) as found:
        wait_until(lambda: tracked.done() == FREE)
        assert tracked.workers() == 2
        Event(name, client=client).set()
    wait_until(lambda: tracked.done() == FREE + HELD)
    assert found == [sum(range(FREE + HELD))]


def test_nobody_knows_where_a_cluster_refuses_to_tell(client, monkeypatch, caplog):
    def refuse(*_):
        asked.set()
        raise RuntimeError("no")

    asked, told = threading.Event(), []
    monkeypatch.setattr(client, "run_on_scheduler", refuse)
    with running_on(client), caplog.at_level(logging.WARNING):
        work_over([HeldPart(0)], "c", told.append)
        wait_until(lambda: told[0].done() is None)
        asked.clear()
        assert told[0].workers() is None
    assert not asked.is_set()
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("where", ["threads", "cluster"])
def test_a_fit_tells_its_passes_in_their_order_and_is_the_same_to_the_bit(client, rows, where):
    told = []
    with running_on(client if where == "cluster" else None):
        alone = GaussianMixture(3, random_state=0, subsample=1000).fit(rows)
        with tracking(told.append):
            tracked = GaussianMixture(3, random_state=0, subsample=1000).fit(rows)
    passes = ["gmm-pass"] * (tracked.n_passes_ - 1)
    assert [one.name for one in told] == ["gmm-init", STARTS, *passes]
    wait_until(lambda: [one["phase"] for one in told[1].events()] == ["found"])
    assert all(one.parts >= 1 for one in told)
    assert (tracked.means_ == alone.means_).all()


@pytest.mark.slow
def test_nothing_is_told_outside_of_the_block(rows):
    told = []
    with tracking(told.append):
        pass
    GaussianMixture(2, random_state=0).fit(rows)
    assert told == []


def test_a_graph_for_a_cluster_is_the_same_whether_it_is_tracked_or_not(client):
    parts = [HeldPart(0), HeldPart(1)]
    source = Source(tuple(parts), 1, np.dtype(np.float64))
    work = Work(begin_sum, operator.add, 0)
    with running_on(client):
        plain, _ = pass_graph(source, [range(2)], work, "gmm-pass", "d")
        tracked, _ = work_over(parts, "d", lambda _: None)
    assert pickle.dumps(plain) == pickle.dumps(tracked)
