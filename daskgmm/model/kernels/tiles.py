"""Tiles of rows whose pairs with components are screened: their sizes and work arrays."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import (
    LEADING_COMPONENTS,
    SPARE_BYTES,
    padded,
    summed_values,
    work_array,
)
from daskgmm.model.kernels.compiled import LINE

TILE_VALUES, TILE_PAIRS = 2**20, 2**20
"""Numbers of a tile's rows, and its pairs of rows with components, at most."""

STRIP_VALUES, FEWEST_OF_STRIP = 2**16, 128
"""Numbers of a strip of rows, about, which stay in a core's own cache; and its rows, at least."""

FEWEST_ROWS, MOST_ROWS = 256, 2048
"""Less `LINE`, so that features do not lie a power of two apart."""

LARGE_VALUES, LARGE_PAIRS, MOST_ROWS_OF_LARGE = 2**21, 3 * 2**20, 2**14
"""The same where components have a matrix each.

A tile reads all matrices, and adds to as many sums. With twice as many rows as the components have
coordinates together, a component's own are so many that its matrices are worth it: passes take a
tenth to a quarter less than with 2048 rows (Zen 1; 50 to 500 components, 50 and 100 features).
"""


MOST_BLOCK_ROWS = 64
"""Rows whose bounds lie in registers, at most; tiles are multiples of it."""


def tile_rows(n_components: int, n_features: int, *, matrices: bool) -> int:
    """Rows of a tile, from the mixture's sizes alone.

    Parameters
    ----------
    n_components : int
    n_features : int
    matrices : bool
        Whether each component has a matrix.
    """
    values, pairs, most = TILE_VALUES, TILE_PAIRS, MOST_ROWS
    coordinates = n_components * n_features
    if matrices and 2 * coordinates > MOST_ROWS:
        values, pairs, most = LARGE_VALUES, LARGE_PAIRS, min(2 * coordinates, MOST_ROWS_OF_LARGE)
    ideal = min(values // n_features, pairs // n_components, most)
    return max(ideal // (2 * LINE) * 2 * LINE, FEWEST_ROWS) - LINE


def most_tile_rows(n_components: int, n_features: int, *, matrices: bool) -> int:
    """Rows of a tile, at the most, of a mixture of so many components or fewer."""
    # With more components pairs limit them; without matrices they always do.
    longest = math.isqrt(LARGE_PAIRS // (2 * n_features)) if matrices else 1
    return tile_rows(max(min(n_components, longest), 1), n_features, matrices=matrices)


def strip_rows(n_features: int) -> int:
    """Rows of a strip, at most: an even number, as two take the place of one in double."""
    return max(STRIP_VALUES // n_features // 2 * 2, FEWEST_OF_STRIP)


def works_for(models: Sequence[Model], dtype: np.dtype[np.floating]) -> list[PairWork]:
    """Work arrays for the tiles of mixtures that are computed one after another.

    They lie in the same memory.
    """
    wanted = [_sizes(model, np.dtype(dtype)) for model in models]
    memory = {
        name: work_array(max(own[name][0] * own[name][1].itemsize for own in wanted), np.uint8)
        for name in wanted[0]
    }
    found = []
    for own in wanted:
        arrays: dict[str, Any] = {
            name: memory[name][: size * kind.itemsize].view(kind)
            for name, (size, kind) in own.items()
        }
        found.append(PairWork(**(arrays | {"columns": arrays["columns"].reshape(2, -1)})))
    return found


def _sizes(
    model: Model, dtype: np.dtype[np.floating]
) -> dict[str, tuple[int, np.dtype[np.generic]]]:
    """Lengths and types of a mixture's work arrays, by their names in `PairWork`."""
    n_components, n_features = model.means.shape
    n = tile_rows(n_components, n_features, matrices=model.whitens and len(model.factors) > 1)
    length = model.eta.shape[1]
    leading = min(LEADING_COMPONENTS, n_components) * n if length > 0 else 0
    strip = min(n, strip_rows(n_features))
    double, single, integer, short, byte = map(
        np.dtype, (np.float64, np.float32, np.int64, np.int32, np.uint8)
    )
    return {
        "active": (n_components, integer),
        "is_near": (n_components, byte),
        "z": (n_features * n, dtype),
        "by_row": (n_features * n + SPARE_BYTES // dtype.itemsize, dtype),
        "phi": (length * n, dtype),
        "leading": (leading, dtype),
        "block": (n_features * MOST_BLOCK_ROWS if model.whitens else 0, single),
        "best": (n, single),
        "upper": (n_components * n, single),
        "guess": (n, short),
        "guess_starts": (n_components + 1, integer),
        "ordered": (n, short),
        "low": (n, dtype),
        "peak": (n, dtype),
        "pair_rows": (n_components * n, short),
        "pair_starts": (n_components + 1, integer),
        "pair_logits": (n_components * n, dtype),
        "chosen": (n, short),
        "logits": (n, dtype),
        "gathered": (n_features * strip, dtype),
        "centred": (max(padded(n_features) * strip, summed_values(n_features)), dtype),
        "by_feature": (2 * n_features, double),
        "columns": (2 * n, double),
        "row": (n_features, dtype),
    }
