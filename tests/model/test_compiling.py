"""Who compiles a loop: a child, once a machine, while others wait."""

import subprocess
import sys
import threading

import numba
import numpy as np
import pytest
from numba.core import event
from numpy.testing import assert_array_equal

from daskgmm.model.kernels.loops import compiling
from daskgmm.model.kernels.loops.compiling import DOUBLES, Loop, array

DOUBLE = np.dtype(np.float64)


def doubling(digest):
    def double(given, out):
        digest  # noqa: B018  as the loops of passes
        for i in range(len(given)):
            out[i] = given[i] + given[i]

    return double


@Loop
def small_loop(rows, dtype):
    return doubling, (DOUBLES, array(dtype, 1))


@pytest.fixture
def loop():
    """The small loop, as a process that has not loaded it yet finds it."""
    return Loop(small_loop.declared)


@pytest.fixture
def compiled_here():
    """What this process compiles itself."""
    with event.install_recorder("numba:compile") as recorder:
        yield recorder.buffer


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache, of this process and of its children."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    return tmp_path


def doubles(function):
    out = np.empty(3)
    function(np.arange(3.0), out)
    assert_array_equal(out, [0, 2, 4])
    return True


@pytest.mark.slow
def test_a_child_compiles_what_no_cache_holds(loop, compiled_here):
    assert doubles(loop(DOUBLE, DOUBLE))
    assert not compiled_here


def test_what_a_cache_holds_is_loaded_without_a_child(loop, compiled_here, monkeypatch):
    loop.compile(DOUBLE, DOUBLE)
    compiled_here.clear()
    monkeypatch.setattr(subprocess, "run", None)
    assert doubles(loop(DOUBLE, DOUBLE))
    assert not compiled_here


@pytest.mark.parametrize("python", ["/proc/nowhere", "/bin/false"])
def test_without_a_child_this_process_compiles(python, loop, compiled_here, monkeypatch):
    monkeypatch.setattr(sys, "executable", python)
    assert doubles(loop(DOUBLE, DOUBLE))
    assert compiled_here


def test_where_nothing_can_be_kept_this_process_compiles(loop, compiled_here, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/proc/nowhere")
    monkeypatch.setattr(numba.config, "CACHE_LOCATOR_CLASSES", "UserProvidedCacheLocator")
    monkeypatch.setattr(subprocess, "run", None)
    assert doubles(loop(DOUBLE, DOUBLE))
    assert compiled_here


@pytest.mark.slow
def test_a_process_waits_for_the_one_that_compiles(loop, monkeypatch):
    begun, go_on, children = threading.Event(), threading.Event(), []
    plain = subprocess.run

    def run(*given, **named):
        children.append(given)
        begun.set()
        assert go_on.wait(60)
        return plain(*given, **named)

    monkeypatch.setattr(compiling.subprocess, "run", run)
    found = []
    first, second = (
        threading.Thread(target=lambda own=own: found.append(doubles(own(DOUBLE, DOUBLE))))
        for own in (loop, Loop(small_loop.declared))
    )
    first.start()
    assert begun.wait(60)
    second.start()
    second.join(0.5)  # it must not have got anything until the first one's child is done
    assert not found
    go_on.set()
    first.join(60)
    second.join(60)
    assert found == [True, True]
    assert len(children) == 1
