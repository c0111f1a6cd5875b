"""Labels, responsibilities and densities of rows under a fitted mixture."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.kernels.base import Kernel
from daskgmm.model.kernels.centred import CentredKernel
from daskgmm.model.kernels.compiled import CompiledKernel
from daskgmm.model.kernels.features import kernel_in_numpy
from daskgmm.model.kernels.screened import ScreenedKernel
from daskgmm.model.missing.densities import MarginalDensities
from daskgmm.model.missing.patterns import Missing
from daskgmm.model.mixture import Mixture
from daskgmm.model.nonfinite import Flaw
from daskgmm.model.precision import feature_components, working_dtype
from daskgmm.model.responsibilities import normalise
from daskgmm.model.typing import Floats

NOISE = -1
"""Label of rows that are most probably noise."""

_LABEL_OF_NONE = 0
"""Label of rows so far from all components that densities are zero: the first of equal ones."""


class Predictions(NamedTuple):
    """Labels, responsibilities and log-densities of n rows.

    Parameters
    ----------
    labels : ndarray of shape (n,)
    responsibilities : ndarray of shape (K, n), or (K + 1, n) with those of noise last
    log_densities : ndarray of shape (n,)
        In nats.
    """

    labels: NDArray[np.int64]
    responsibilities: Floats
    log_densities: Floats


@dataclass(frozen=True, eq=False)
class Predictor:
    """A mixture with its frame, which predicts from rows in data units.

    All methods take rows of shape (n, D) in data units, float32 or float64, and compute in
    that type unless `dtype` forces one or only float64 serves the mixture. They raise
    `NotFiniteError` where a value is not finite, and is not missing where that is allowed.

    Parameters
    ----------
    mixture : Mixture
        In frame coordinates.
    frame : Frame
    dtype : dtype or None
        Float type to compute in; by default the rows' type.
    compiled : bool
        Whether there are enough rows to make loading a compiled loop worthwhile.
    missing : Missing
        What rows with missing values (NaN) count as; they have predictions where they are
        marginalized.
    """

    mixture: Mixture
    frame: Frame
    dtype: np.dtype[Any] | None = None
    compiled: bool = False
    missing: Missing = Missing.ERROR

    @cached_property
    def in_data_units(self) -> Mixture:
        """The mixture in the data's units."""
        return self.mixture.outside(self.frame)

    @property
    def takes_missing(self) -> bool:
        """Whether rows with missing values have predictions."""
        return self.missing is Missing.MARGINALIZE

    @property
    def n_labels(self) -> int:
        """Number of labels: that of the components, K, and one more with noise."""
        return self._n_shares

    @property
    def _n_shares(self) -> int:
        return self.mixture.n_components + (self.mixture.noise is not None)

    @property
    def label_names(self) -> tuple[str, ...]:
        """Names of the labels, in the order of the responsibilities."""
        noise = () if self.mixture.noise is None else ("noise",)
        return (*map(str, range(self.n_labels - len(noise))), *noise)

    def labels(self, rows: Floats) -> NDArray[np.int64]:
        """Most probable component of each row, of shape (n,); `NOISE` where noise is."""
        found = np.empty(len(rows), np.int64)
        for window, logits in self._slabs(rows):
            peak = logits.max(axis=0)
            self._require_finite(peak, rows, window)
            logits.argmax(axis=0, out=found[window])
            found[window][~np.isfinite(peak)] = _LABEL_OF_NONE
            found[window][peak < self._noise(rows[window])] = NOISE
        return found

    def responsibilities(self, rows: Floats) -> Floats:
        """Probability of each component, and of noise last, given each row: (n, K or K + 1)."""
        found = np.empty((len(rows), self._n_shares), self.dtype or rows.dtype)
        for window, logits in self._slabs(rows):
            noise = self._noise(rows[window])
            densities = normalise(logits, noise)
            self._require_finite(densities, rows, window)
            self._write_shares(logits, densities, noise, found[window].T)
        return found

    def _noise(self, rows: Floats) -> float | Floats:
        """Weighted log-density of noise at rows (n, D), as `MarginalDensities` has others."""
        return noise_at(self.mixture, self.frame, rows, missing=self.takes_missing)

    def _write_shares(
        self, shares: Floats, densities: Floats, noise: float | Floats, out: Floats
    ) -> None:
        """Write responsibilities (K, n), and those of noise if there is any, to `out`."""
        n_components = self.mixture.n_components
        out[:n_components] = shares
        if self.mixture.noise is not None:
            with np.errstate(invalid="ignore"):  # no density, and noise without weight
                out[n_components] = np.nan_to_num(np.exp(noise - densities))

    def log_densities(self, rows: Floats) -> Floats:
        """Log-density at each row (nats), of shape (n,)."""
        found = np.empty(len(rows), self.dtype or rows.dtype)
        for window, logits in self._slabs(rows):
            found[window] = normalise(logits, self._noise(rows[window]))
            self._require_finite(found[window], rows, window)
        found += found.dtype.type(self.frame.log_jacobian)
        return found

    def everything(self, rows: Floats) -> "Predictions":
        """Labels, responsibilities and log-densities of each row, computed together."""
        dtype = self.dtype or rows.dtype
        labels = np.empty(len(rows), np.int64)
        shares = np.empty((self._n_shares, len(rows)), dtype)
        densities = np.empty(len(rows), dtype)
        for window, logits in self._slabs(rows):
            logits.argmax(axis=0, out=labels[window])
            peak, noise = logits.max(axis=0), self._noise(rows[window])
            densities[window] = found = normalise(logits, noise)
            self._require_finite(densities[window], rows, window)
            labels[window][~np.isfinite(found)] = _LABEL_OF_NONE
            labels[window][peak < noise] = NOISE
            self._write_shares(logits, found, noise, shares[:, window])
        densities += densities.dtype.type(self.frame.log_jacobian)
        return Predictions(labels, shares, densities)

    def _slabs(self, rows: Floats) -> Iterator[tuple[slice, Floats]]:
        dtype = working_dtype(self.mixture, self.dtype or rows.dtype)
        kernel = densities_of(
            [self.mixture], self.frame, dtype, compiled=self.compiled, missing=self.missing
        )
        for start in range(0, len(rows), kernel.slab):
            window = slice(start, min(start + kernel.slab, len(rows)))
            with np.errstate(invalid="ignore", over="ignore"):
                logits = kernel.logits(rows[window].T)
            yield window, logits

    def _require_finite(self, found: Floats, rows: Floats, window: slice) -> None:
        require_finite(found, rows[window], window.start, missing=self.takes_missing)


