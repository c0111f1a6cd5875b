"""The child that compiles a loop for two types.

Its arguments are the loop's module and name, the rows' type and the type of the arithmetic.
"""

import sys
from importlib import import_module

import numpy as np

if __name__ == "__main__":
    module, name, rows, dtype = sys.argv[1:]
    getattr(import_module(module), name).compile(np.dtype(rows), np.dtype(dtype))
