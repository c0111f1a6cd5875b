"""Compiling the loop of passes while the first of them reads the rows."""

import os
import subprocess
import sys
from threading import Event, current_thread, main_thread

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.fitting import fit, settings


@pytest.fixture
def rows(monkeypatch):
    """Rows (2000, 2) whose passes are worth a compiled loop."""
    monkeypatch.setattr(settings, "FIT_WORTH_COMPILING", 0.0)
    return np.random.default_rng(0).standard_normal((2000, 2))


def test_the_loop_is_compiled_while_the_first_pass_reads(rows, monkeypatch):
    began, read = Event(), Event()
    reading, compiling = fit.surveyed, fit.compile_ahead

    def survey(*given):
        assert began.wait(60)
        found = reading(*given)
        read.set()
        return found

    def compile_ahead(*given):
        began.set()
        assert read.wait(60)
        compiling(*given)

    monkeypatch.setattr(fit, "surveyed", survey)
    monkeypatch.setattr(fit, "compile_ahead", compile_ahead)
    model = GaussianMixture(2, random_state=0).fit(rows)
    assert model.converged_


def test_a_compiler_that_fails_in_the_background_says_nothing_there(rows, monkeypatch):
    """Whoever calls the loop meets the error again, or finds it compiled."""
    expected, compiling = GaussianMixture(2, random_state=0).fit(rows), fit.compile_ahead

    def compile_ahead(*given):
        if current_thread() is not main_thread():
            raise OSError(given)
        compiling(*given)

    monkeypatch.setattr(fit, "compile_ahead", compile_ahead)
    model = GaussianMixture(2, random_state=0).fit(rows)
    np.testing.assert_array_equal(model.means_, expected.means_)


_FORKED = """
import os, signal, threading
import numpy as np
from daskgmm.model.kernels.loops.moments import loop

begun, end, parent = threading.Event(), threading.Event(), os.getpid()

def made(*types):
    if os.getpid() == parent:
        begun.set()
        end.wait()
    return 7

loop._made, double = made, np.dtype(float)
maker = threading.Thread(target=loop, args=(double, double))
maker.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)  # if it waits for a thread that it does not have
    os._exit(loop(double, double))
status = os.waitpid(child, 0)[1]
end.set()
maker.join()
assert os.waitstatus_to_exitcode(status) == 7, status
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_process_that_is_forked_while_a_loop_is_made_can_make_its_own():
    command = [sys.executable, "-W", "ignore", "-c", _FORKED]
    subprocess.run(command, check=True)
