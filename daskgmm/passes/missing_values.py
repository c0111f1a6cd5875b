"""Rows with missing values, as the first pass finds them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from daskgmm.model.missing.patterns import Missing, any_missing, complete_rows
from daskgmm.model.typing import Doubles, Floats
from daskgmm.passes.row_sample import Sample
from daskgmm.passes.statistics import Statistics

ENOUGH_SHARE, ENOUGH_A_FEATURE = 0.5, 10
"""Starts are found on the complete rows of the sample if they are this share of it, or so many for
each component and feature; else on all, with means in place of what is missing."""


@dataclass(frozen=True, eq=False)
class MissingValues:
    """Rows with missing values, and sums over the values that are known of them.

    Parameters
    ----------
    rows : int
        Number of rows with missing values.
    dropped : bool
        Whether they count as absent.
    weight : float
        Sum of their sample weights.
    weights : ndarray of shape (D,)
        The same of those in which each feature is known.
    origin, first, second : ndarray of shape (D,)
        Sums of ``x - origin`` and its square over the known values of each feature.
    complete : Statistics or None
        Those of the complete rows alone, in the survey that is returned; ``None`` without any.
    """

    rows: int
    dropped: bool
    weight: float
    weights: Doubles
    origin: Doubles
    first: Doubles
    second: Doubles
    complete: Statistics | None = None

    @classmethod
    def of(cls, rows: Floats, weights: Doubles | None, missing: Missing) -> Self | None:
        """Those of rows (D, n); ``None`` if all are complete, or they are not looked for."""
        if missing is Missing.ERROR or not any_missing(rows):
            return None
        gaps = ~complete_rows(rows)
        x = rows[:, gaps].astype(np.float64, copy=False)
        known = ~np.isnan(x)
        own = known * (1.0 if weights is None else weights[gaps])
        counts = own.sum(axis=1)
        safe = np.where(counts > 0, counts, 1.0)
        origin = (np.where(own > 0, x, 0.0) * own).sum(axis=1) / safe
        centred = np.where(own > 0, x - origin[:, np.newaxis], 0.0)
        weight = float(gaps.sum() if weights is None else weights[gaps].sum())
        return cls(
            int(gaps.sum()),
            missing is Missing.DROP,
            weight,
            counts,
            origin,
            (centred * own).sum(axis=1),
            (centred**2 * own).sum(axis=1),
        )

    def __add__(self, other: "MissingValues") -> "MissingValues":
        counts = self.weights + other.weights
        share = other.weights / np.where(counts > 0, counts, 1.0)
        with np.errstate(all="ignore"):  # values that are not finite are reported elsewhere
            origin = self.origin + share * (other.origin - self.origin)
            one, two = self._about(origin), other._about(origin)
            first, second = one.first + two.first, one.second + two.second
        rows, weight = self.rows + other.rows, self.weight + other.weight
        return MissingValues(rows, self.dropped, weight, counts, origin, first, second)

    def _about(self, origin: Doubles) -> Self:
        shift = self.origin - origin
        second = self.second + shift * (2 * self.first + self.weights * shift)
        return replace(self, origin=origin, first=self.first + self.weights * shift, second=second)

    def joined(self, complete: Statistics | None) -> Statistics:
        """Statistics of all rows: means and deviations of the known values of each feature.

        Where the complete rows have a full scatter, it is scaled to those deviations. A feature
        that is known nowhere has the mean NaN.
        """
        own = self
        if complete is not None:
            diagonal = (
                np.diagonal(complete.second) if complete.second.ndim == 2 else complete.second
            )
            counts = np.full(len(self.origin), complete.weight)
            own += MissingValues(
                0, self.dropped, complete.weight, counts, complete.origin, complete.first, diagonal
            )
        with np.errstate(all="ignore"):
            moved = own.first / own.weights
            variances = np.maximum(own.second / own.weights - moved**2, 0)
        diagonal = own.weight * variances
        second = (
            diagonal
            if complete is None or complete.second.ndim == 1
            else _scaled(complete, diagonal)
        )
        return Statistics(own.origin + moved, own.weight, np.zeros_like(moved), second)


def _scaled(complete: Statistics, diagonal: Doubles) -> Doubles:
    """The second moments (D, D) about the mean, scaled to another diagonal."""
    mean = complete.origin + complete.first / complete.weight
    second = complete.about(mean).second
    own = np.diagonal(second)
    with np.errstate(divide="ignore", invalid="ignore"):
        factors = np.where(own > 0, np.sqrt(diagonal / own), 0.0)
    found = second * np.outer(factors, factors)
    np.fill_diagonal(found, diagonal)
    return np.asarray(found)


def quantiles(sample: Sample, shares: Sequence[float]) -> Doubles:
    """Quantiles of the known values of each feature, (S, D) for S shares; NaN where none is."""
    rows = sample.rows.astype(np.float64)

    def of(rows: Floats, weights: Doubles | None) -> Doubles:
        found = np.quantile(rows, shares, axis=0, weights=weights, method="inverted_cdf")
        return np.asarray(found)

    if not any_missing(rows):
        return of(rows, sample.weights)
    found = np.full((len(shares), rows.shape[1]), np.nan)
    for feature, values in enumerate(rows.T):
        known = ~np.isnan(values)
        if known.any():
            own = None if sample.weights is None else sample.weights[known]
            found[:, feature] = of(values[known], own)
    return found


def without_gaps(sample: Sample, means: Doubles, n_components: int) -> Sample:
    """A sample to find starts on: its complete rows, or all of them filled with means (D,).

    See `ENOUGH_SHARE`.
    """
    complete = complete_rows(sample.rows.T)
    n_rows, enough = int(complete.sum()), ENOUGH_A_FEATURE * n_components * len(means)
    if n_rows == len(complete):
        return sample
    if n_rows > n_components and n_rows >= min(enough, ENOUGH_SHARE * len(complete)):
        return sample.take(np.flatnonzero(complete))
    filled = np.where(np.isnan(sample.rows), means, sample.rows).astype(sample.rows.dtype)
    return replace(sample, rows=filled)
