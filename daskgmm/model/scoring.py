"""Sums over rows from which information criteria are computed, for several mixtures at once."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.missing.densities import MarginalDensities
from daskgmm.model.missing.patterns import Missing, complete
from daskgmm.model.mixture import Mixture
from daskgmm.model.precision import working_dtype
from daskgmm.model.prediction import densities_of, density_kernel, noise_at, require_finite
from daskgmm.model.responsibilities import normalise
from daskgmm.model.typing import Doubles, Floats

CRITERIA = ("bic", "aic", "icl")
"""Names of the criteria by which mixtures of different kinds are compared; lower is better."""


@dataclass(frozen=True, eq=False)
class Scoring:
    """Mixtures that a pass scores, and the frame and float type that it computes in.

    Parameters
    ----------
    mixtures : tuple of Mixture
        In frame coordinates.
    frame : Frame
    dtype : dtype
        Float type of the computation.
    compiled : bool
        Whether there are enough rows to make loading a compiled loop worthwhile.
    missing : Missing
        What rows with missing values (NaN) count as.
    """

    mixtures: tuple[Mixture, ...]
    frame: Frame
    dtype: np.dtype[Any]
    compiled: bool = False
    missing: Missing = Missing.ERROR

    def kernels(self) -> list[tuple[list[int], Kernel | MarginalDensities]]:
        """New kernels, each with the positions of the mixtures that it computes."""
        groups: dict[tuple[str, type[Kernel], np.dtype[Any]], list[int]] = {}
        for index, mixture in enumerate(self.mixtures):
            dtype = working_dtype(mixture, self.dtype)
            kernel = density_kernel(mixture, dtype, compiled=self.compiled)
            groups.setdefault((mixture.covariance.name, kernel, dtype), []).append(index)
        return [
            (
                indices,
                densities_of(
                    [self.mixtures[i] for i in indices],
                    self.frame,
                    dtype,
                    compiled=self.compiled,
                    missing=self.missing,
                ),
            )
            for (_, _, dtype), indices in groups.items()
        ]


class Scorer:
    """Scores blocks of rows; holds the work arrays that blocks share.

    Parameters
    ----------
    scoring : Scoring
    """

    def __init__(self, scoring: Scoring) -> None:
        self.kernels = scoring.kernels()
        self.frame, self.log_jacobian = scoring.frame, scoring.frame.log_jacobian
        self.n_mixtures = len(scoring.mixtures)
        self.missing = scoring.missing

    def totals(self, rows: Floats, weights: Floats | None) -> Doubles:
        """Sums over rows (n, D) in data units, with sample weights (n,) if there are any.

        Returns
        -------
        ndarray of shape (M, 4)
            For each mixture: log-likelihood, log-responsibility of the most probable component
            (both in nats and weighted), weight, and number of rows.

        Raises
        ------
        NotFiniteError
            A value is not finite.
        """
        if self.missing is Missing.DROP:
            kept, weights = complete(rows.T, weights)
            rows = kept.T
        sums = np.zeros((self.n_mixtures, 4))
        for indices, kernel in self.kernels:
            for start in range(0, len(rows), kernel.slab):
                window = slice(start, min(start + kernel.slab, len(rows)))
                own = np.ones(window.stop - start) if weights is None else weights[window]
                sums[indices] += self._slab(kernel, rows[window], own, start)
        return sums

    def _slab(
        self, kernel: Kernel | MarginalDensities, rows: Floats, weights: Floats, start: int
    ) -> list[tuple[Any, ...]]:
        with np.errstate(invalid="ignore", over="ignore"):
            logits = kernel.logits(rows.T)
        found = []
        missing = self.missing is Missing.MARGINALIZE
        for segment, mixture in zip(kernel.segments, kernel.mixtures, strict=True):
            gamma = logits[segment]
            noise = noise_at(mixture, self.frame, rows, missing=missing)
            density = normalise(gamma, noise)
            require_finite(density, rows, start, missing=missing)
            # A row that doesn't count may have no density; zero times infinity would be NaN.
            likelihood = np.where(weights > 0, density, 0).astype(np.float64) + self.log_jacobian
            largest = gamma.max(axis=0)
            if mixture.noise is not None:
                largest = np.maximum(largest, np.exp(noise - density))
            certainty = np.log(largest, dtype=np.float64)
            sums = ((likelihood * weights).sum(), (certainty * weights).sum())
            found.append((*sums, weights.sum(), len(rows)))
        return found
