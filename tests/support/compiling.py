"""Loops that are compiled once for all processes of a test run, beside the collection of its tests.

On a fresh checkout compiling takes a minute and more. A process a float type asks for its loops at
once; whichever process needs one meanwhile waits for it, as everywhere.
"""

import atexit
import subprocess
import sys
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
    """Have the loops for rows of one type compiled."""
    moments = import_module("daskgmm.model.kernels.loops.moments")
    densities = import_module("daskgmm.model.kernels.loops.densities")
    neighbours = import_module("daskgmm.model.kernels.loops.neighbours")
    dtype = np.dtype(name)
    for loop in (moments.loop, densities.density_loop, neighbours.usual_loop):
        loop(dtype, dtype)


if __name__ == "__main__":
    compile_all(sys.argv[1])
