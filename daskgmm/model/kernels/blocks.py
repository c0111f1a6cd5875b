"""Blocks of features and strips of rows, in which gathered rows are multiplied.

A triangular matrix, and the upper half of a symmetric one, are made of blocks: with four along each
side, ten products do for sixteen. And each product is so small that BLAS multiplies in place.
"""

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.kernels.base import SMALL_PRODUCT
from daskgmm.model.typing import Floats

_WIDTH = 48
"""Features of a block, at least: with fewer, products are further below the machine's rate."""

_STRIP_VALUES, _FEWEST_ROWS = 2**17, 128
"""Numbers of a strip of rows, about, which stay in a core's own cache; and its rows, at least."""


def block_edges(n_features: int) -> NDArray[np.int64]:
    """First features of the blocks, whole vectors apart, and the end of the last."""
    count = max(n_features // _WIDTH, 1)
    edges = n_features * np.arange(count + 1) // count // 8 * 8
    edges[-1] = n_features
    return edges


def widest_block(n_features: int) -> int:
    """Features of the widest block."""
    return int(np.diff(block_edges(n_features)).max())


def strip_rows(n_features: int) -> int:
    """Rows of a strip, at the most."""
    cached = max(_STRIP_VALUES // n_features, _FEWEST_ROWS)
    return max(min(SMALL_PRODUCT // (widest_block(n_features) + 1) ** 2, cached), 1)


def block_share(n_features: int) -> float:
    """Share of a matrix that its blocks above the diagonal and on it are."""
    count = len(block_edges(n_features)) - 1
    return (count + 1) / (2 * count)


def upper_blocks(matrices: Floats) -> Floats:
    """Blocks (C, P) of upper triangular matrices (C, D, D), column by column from the top down.

    Where one block is all, these are the matrices themselves.
    """
    edges = block_edges(matrices.shape[1])
    if len(edges) == 2:
        return matrices.reshape(len(matrices), -1)
    parts = [
        matrices[:, edges[i] : edges[i + 1], edges[j] : edges[j + 1]].reshape(len(matrices), -1)
        for j in range(len(edges) - 1)
        for i in range(j + 1)
    ]
    return np.concatenate(parts, axis=1)