def densities_of(
    mixtures: Sequence[Mixture],
    frame: Frame,
    dtype: np.dtype[Any],
    *,
    compiled: bool,
    missing: Missing,
) -> Kernel | MarginalDensities:
    """Densities of mixtures of one type, all computed by the kernel that suits the first.

    Parameters
    ----------
    mixtures : sequence of Mixture
    frame : Frame
    dtype : dtype
        What rows are computed in.
    compiled : bool
        Whether a compiled loop is worth loading.
    missing : Missing
    """

    def kernel_of(mixtures: Sequence[Mixture], frame: Frame) -> Kernel:
        return density_kernel(mixtures[0], dtype, compiled=compiled)(mixtures, frame, dtype)

    kernel = kernel_of(mixtures, frame)
    return MarginalDensities(kernel, kernel_of) if missing is Missing.MARGINALIZE else kernel


def noise_at(mixture: Mixture, frame: Frame, rows: Floats, *, missing: bool) -> float | Floats:
    """Weighted log-density of a mixture's noise at rows (n, D) in data units.

    In frame coordinates; with `missing` that of what is known, less the log-Jacobian of all
    features.
    """
    if mixture.noise is None or not missing:
        return mixture.noise_logit
    lacks = np.isnan(rows)
    return np.asarray(mixture.noise.logits_lacking(lacks) + lacks @ np.log(frame.scale))


def density_kernel(mixture: Mixture, dtype: np.dtype[Any], *, compiled: bool) -> type[Kernel]:
    """The kernel that computes a mixture's densities of single rows."""
    # The feature form leaves out the quadratic term where that is the same for all components.
    by_features = not mixture.covariance.needs_scatter and feature_components(mixture, dtype).all()
    if compiled:
        return CompiledKernel if by_features else ScreenedKernel
    return CentredKernel if mixture.covariance.needs_scatter else kernel_in_numpy(mixture, dtype)


class NotFiniteError(ArithmeticError):
    """Error that a row has a value that is NaN or infinite.

    Parameters
    ----------
    flaw : Flaw
        Place of the value in the given rows.
    """

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw)
        self.flaw = flaw


def require_finite(found: Floats, rows: Floats, start: int, *, missing: bool = False) -> None:
    """Raise `NotFiniteError` if a result is not finite because of a value in rows (n, D).

    With `missing` NaN is none.
    """
    if np.isfinite(found).all():
        return
    flaw = Flaw.in_rows(rows.T, missing=missing)
    if flaw is not None:
        raise NotFiniteError(flaw.after(start))
