"""Tiles of rows whose pairs with components are screened: their sizes and work arrays."""

import numpy as np

from daskgmm.model.kernels.arguments import Model, PairWork
from daskgmm.model.kernels.base import (
    DOUBLE_ROWS,
    LEADING_COMPONENTS,
    LEADING_ROWS,
    SMALL_PRODUCT,
    padded,
    work_array,
)
from daskgmm.model.kernels.blocks import block_edges, strip_rows, widest_block
from daskgmm.model.kernels.compiled import LINE
from daskgmm.model.screening import MOST_DIRECTIONS

TILE_VALUES, TILE_PAIRS = 2**20, 2**20
"""Numbers of a tile's rows, and its pairs of rows with components, at most."""

FEWEST_ROWS, MOST_ROWS = 256, 2048
"""Less `LINE`, so that features do not lie a power of two apart."""

LARGE_VALUES, LARGE_PAIRS, MOST_ROWS_OF_LARGE = 2**21, 3 * 2**20, 2**14
"""The same where components have a matrix each.

A tile reads all matrices, and adds to as many sums. With twice as many rows as the components have
coordinates together, a component's own are so many that its matrices are worth it: passes take a
tenth to a quarter less than with 2048 rows (Zen 1; 50 to 500 components, 50 and 100 features).
"""


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


def few_values(n_features: int) -> int:
    """Numbers of the rows that are summed in double precision, and of their product."""
    return (n_features + 1) * (DOUBLE_ROWS + n_features + 1)


def bounded_together(n_features: int) -> int:
    """Components whose directions are multiplied with rows at once, in no small product."""
    return max(SMALL_PRODUCT // (MOST_DIRECTIONS * n_features * LEADING_ROWS), 1)


def work_for(model: Model, dtype: np.dtype[np.floating]) -> PairWork:
    """Work arrays for the tiles of a mixture."""
    n_components, n_features = model.means.shape
    n = tile_rows(n_components, n_features, matrices=len(model.blocks) > 1)
    together = min(bounded_together(n_features), n_components)
    directions = MOST_DIRECTIONS * together if model.whitens else 0
    leading = directions * LEADING_ROWS
    length = model.eta.shape[1]
    if length > 0:
        leading = min(LEADING_COMPONENTS, n_components) * n
    strip, widest = min(n, strip_rows(n_features)), widest_block(n_features)
    white = widest if widest == n_features else 2 * widest
    return PairWork(
        edges=block_edges(n_features),
        strip=strip,
        active=work_array(n_components, np.int64),
        is_near=work_array(n_components, np.uint8),
        z=work_array(n_features * n, dtype),
        by_row=work_array(padded(n_features) * n, dtype),
        phi=work_array(length * n, dtype),
        leading=work_array(leading, dtype),
        directions=work_array(directions * n_features, dtype),
        partial=work_array(2 * n, dtype),
        best=work_array(n, np.float32),
        limits=work_array(n_components, np.float64),
        upper=work_array(n_components * n, np.float32),
        guess=work_array(n, np.int32),
        guess_starts=work_array(n_components + 1, np.int64),
        ordered=work_array(n, np.int32),
        low=work_array(n, dtype),
        peak=work_array(n, dtype),
        pair_rows=work_array(n_components * n, np.int32),
        pair_starts=work_array(n_components + 1, np.int64),
        pair_logits=work_array(n_components * n, dtype),
        chosen=work_array(n, np.int32),
        logits=work_array(n, dtype),
        gathered=work_array((n_features + 1) * strip if model.whitens else 0, dtype),
        white=work_array(white * strip if model.whitens else 0, dtype),
        product=work_array((widest + 1) ** 2 if model.whitens else 0, dtype),
        few=work_array(few_values(n_features), np.float64),
        columns=work_array(2 * n, np.float64).reshape(2, n),
        row=work_array(n_features, dtype),
        moves=work_array(2 * n_features, np.float64).reshape(2, n_features),
    )
