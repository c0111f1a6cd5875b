"""Base of the kernels: sums over blocks of rows, returned as moments."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.model.frame import Frame
from daskgmm.model.mixture import Mixture
from daskgmm.model.moments import Moments
from daskgmm.model.responsibilities import normalise, segments_of
from daskgmm.model.typing import Doubles, Floats

SMALL_PRODUCT = 10**6
"""OpenBLAS takes other kernels, that round otherwise, for products of fewer multiplications."""

ABOUT_MEANS, ABOUT_ORIGINS = 1, 2
"""What sums in single precision round relative to: sums about the rows' own means, or origins."""

FEW_ROWS = 32
"""Of so many rows of a tile, at most, loops of single precision make a component's sums in double.

That costs little, and components of few rows are those whose covariances are all but singular."""

MOST_SUMMED_ROWS = 128
"""Gathered rows whose products are added up in registers, at most: more of them would leave the
nearest caches, and sums of single precision lose digits."""

LEADING_COMPONENTS = 256
"""Components in a product of features that bounds logits: BLAS nearly reaches the machine's rate,
and the product stays in a core's own cache."""

_CACHE_LINE = 64
"""Bytes, as many as the widest vectors hold: those that begin elsewhere are read from two lines."""


SPARE_BYTES = 64
"""Bytes behind the rows of a work array that loops may load along with the last one."""


def work_array(size: int, dtype: np.dtype[Any] | type) -> NDArray[Any]:
    """Uninitialised array (size,) that begins with a cache line, as NumPy's own need not."""
    n_bytes = size * np.dtype(dtype).itemsize
    found = np.empty(n_bytes + _CACHE_LINE, np.uint8)
    start = -found.ctypes.data % _CACHE_LINE
    return found[start : start + n_bytes].view(dtype)


def padded(n_features: int) -> int:
    """Rows of a work array for an even number of features, and for the shares of rows."""
    return n_features + n_features % 2 + 1


def summed_values(n_features: int) -> int:
    """Numbers of a work array for rows that are summed: a centre, spares, roots, and the rows.

    The centre and each row are whole registers long, and behind the rows some numbers are read. As
    many doubles as half of them fit.
    """
    longest = n_features + n_features % 2 + _CACHE_LINE // 4
    return (MOST_SUMMED_ROWS + 1) * longest + MOST_SUMMED_ROWS + _CACHE_LINE


def slab_rows(values_per_row: int, dtype: np.dtype[np.floating], n_bytes: int) -> int:
    """Number of rows in a slab: a power of two, for work arrays of about `n_bytes`."""
    ideal = n_bytes / (values_per_row * dtype.itemsize)
    return int(np.clip(2 ** np.round(np.log2(ideal)), 256, 16384))


