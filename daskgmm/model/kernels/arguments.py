"""What loops are given: a tuple of arrays for each subject, and empty ones where it plays no part.

Loops take them as plain tuples: see `daskgmm.model.kernels.loops.compiling.ready`.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.typing import Doubles, Floats


class Strategy(NamedTuple):
    """How the tiles of a mixture are computed.

    Parameters
    ----------
    by_features : bool
        Whether the feature form is exact enough: all pairs then go that way, or else centred.
    screened : bool
        Whether bounds cost less than all pairs, if few count.
    most : float
        Share of pairs that count above which all pairs cost less.
    by_product : bool
        Whether bounds are products over features: along a few axes they would leave too much.
    listed : float
        Share of pairs that count, of a tile whose logits are all computed, up to which only those
        are summed.
    """

    by_features: bool
    screened: bool
    most: float
    by_product: bool = False
    listed: float = 0.0


class Form(NamedTuple):
    """Mixtures as natural parameters of features, for a loop.

    Parameters
    ----------
    monomials : ndarray of int of shape (M, 3)
        Quadratic features: see `daskgmm.model.covariance.base.Covariance.monomials`.
    cuts : ndarray of int
        Where each tile's monomials begin, and their end.
    tiles : ndarray of int
        Edges of the features that are made at once.
    eta : ndarray of shape (F K,)
        Natural parameters, one tile after another.
    edges : ndarray of int of shape (M + 1,)
        Where each mixture's components begin, and their end.
    stretch : int
        Most rows at once.
    noise : ndarray of shape (M,)
        Logit of each mixture's noise; minus infinity where there is none.
    """

    monomials: NDArray[np.int64]
    cuts: NDArray[np.int64]
    tiles: NDArray[np.int64]
    eta: Floats
    edges: NDArray[np.int64]
    stretch: int
    noise: Doubles


class FeatureWork(NamedTuple):
    """Work arrays of the feature form: features, logits, products and columns of a stretch."""

    phi: Floats
    gamma: Floats
    partial: Floats
    product: Floats
    peak: Floats
    columns: Doubles


class Model(NamedTuple):
    """A mixture as its loop needs it.

    Parameters
    ----------
    means, origins : ndarray of shape (K, D)
        What rows are measured from for logits, and for sums.
    factors : ndarray of shape (K or 1, D, D), or (K, 1, D)
        Whitening matrices, or scales along the axes.
    whitens : bool
        Which of the two.
    normalisers, gaps : ndarray of shape (K,)
    directions : ndarray of shape (K, D m), or (0, 0)
        See `daskgmm.model.screening.directions`, feature by feature.
    limits : ndarray of shape (K, m + 2), or (0, 0)
        See `daskgmm.model.screening.limits`.
    axes : ndarray of int of shape (K m,)
        See `daskgmm.model.screening.axes`; not used with matrices.
    offsets, scales : ndarray of shape (K m,)
        Subtracted from these features, which are then multiplied; not used with matrices.
    monomials : ndarray of int of shape (M, 3)
        See `Form`; not used with matrices.
    eta : ndarray of shape (K, F + 2) or (0, 0)
        Natural parameters whose products with features bound logits: see
        `daskgmm.model.screening.bounding_parameters`.
    noise : float
        Logit of noise; minus infinity where there is none.
    fragile : ndarray of bool of shape (K,)
        Whether sums of single precision are too coarse: see
        `daskgmm.model.precision.fragile_components`.
    """

    means: Floats
    origins: Floats
    factors: Floats
    whitens: bool
    normalisers: Floats
    gaps: Floats
    directions: NDArray[np.float32]
    limits: NDArray[np.float32]
    axes: NDArray[np.int64]
    offsets: Floats
    scales: Floats
    monomials: NDArray[np.int64]
    eta: Floats
    noise: float
    fragile: NDArray[np.bool_]


class NeighbourLists(NamedTuple):
    """Neighbours of components, for a loop; empty where all are looked at for each tile.

    Parameters
    ----------
    starts : ndarray of int of shape (K + 1,)
        Where each component's neighbours begin, and their end.
    neighbours : ndarray of int
    logits : ndarray of shape (K,)
        Of rows that are usual for the component: at least so much.
    """

    starts: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    logits: Doubles


class PairWork(NamedTuple):
    """Work arrays of a tile of n rows: components, bounds, the pairs that count, and products.

    Rows are counted from the tile's first. `gathered` holds a strip of them feature by feature, or
    a block whose logits are bounded; `centred` such a strip less a centre, or rows that are summed
    one by one. `row` has the size of one row.
    """

    active: NDArray[np.int64]
    is_near: NDArray[np.uint8]

    z: Floats
    by_row: Floats
    phi: Floats
    leading: Floats
    block: NDArray[np.float32]
    best: NDArray[np.float32]
    upper: NDArray[np.float32]
    guess: NDArray[np.int32]
    guess_starts: NDArray[np.int64]
    ordered: NDArray[np.int32]
    low: Floats
    peak: Floats
    pair_rows: NDArray[np.int32]
    pair_starts: NDArray[np.int64]
    pair_logits: Floats
    chosen: NDArray[np.int32]
    logits: Floats
    gathered: Floats
    centred: Floats
    by_feature: Doubles
    columns: Doubles
    row: Floats


def no_form(dtype: np.dtype[np.floating]) -> tuple[Form, FeatureWork]:
    """For mixtures of which no tile goes by features."""
    none, values = np.zeros(1, np.int64), np.empty(0, dtype)
    form = Form(np.empty((0, 3), np.int64), none, none, values, none, 1, np.empty(0))
    return form, FeatureWork(values, values, values, values, values, np.empty((2, 0)))


def no_neighbours() -> NeighbourLists:
    """For mixtures of which all components are looked at for each tile."""
    integers = np.empty(0, np.int64)
    return NeighbourLists(integers, integers, np.empty(0))


def no_model(dtype: np.dtype[np.floating], tile: int) -> tuple[Model, PairWork]:
    """For mixtures whose tiles, of so many rows, all go by features."""
    values, table, whole = (np.empty((0,) * ndim, dtype) for ndim in (1, 2, 3))
    singles, doubles = np.empty(0, np.float32), np.empty(0)
    single_table = np.empty((0, 0), np.float32)
    integers, rows = np.empty(0, np.int64), np.empty(tile, np.int32)
    model = Model(
        means=table, origins=table, factors=whole, whitens=False, normalisers=values,
        gaps=values, directions=single_table, limits=single_table, axes=integers,
        offsets=values, scales=values, monomials=np.empty((0, 3), np.int64), eta=table,
        noise=-np.inf, fragile=np.empty(0, np.bool_),
    )  # fmt: skip
    return model, PairWork(
        active=integers, is_near=np.empty(0, np.uint8),
        z=values, by_row=values, phi=values, leading=values, block=singles, best=singles,
        upper=singles, guess=rows[:0], guess_starts=integers, ordered=rows,
        low=values, peak=values, pair_rows=rows[:0], pair_starts=integers, pair_logits=values,
        chosen=rows[:0], logits=values, gathered=values, centred=values,
        by_feature=doubles, columns=np.empty((2, 0)), row=values,
    )  # fmt: skip
