"""Rows with missing values one by one, where few share a pattern: densities, and moments."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.missing.patterns import Group
from daskgmm.model.missing.regression import Regression, add_second, log_peaks_along_axes
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.responsibilities import normalise
from daskgmm.model.typing import Doubles, Floats

SLAB_VALUES = 2**19
"""Numbers of a slab's work arrays, about."""


class Slab(NamedTuple):
    """Rows that are computed together, in frame coordinates.

    Parameters
    ----------
    z : ndarray of shape (n, D)
        Zero where a value is missing.
    missing : ndarray of bool of shape (P, D)
        The patterns; with matrices, all lack as many features.
    pattern : ndarray of int of shape (n,)
        Which one each row has.
    positions : ndarray of int of shape (n,)
        Where the rows are among all that were given.
    """

    z: Doubles
    missing: NDArray[np.bool_]
    pattern: NDArray[np.int64]
    positions: NDArray[np.int64]


class Expected(NamedTuple):
    """What a mixture expects of a slab.

    Parameters
    ----------
    logits : ndarray of shape (K, n)
        Weighted log-densities of what is known, in frame coordinates.
    shifts : ndarray of shape (K, n, D)
        What is expected of missing values, measured from the means; else zero.
    regression : Regression or None
        ``None`` where features are independent in each component.
    """

    logits: Doubles
    shifts: Doubles
    regression: Regression | None


