"""Means and second moments of all rows, without losing digits far from zero."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.typing import Doubles, Floats


@dataclass(frozen=True, eq=False)
class Statistics:
    """Weighted sums of rows about an origin near their mean.

    The sums are taken about the origin as it was rounded, so no digits are lost where the rows
    lie far from zero (after Chan, Golub and LeVeque, 1983).

    Parameters
    ----------
    origin : ndarray of shape (D,)
    weight : float
        Sum of the sample weights.
    first : ndarray of shape (D,)
        Sum of ``x - origin``.
    second : ndarray of shape (D, D) or (D,)
        Sum of ``(x - origin) (x - origin).T``, or its diagonal.
    """

    origin: Doubles
    weight: float
    first: Doubles
    second: Doubles

    @classmethod
    def of(cls, rows: Floats, weights: Floats | None, *, scatter: bool) -> "Statistics":
        """Statistics of rows (D, n), with the full scatter or its diagonal."""
        rows = np.ascontiguousarray(rows)  # sums would otherwise round according to the layout
        origin = rows.mean(axis=1, dtype=np.float64)
        centred = rows - origin[:, np.newaxis]
        weighted = centred if weights is None else centred * weights
        second = weighted @ centred.T if scatter else np.einsum("dn,dn->d", weighted, centred)
        weight = rows.shape[1] if weights is None else weights.sum()
        return cls(origin, float(weight), weighted.sum(axis=1), second)

    def about(self, origin: Doubles) -> "Statistics":
        """Sums of the same rows about another origin."""
        shift = self.origin - origin
        pairs = np.multiply if self.second.ndim == 1 else np.outer
        cross = pairs(self.first, shift)
        second = self.second + cross + cross.T + self.weight * pairs(shift, shift)
        return Statistics(origin, self.weight, self.first + self.weight * shift, second)

    def __add__(self, other: "Statistics") -> "Statistics":
        weight = self.weight + other.weight
        if weight == 0:
            return self
        moved = other.weight * (other.origin - self.origin) + self.first + other.first
        origin = self.origin + moved / weight
        one, two = self.about(origin), other.about(origin)
        return Statistics(origin, weight, one.first + two.first, one.second + two.second)

    @property
    def mean(self) -> Doubles:
        """Mean of the rows, of shape (D,)."""
        return np.asarray(self.origin + self.first / self.weight)

    @property
    def deviations(self) -> Doubles:
        """Standard deviations of the features, of shape (D,); not finite where squares overflow."""
        diagonal = self.second if self.second.ndim == 1 else np.diagonal(self.second)
        with np.errstate(over="ignore", invalid="ignore"):
            variances = diagonal / self.weight - (self.first / self.weight) ** 2
            return np.sqrt(np.maximum(variances, 0))

    @property
    def constant(self) -> NDArray[np.bool_]:
        """Whether each feature has the same value in all rows, of shape (D,)."""
        # The deviation of equal numbers, which is rounding error, is far below their last digit.
        return np.asarray(self.deviations <= 1e-3 * np.spacing(np.abs(self.origin)))
