"""Rows with missing values one by one, where few share a pattern: densities, and moments."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.missing.patterns import PatternGroup
from daskgmm.model.missing.regression import Regression, add_second, log_peaks_along_axes
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.responsibilities import normalise
from daskgmm.model.typing import Doubles, Floats

SLAB_VALUES = 2**20
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
    centred : ndarray of shape (K, n, D)
        The rows from which the means are taken, with what is expected of missing values.
    regression : Regression or None
        ``None`` where features are independent in each component.
    """

    logits: Doubles
    centred: Doubles
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
        shape = (len(self.factors), n_features, n_features)
        self.second = np.zeros(shape if self.matrices else self.mixture.shape)
        self.log_likelihood, self.weight, self.rows = 0.0, 0.0, 0

    def add(self, rows: Floats, weights: Doubles | None, groups: Sequence[PatternGroup]) -> None:
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

    def logits(self, rows: Floats, groups: Sequence[PatternGroup], out: Floats) -> None:
        """Write the weighted log-densities of the rows in these groups into ``out`` (K, n).

        Less the log-Jacobian of all features, as those of complete rows are.
        """
        for slab in self._slabs(rows, groups):
            found = self._expected(slab).logits
            out[:, slab.positions] = found + slab.missing[slab.pattern] @ np.log(self.frame.scale)

    def take(self) -> Moments:
        """The moments about the origins since the last call; then start again from zero."""
        side = self.mixture.n_features if self.mixture.covariance.needs_scatter else 0
        shared = np.zeros((side, side))
        add_second(self.mixture, self.second, self.sums, shared)
        found = Moments(
            self.origins, self.sums, shared, self.log_likelihood, self.weight, self.rows
        )
        self.clear()
        return found

    def _slabs(self, rows: Floats, groups: Sequence[PatternGroup]) -> Iterator[Slab]:
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
            values += 2 * len(self.factors) * n_features * missing
        return max(SLAB_VALUES // values, 1)

    def _expected(self, slab: Slab) -> Expected:
        lacks = slab.missing[slab.pattern]
        centred = slab.z - self.mixture.means[:, np.newaxis]  # (K, n, D)
        np.copyto(centred, 0.0, where=lacks)
        with np.errstate(over="ignore", invalid="ignore"):
            if self.matrices:
                logits, regression = self._by_regression(slab, centred)
            else:
                precisions = self.factors.swapaxes(1, 2) ** 2  # (K, D, 1)
                logits = -0.5 * (centred**2 @ precisions)[:, :, 0]
                logits -= log_peaks_along_axes(self.factors[:, 0]) @ lacks.T
                regression = None
        logits += self.normalisers[:, np.newaxis]
        logits[np.isnan(logits)] = -np.inf  # distances that overflow
        return Expected(logits, centred, regression)

    def _by_regression(self, slab: Slab, centred: Doubles) -> tuple[Doubles, Regression]:
        """Logits (K, n) without normalisers; what is expected is written into `centred`."""
        missing = np.nonzero(slab.missing)[1].reshape(len(slab.missing), -1)  # (P, M)
        found = Regression.of(self.factors, missing)
        bases, backs, log_peaks = found
        if len(missing) < len(slab.z):
            bases, backs, log_peaks = (values[slab.pattern] for values in found)
        white = (centred @ self.factors).transpose(1, 0, 2)[:, :, np.newaxis]  # (n, K, 1, D)
        inside = white @ bases
        white = white - inside @ bases.swapaxes(2, 3)
        moved = (inside @ backs.swapaxes(2, 3))[:, :, 0]  # (n, K, M)
        rows = np.arange(len(slab.z))[:, np.newaxis]
        centred[:, rows, missing[slab.pattern]] = -moved.transpose(1, 0, 2)
        logits = -0.5 * np.einsum("nkid,nkid->nk", white, white) - log_peaks
        return logits.T, found

    def _accumulate(self, slab: Slab, expected: Expected, gamma: Doubles) -> None:
        n_features, lacks = self.mixture.n_features, slab.missing[slab.pattern]
        centred = expected.centred
        if self.origins is not self.mixture.means:
            moved = (self.mixture.means - self.origins)[:, np.newaxis]
            # What is known is measured from the origins at once, so that it rounds once.
            known = slab.z - self.origins[:, np.newaxis]
            centred = np.where(lacks, centred + moved, known)
        own = gamma[:, np.newaxis]  # (K, 1, n)
        self.sums[-1] += gamma.sum(axis=1)
        self.sums[-1 - n_features : -1] += (own @ centred)[:, 0].T
        if expected.regression is None:
            self.second += (own @ centred**2)[:, 0]
            variances = self.mixture.covariance.variances(
                self.mixture.covariances, self.mixture.shape
            )
            self.second += variances * (gamma @ lacks)
            return
        weighted = centred * gamma[:, :, np.newaxis]
        if len(self.second) == len(gamma):
            self.second += weighted.swapaxes(1, 2) @ centred
        else:
            self.second[0] += weighted.reshape(-1, n_features).T @ centred.reshape(-1, n_features)
        self._add_left(slab, expected.regression, gamma)

    def _add_left(self, slab: Slab, regression: Regression, gamma: Doubles) -> None:
        """Add the covariances that regressions leave, as often as patterns have rows."""
        n_features = self.mixture.n_features
        together = gamma if len(self.second) == len(gamma) else gamma.sum(axis=0, keepdims=True)
        missing = np.nonzero(slab.missing)[1].reshape(len(slab.missing), -1)
        cells = missing[:, :, np.newaxis] * n_features + missing[:, np.newaxis]
        covariances = regression.covariances
        for h, own in enumerate(together):
            counts = np.bincount(slab.pattern, own, minlength=len(missing))
            values = counts[:, np.newaxis, np.newaxis] * covariances[:, h]
            found = np.bincount(cells.ravel(), values.ravel(), minlength=n_features**2)
            self.second[h] += found.reshape(n_features, n_features)
