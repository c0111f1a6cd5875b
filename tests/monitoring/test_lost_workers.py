"""What a page shows of a pass whose workers die while somebody looks."""

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.request import urlopen

import dask.array as da
import pytest

from daskgmm import GaussianMixture
from daskgmm.monitoring import install
from daskgmm.monitoring.service.plugin import FitPlugin
from daskgmm.monitoring.service.state import ClusterFits
from daskgmm.passes.engine.keys import SHOWN
from tests.support.clusters import running
from tests.support.rows import two_groups

RUN = "0123456789abcdef"
GROUP = f"gmm-pass-{RUN[:SHOWN]}-1"


@pytest.fixture
def plugin():
    """A scheduler's plugin that follows a pass of four tasks."""
    found = FitPlugin(ClusterFits())
    found.update_graph(None, client="c", tasks=[(GROUP, number) for number in range(4)])
    return found


def finish(plugin, number, worker):
    plugin.transition((GROUP, number), "waiting", "processing")
    plugin.transition((GROUP, number), "processing", "memory", worker=worker)


def progress(plugin):
    return plugin.fits.tasks.progress_of(RUN)


def test_a_task_whose_result_died_with_its_worker_is_not_finished(plugin):
    for number, worker in enumerate(["dead", "dead", "alive"]):
        finish(plugin, number, worker)
    assert (progress(plugin).finished, progress(plugin).done) == (3, {"dead": 2, "alive": 1})
    plugin.transition((GROUP, 0), "memory", "released")
    plugin.transition((GROUP, 0), "released", "waiting")
    assert (progress(plugin).finished, progress(plugin).done) == (2, {"dead": 1, "alive": 1})
    finish(plugin, 0, "alive")
    assert (progress(plugin).finished, progress(plugin).done) == (3, {"dead": 1, "alive": 2})


def test_a_task_whose_result_was_used_stays_finished(plugin):
    finish(plugin, 0, "dead")
    plugin.transition((GROUP, 0), "memory", "released")
    plugin.transition((GROUP, 0), "released", "forgotten")
    assert progress(plugin).finished == 1


def test_a_task_that_two_workers_ran_counts_once(plugin):
    for worker in ("one", "two"):
        finish(plugin, 0, worker)
    assert (progress(plugin).finished, progress(plugin).done) == (1, {"two": 1})


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:Best performing initialization:sklearn.exceptions.ConvergenceWarning"
)
def test_page_and_observer_live_through_workers_that_are_killed():
    """Two worker processes die in the middle of passes, while page and JSON are read on and on."""
    rows = two_groups()
    seen, answers, done = [], [], threading.Event()

    def look(link):
        while not done.wait(0.2):
            with urlopen(f"{link}.json", timeout=60) as answer:  # noqa: S310  our own scheduler's
                answers.append(json.loads(answer.read()))
            with urlopen(link, timeout=60) as answer:  # noqa: S310
                assert answer.status == 200

    def stored():
        return da.from_array(rows, chunks=(len(rows) // 8, 2))

    with running(2) as client, ThreadPoolExecutor(1) as pool:
        link = install(client)

        def observe(state):
            seen.append(state.iteration)
            if state.iteration in (3, 5):
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)

        looking = pool.submit(look, link)
        model = GaussianMixture(
            2, tol=0, max_iter=8, subsample=None, random_state=0, callbacks=[observe]
        )
        try:
            model.fit(stored())
        finally:
            done.set()
        looking.result(30)
        with urlopen(f"{link}.json", timeout=60) as answer:  # noqa: S310
            (run,) = json.loads(answer.read())["runs"]
    assert answers
    assert seen == list(range(1, 9))
    assert (run["end"]["event"], run["totals"]["passes"]) == ("fit-end", 8)
    assert run["progress"] is None
    alone = GaussianMixture(2, tol=0, max_iter=8, subsample=None, random_state=0)
    alone.fit(stored())
    assert (model.means_ == alone.means_).all()
    for one in (one for answer in answers for one in answer["runs"] if one["progress"]):
        assert sum(one["progress"]["done"].values()) <= one["progress"]["total"]
