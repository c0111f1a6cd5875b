"""How many threads a search for starts uses beside its own: those that no other task needs."""

import threading

import dask
import numpy as np
import pytest
from distributed import Client

from daskgmm.model.parallel import Lender, each
from daskgmm.passes import memory_limits
from daskgmm.passes.engine import threads
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.client import running_on
from daskgmm.passes.engine.threads import spare_threads, threads_each
from daskgmm.passes.memory import LIBRARIES, TaskSizes, memory_limit_for, worker_bytes
from daskgmm.passes.memory_limits import helpers_with_room, helpers_within
from daskgmm.passes.search_memory import SearchSizes
from tests.support.clusters import in_threads

SECONDS = 30
DOUBLE = np.dtype(np.float64)


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(threads, "threads_here", lambda: 8)


def borrowed(share):
    """Threads that a task borrows for many parts."""
    found, borrow = [], Lender.borrow

    def noted(lender, most, free):
        found.append(borrow(lender, most, free))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lender, "borrow", noted)
        with one_thread(), spare_threads(share):
            each(abs, range(100))
    return found[0]


# --- without a cluster


def test_all_threads_of_the_process_work_on_one_search():
    assert threads_each(1) == 8
    assert borrowed(8) == 7


def test_searches_of_one_process_leave_its_threads_to_each_other():
    with one_thread(), one_thread():  # two other tasks
        assert borrowed(8) == 5


@pytest.mark.parametrize("scheduler", ["synchronous", "processes"])
def test_a_scheduler_of_other_kind_gets_one_thread(scheduler):
    with dask.config.set(scheduler=scheduler):
        assert threads_each(1) == 1
    assert borrowed(1) == 0


# --- on a cluster


def test_a_search_borrows_the_threads_of_its_worker_that_have_no_task():
    with in_threads(1, threads_per_worker=3) as client:
        assert client.submit(borrowed, 1, pure=False).result() == 2
        other = client.submit(waiting, pure=False)
        assert BEGUN.wait(SECONDS)
        assert client.submit(borrowed, 1, pure=False).result() == 1
        END.set()
        other.result()
        assert client.submit(borrowed, 1, pure=False).result() == 2


BEGUN, END = threading.Event(), threading.Event()


def waiting():
    """Another task, in a worker of this process."""
    BEGUN.set()
    END.wait(SECONDS)


@pytest.mark.parametrize(("searches", "expected"), [(1, 4), (2, 2), (3, 1), (9, 1)])
def test_searches_share_the_threads_of_workers_that_are_all_here(searches, expected):
    with in_threads(4) as client:
        assert threads_each(searches) == expected
        found = client.submit(borrowed, threads_each(searches), pure=False).result()
        assert found == expected - 1


@pytest.mark.parametrize("more", [0, 1, 3])
def test_threads_of_other_workers_help_as_far_as_there_is_memory(more):
    search = SearchSizes(20_000, 160, 10**6, 10**6, 10**6, 4, 4, 1, 10**6, 2**25, parts=4)
    task = TaskSizes(20, 231, 8, 8, 10_000, 100_000, DOUBLE, DOUBLE, search=search)
    limit = memory_limit_for(task, 1, worker_bytes(task, 1, more) - worker_bytes(task, 1))
    with in_threads(2, memory_limit=limit):
        assert helpers_with_room(task) == more


def test_without_a_limit_all_that_is_free_is_for_threads_that_help(monkeypatch):
    search = SearchSizes(20_000, 160, 10**6, 10**6, 10**6, 4, 4, 1, 10**6, 2**25, parts=4)
    task = TaskSizes(20, 231, 8, 8, 10_000, 100_000, DOUBLE, DOUBLE, search=search)
    free = worker_bytes(task, 1, 2) - LIBRARIES
    monkeypatch.setattr(memory_limits, "available_memory", lambda: free)
    assert helpers_with_room(task) == 2
    monkeypatch.setattr(memory_limits, "available_memory", lambda: free // 100)
    assert helpers_with_room(task) == 0


def test_threads_that_take_no_more_than_the_search_alone_help_in_any_memory():
    """Moves need most of it, and K = 500 components take as much there whoever helps in EM."""
    search = SearchSizes(
        30_000, 800, 15_000_000, 3_000_000, 2**20, 4, 1, 1, 2**22, 2**25, in_stretches=True, parts=2
    )
    task = TaskSizes(100, 5151, 500, 500, 4_000, 4_000, DOUBLE, DOUBLE, search=search)
    alone = worker_bytes(task)
    assert worker_bytes(task, 1, 1) == alone
    with in_threads(2, memory_limit=3 * 2**30):
        assert helpers_with_room(task) >= 1
    assert helpers_within(alone // 2, task, 1) >= 1


def test_workers_elsewhere_lend_nothing():
    with in_threads(2) as here, Client(here.scheduler.address) as client, running_on(client):
        assert threads_each(1) == 1
        assert client.submit(borrowed, 1, pure=False).result() == 0


def test_a_fit_within_a_task_uses_the_threads_of_the_worker():
    def within():
        with running_on(None):
            return threads_each(1), borrowed(threads_each(1))

    with in_threads(1, threads_per_worker=2) as client:
        assert client.submit(within).result() == (1, 1)
