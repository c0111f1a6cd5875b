"""What a fitted mixture says of rows: labels, responsibilities, densities."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.flaws import Flaw
from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import SlabKernel
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.features import kernel_in_numpy
from daskgmm.model.mixture import Mixture
from daskgmm.model.responsibilities import normalise
from daskgmm.model.typing import Doubles, Floats


@dataclass(frozen=True, eq=False)
class Predictor:
    """A mixture and the coordinates that it is exact in.

    All methods take rows of shape (n, D) in data units, float32 or float64, and compute in
    that type unless `dtype` forces one. They raise `NotFiniteError` where a value is not finite.

    Parameters
    ----------
    mixture : Mixture
        In frame coordinates.
    frame : Frame
    dtype : dtype or None
        What to compute in, if not in the rows' type.
    """

    mixture: Mixture
    frame: Frame
    dtype: np.dtype[Any] | None = None

    @cached_property
    def in_data_units(self) -> Mixture:
        """The mixture in the data's units."""
        return self.mixture.outside(self.frame)

    def labels(self, rows: Floats) -> NDArray[np.int64]:
        """Most probable component of each row, of shape (n,)."""
        found = np.empty(len(rows), np.int64)
        for window, logits in self._slabs(rows):
            _require_finite(logits.max(axis=0), rows[window], window.start)
            logits.argmax(axis=0, out=found[window])
        return found

    def responsibilities(self, rows: Floats) -> Floats:
        """Probability of each component given each row, of shape (n, K)."""
        found = np.empty((len(rows), self.mixture.n_components), self.dtype or rows.dtype)
        for window, logits in self._slabs(rows):
            _require_finite(normalise(logits), rows[window], window.start)
            found[window] = logits.T
        return found

    def log_densities(self, rows: Floats) -> Floats:
        """Log-density at each row (nats), of shape (n,)."""
        found = np.empty(len(rows), self.dtype or rows.dtype)
        for window, logits in self._slabs(rows):
            found[window] = normalise(logits)
            _require_finite(found[window], rows[window], window.start)
        found += found.dtype.type(self.frame.log_jacobian)
        return found

    def totals(self, rows: Floats, weights: Floats | None) -> Doubles:
        """Sums over rows (with weights) that criteria are made of.

        Returns
        -------
        ndarray of shape (4,)
            Log-likelihood, log-responsibility of the most probable component (both in nats and
            weighted), weight, and number of rows.
        """
        sums = np.zeros(4)
        for window, logits in self._slabs(rows):
            density = normalise(logits)
            _require_finite(density, rows[window], window.start)
            own = np.ones(len(density)) if weights is None else weights[window]
            likelihood = density.astype(np.float64) + self.frame.log_jacobian
            certainty = np.log(logits.max(axis=0), dtype=np.float64)
            sums += [
                (likelihood * own).sum(),
                (certainty * own).sum(),
                own.sum(),
                len(density),
            ]
        return sums

    def _slabs(self, rows: Floats) -> Iterator[tuple[slice, Floats]]:
        kernel = self._kernel(self.dtype or rows.dtype)
        for start in range(0, len(rows), kernel.slab):
            window = slice(start, min(start + kernel.slab, len(rows)))
            with np.errstate(invalid="ignore", over="ignore"):
                logits = kernel.logits(rows[window].T)
            yield window, logits

    def _kernel(self, dtype: np.dtype[Any]) -> SlabKernel:
        # Without its quadratic term the feature form gives no densities of single rows.
        whole = not self.mixture.covariance.needs_scatter
        kernel = kernel_in_numpy(self.mixture, dtype) if whole else CentredKernel
        return kernel([self.mixture], self.frame, dtype)


class NotFiniteError(ArithmeticError):
    """A row has a value that is NaN or infinite.

    Parameters
    ----------
    flaw : Flaw
        Where, in the rows that were given.
    """

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw)
        self.flaw = flaw


def _require_finite(found: Floats, rows: Floats, start: int) -> None:
    """Look for the reason where a result for rows (n, D) is not finite."""
    if np.isfinite(found).all():
        return
    flaw = Flaw.in_rows(rows.T)
    if flaw is not None:
        raise NotFiniteError(flaw.after(start))
