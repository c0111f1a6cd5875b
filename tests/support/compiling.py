"""Loops that are compiled once for all processes of a test run, beside the collection of its tests.

On a fresh checkout each process would compile them by itself, for half a minute and more. A process
a float type compiles its loops into numba's cache and holds a lock meanwhile; whoever needs a loop
of that type waits for it.
"""

import atexit
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from tests.support.paths import ROOT

FOLDER = "TESTS_COMPILING"
"""The variable that names the folder of locks."""

_begun: list[subprocess.Popen[bytes]] = []
"""Processes that compile, until no test is left that could wait for them."""

TYPES = ("float64", "float32")


def begin() -> None:
    """Compile the loops of each type in a process of its own, which holds the type's lock."""
    folder = os.environ[FOLDER] = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(_end)
    for name in TYPES:
        with Path(folder, name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # until the process ends, which has it open as well
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.compiling", name],
                cwd=ROOT, pass_fds=[lock.fileno()], stdin=subprocess.DEVNULL,
            )  # fmt: skip
        _begun.append(process)


def _end() -> None:
    for process in _begun:
        process.terminate()
        process.wait()


def wait_for_others() -> None:
    """Have this process wait, before it compiles a loop, until those of that type are compiled."""
    compiling = import_module("daskgmm.model.kernels.loops.compiling")
    plain = compiling.ready

    def ready(entry, arguments):
        name = TYPES["float32" in str(arguments)]
        with Path(os.environ[FOLDER], name).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
        return plain(entry, arguments)

    compiling.ready = ready


def compile_all(name: str) -> None:
    """Compile the loops for rows of one type."""
    moments = import_module("daskgmm.model.kernels.loops.moments")
    densities = import_module("daskgmm.model.kernels.loops.densities")
    neighbours = import_module("daskgmm.model.kernels.loops.neighbours")
    dtype = import_module("numpy").dtype(name)
    for loop in (moments.loop, densities.density_loop, neighbours.usual_loop):
        loop(dtype, dtype)


if __name__ == "__main__":
    compile_all(sys.argv[1])
