"""Products of rows with a matrix whose bits don't depend on the rows beside them."""

import numpy as np

from daskgmm.model.typing import Doubles

TILE = 32
"""Rows that are multiplied at a time: as BLAS rounds by the shape of a product, it has only one."""


def padded(rows: Doubles) -> Doubles:
    """Rows (n, D) with the last one repeated up to a whole number of tiles."""
    missing = -len(rows) % TILE
    return np.concatenate([rows, np.repeat(rows[-1:], missing, axis=0)]) if missing else rows


def product(rows: Doubles, matrix: Doubles) -> Doubles:
    """Rows (n, D) of whole tiles times a matrix (D, E)."""
    tiles = np.ascontiguousarray(rows).reshape(len(rows) // TILE, TILE, rows.shape[1])
    return np.asarray(np.matmul(tiles, matrix).reshape(len(rows), matrix.shape[1]))
