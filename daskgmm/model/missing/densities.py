"""Densities of rows with missing values: those of their known values."""

from collections.abc import Callable
from typing import final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.missing.accumulation import FEWEST_ROWS, FEWEST_ROWS_ALONG_AXES
from daskgmm.model.missing.patterns import Gathering, any_missing, by_pattern
from daskgmm.model.missing.rows import RowByRow
from daskgmm.model.mixture import Mixture
from daskgmm.model.typing import Floats


@final
class MarginalDensities:
    """Weighted log-densities of several mixtures at rows that may lack values.

    Parameters
    ----------
    kernel : Kernel
        Of the mixtures, for complete rows.
    kernel_of : callable
        Makes the kernel of some mixtures in a frame.
    """

    def __init__(self, kernel: Kernel, kernel_of: Callable[[list[Mixture], Frame], Kernel]) -> None:
        self.kernel, self.kernel_of = kernel, kernel_of
        self.slab, self.segments = kernel.slab, kernel.segments
        self.mixtures = kernel.mixtures
        matrices = kernel.covariance.has_matrices
        self.fewest_rows = FEWEST_ROWS if matrices else FEWEST_ROWS_ALONG_AXES
        self.gather = Gathering()
        self.log_scales = np.log(kernel.frame.scale)
        self.row_by_row = [RowByRow(mixture, kernel.frame) for mixture in kernel.mixtures]

    def logits(self, rows: Floats) -> Floats:
        """Weighted log-densities (K, n) of at most `slab` rows (D, n).

        In frame coordinates; the log-Jacobian of features that are missing is taken off, so that
        with that of all features it is that of the known ones.
        """
        if not any_missing(rows):
            return self.kernel.logits(rows)
        order, groups = found = by_pattern(rows)
        rows = self.gather(rows, order)
        logits = np.empty((self.segments[-1].stop, len(order)), self.kernel.dtype)
        if found.n_complete:
            logits[:, : found.n_complete] = self.kernel.logits(rows[:, : found.n_complete])
        few = []
        for group in groups:
            if group.stop - group.start < self.fewest_rows or group.missing.all():
                few.append(group)
                continue
            known = np.flatnonzero(~group.missing)
            own = self._marginal(known).logits(rows[known, group.window])
            logits[:, group.window] = own + self.log_scales @ group.missing
        for one, segment in zip(self.row_by_row, self.segments, strict=True):
            one.logits(rows, few, logits[segment])
        in_order = np.empty_like(logits)
        in_order[:, order] = logits
        return in_order

    def _marginal(self, known: NDArray[np.int64]) -> Kernel:
        mixtures = [mixture.of_features(known) for mixture in self.kernel.mixtures]
        return self.kernel_of(mixtures, self.kernel.frame.of_features(known))
