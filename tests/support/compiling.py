"""Loops that are compiled once for all processes of a test run, beside the collection of its tests.

On a fresh checkout compiling takes a minute and more. A process a float type compiles all loops
of its arithmetic: they call the same functions, and so take half of what each takes by itself.
Whichever process needs one meanwhile waits for it, as everywhere.
"""

import atexit
import subprocess
import sys
from contextlib import ExitStack
from importlib import import_module

import numpy as np

from tests.support.paths import ROOT

TYPES = ("float64", "float32")


def begin():
    """Have the loops of each type compiled."""
    for name in TYPES:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.compiling", name],
            cwd=ROOT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        atexit.register(process.wait)
        atexit.register(process.terminate)


def compile_all(name):
    """Compile the loops that compute in one type, for rows of it and of double precision."""
    moments = import_module("daskgmm.model.kernels.loops.moments").loop
    densities = import_module("daskgmm.model.kernels.loops.densities").density_loop
    neighbours = import_module("daskgmm.model.kernels.loops.neighbours").usual_loop
    own, double = np.dtype(name), np.dtype(np.float64)
    wanted = {(loop, own): None for loop in (moments, densities, neighbours)}
    wanted[moments, double] = None
    with ExitStack() as stack:  # nobody else begins with one that comes later
        for loop, rows in wanted:
            wanted[loop, rows] = stack.enter_context(loop.lock(loop.folder(), rows, own))
        for (loop, rows), lock in wanted.items():
            loop.compile(rows, own)
            lock.release()


if __name__ == "__main__":
    compile_all(sys.argv[1])