class Kernel(ABC):
    """Accumulates the moments of several mixtures of one covariance type over blocks of rows.

    Parameters
    ----------
    mixtures : sequence of Mixture
        In frame coordinates; K may differ between them.
    frame : Frame
        From the rows' coordinates to the mixtures'.
    dtype : dtype
        What rows are computed in; sums over slabs are float64 always.
    origins : sequence of ndarray of shape (K, D) or None
        What second moments are taken about.
    """

    slab: int
    joined: int = 0
    """Rows that are worth joining, so that they are computed at once."""

    def __init__(
        self,
        mixtures: Sequence[Mixture],
        frame: Frame,
        dtype: np.dtype[np.floating],
        origins: Sequence[Doubles] | None = None,
    ) -> None:
        self.mixtures = mixtures
        wanted = [mixture.means for mixture in mixtures] if origins is None else origins
        # What is subtracted from rows of this type is what the moments are about.
        self.origins = [points.astype(dtype).astype(np.float64) for points in wanted]
        self.covariance = mixtures[0].covariance
        self.frame = frame
        self.dtype = dtype
        self.n_features = mixtures[0].n_features
        self.segments = segments_of([mixture.n_components for mixture in mixtures])
        self.n_components = self.segments[-1].stop
        self.noise = np.array([mixture.noise_logit for mixture in mixtures])
        self.most_components = max(mixture.n_components for mixture in mixtures)
        self.n_quadratic = self.covariance.quadratic_length(self.n_features)
        self.length = self.covariance.feature_length(self.n_features)
        self._clear()

    def _clear(self) -> None:
        self.sums: Doubles = self._no_sums()
        side = self.n_features if self.covariance.needs_scatter else 0
        self.shared: list[Doubles] = [np.zeros((side, side)) for _ in self.mixtures]
        self.log_likelihoods = np.zeros(len(self.mixtures))
        self.weight = 0.0
        self.rows = 0
        coarse = ABOUT_ORIGINS if self.dtype == np.float32 else 0
        self.coarse = np.full(self.n_components, coarse, np.uint8)

    def _no_sums(self) -> Doubles:
        return np.zeros((self.length, self.n_components))

    def add(self, rows: Floats, weights: Floats | None = None) -> None:
        """Add rows (D, n) in data coordinates, with sample weights (n,), to the sums."""
        self.rows += rows.shape[1]
        if weights is None:
            self.weight += rows.shape[1]
        elif not weights.all():
            # A row that doesn't count may hold any number; zero times infinity would be NaN.
            rows, weights = rows[:, weights > 0], weights[weights > 0]
        own = None if weights is None else np.ascontiguousarray(weights, np.float64)
        if own is not None:
            self.weight += float(own.sum())
        self._add(rows, own)

    @abstractmethod
    def _add(self, rows: Floats, weights: Doubles | None) -> None:
        """Add rows of positive weight."""

    @abstractmethod
    def logits(self, rows: Floats) -> Floats:
        """Weighted log-densities (K, n) of at most `slab` rows, in a work array.

        In frame coordinates, and without what the feature form leaves to the total scatter.
        That of noise, the same for all rows, is in the attribute ``noise`` (M,).
        """

    def share_work(self, other: "Kernel") -> None:  # noqa: B027  few need to
        """Use the work arrays of a kernel of the same sizes, which is not at work meanwhile."""

    def share(self, n_rows: int) -> float:  # noqa: ARG002  what screens asks for it
        """Share of all pairs' multiplications that the sums last taken took, of so many rows."""
        return 1.0

    def take(self) -> list[Moments]:
        """Return the moments of each mixture since the last call, and start again from zero."""
        found = [
            Moments(
                origins,
                self.sums[:, segment],
                shared,
                float(log_likelihood) + self.weight * self.frame.log_jacobian,
                self.weight,
                self.rows,
                self.coarse[segment],
            )
            for origins, segment, shared, log_likelihood in zip(
                self.origins, self.segments, self.shared, self.log_likelihoods, strict=True
            )
        ]
        self._clear()
        return found


class SlabKernel(Kernel, ABC):
    """A kernel that works on slab after slab in NumPy."""

    def _add(self, rows: Floats, weights: Doubles | None) -> None:
        for start in range(0, rows.shape[1], self.slab):
            window = slice(start, start + self.slab)
            self._add_slab(rows[:, window], None if weights is None else weights[window])

    def _add_slab(self, rows: Floats, weights: Doubles | None) -> None:
        gamma = self.logits(rows)
        for index, segment in enumerate(self.segments):
            log_density = normalise(gamma[segment], self.noise[index], for_sums=True)
            log_density = log_density.astype(np.float64, copy=False)
            weighted = log_density if weights is None else log_density * weights
            self.log_likelihoods[index] += weighted.sum()
        if weights is not None:
            gamma *= weights.astype(self.dtype)
        self.accumulate(gamma)

    @abstractmethod
    def accumulate(self, gamma: Floats) -> None:
        """Add the moments of the rows that `logits` was given last, under responsibilities (K, n).

        Their number and weight, and their log-likelihood, are not added.
        """
