"""The start of a command: what it imports, and when it begins to collect garbage."""

import gc
import sys

import pytest

from daskgmm.cli import loading
from daskgmm.cli.output.progress import progress
from daskgmm.jobs.listener import Start
from tests.support.command import in_process
from tests.support.paths import ROOT

_IRIS = ("fit", ROOT / "examples/data/iris.csv", "--columns", "sepal_length,sepal_width", "-k", 3)
_LISTING = """
import atexit, gc, sys
from daskgmm.cli import main
heavy = (
    "dask", "distributed", "bokeh", "numba", "matplotlib", "dask.array", "dask.dataframe",
    "sklearn.mixture", "scipy.optimize", "scipy.stats._stats_py",
)
atexit.register(
    lambda: print(gc.isenabled(), gc.get_freeze_count() > 0, *filter(sys.modules.get, heavy))
)
main()
"""


@pytest.fixture
def begun():
    """Loading has begun, and ends with the test."""
    loading.begin()
    yield
    gc.enable()
    gc.unfreeze()


@pytest.mark.slow
def test_commands_import_what_they_need_and_collect_garbage(tmp_path):
    """A small fit no cluster and no compiler, and a comparison of runs nothing of Dask."""
    command = (sys.executable, "-c", _LISTING)
    run = tmp_path / "run"
    done = in_process(*_IRIS, "-o", run, command=command)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "True True dask"
    done = in_process("runs", "compare", run, run, command=command)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == "True True scipy.optimize"  # they are matched


_DEFERRED = """
from daskgmm.cli import loading
loading.defer()
import scipy.stats
from scipy import stats
from scipy.stats import norm
print(float(norm.cdf(0)), scipy.stats is stats, float(stats.gmean([1.0, 4.0])))
"""


@pytest.mark.slow
def test_what_is_deferred_is_whole_once_it_is_used():
    done = in_process(command=(sys.executable, "-c", _DEFERRED))
    assert done.code == 0, done.err
    assert done.out.split() == ["0.5", "True", "2.0"]


@pytest.mark.usefixtures("begun")
def test_garbage_is_collected_from_when_rows_are_read():
    with progress(shown=False, verb="Fitting") as listener:
        listener.wait("starting a cluster")
        assert not gc.isenabled()
        listener.start(Start(3, 2, "here"))
        assert gc.isenabled()


def test_a_process_that_did_not_begin_so_keeps_its_objects_in_sight():
    before = gc.get_freeze_count()
    loading.end()
    assert gc.isenabled()
    assert gc.get_freeze_count() == before
