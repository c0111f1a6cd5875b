"""A pass over rows in this process's memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskgmm.model.expectation import Accumulator, Expectation
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.models import forget
from daskgmm.model.kernels.whitened import spheres_of
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.typing import Doubles, Floats
from daskgmm.training.em import Origins


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
        accumulator = Accumulator(expectation)
        moments = accumulator([(self.rows, self.weights)])
        if self.observe is not None:
            self.observe(accumulator.share(self.rows.shape[1]))
        del accumulator
        for mixture in mixtures:  # a search keeps many, of which it computes few again
            forget(mixture)
            spheres_of.forget(mixture)
        # Moments of several mixtures are columns of one array, which each of them would keep.
        own = [replace(found, sums=np.ascontiguousarray(found.sums)) for found in moments]
        return expectation.complete(own)


def total_scatter(rows: Floats, weights: Doubles | None, frame: Frame) -> Doubles:
    """Second moments (D, D) of rows (n, D) about the frame's origin, in its units."""
    z = np.empty(rows.T.shape)
    frame.standardise(rows.T.astype(np.float64, copy=False), out=z)
    return np.asarray((z if weights is None else z * weights) @ z.T)
