"""A pass over rows in this process's memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

import numpy as np

from daskgmm.model.expectation import Accumulator, Expectation, add_moments
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.models import forget
from daskgmm.model.kernels.whitened import spheres_of
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.parallel import Turns, each, parts_of_rows
from daskgmm.model.typing import Doubles, Floats
from daskgmm.training.em import Origins

PAIRS_THAT_COUNT = 8
"""Pairs a row that the compiled loop computes, about, where components are apart; with its bounds,
which cost as much as a few."""

A_PAIR = 30
"""Multiplications that take as long as the exponential of a row under a component."""


@dataclass(frozen=True, eq=False)
class InMemory:
    """A pass over rows in this process's memory.

    Parameters
    ----------
    rows : ndarray of shape (D, n)
        In data units.
    weights : ndarray of shape (n,) or None
    frame : Frame
    dtype : dtype
        What rows are computed in.
    scatter : ndarray of shape (D, D) or None
        Total second moments about the frame's origin, where the covariance type needs them.
    compiled : bool
        Whether a compiled loop is worth loading.
    observe : callable or None
        Called after each pass with the share of all pairs' multiplications that it took.
    """

    rows: Floats
    weights: Doubles | None
    frame: Frame
    dtype: np.dtype[np.floating]
    scatter: Doubles | None
    compiled: bool = False
    observe: Callable[[float], None] | None = None

    def __call__(self, mixtures: Sequence[Mixture], origins: Origins = None) -> list[Moments]:
        """Moments of each mixture; see `daskgmm.training.em.Expect`."""
        expectation = Expectation(
            tuple(mixtures), self.frame, self.dtype, self.scatter, origins, self.compiled
        )
        moments = self._summed(expectation)
        for mixture in mixtures:  # a search keeps many, of which it computes few again
            forget(mixture)
            spheres_of.forget(mixture)
        if len(mixtures) > 1 and moments[0].sums.base is not None:
            # Those of one part are columns of one array, which each of them would keep.
            moments = [replace(found, sums=found.sums.copy(order="F")) for found in moments]
        return expectation.complete(moments)

    def _summed(self, expectation: Expectation) -> list[Moments]:
        """Moments of all rows: those of each part, added to those of the parts before it."""
        n_features, n_rows = self.rows.shape
        sizes = [
            (one.n_components, one.covariance.feature_length(n_features))
            for one in expectation.mixtures
        ]
        parts = parts_of_step(n_rows, n_features, sizes)
        accumulators, new = Turns[Accumulator](), partial(Accumulator, expectation)
        with accumulators.one(new):  # it makes what all parts need of the mixtures, before they do
            pass

        def summed(part: slice) -> tuple[list[Moments], float]:
            rows, weights = self.rows[:, part], None if self.weights is None else self.weights[part]
            with accumulators.one(new) as accumulate:
                moments = accumulate([(rows, weights)])
                return moments, accumulate.share(rows.shape[1]) * (rows.shape[1] / n_rows)

        found, shares = zip(*each(summed, parts), strict=True)
        if self.observe is not None:
            self.observe(sum(shares))
        return reduce(add_moments, found)


def parts_of_step(n_rows: int, n_features: int, sizes: Sequence[tuple[int, int]]) -> list[slice]:
    """Parts of the rows in an EM step, of mixtures with these K and F."""
    multiplications = max(
        n_rows * min(PAIRS_THAT_COUNT, n_components) * (2.0 * length + A_PAIR)
        for n_components, length in sizes
    )
    values = sum(n_components * length for n_components, length in sizes)
    return parts_of_rows(n_rows, multiplications, values, n_features)


def total_scatter(rows: Floats, weights: Doubles | None, frame: Frame) -> Doubles:
    """Second moments (D, D) of rows (n, D) about the frame's origin, in its units."""
    z = np.empty(rows.T.shape)
    frame.standardise(rows.T.astype(np.float64, copy=False), out=z)
    return np.asarray((z if weights is None else z * weights) @ z.T)