@final
class RowByRow:
    """A mixture's densities and moments of rows whose patterns are any.

    All is computed in double precision.

    Parameters
    ----------
    mixture : Mixture
        In frame coordinates.
    frame : Frame
    origins : ndarray of shape (K, D) or None
        What second moments are taken about; the means by default.
    """

    def __init__(self, mixture: Mixture, frame: Frame, origins: Doubles | None = None) -> None:
        self.mixture, self.frame = mixture, frame
        self.origins = mixture.means if origins is None else origins
        self.matrices = mixture.covariance.has_matrices
        self.factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
        self.normalisers = mixture.log_normalisers
        self.clear()

    def clear(self) -> None:
        """Begin anew."""
        n_components, n_features = self.mixture.shape
        covariance = self.mixture.covariance
        self.sums = np.zeros((covariance.feature_length(n_features), n_components))
        side = n_features if covariance.needs_scatter else 0
        self.shared = np.zeros((side, side))
        shape = (len(self.factors), n_features, n_features)
        self.left = np.zeros(shape if self.matrices else self.mixture.shape)
        self.log_likelihood, self.weight, self.rows = 0.0, 0.0, 0

    def add(self, rows: Floats, weights: Doubles | None, groups: Sequence[Group]) -> None:
        """Add the rows (D, n) in these groups, with positive weights (n,), to the moments."""
        for slab in self._slabs(rows, groups):
            expected = self._expected(slab)
            gamma = expected.logits
            noise: float | Doubles = -np.inf
            if self.mixture.noise is not None:
                noise = self.mixture.noise.logits_lacking(slab.missing[slab.pattern])
            densities = normalise(gamma, noise, for_sums=True)
            densities -= ~slab.missing[slab.pattern] @ np.log(self.frame.scale)
            own = np.ones(len(slab.z)) if weights is None else weights[slab.positions]
            self.log_likelihood += float(own @ densities)
            self.weight += float(own.sum())
            self.rows += len(own)
            gamma *= own
            self._accumulate(slab, expected, gamma)

    def logits(self, rows: Floats, groups: Sequence[Group], out: Floats) -> None:
        """Write the weighted log-densities of the rows in these groups into ``out`` (K, n).

        Less the log-Jacobian of all features, as those of complete rows are.
        """
        for slab in self._slabs(rows, groups):
            found = self._expected(slab).logits
            out[:, slab.positions] = found + slab.missing[slab.pattern] @ np.log(self.frame.scale)

    def take(self) -> Moments:
        """The moments about the origins since the last call; then start again from zero."""
        add_second(self.mixture, self.left, self.sums, self.shared)
        found = Moments(
            self.origins, self.sums, self.shared, self.log_likelihood, self.weight, self.rows
        )
        self.clear()
        return found

    def _slabs(self, rows: Floats, groups: Sequence[Group]) -> Iterator[Slab]:
        """The rows in slabs; with matrices, those that lack as many features together."""
        counts = np.array([group.missing.sum() if self.matrices else 0 for group in groups])
        for count in np.unique(counts):
            own = [groups[at] for at in np.flatnonzero(counts == count).tolist()]
            missing = np.stack([group.missing for group in own])
            positions = np.concatenate([np.arange(group.start, group.stop) for group in own])
            pattern = np.repeat(np.arange(len(own)), [group.stop - group.start for group in own])
            size = self._slab_rows(int(count))
            for start in range(0, len(positions), size):
                at, which = positions[start : start + size], pattern[start : start + size]
                z = np.empty((len(at), len(rows)))
                self.frame.standardise(rows[:, at].astype(np.float64), out=z.T)
                used = missing[which[0] : which[-1] + 1]
                z[used[which - which[0]]] = 0.0
                yield Slab(z, used, which - which[0], at)

    def _slab_rows(self, missing: int) -> int:
        n_components, n_features = self.mixture.shape
        values = 3 * n_components * n_features
        if self.matrices:
            values += 4 * len(self.factors) * n_features * missing
        return max(SLAB_VALUES // values, 1)

    def _expected(self, slab: Slab) -> Expected:
        lacks = slab.missing[slab.pattern]
        centred = np.where(lacks, 0.0, slab.z - self.mixture.means[:, np.newaxis])  # (K, n, D)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.matrices:
                logits, shifts, regression = self._by_regression(slab, centred)
            else:
                white = centred * self.factors
                logs = lacks @ log_peaks_along_axes(self.factors[:, 0]).T  # (n, K)
                logits = -0.5 * np.einsum("knd,knd->kn", white, white) - logs.T
                shifts, regression = np.zeros_like(centred), None
        logits += self.normalisers[:, np.newaxis]
        logits[np.isnan(logits)] = -np.inf  # distances that overflow
        return Expected(logits, shifts, regression)

    def _by_regression(self, slab: Slab, centred: Doubles) -> tuple[Doubles, Doubles, Regression]:
        missing = np.nonzero(slab.missing)[1].reshape(len(slab.missing), -1)  # (P, M)
        found = Regression.of(self.factors, missing)
        bases, backs = found.bases[slab.pattern], found.backs[slab.pattern]  # (n, H, D, M), …
        white = (centred @ self.factors).transpose(1, 0, 2)[:, :, np.newaxis]  # (n, K, 1, D)
        inside = white @ bases
        white = white - inside @ bases.swapaxes(2, 3)
        shifts = np.zeros_like(centred)
        rows = np.arange(len(slab.z))[:, np.newaxis]
        moved = (inside @ backs.swapaxes(2, 3))[:, :, 0]  # (n, K, M)
        shifts[:, rows, missing[slab.pattern]] = -moved.transpose(1, 0, 2)
        logits = -0.5 * (white**2).sum(axis=(2, 3)) - found.log_peaks[slab.pattern]
        return logits.T, shifts, found

    def _accumulate(self, slab: Slab, expected: Expected, gamma: Doubles) -> None:
        covariance, n_features = self.mixture.covariance, self.mixture.n_features
        lacks = slab.missing[slab.pattern].T
        n_quadratic = len(self.sums) - 1 - n_features
        z = np.ascontiguousarray(slab.z.T)
        for k, own in enumerate(gamma):
            mean, origin = (
                points[k][:, np.newaxis] for points in (self.mixture.means, self.origins)
            )
            centred = np.where(lacks, expected.shifts[k].T + (mean - origin), z - origin)
            column = self.sums[:, k]
            column[n_quadratic:-1] += centred @ own
            column[-1] += own.sum()
            covariance.add_scatter(centred, own, column[:n_quadratic], self.shared)
        if expected.regression is None:
            variances = covariance.variances(self.mixture.covariances, self.mixture.shape)
            self.left += variances * (gamma @ lacks.T)
        else:
            self._add_left(slab, expected.regression, gamma)

    def _add_left(self, slab: Slab, regression: Regression, gamma: Doubles) -> None:
        """Add the covariances that regressions leave, as often as patterns have rows."""
        n_features = self.mixture.n_features
        together = gamma if len(self.left) == len(gamma) else gamma.sum(axis=0, keepdims=True)
        missing = np.nonzero(slab.missing)[1].reshape(len(slab.missing), -1)
        cells = missing[:, :, np.newaxis] * n_features + missing[:, np.newaxis]
        covariances = regression.covariances
        for h, own in enumerate(together):
            counts = np.bincount(slab.pattern, own, minlength=len(missing))
            values = counts[:, np.newaxis, np.newaxis] * covariances[:, h]
            found = np.bincount(cells.ravel(), values.ravel(), minlength=n_features**2)
            self.left[h] += found.reshape(n_features, n_features)
