"""What is made of a mixture is made once, by whoever asks first, and others need not wait."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from daskgmm.model.kernels.models import model_of
from daskgmm.model.mixture_cache import cached_by_mixture
from tests.support.reference import random_mixture

DOUBLE, SINGLE = np.dtype(np.float64), np.dtype(np.float32)


def test_what_is_known_of_a_mixture_is_made_once():
    mixture = random_mixture("full", 5, 3)
    assert model_of(mixture, DOUBLE) is model_of(mixture, DOUBLE)
    assert model_of(mixture, SINGLE) is not model_of(mixture, DOUBLE)


def test_tasks_that_begin_together_do_not_all_make_it():
    begun, end, made = threading.Event(), threading.Event(), []

    @cached_by_mixture
    def slow(mixture, dtype):
        made.append(mixture)
        begun.set()
        end.wait()
        return 7

    mixture = random_mixture("full", 2, 2)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(slow, mixture, DOUBLE)
        begun.wait()
        second = threads.submit(slow, mixture, DOUBLE)
        end.set()
        assert (first.result(), second.result()) == (7, 7)
    assert made == [mixture]


def test_different_mixtures_do_not_wait_for_each_other():
    both = threading.Barrier(2, timeout=60)

    @cached_by_mixture
    def met(mixture, dtype):
        return both.wait()

    mixtures = [random_mixture("full", 2, 2, seed) for seed in (0, 1)]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(met, mixtures, [DOUBLE] * 2))
    assert sorted(found) == [0, 1]


_FORKED = """
import os, signal, threading
import numpy as np
from daskgmm.model.mixture_cache import cached_by_mixture

class Mixture: pass

begun, end, parent = threading.Event(), threading.Event(), os.getpid()

@cached_by_mixture
def made(mixture, dtype):
    if os.getpid() == parent:
        begun.set()
        end.wait()
    return 7

mixture = Mixture()
maker = threading.Thread(target=made, args=(mixture, np.dtype(float)))
maker.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)  # if it waits for a thread that it does not have
    os._exit(made(mixture, np.dtype(float)))
status = os.waitpid(child, 0)[1]
end.set()
maker.join()
assert os.waitstatus_to_exitcode(status) == 7, status
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_that_is_forked_while_something_is_made_can_make_its_own():
    command = [sys.executable, "-W", "ignore", "-c", _FORKED]
    subprocess.run(command, check=True)
