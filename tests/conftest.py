"""What several test files share."""

import gc
import os
import sys

import dask
import pytest
from hypothesis import settings

from daskgmm.model.covariance import COVARIANCES
from tests.support import compiling
from tests.support.hanging import (  # noqa: F401  for all tests
    pytest_timeout_cancel_timer,
    pytest_timeout_set_timer,
)
from tests.support.parts import in_many_parts  # noqa: F401  for all tests
from tests.support.stores import proxied, s3, s3_server  # noqa: F401  fixtures for all tests

# Idle threads of BLAS and OpenMP sleep at once. By default they spin for some milliseconds after a
# product, and take the cores from others. The processes of pytest-xdist inherit this, and those
# that tests start; where pytest runs tests itself (-n 0), its libraries are loaded already.
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "4")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# Workers of clusters within this process are forked from one that has imported distributed: a tenth
# of the time. Commands that `COMMAND` starts have theirs started as users' commands do.
dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})

# On Python 3.11 Dask's profiler may stop workers for good, also those of `LocalCluster` and of
# `dask worker`: https://github.com/dask/distributed/issues/8616.
if sys.version_info < (3, 12):
    os.environ["DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED"] = "False"
    dask.config.set({"distributed.worker.profile.enabled": False})

# The same examples each time: a failure is the code's doing, never the draw's.
settings.register_profile("daskgmm", deadline=None, derandomize=True)
settings.load_profile("daskgmm")


def pytest_configure(config):
    """Begin to compile the loops before other processes start to test."""
    if config.getoption("numprocesses", None):
        compiling.begin()


@pytest.hookimpl(trylast=True)  # of the tests that are chosen
def pytest_collection_modifyitems(items):
    """Begin with the longest tests, a share in each process: as the last ones they would run alone.

    Each process begins with an equal part of the list, and ends with what others have left.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    part = -(-len(others) // processes)
    items[:] = [
        item
        for number in range(processes)
        for item in long[number::processes] + others[number * part : (number + 1) * part]
    ]


@pytest.fixture(params=list(COVARIANCES))
def covariance_type(request):
    return request.param


@pytest.fixture
def covariance(covariance_type):
    return COVARIANCES[covariance_type]


def pytest_collection():
    """Search for no garbage while modules are imported: nearly all that they make stays."""
    gc.disable()


def pytest_collection_finish():
    """Leave what has been imported and collected out of every later search for garbage."""
    gc.freeze()
    gc.enable()
